"""Ledoit–Wolf shrinkage against its oracle, and the linear map in few samples."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from subgrid.transport.gaussian import fit_gaussian_map
from subgrid.transport.shrinkage import fit_shrunk_gaussian_map, ledoit_wolf


def exponential_correlation(d, length):
    return np.exp(-np.abs(np.subtract.outer(np.arange(d), np.arange(d))) / length)


def draw(n, covariance, seed):
    return np.random.default_rng(seed).multivariate_normal(np.zeros(len(covariance)), covariance, n)


@pytest.mark.parametrize(("n", "d"), [(40, 60), (200, 60)])
def test_shrinkage_is_the_oracle_for_gaussians(n, d):
    # For Gaussian samples E‖S − Σ‖² = (‖Σ‖² + tr²Σ)/n, and the best ρ is that over the same plus ‖Σ − μI‖².
    truth = exponential_correlation(d, 4.0)
    noise = (np.sum(truth**2) + np.trace(truth) ** 2) / n
    oracle = noise / (noise + np.sum((truth - np.eye(d)) ** 2))
    found = np.mean([ledoit_wolf(draw(n, truth, seed))[1] for seed in range(20)])
    assert found == pytest.approx(oracle, rel=0.05)  # 1/n of the mean and the ratio of estimates: a few per cent


def test_it_is_nearer_to_the_truth_than_the_sample_covariance():
    truth = exponential_correlation(60, 4.0)
    errors = []
    for seed in range(40):
        x = draw(80, truth, seed)
        errors.append([np.sum((c - truth) ** 2) for c in (ledoit_wolf(x)[0], np.cov(x.T, bias=True))])
    shrunk, plain = np.mean(errors, 0)
    # With noise N = 48 and B = ‖Σ − I‖² = 177 (see the oracle above) the best is NB/(N + B), or .79 of the noise; the
    # means of 40 draws are known to a few per cent.
    assert shrunk / plain == pytest.approx(0.79, abs=0.06)


@settings(max_examples=20, deadline=None)
@given(n=st.integers(2, 30), d=st.integers(1, 12), seed=st.integers(0, 99), scale=st.sampled_from([1e-3, 1.0, 1e4]))
def test_trace_is_kept_and_the_result_is_positive(n, d, seed, scale):
    x = scale * np.random.default_rng(seed).normal(size=(n, d))
    covariance, shrinkage = ledoit_wolf(x)
    assert 0 <= shrinkage <= 1
    assert np.trace(covariance) == pytest.approx(np.trace(np.cov(x.T, bias=True).reshape(d, d)), rel=1e-9)
    assert np.linalg.eigvalsh(covariance).min() >= -1e-9 * np.trace(covariance)


def test_many_samples_give_the_unshrunk_map():
    # On standardised sets A is the Monge map between correlations; with 20,000 samples of 3 values ρ is about 1e-4.
    rng = np.random.default_rng(0)
    source = rng.normal(size=(20_000, 3)) @ np.array([[1, 0.5, 0], [0, 1, 0.5], [0, 0, 1]])
    target = rng.normal(size=(20_000, 3)) @ np.array([[1, 0, 0], [-0.5, 1, 0], [0, 1, 1]])
    source, target = (jnp.asarray((a - a.mean(0)) / a.std(0), jnp.float32) for a in (source, target))
    shrunk, (first, _) = fit_shrunk_gaussian_map(source, target)
    assert first < 1e-3
    np.testing.assert_allclose(shrunk.matrix, fit_gaussian_map(source, target).matrix, atol=2e-3)


def test_means_and_variances_are_exact_and_units_do_not_matter():
    source, target = draw(300, exponential_correlation(8, 2.0), 1), 3 + draw(400, exponential_correlation(8, 5.0), 2)
    units = np.array([1, 1, 1, 1, 100, 100, 100, 100.0])  # two variables in one field
    as_fields = lambda a: jnp.asarray(a.reshape(-1, 2, 4), jnp.float32)  # noqa: E731
    plain, _ = fit_shrunk_gaussian_map(as_fields(source), as_fields(target))
    scaled, _ = fit_shrunk_gaussian_map(as_fields(source * units), as_fields(target * units))
    mapped = np.asarray(jax.vmap(plain)(as_fields(source))).reshape(-1, 8)
    np.testing.assert_allclose(mapped.mean(0), target.mean(0), atol=1e-4)
    # Only correlations are shrunk, here by less than 2 %; a variance after mapping is off by no more than that.
    np.testing.assert_allclose(mapped.std(0), target.std(0), rtol=0.03)
    again = np.asarray(jax.vmap(scaled)(as_fields(source * units))).reshape(-1, 8)
    np.testing.assert_allclose(again / units, mapped, atol=1e-3)


def test_fewer_samples_than_values_still_bring_correlations_nearer():
    truth = exponential_correlation(60, 10.0)
    source, target = draw(40, np.eye(60), 3), draw(40, truth, 4)
    transport, _ = fit_shrunk_gaussian_map(*(jnp.asarray(a, jnp.float32) for a in (source, target)))
    unseen = draw(2000, np.eye(60), 5)
    mapped = np.asarray(jax.vmap(transport)(jnp.asarray(unseen, jnp.float32)))
    before, after = (np.linalg.norm(np.corrcoef(a.T) - truth) for a in (unseen, mapped))
    assert after < 0.6 * before


def test_complaints():
    with pytest.raises(ValueError, match="they must agree"):
        fit_shrunk_gaussian_map(jnp.ones((9, 4)), jnp.ones((9, 5)))
    with pytest.raises(ValueError, match="at least 2 samples, got 1"):
        fit_shrunk_gaussian_map(jnp.ones((1, 4)), jnp.ones((9, 4)))
