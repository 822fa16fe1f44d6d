"""Kuramoto–Sivashinsky: linear growth, orders, conservation, and an independent integration by SciPy."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from subgrid.simulate.kuramoto_sivashinsky import (
    DOMAIN,
    INTERVAL,
    finite_volume_solver,
    initial_condition,
    limited_flux,
    spectral_solver,
    trajectories,
)


def smooth(n):
    x = np.arange(n) * DOMAIN / n
    return jnp.asarray(np.sin(2 * np.pi * x / DOMAIN) + 0.5 * np.cos(6 * np.pi * x / DOMAIN), jnp.float32)


@pytest.mark.parametrize("mode", [2, 7, 12])
def test_tiny_modes_grow_at_the_linear_rate(mode):
    k, amplitude = 2 * np.pi * mode / DOMAIN, 1e-4
    x = jnp.arange(64) * DOMAIN / 64
    out = jax.jit(spectral_solver(64))(amplitude * jnp.cos(k * x))
    got = 2 / 64 * jnp.abs(jnp.fft.rfft(out)[mode])
    # The nonlinear term is smaller by the amplitude; float32 rounding, 1e-7 of it, may grow e^(INTERVAL/4) = 23-fold.
    assert got == pytest.approx(amplitude * np.exp((k**2 - k**4) * INTERVAL), rel=2e-3, abs=amplitude * 1e-4)


def test_spectral_solver_agrees_with_scipy():
    n = 96  # resolved: the two dealiasing rules act on modes that are empty
    k = 2 * np.pi * np.fft.rfftfreq(n, DOMAIN / n)

    def rate(_, u):
        hat = np.fft.rfft(u)
        square = np.fft.rfft(u * u) * (np.arange(len(k)) <= n // 3)
        return np.fft.irfft(-0.5j * k * square + (k**2 - k**4) * hat, n)

    exact = solve_ivp(rate, (0, INTERVAL), np.float64(smooth(n)), method="BDF", rtol=1e-6, atol=1e-8).y[:, -1]
    got = jax.jit(spectral_solver(n))(smooth(n))
    np.testing.assert_allclose(got, exact, atol=5e-3)  # the solvers' tolerances and float32, amplified by the flow


def test_spectral_solver_converges_at_high_order():
    u = smooth(64)
    reference = np.float64(jax.jit(spectral_solver(64, step=0.03125))(u))
    errors = [np.abs(jax.jit(spectral_solver(64, step=h))(u) - reference).max() for h in (1.25, 0.625)]
    assert errors[0] / errors[1] > 8  # fourth order: 16, less what float32 leaves
    default = np.abs(jax.jit(spectral_solver(64))(u) - reference).max()
    assert default < 1e-3


@pytest.mark.slow
def test_finite_volumes_converge_to_the_spectral_solution():
    exact = np.float64(jax.jit(spectral_solver(192))(smooth(192)))
    errors = []
    for n, step in ((48, 0.02), (96, 0.01), (192, 0.005)):
        # Cell averages and point values differ by h²u″/24, which is the order of the scheme.
        got = jax.jit(finite_volume_solver(n, step=step))(smooth(n))
        errors.append(np.abs(np.asarray(got) - exact[:: 192 // n]).max())
    assert errors[1] < errors[0] / 1.7  # at least first order (the time step), up to second (space)
    assert errors[2] < errors[1] / 1.7


def test_finite_volumes_conserve_the_mean_and_keep_constants():
    solver = jax.jit(finite_volume_solver(48))
    u = 0.7 + jax.vmap(lambda k: initial_condition(48, key=k))(jr.split(jr.key(0), 4))
    np.testing.assert_allclose(solver(u).mean(-1), u.mean(-1), atol=1e-4)  # 625 steps of float32
    np.testing.assert_allclose(solver(jnp.full(48, 1.5)), 1.5, atol=1e-4)


def test_flux_is_consistent_and_second_order():
    for value in (-2.0, 0.0, 1.5):
        np.testing.assert_allclose(limited_flux(jnp.full(16, value)), value**2 / 2, atol=1e-6)
    errors = []
    for n in (64, 128):
        x = 2 * np.pi * np.arange(n) / n
        exact = 0.5 * (2 + np.sin(x + np.pi / n)) ** 2
        errors.append(np.abs(limited_flux(jnp.asarray(2 + np.sin(x), jnp.float32)) - exact).mean())
    assert errors[0] / errors[1] > 3.5  # second order: 4


def test_flux_is_symmetric_under_reflection():
    # x → −x, u → −u leaves the equation alone: the face fluxes are mirrored.
    u = jr.normal(jr.key(0), (16,))
    mirrored = limited_flux(-u[::-1])
    np.testing.assert_allclose(mirrored, jnp.roll(limited_flux(u)[::-1], -1), atol=1e-6)


def test_initial_conditions():
    u = jax.vmap(lambda k: initial_condition(96, key=k))(jr.split(jr.key(0), 4000))
    spectrum = np.abs(np.fft.rfft(u, axis=-1)).mean(0)
    np.testing.assert_allclose(spectrum[[0, *range(4, 49)]], 0, atol=1e-3)  # modes 1, 2, 3 only
    # 30 modes, E a² = 1/12, half of it on average over space: variance 1.25, known to 1 % (4000 fields).
    assert u.var() == pytest.approx(30 / 12 / 2, rel=0.05)


@pytest.mark.slow
def test_trajectories():
    seen = []
    run = lambda: trajectories(  # noqa: E731
        lambda u: u * 1.5, 16, n_trajectories=3, n_snapshots=4, report=lambda *p: seen.append(p), key=jr.key(0)
    )
    out = run()
    assert out.shape == (3, 4, 16)
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    start = jax.vmap(lambda k: initial_condition(16, key=k))(jr.split(jr.key(0), 3))
    np.testing.assert_allclose(out[:, 0], start * 1.5**2, rtol=1e-5)  # two intervals of spin-up
    np.testing.assert_allclose(out[:, 3], start * 1.5**5, rtol=1e-5)
    with pytest.raises(ArithmeticError, match="blew up; use a smaller time step"):
        trajectories(lambda u: u / 0.0, 16, n_trajectories=1, n_snapshots=1, key=jr.key(0))
