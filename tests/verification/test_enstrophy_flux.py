"""Enstrophy flux: a triad by hand, flows that do not advect themselves, conservation, the budget of a solver."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.simulate.kolmogorov_flow import KolmogorovFlow, SpectralSolver, initial_vorticity
from subgrid.verification.enstrophy_flux import enstrophy_flux

N = 24
Y, X = 2 * np.pi * np.mgrid[:N, :N] / N


def test_a_triad_gives_what_it_gives_by_hand():
    """ω = a cos p·x + b cos q·x + c cos r·x with p + q + r = 0.

    u·∇ω = Σ_ij −(a_i a_j/k_i²) J(cos k_i·x, cos k_j·x) and J = (k_i × k_j) sin k_i·x sin k_j·x, so that r loses
    ¼abc (p × q)(1/p² − 1/q²), and so on around: here with p × q = 2 and squares 1, 4, 5.
    """
    a, b, c = 0.7, -1.2, 2.1
    omega = a * np.cos(X) + b * np.cos(2 * Y) + c * np.cos(X + 2 * Y)
    lost_by_p, lost_by_q, lost_by_r = (a * b * c / 2 * d for d in (1 / 4 - 1 / 5, 1 / 5 - 1, 1 - 1 / 4))
    found = enstrophy_flux(jnp.asarray(omega, jnp.float32)[None, None])[0]
    expected = np.zeros(len(found))
    expected[0], expected[1] = lost_by_p, lost_by_p + lost_by_q
    np.testing.assert_allclose(expected[1], -lost_by_r, rtol=1e-12)
    np.testing.assert_allclose(found, expected, atol=1e-5)  # rounding of numbers of size 5
    assert expected[1] > 0  # the middle wave feeds both, and the shorter one more: to smaller scales


def test_its_sign_is_that_of_the_vorticity_and_of_the_axes():
    omega = jr.normal(jr.key(0), (3, 2, N, N))
    flux = enstrophy_flux(omega)
    np.testing.assert_allclose(enstrophy_flux(-omega), -flux, atol=1e-5 * np.abs(flux).max())
    np.testing.assert_allclose(enstrophy_flux(jnp.swapaxes(omega, 2, 3)), -flux, atol=1e-5 * np.abs(flux).max())


@pytest.mark.parametrize("k", [1, 3])
def test_waves_of_one_length_have_none(k):
    """Taylor–Green; and three waves of |κ|² = 25, of which no single term vanishes."""
    taylor_green = 2 * k * np.cos(k * X) * np.cos(k * Y)
    ring = np.cos(5 * X) + 0.7 * np.sin(3 * X + 4 * Y) - 1.3 * np.cos(4 * X - 3 * Y)
    flux = enstrophy_flux(jnp.asarray(np.stack([taylor_green, ring])[None], jnp.float32))
    assert np.abs(flux).max() < 1e-4  # rounding of u·∇ω ω, of size 50


def test_all_of_it_is_conserved_and_means_are_over_flows():
    """Modes beyond n/3, which white noise has, are left out, and the rest exchanges enstrophy only."""
    omega = jr.normal(jr.key(1), (70, 1, N, N))
    flux = enstrophy_flux(omega)
    each = jnp.concatenate([enstrophy_flux(w[None]) for w in omega[:3]])
    assert abs(flux[0, -1]) < 1e-5 * np.abs(each).max() and np.abs(each[:, -1]).max() < 1e-5 * np.abs(each).max()
    np.testing.assert_allclose(enstrophy_flux(omega[:3])[0], each.mean(0), atol=1e-5 * np.abs(each).max())


def test_a_solver_without_force_and_friction_loses_as_much_from_long_waves():
    """d/dt Σ_{|κ| ≤ k} ½|ω̂|² = −Π(k), by a central difference of the fine solver, which is of exponax."""
    flow = KolmogorovFlow(32, viscosity=0.0, drag=0.0, amplitude=0.0, time_step=0.005)
    with jax.enable_x64(True):
        solver = SpectralSolver(flow)
        start = initial_vorticity(flow, key=jr.key(2)).astype(float)
        before, now, after = start, solver.advance(start, 1)[0], solver.advance(start, 2)[0]
        flux = np.asarray(enstrophy_flux(now[None, None]))[0]
        modes = [np.abs(np.fft.fft2(np.asarray(w), norm="forward")) ** 2 / 2 for w in (before, after)]
    k = np.fft.fftfreq(32, 1 / 32)
    length = np.hypot(k, k[:, None])
    change = [(modes[1] - modes[0])[length <= i + 1].sum() / 0.01 for i in range(len(flux))]
    # The difference over 2·.005 leaves a thousandth where rates change within a tenth of a unit.
    np.testing.assert_allclose(flux, -np.array(change), atol=5e-3 * np.abs(flux).max())
    assert np.abs(flux).max() > 0.1


def test_a_grid_that_is_not_square_is_refused():
    with pytest.raises(ValueError, match="square grid"):
        enstrophy_flux(jnp.zeros((1, 1, 8, 16)))
