"""Variance scaling and quantile mapping between distributions whose map is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from subgrid.downscaling.debiasing.static import NoDebiasing, fit_quantile_mapping, fit_variance_scaling
from subgrid.transport.gaussian import fit_gaussian_map

N = 4001
QUANTILES = norm.ppf((np.arange(N) + 0.5) / N)


def as_fields(*columns):
    rng = np.random.default_rng(0)
    return jnp.asarray(np.stack([rng.permutation(c) for c in columns], 1), jnp.float32)


def test_gaussians_are_mapped_affinely():
    source, target = as_fields(1 + 2 * QUANTILES, 5 * QUANTILES), as_fields(QUANTILES, 3 + QUANTILES)
    transport = fit_quantile_mapping(source, target)
    y = jnp.asarray([[0.0, 4.0], [2.5, -7.0], [-2.0, 0.1]])
    exact = jnp.stack([(y[:, 0] - 1) / 2, 3 + y[:, 1] / 5], 1)
    np.testing.assert_allclose(jax.vmap(transport)(y), exact, atol=2e-3)  # linear between 100 quantiles of 4001 values


def test_mapped_samples_have_the_target_distribution():
    rng = np.random.default_rng(1)
    source, target = (jax.device_put(np.asarray(rng.gamma(k, size=(20_000, 1)), np.float32)) for k in (2.0, 5.0))
    mapped = jax.vmap(fit_quantile_mapping(source, target))(source)
    levels = jnp.linspace(0.05, 0.95, 10)
    np.testing.assert_allclose(jnp.quantile(mapped, levels), jnp.quantile(target, levels), rtol=5e-3)


def test_beyond_the_table_the_correction_is_kept():
    transport = fit_quantile_mapping(as_fields(2 * QUANTILES), as_fields(QUANTILES))
    outermost = norm.ppf(0.995)
    for side in (-1, 1):
        expected = side * (100.0 - outermost)  # y + (q′ − q) with q = 2z, q′ = z
        assert transport(jnp.asarray([side * 100.0]))[0] == pytest.approx(expected, abs=0.02)


def censored(threshold, floor=0.0):
    """Quantiles of max(z − threshold, 0) + floor, z standard normal: dry with probability Φ(threshold)."""
    return np.maximum(QUANTILES - threshold, 0) + floor


@pytest.mark.parametrize("floor", [0.0, 0.1])
@pytest.mark.parametrize("threshold", [-1.0, 0.0, 1.0])
def test_censored_laws_keep_their_mean_and_dry_days_stay_one_value(threshold, floor):
    # Half of the source is dry, Φ(threshold) of the target: for threshold 1 the target is drier, for −1 wetter.
    transport = fit_quantile_mapping(as_fields(censored(0.0, floor)), as_fields(censored(threshold)))
    mapped = np.asarray(jax.vmap(transport)(as_fields(censored(0.0, floor))))[:, 0]
    dry_levels = censored(threshold)[: N // 2]  # what the target holds at the levels of the source's atom
    # Tables of 100 levels, linear between them: the step across the atom's end is smeared over one level of 4001/100.
    assert transport(jnp.asarray([floor], jnp.float32))[0] == pytest.approx(dry_levels.mean(), abs=0.01)
    assert mapped.mean() == pytest.approx(censored(threshold).mean(), abs=0.01)
    wet = np.asarray([0.7, 1.5], np.float32)  # beyond both atoms or inside the target's: T = max(y − threshold, 0)
    expected = np.maximum(wet - threshold, 0)
    np.testing.assert_allclose(jax.vmap(transport)(wet[:, None] + np.float32(floor))[:, 0], expected, atol=0.02)


def test_it_is_monotone_and_keeps_shapes():
    transport = fit_quantile_mapping(as_fields(2 * QUANTILES), as_fields(np.sinh(QUANTILES)))
    values = jax.vmap(lambda v: transport(v[None])[0])(jnp.linspace(-9, 9, 500))
    assert (jnp.diff(values) > 0).all()
    source = jax.device_put(np.asarray(np.random.default_rng(0).normal(size=(200, 1, 2, 3)), np.float32))
    assert fit_quantile_mapping(source, source)(source[0]).shape == (1, 2, 3)
    np.testing.assert_allclose(fit_quantile_mapping(source, source)(source[0]), source[0], atol=1e-5)


def correlated(n: int, seed: int, mean: np.ndarray, deviation: np.ndarray) -> jax.Array:
    """Fields of (channel, point) = (2, 3) from a Gaussian, all values correlated by .6."""
    rng = np.random.default_rng(seed)
    noise = np.sqrt(0.6) * rng.normal(size=(n, 1, 1)) + np.sqrt(0.4) * rng.normal(size=(n, 2, 3))
    return jnp.asarray(mean + deviation * noise, jnp.float32)


MEANS = np.array([[0.0, 1.0, -2.0], [280.0, 285.0, 290.0]])
DEVIATIONS = np.array([[1.0, 0.3, 2.0], [5.0, 8.0, 0.5]])


def test_variance_scaling_of_gaussians_is_their_affine_map():
    source, target = as_fields(1 + 2 * QUANTILES, 5 * QUANTILES), as_fields(QUANTILES, 3 + QUANTILES)
    y = jnp.asarray([[0.0, 4.0], [2.5, -7.0], [-20.0, 100.0]])
    exact = jnp.stack([(y[:, 0] - 1) / 2, 3 + y[:, 1] / 5], 1)
    np.testing.assert_allclose(jax.vmap(fit_variance_scaling(source, target))(y), exact, atol=1e-5)  # float32 near 20


def test_variance_scaling_of_one_point_is_the_gaussian_map():
    source, target = correlated(300, 0, MEANS, DEVIATIONS), correlated(200, 1, MEANS + 3, 2 * DEVIATIONS)
    scaled = jax.vmap(fit_variance_scaling(source, target))(source)
    for point in np.ndindex(2, 3):
        first, second = (each[:, *point][:, None] for each in (source, target))
        linear = jax.vmap(fit_gaussian_map(first, second))(first)[:, 0]
        # The Gaussian map has a ridge of 1e-6 of the variance; float32 resolves 3e-5 at 290.
        np.testing.assert_allclose(scaled[:, *point], linear, atol=1e-4)


def test_scaled_fields_have_mean_and_deviation_of_the_target_and_correlations_of_the_source():
    n = 20_000
    source, target = correlated(n, 2, MEANS, DEVIATIONS), correlated(n // 2, 3, MEANS + 3, DEVIATIONS[::-1])
    scaling = fit_variance_scaling(source, target)
    scaled = np.asarray(jax.vmap(scaling)(source), np.float64)
    wanted = np.asarray(target, np.float64)
    np.testing.assert_allclose(scaled.mean(0), wanted.mean(0), atol=1e-4)  # both moments exactly, in float32 at 290
    np.testing.assert_allclose(scaled.std(0, ddof=1), wanted.std(0, ddof=1), rtol=1e-4)
    correlations = [np.corrcoef(each.reshape(n, 6).T) for each in (scaled, np.asarray(source, np.float64))]
    np.testing.assert_allclose(*correlations, atol=1e-5)
    unseen = np.asarray(jax.vmap(scaling)(correlated(n, 4, MEANS, DEVIATIONS)))
    # Levels to 2 standard deviations, whose sampling error is sqrt(p (1 − p) / n) / φ(z) = 2.8/√n at most; sets of n,
    # n, and n/2 come in, and four standard errors are allowed.
    z = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
    standard = (np.quantile(unseen, norm.cdf(z), axis=0) - (MEANS + 3)) / DEVIATIONS[::-1]
    np.testing.assert_allclose(standard, np.broadcast_to(z[:, None, None], (5, 2, 3)), atol=4 * 2.8 * np.sqrt(4 / n))


def test_constant_points_are_shifted_only():
    source, target = correlated(50, 5, MEANS, DEVIATIONS), correlated(60, 6, MEANS + 3, DEVIATIONS)
    source = source.at[:, 0, 0].set(0.1).at[:, 1, 0].set(280.0).at[::2, 1, 0].add(3e-5)  # the latter is one last digit
    target = target.at[:, 0, 1].set(7.0)
    scaling, y = fit_variance_scaling(source, target), jnp.asarray(MEANS + 1, jnp.float32)
    shift = np.asarray(target, np.float64).mean(0) - np.asarray(source, np.float64).mean(0)
    moved = np.asarray(scaling(y))
    np.testing.assert_allclose(moved[:, 0], (MEANS + 1 + shift)[:, 0], rtol=1e-6)  # float32
    assert moved[0, 1] == 7  # a constant target is reached from everywhere
    assert scaling.scale[1, 1] != 1 and np.isfinite(scaling.scale).all()


def test_no_debiasing():
    np.testing.assert_array_equal(NoDebiasing()(jnp.arange(3.0)), jnp.arange(3.0))


def test_complaints():
    with pytest.raises(ValueError, match="100 quantiles need as many samples; got 50 coarse and 200 fine"):
        fit_quantile_mapping(jnp.ones((50, 2)), jnp.ones((200, 2)))
    with pytest.raises(ValueError, match="they must agree"):
        fit_quantile_mapping(jnp.ones((200, 2)), jnp.ones((200, 3)))
    with pytest.raises(ValueError, match="at least 2 samples; got 1 coarse and 200 fine"):
        fit_variance_scaling(jnp.ones((1, 2)), jnp.ones((200, 2)))
    with pytest.raises(ValueError, match="they must agree"):
        fit_variance_scaling(jnp.ones((200, 2)), jnp.ones((200, 3)))
