"""Where bridges start: splines as the baseline has them, and the posterior mean of a Gaussian by dense algebra."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import sparse

from subgrid.data.normalise import fit_standardiser
from subgrid.downscaling.interpolation.cubic import cubic_interpolation
from subgrid.downscaling.upsampling.starts import blank_gaussian_start, cubic_start, gaussian_start
from subgrid.numerics.operators import SparseCoarsening


@pytest.mark.parametrize("centred", [False, True])
def test_the_cubic_start_interpolates_as_the_baseline_does(centred):
    start = cubic_start((6, 5), (2, 3), centred=centred, periodic=True)
    coarse = np.random.default_rng(0).normal(size=(3, 2, 6, 5)).astype(np.float32)
    expected = cubic_interpolation(coarse, (2, 3), centred=centred, periodic=True)
    np.testing.assert_allclose(start(jnp.asarray(coarse)), expected, atol=1e-5)  # float32


def test_the_gaussian_start_is_the_best_linear_estimate_in_physical_units():
    """Regression of x on y = C'x over the archive, by least squares: the same formula where the rank is full."""
    rng, rows = np.random.default_rng(0), np.kron(np.eye(3), [[0.5, 0.5]])
    mixing = rng.normal(size=(12, 12)) / 3
    fine = (rng.normal(size=(2000, 12)) @ mixing).reshape(2000, 2, 6)
    fine = (fine * np.array([10.0, 0.1])[:, None] + np.array([280.0, 5.0])[:, None]).astype(np.float32)
    operator = SparseCoarsening(sparse.csr_array(rows), fine_shape=(6,), coarse_shape=(3,))
    start = gaussian_start(fine, fit_standardiser(fine), operator, translation_invariant=False)
    y = (fine @ rows.T.astype(np.float32)).astype(np.float32)
    centred_y, centred_x = ((each - each.mean(0)).reshape(2000, -1).astype(np.float64) for each in (y, fine))
    gain = np.linalg.lstsq(centred_y, centred_x, rcond=None)[0]
    wanted = fine.mean(0).reshape(-1) + centred_y[:5] @ gain
    scale = fine.reshape(2000, -1).std(0)
    # Eleven of twelve components are the archive's own; float32 at 280 with a spread of 10 is good to some 1e-5 of it.
    found = np.asarray(start(jnp.asarray(y[:5]))).reshape(5, -1)
    assert np.abs((found - wanted) / scale).max() < 0.02
    np.testing.assert_allclose(start(jnp.asarray(y[2])), start(jnp.asarray(y[:5]))[2], rtol=1e-5)  # with or without
    np.testing.assert_allclose(found.reshape(5, 2, 6) @ rows.T, y[:5], rtol=1e-5)  # it keeps y
    blank = blank_gaussian_start(2, (3,), (6,))
    assert [a.shape for a in (blank.mean, blank.coarse_mean, blank.gain)] == [
        a.shape for a in (start.mean, start.coarse_mean, start.gain)
    ]
