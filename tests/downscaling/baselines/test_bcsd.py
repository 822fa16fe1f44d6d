"""BCSD: marginals and means that are right, dependence that stays as it was, positive fields that stay positive."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.downscaling.baselines.bcsd import cubic_upsampler, fit_bcsd
from subgrid.downscaling.debiasing.static import fit_quantile_mapping
from subgrid.numerics.operators import BlockMean, SparseCoarsening, Subsample
from subgrid.types import Upsampler

N, FACTOR, SAMPLES = 16, 4, 4000
OPERATOR = Subsample((N,), FACTOR)
KEY = jr.key(0)  # unused: there are no draws
PLACE = {"periodic": True, "centred": False}


def fields(n: int, seed: int) -> np.ndarray:
    """Gaussian fields of a mean that varies in space, .5 cos, and of covariance .6^distance along a circle."""
    rng = np.random.default_rng(seed)
    distance = np.abs((np.arange(N)[:, None] - np.arange(N) + N // 2) % N - N // 2)
    factor = np.linalg.cholesky(0.6**distance)
    mean = 0.5 * np.cos(2 * np.pi * np.arange(N) * 3 / N)  # beyond what the coarse grid resolves
    return (mean + rng.normal(size=(n, N)) @ factor.T)[:, None].astype(np.float32)


def biased(n: int, seed: int) -> np.ndarray:
    return 2.0 + 1.5 * fields(n, seed)[..., ::FACTOR]


@pytest.fixture(scope="module")
def fitted():
    return fit_bcsd(biased(SAMPLES, 0), fields(SAMPLES, 1), OPERATOR, **PLACE)


def test_quantile_mapping_keeps_the_copula():
    # Two points with correlation .8, and a target of other variances without any: the correlation stays.
    rng, n = np.random.default_rng(0), 20_000
    source = (rng.normal(size=(n, 2)) @ np.linalg.cholesky([[1, 0.8], [0.8, 1]]).T).astype(np.float32)
    target = (np.array([3.0, -1.0]) + rng.normal(size=(n, 2)) * [2.0, 0.5]).astype(np.float32)
    mapping = fit_quantile_mapping(jnp.asarray(source), jnp.asarray(target), n_quantiles=1000)
    mapped = np.asarray(jax.jit(jax.vmap(mapping))(jnp.asarray(source)))
    # (1 − ρ²)/√n is the standard error of a correlation, .0025.
    assert np.corrcoef(mapped.T)[0, 1] == pytest.approx(0.8, abs=4 * 0.36 / np.sqrt(n))
    np.testing.assert_allclose(mapped.mean(0), target.mean(0), atol=4e-3)
    np.testing.assert_allclose(mapped.std(0), target.std(0), rtol=1e-2)


def test_outputs_have_the_mean_of_the_fine_fields_at_every_point(fitted):
    assert isinstance(fitted, Upsampler)
    new = biased(SAMPLES, 2)
    mean = np.asarray(jax.jit(jax.vmap(lambda y: fitted(y, key=KEY)))(jnp.asarray(new))).mean(0)
    # Two means of n values of unit variance, the map's from two more: 4 √(3/n).
    np.testing.assert_allclose(mean, fitted.fine_mean, atol=4 * np.sqrt(3 / SAMPLES))
    # Interpolation alone would miss the waves of the mean that the coarse grid does not hold, by as much as 1.
    plain = np.asarray(jax.vmap(fitted.interpolate)(jax.vmap(fitted.mapping)(jnp.asarray(new)))).mean(0)
    assert np.abs(plain - fitted.fine_mean).max() > 0.4


def test_at_the_coarse_points_it_is_the_quantile_map(fitted):
    y = jnp.asarray(biased(1, 3)[0])
    np.testing.assert_allclose(OPERATOR(fitted(y, key=KEY)), fitted.mapping(y), atol=1e-5)


def test_ratios_keep_positive_fields_positive_and_the_mean():
    # Exponentials of half the fields: lognormal, skewed, biased by a factor.
    positive, raw = np.exp(fields(SAMPLES, 4)), 3 * np.exp(1.2 * fields(SAMPLES, 5)[..., ::FACTOR])
    bcsd = fit_bcsd(raw, positive, OPERATOR, **PLACE, multiplicative=True)
    outputs = np.asarray(jax.jit(jax.vmap(lambda y: bcsd(y, key=KEY)))(jnp.asarray(raw)))
    assert outputs.min() > 0
    error = np.sqrt((outputs.var(0) + positive.var(0)) / SAMPLES)  # of the difference of two means
    assert (np.abs(outputs.mean(0) - positive.mean(0)) < 4 * error).all()
    # The difference form does not: that is what ratios are for.
    differences = fit_bcsd(raw, positive, OPERATOR, **PLACE)
    assert np.asarray(jax.vmap(lambda y: differences(y, key=KEY))(jnp.asarray(raw))).min() < 0


def test_the_cubic_upsampler_passes_through_subsampled_values_and_keeps_plane_block_means():
    y = jax.device_put(np.asarray(np.random.default_rng(0).normal(size=(2, 4, 6)), np.float32))
    through = cubic_upsampler(Subsample((8, 18), (2, 3)), **PLACE)
    np.testing.assert_allclose(through.interpolate(y)[:, ::2, ::3], y, atol=1e-6)
    block = BlockMean((24,), 4)
    plane = jnp.arange(24.0)[None]
    centred = cubic_upsampler(block, periodic=False, centred=True)
    np.testing.assert_allclose(centred.interpolate(block(plane))[0, 6:18], plane[0, 6:18], atol=1e-5)


def test_what_cannot_be_fitted_is_refused():
    with pytest.raises(ValueError, match="multiplicative=False"):
        fit_bcsd(biased(50, 0), fields(50, 1), OPERATOR, **PLACE, n_quantiles=10, multiplicative=True)
    with pytest.raises(ValueError, match="as many samples"):
        fit_bcsd(biased(50, 0), fields(50, 1), OPERATOR, **PLACE)
    odd = SparseCoarsening(np.eye(3, 4), fine_shape=(4,), coarse_shape=(3,))
    with pytest.raises(ValueError, match="whole factors"):
        cubic_upsampler(odd, **PLACE)
