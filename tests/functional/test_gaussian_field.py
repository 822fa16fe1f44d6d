"""Gaussian measures: the variances of the specification, draws of one function on many grids, powers of C."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.functional.gaussian_field import GaussianField, field_of, fit_gaussian_field, white_field
from subgrid.numerics.spectra import PowerLaw

SMOOTH, ROUGH, PLANE = GaussianField(2.0, 5.0), GaussianField(1.0, 5.0), GaussianField(2.0, 5.0, (1.0, 1.0))


def with_nyquist_once(field, n):
    """The specification counts the Nyquist wave once: between a grid of n points, without it, and one of n + 1."""
    return (field.variance((n,)) + field.variance((n + 1,))) / 2


def test_pointwise_variances_of_the_specification():
    coarse, fine = (with_nyquist_once(SMOOTH, n) for n in (64, 256))
    assert coarse == pytest.approx(0.0021637, abs=5e-8)
    assert fine / coarse - 1 == pytest.approx(5.9e-6, abs=5e-8)
    coarse, fine = (with_nyquist_once(ROUGH, n) for n in (64, 256))
    assert (coarse, fine) == (pytest.approx(0.09977, abs=5e-6), pytest.approx(0.10096, abs=5e-6))
    assert fine / coarse - 1 == pytest.approx(0.0119, abs=1e-4)
    assert PLANE.variance((64, 64)) == pytest.approx(0.0034808, abs=5e-8)
    assert PLANE.variance((256, 256)) == pytest.approx(0.0034824, abs=5e-8)


def test_white_noise_has_no_pointwise_variance():
    # The negative control: ×4 in one dimension and ×16 in two when the grid is four times as fine.
    assert white_field().variance((257,)) / white_field().variance((65,)) == pytest.approx(257 / 65)
    plane = white_field((1.0, 1.0))
    assert plane.variance((260, 260)) / plane.variance((65, 65)) == pytest.approx(259**2 / 65**2)


def test_draws_have_the_variance_that_is_claimed():
    keys = jr.split(jr.key(0), 400)
    for field, grid in ((ROUGH, (32,)), (GaussianField(1.5, 3.0, (1.0, 2.0), "neumann"), (9, 16))):
        draws = jax.jit(jax.vmap(lambda k, f=field, g=grid: f.sample(g, key=k)))(keys)
        modes = np.abs(jax.jit(field.box.to_modes)(draws)[:, 0]) ** 2
        # 400 draws: 5 % (complex) or 7 % (real) a standard error of each mode, 4.5 of them for the largest of many.
        np.testing.assert_allclose(
            (modes.mean(0) / field.mode_variances(grid))[field.box.weights(grid) > 0], 1, atol=4.5 * np.sqrt(2 / 400)
        )


@pytest.mark.parametrize("boundary", ["periodic", "neumann"])
def test_a_coarse_draw_is_the_cut_of_a_fine_one(boundary):
    field = GaussianField(1.5, 5.0, 1.0, boundary)

    @jax.jit
    def draws(key):
        fine, coarse, odd = (field.sample((n,), n_channels=2, key=key) for n in (256, 64, 33))
        limited = field.sample((99,), modes=(33,), n_channels=2, key=key)
        return fine, coarse, odd, field.box.resize(fine, (64,)), field.box.resize(fine, (33,)), limited

    with jax.enable_x64(True):
        fine, coarse, odd, cut, cut_odd, limited = (np.asarray(each) for each in draws(jr.key(0)))
    np.testing.assert_allclose(cut, coarse, atol=1e-12)
    np.testing.assert_allclose(cut_odd, odd, atol=1e-12)
    # Points that a grid shares with one three times as fine: corners of cells, or their middles.
    np.testing.assert_allclose(limited[:, (0 if boundary == "periodic" else 1) :: 3], odd, atol=1e-12)
    assert abs(fine[0] @ fine[1]) < 0.5 * (fine[0] @ fine[0])  # channels are independent


def test_no_energy_in_the_nyquist_row():
    draw = jax.jit(lambda key: PLANE.sample((16, 16), key=key))(jr.key(0))[0]
    modes = np.abs(np.fft.rfft2(draw, norm="forward"))
    np.testing.assert_allclose(modes[8], 0, atol=1e-8)  # rounding, of modes up to .04
    np.testing.assert_allclose(modes[:, 8], 0, atol=1e-8)
    assert modes[7].max() > 1e-5


def test_powers_and_inner_products():
    @jax.jit
    def powers(key):
        v, power = PLANE.sample((12, 15), key=key), PLANE.multiply
        return v, power(power(v, 0.5), -0.5), power(power(v, 2.0), -1.0), power(v, 1.0)

    with jax.enable_x64(True):
        v, there_and_back, first, also = (np.asarray(each) for each in powers(jr.key(0)))
        np.testing.assert_allclose(there_and_back, v, atol=1e-12)
        np.testing.assert_allclose(first, also, atol=1e-12)
        u = jnp.cos(2 * jnp.pi * 3 * jnp.arange(64) / 64)[None]
        # ∫ cos² = ½, and C⁻¹ cos 6πx = (36π² + 25)² cos 6πx.
        assert SMOOTH.inner_product(u, u) == pytest.approx(0.5)
        squared_norm = 0.5 * (36 * np.pi**2 + 25) ** 2
        assert SMOOTH.inner_product(u, u, power=-1.0) == pytest.approx(squared_norm)
        wide = GaussianField(2.0, 5.0, 4.0)
        assert wide.inner_product(u, u) == pytest.approx(2.0)  # dx is four times as long


def test_a_zero_mean_field_leaves_the_mean_out():
    field = GaussianField(1.0, 0.0, zero_mean=True)
    v = jax.jit(lambda key: field.sample((32,), key=key))(jr.key(0))
    assert abs(float(np.mean(v))) < 1e-6
    again = jax.jit(lambda v: field.multiply(field.multiply(v, -0.5), 0.5))(np.float32(3) + v)
    np.testing.assert_allclose(again, v, atol=1e-5)


def test_a_given_variance_is_reached_as_the_grid_is_refined():
    assert GaussianField(1.5, 8.0, (1.0, 1.0), variance=2.0).variance((512, 512)) == pytest.approx(2.0, rel=1e-2)
    assert GaussianField(2.5, 8.0, (1.0, 1.0), variance=2.0).variance((512, 512)) == pytest.approx(2.0, rel=1e-6)


def test_a_fitted_field_draws_what_it_was_fitted_to():
    keys = jr.split(jr.key(1), 300)
    fields = np.asarray(jax.jit(jax.vmap(lambda k: ROUGH.sample((32,), n_channels=2, key=k)))(keys)) * [[[1.0], [3.0]]]
    fitted = fit_gaussian_field(fields)
    np.testing.assert_allclose(fitted.variance((32,)), np.mean(fields**2, (0, 2)), rtol=1e-4)
    # Four times as fine: the continued tail holds 1.2 % of the variance, its exponent is good to some tenths.
    np.testing.assert_allclose(fitted.variance((128,)) / [1, 9], ROUGH.variance((128,)), rtol=0.15)


def test_what_is_refused():
    with pytest.raises(ValueError, match=r"alpha = 0.5 is not trace class in 1 .* above d/2 = 0.5, such as 1"):
        GaussianField(0.5, 5.0)
    with pytest.raises(ValueError, match=r"alpha = 1 is not trace class in 2 dimensions.* such as 1.5"):
        GaussianField(1.0, 5.0, (1.0, 1.0))
    assert field_of(PowerLaw(0.5, 5.0)).variance((64,)) > 0  # asked for in so many words
    with pytest.raises(ValueError, match="variance must be positive"):
        GaussianField(1.0, 5.0, variance=0.0)
    with pytest.raises(ValueError, match="2 numbers of points"):
        PLANE.sample((64,), key=jr.key(0))
