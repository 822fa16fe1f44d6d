"""The Gaussian conditional against dense algebra, for full and truncated priors, exact, noisy and dependent values."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from subgrid.diffusion.gaussian_conditional import condition
from subgrid.diffusion.gaussian_prior import GaussianPrior
from subgrid.diffusion.guidance.gaussian import gaussian_gain
from subgrid.diffusion.guidance.moments import moment_matching
from subgrid.numerics.operators import BlockMean, SparseCoarsening, Subsample

from ..cases import few
from .gaussian_fields import as_prior, matrix_of, posterior, ring, torus

CASES = {
    "every 6th": (ring(), (1, 36), Subsample((36,), 6)),
    "means of 6": (ring(), (1, 36), BlockMean((36,), 6)),
    "means of 3 x 3": (torus(), (1, 12, 12), BlockMean((12, 12), 3)),
    "uneven means": (
        ring(12),
        (1, 12),
        SparseCoarsening(np.kron(np.eye(3), [[0.6, 0.5, 0.4, 0.1]]), fine_shape=(12,), coarse_shape=(3,)),
    ),
}


@pytest.fixture(autouse=True)
def _double_precision():
    with jax.enable_x64(True):
        yield


def covariance_of(gaussian: GaussianPrior) -> np.ndarray:
    d = gaussian.mean.size
    return np.asarray(_applied(gaussian, np.eye(d).reshape(d, *gaussian.mean.shape))).reshape(d, d)


_applied = eqx.filter_jit(lambda gaussian, units: jax.vmap(lambda unit: gaussian.apply(lambda v: v, unit))(units))
_given = eqx.filter_jit(lambda conditional, y: (conditional.given(y), conditional.mean(y)))


@pytest.mark.parametrize("noise", few([0.0, "its own", 0.05], 2))
@pytest.mark.parametrize("name", CASES)
def test_mean_and_covariance_are_those_of_dense_algebra(name, noise):
    (covariance, shape, operator), rng = CASES[name], np.random.default_rng(0)
    coarse = (1, *operator.coarse_shape)
    mean, y = rng.normal(size=len(covariance)), rng.normal(size=coarse)
    noise = rng.uniform(0.01, 0.1, coarse) if noise == "its own" else noise
    exact = posterior(mean, covariance, matrix_of(operator, shape), y, noise)
    conditional = condition(as_prior(mean, covariance, shape), operator, coarse, noise_variance=noise)
    given, mean_alone = _given(conditional, jnp.asarray(y))
    np.testing.assert_allclose(given.mean.reshape(-1), exact[0], atol=1e-9)
    np.testing.assert_allclose(covariance_of(given), exact[1], atol=1e-9)
    np.testing.assert_array_equal(mean_alone, given.mean)


def test_single_precision_agrees_with_the_coarse_values_of_a_smooth_field():
    # Variances that fall to .4 at each wavenumber: S = C′ΣC′ᵀ has the condition 3e4, and m_y is right to rounding.
    k = np.abs(np.fft.fftfreq(96, 1 / 96))
    row = np.fft.ifft(0.4**k).real
    covariance = row[(np.arange(96)[:, None] - np.arange(96)) % 96] / row[0]
    operator = Subsample((96,), 4)
    S = covariance[::4, ::4]
    y = np.linalg.cholesky(S) @ np.random.default_rng(0).normal(size=24)
    with jax.enable_x64(False):
        conditional = condition(as_prior(np.zeros(96), covariance, (1, 96)), operator, (1, 24))
        mean = conditional.mean(jnp.asarray(y, jnp.float32)[None])
        assert mean.dtype == jnp.float32
    exact = covariance[:, ::4] @ np.linalg.solve(S, y)
    assert np.linalg.cond(S) > 2e4
    np.testing.assert_allclose(mean[0], exact, atol=3e-6)  # some roundings of values up to 3
    np.testing.assert_allclose(operator(mean)[0], y, atol=3e-6)


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_few_components_with_a_remainder(noise):
    # Σ = V(Λ − ρ)Vᵀ + ρI with five of 36 components, written out; the conditional has 5 + 6 at most.
    variances, vectors = np.linalg.eigh(ring())
    leading, lengths, rho = vectors.T[:-6:-1], variances[:-6:-1], 0.03
    covariance = (leading.T * (lengths - rho)) @ leading + rho * np.eye(36)
    parts = np.zeros((1, 36)), leading[:, None], lengths, rho, np.ones((1, 36))
    prior = GaussianPrior(*(jnp.asarray(part) for part in parts))
    operator, y = BlockMean((36,), 6), np.random.default_rng(1).normal(size=(1, 6))
    exact = posterior(np.zeros(36), covariance, matrix_of(operator, (1, 36)), y, noise)
    given = condition(prior, operator, (1, 6), noise_variance=noise).given(jnp.asarray(y))
    assert len(given.variances) <= 11
    assert (given.variances > 1e-9).sum() == len(given.variances) - (6 if noise == 0 else 0)  # six are determined
    np.testing.assert_allclose(given.mean.reshape(-1), exact[0], atol=1e-9)
    np.testing.assert_allclose(covariance_of(given), exact[1], atol=1e-9)


def test_values_without_variance_and_values_seen_twice():
    # Outside the support nothing varies: coarse means over it are given by the mean alone. Seen twice is seen once.
    support = (np.arange(36) < 24)[None]
    variances, vectors = np.linalg.eigh(ring()[:24, :24])
    components = np.zeros((23, 1, 36))
    components[:, 0, :24] = vectors.T[:0:-1]
    parts = np.full((1, 36), 0.5), components, variances[:0:-1], variances[0], support
    prior = GaussianPrior(*(jnp.asarray(part, jnp.float64) for part in parts))
    means = BlockMean((36,), 6)
    matrix = matrix_of(means, (1, 36))
    once, twice = (
        SparseCoarsening(rows, fine_shape=(36,), coarse_shape=(len(rows),))
        for rows in (matrix, np.concatenate([matrix, matrix]))
    )
    y = jnp.asarray([[0.3, 0.9, 0.1, 0.7, 0.5, 0.5]])
    first = condition(prior, once, (1, 6)).given(y)
    again = condition(prior, twice, (1, 12)).given(jnp.concatenate([y, y], -1))
    np.testing.assert_allclose(once(first.mean), y, atol=1e-9)
    np.testing.assert_allclose(first.mean[:, 24:], 0.5, atol=1e-12)
    np.testing.assert_allclose(again.mean, first.mean, atol=1e-8)
    np.testing.assert_allclose(covariance_of(again), covariance_of(first), atol=1e-8)
    assert np.abs(covariance_of(first)[24:]).max() < 1e-12


def test_draws_agree_with_exact_values():
    covariance, shape, operator = CASES["means of 6"]
    y = jnp.linspace(-1, 1, 6)[None]
    given = condition(as_prior(np.zeros(36), covariance, shape), operator, (1, 6)).given(y)
    x = jax.jit(jax.vmap(lambda key: given.sample(key=key)))(jr.split(jr.key(0), 50))
    # √ of a variance that rounding leaves, 1e-12 of the largest at most, and 1e-16 of it typically.
    np.testing.assert_allclose(operator(x), np.broadcast_to(y, (50, 1, 6)), atol=1e-6)
    assert x.std(0).min() > 0.01


def test_distance_is_one_on_average_and_grows_outside():
    covariance, shape, operator = CASES["means of 6"]
    prior, noise = as_prior(np.zeros(36), covariance, shape), 0.05
    conditional = condition(prior, operator, (1, 6), noise_variance=noise)
    noisy = lambda k: operator(prior.sample(key=k)) + np.sqrt(noise) * jr.normal(jr.fold_in(k, 1), (1, 6))  # noqa: E731
    y = jax.jit(jax.vmap(noisy))(jr.split(jr.key(0), 4000))
    distances = np.asarray(jax.jit(jax.vmap(conditional.distance))(y))
    # A χ² of six degrees of freedom over six: variance 2/6, so the mean of 4000 is known to .009; three of them.
    assert distances.mean() == pytest.approx(1.0, abs=0.03)
    assert distances.var() == pytest.approx(1 / 3, rel=0.15)  # three times √((κ − 1)/4000), κ = 5
    assert conditional.distance(10 * y[0]) == pytest.approx(100 * distances[0])


@pytest.mark.parametrize("noise", [[0.1, 0.2], [[0.1] * 6] * 2])
def test_noise_of_another_shape_is_refused_by_all_that_take_it(noise):
    covariance, shape, operator = CASES["means of 6"]
    prior, y, noise = as_prior(np.zeros(36), covariance, shape), jnp.zeros((1, 6)), jnp.asarray(noise)
    takers = [
        lambda: condition(prior, operator, (1, 6), noise_variance=noise),
        lambda: gaussian_gain(prior, operator, y, prior=prior, noise_variance=noise),
        lambda: moment_matching(prior, operator, y, prior=prior, noise_variance=noise),
    ]
    for take in takers:
        with pytest.raises(
            ValueError, match=r"noise_variance has the shape .*, but the coarse values have \(1, 6\); give"
        ):
            take()


@pytest.mark.parametrize("noise", [-0.1, float("nan"), float("inf")])
def test_impossible_noise_is_refused(noise):
    covariance, shape, operator = CASES["means of 6"]
    with pytest.raises(ValueError, match="must be finite and not negative"):
        condition(as_prior(np.zeros(36), covariance, shape), operator, (1, 6), noise_variance=noise)


def test_it_has_the_same_bits_on_any_number_of_threads():
    """Products of 256 × 256 are shared out; without one thread, results of 1 and 2 differ on any processor tried."""
    covariance = np.exp(-np.abs(np.subtract.outer(np.arange(256.0), np.arange(256.0))) / 30)
    prior, operator = as_prior(np.zeros(256), covariance, (1, 256)), BlockMean((256,), 4)

    def made(n_threads):
        with threadpool_limits(n_threads, user_api="blas"):
            return jax.tree.leaves(condition(prior, operator, (1, 64)))

    for other in (made(2), made(3)):
        for one, another in zip(made(1), other, strict=True):
            np.testing.assert_array_equal(one, another)
