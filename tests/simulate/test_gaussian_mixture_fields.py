"""Mixtures of Gaussian fields: their covariance, their regimes, one function at every resolution."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.simulate.gaussian_mixture_fields import (
    LENGTH,
    TORUS,
    VARIANCE,
    WAVES,
    _kernel_factors,
    ramp,
    ramp_mixture,
    wave,
    wave_mixture,
)


@pytest.mark.parametrize("n", [17, 64])
def test_the_kernel_is_factored_exactly(n):
    x = (np.arange(n) + 0.5) / n
    kernel = VARIANCE * np.exp(-((x[:, None] - x) ** 2) / (2 * LENGTH**2))
    factors = _kernel_factors(n)
    np.testing.assert_allclose(factors @ factors.T, kernel, atol=1e-12)


def test_ramps_have_two_regimes_of_a_half_and_the_variance_around_them():
    """4000 fields: a half to 4 standard errors of .008; variances to 4 of 2.2 %, ten lengths each."""
    fields, sign = ramp_mixture(4000, (32,), key=jr.key(0))
    assert abs((sign > 0).mean() - 0.5) < 4 * 0.5 / np.sqrt(4000)
    around = fields[:, 0] - sign[:, None] * ramp(32)
    np.testing.assert_allclose(around.var(0), VARIANCE, rtol=0.09)
    np.testing.assert_allclose(around.mean(0), 0, atol=4 * np.sqrt(VARIANCE / 4000))


def test_waves_have_the_spectrum_that_they_say():
    """Of 500 fields the energy of one wave is known to 1/√500, both parts."""
    fields, sign = wave_mixture(500, (16, 16), key=jr.key(1))
    around = fields[:, 0] - sign[:, None, None] * wave(16)
    energy = np.mean(np.abs(np.fft.rfft2(around, norm="forward")) ** 2, 0)
    law = WAVES(TORUS, (16, 16))
    expected = law / (WAVES(TORUS, (256, 256)) * TORUS.weights((256, 256))).sum()
    np.testing.assert_allclose(energy[1:4, 1:4], expected[1:4, 1:4], rtol=5 / np.sqrt(500))


@pytest.mark.parametrize(("mixture", "grids"), [(ramp_mixture, ((16,), (48,))), (wave_mixture, ((16, 16), (32, 32)))])
def test_a_key_is_the_same_functions_at_every_resolution(mixture, grids):
    (coarse, sign), (fine, same) = (mixture(3, grid, key=jr.key(2)) for grid in grids)
    assert (sign == same).all()
    if mixture is ramp_mixture:  # the middle of a coarse cell is the middle of its second third
        np.testing.assert_allclose(fine[..., 1::3], coarse, atol=1e-5)
    else:
        np.testing.assert_allclose(
            TORUS.resize(jnp.asarray(fine), (16, 16)), TORUS.resize(jnp.asarray(coarse), (16, 16)), atol=1e-5
        )


def test_more_fields_begin_with_the_fewer():
    np.testing.assert_allclose(
        ramp_mixture(5, (16,), key=jr.key(3))[0][:2], ramp_mixture(2, (16,), key=jr.key(3))[0], atol=1e-6
    )
