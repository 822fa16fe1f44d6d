"""A prior of functions under C′: for Gaussian data the exact conditional, on the training grid and on finer ones."""

from functools import cache

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.downscaling.model.draws import SamplingSettings, draws_of
from subgrid.downscaling.upsampling.functions import Whitened, gaussian_of
from subgrid.functional.function_diffusion import FunctionDiffusion
from subgrid.functional.gaussian_field import GaussianField, field_of
from subgrid.functional.levels import level_range
from subgrid.functional.preconditioning import BandNetwork, ModewiseOperator
from subgrid.functional.preparation import FunctionSpace, Standard
from subgrid.numerics.operators import BlockMean, Subsample
from subgrid.numerics.spectra import MeasuredSpectrum

from ...cases import few
from ...functional.small import Nothing

DATA = GaussianField(2.0, 20.0, variance=1.0)
NOISE = GaussianField(1.0, 20.0, variance=1.0)
GRID, MEAN, SCALE = (32,), 3.0, 2.0


@cache
def exact_model() -> FunctionDiffusion:
    """The operator of Gaussian data, which a network adds nothing to."""
    box = DATA.box
    variances = DATA.mode_variances((256,))[None]
    data = field_of(MeasuredSpectrum(variances, (256,), np.zeros(1), np.zeros(1)))
    operator = ModewiseOperator(BandNetwork(Nothing(), box, GRID), data, NOISE)
    space = FunctionSpace(NOISE, data, GRID, Standard((MEAN,), (SCALE,), box), None)
    return FunctionDiffusion(operator, space, *level_range(DATA, NOISE, GRID))


def covariance(n):
    """Of Gaussian fields on n points, dense."""
    with jax.enable_x64(True):
        rows = jax.jit(DATA.box.multiply)(np.eye(n), np.asarray(DATA.mode_variances((n,)) * n, np.float64))
    return SCALE**2 * np.asarray(rows)


@pytest.mark.parametrize(("n", "kind"), few([(64, Subsample), (32, Subsample), (128, BlockMean)]))
def test_the_exact_conditional_at_every_resolution(n, kind):
    """Mean and covariance of 2000 draws: standard errors are 2.2 % of a standard deviation, 3.2 % of a variance."""
    operator, model, n_draws = kind((n,), n // 8), exact_model(), 2000
    draws = draws_of(model, operator, SamplingSettings(chunk=1000), mask=np.ones((n,), bool), bounded=(False,))
    y = MEAN + SCALE * np.asarray(jax.jit(lambda key: operator(NOISE.sample((n,), key=key)))(jr.key(7)))
    fields, _ = draws(np.repeat(y[None], n_draws, 0), jr.split(jr.key(1), n_draws), None)
    H, sigma = np.asarray(operator(jnp.eye(n))).T, covariance(n)
    gain = sigma @ H.T @ np.linalg.inv(H @ sigma @ H.T)
    mean, spread = MEAN + gain @ (y[0] - H @ np.full(n, MEAN)), sigma - gain @ H @ sigma
    np.testing.assert_allclose(fields[:, 0].mean(0), mean, atol=0.08 * np.sqrt(spread.diagonal().max()))
    found = np.cov(fields[:, 0].T)
    assert np.linalg.norm(found - spread) < 0.08 * np.linalg.norm(spread)
    np.testing.assert_allclose(
        np.asarray(operator(jnp.asarray(fields))), np.broadcast_to(y, (n_draws, *y.shape)), atol=2e-4
    )


def test_a_coarsening_of_white_coordinates_has_its_adjoint_and_inverse():
    white = Whitened(BlockMean((24,), 4), NOISE)
    draw = np.random.default_rng(0)
    x, y = (draw.normal(size=(1, n)).astype(np.float32) for n in (24, 6))

    @jax.jit
    def maps(x, y):
        rows = jax.vmap(lambda e: white(e[None])[0])(jnp.eye(24))
        return white(x), white.adjoint(y), white(white.pseudo_inverse(y)), rows, white.pseudo_inverse(y, 0.1)

    there, back, same, rows, found = map(np.asarray, maps(x, y))
    np.testing.assert_allclose(np.vdot(there, y), np.vdot(x, back), rtol=1e-5)
    np.testing.assert_allclose(same, y, atol=1e-4)
    ridged = rows @ np.linalg.solve(rows.T @ rows + 0.1 * np.eye(6), y[0])
    np.testing.assert_allclose(found[0], ridged, atol=1e-5)


def test_the_gaussian_part_is_that_of_the_spectrum():
    """Every mode of white coordinates has the variance λ₁/λ₂."""
    gaussian = gaussian_of(exact_model(), (32,))
    ratio = DATA.mode_variances((32,)) / NOISE.mode_variances((32,))
    wave = np.cos(2 * np.pi * 3 * np.arange(32, dtype=np.float32) / 32)[None]
    np.testing.assert_allclose(jax.jit(lambda x: gaussian.apply(lambda v: v, x))(wave), ratio[3] * wave, atol=1e-5)
    assert np.isclose(gaussian.trace(lambda v: v), ratio @ DATA.box.weights((32,)), rtol=1e-5)


def test_a_fine_grid_below_the_band_is_refused():
    with pytest.raises(ValueError, match=r"asked for \(16,\) points, which do not hold the modes of the \(32,\)"):
        draws_of(exact_model(), Subsample((16,), 4), SamplingSettings(), mask=np.ones(16, bool), bounded=(False,))
