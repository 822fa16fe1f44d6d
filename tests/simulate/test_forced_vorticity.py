"""Forced vorticity: exact nonlinear solutions, another library, orders of convergence, one flow at every resolution,
the budget of enstrophy."""

from functools import partial

import exponax
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.numerics.spectra import PowerLaw, limit_variance, point_variance
from subgrid.simulate import forced_vorticity
from subgrid.simulate.forced_vorticity import (
    BOX,
    END,
    FORCING,
    TIME_STEP,
    VISCOSITY,
    forcing,
    vorticity,
    vorticity_fields,
)

flow = jax.jit(vorticity, static_argnames=("viscosity", "end", "time_step"))
flows = jax.jit(
    lambda f, end=END, time_step=TIME_STEP: jax.vmap(lambda g: vorticity(g, end=end, time_step=time_step))(f),
    static_argnames=("end", "time_step"),
)
KEYS = jr.split(jr.key(3), 2)
SMOOTH = PowerLaw(5.0, 12.0, 3e5, zero_mean=True)
"""A forcing of large scales, with modes below 1e-5 beyond the 16 of 32 points."""


def rms(x):
    return float(np.sqrt(np.mean(np.square(x))))


@partial(jax.jit, static_argnums=0)
def forces(n):
    return jax.vmap(lambda key: forcing((n, n), key=key))(KEYS)


@partial(jax.jit, static_argnums=0)
def smooth_forces(n):
    deviation = jnp.asarray(np.sqrt(SMOOTH(BOX, (n, n))), jnp.result_type(float))
    return jax.vmap(lambda key: BOX.from_modes(BOX.white_modes((n, n), key=key) * deviation, (n, n)))(KEYS)


@pytest.fixture(scope="module")
def grids():
    """The same flows on 32 and on 64 points."""
    return {n: flows(forces(n)) for n in (32, 64)}


def relative(a, b):
    """Root mean square differences, a number for each field."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return np.sqrt(np.mean((a - b) ** 2, (1, 2)) / np.mean(b**2, (1, 2)))


@pytest.mark.parametrize("n", [24, 26, 27])  # products on an even and an odd number of points
def test_waves_of_one_length_give_the_flow_of_stokes(n):
    """Of |κ|² = 25: ω is proportional to ψ, so u·∇ω = 0, though none of its terms is; ω = f (1 − exp(−νκ²t))/(νκ²)."""
    y, x = 2 * np.pi * np.mgrid[:n, :n] / n
    f = 3 * (np.cos(5 * x) + 0.7 * np.sin(3 * x + 4 * y) - 1.3 * np.cos(4 * x - 3 * y))
    rate, t = VISCOSITY * (2 * np.pi) ** 2 * 25, 0.75
    with jax.enable_x64(True):
        got = np.asarray(flow(jnp.asarray(f), end=t))
    # Rounding of the contour integrals of the method's coefficients.
    np.testing.assert_allclose(got, f * (1 - np.exp(-rate * t)) / rate, atol=1e-12 * np.abs(f).max())


def test_no_forcing_no_flow_and_none_of_its_mean():
    assert not np.asarray(flow(jnp.zeros((24, 24)))).any()
    f = np.asarray(forces(24)[0])
    np.testing.assert_allclose(flow(jnp.asarray(f + 2)), flow(jnp.asarray(f)), atol=1e-5)  # rounding


def test_the_scheme_is_of_fourth_order():
    """The ratio is 16, from below as the step shrinks, and 1/256 of the reference."""
    with jax.enable_x64(True):
        f = smooth_forces(16).astype(float)
        coarse, middle, fine = (flows(f, time_step=h) for h in (0.1, 0.05, 0.0125))
    ratio = relative(coarse, fine) / relative(middle, fine)
    assert (ratio > 12).all() and (ratio < 18).all()


def test_the_default_step_is_fine_enough(grids):
    assert relative(grids[32], flows(forces(32), time_step=TIME_STEP / 4)).max() < 1e-4


def test_another_library_with_the_forcing_split_off():
    """exponax advances f and the rest in turns, which is of first order: extrapolated to a step of 0."""
    f = forces(32)[0]
    resize = jax.jit(BOX.resize, static_argnums=1)
    wide = resize(f, (48, 48))[None]
    ours = flow(f, end=2.0)
    ends = [_split(wide, n_steps) for n_steps in (50, 100)]
    assert relative(resize(ends[1][0], (32, 32))[None], ours[None])[0] < 3e-2
    extrapolated = resize((2 * ends[1] - ends[0])[0], (32, 32))
    assert relative(extrapolated[None], ours[None])[0] < 5e-4  # it leaves about the square of the error before it


def _split(f, n_steps):
    @jax.jit
    def run(f):
        stepper = exponax.stepper.NavierStokesVorticity(2, 1.0, 48, 2.0 / n_steps, diffusivity=VISCOSITY, order=4)
        step = exponax.ForcedStepper(stepper)
        return jax.lax.fori_loop(0, n_steps, lambda _, w: step(w, f), jnp.zeros_like(f))

    return run(f)


def test_bound_of_the_step_is_that_of_a_uniform_flow():
    """w′ = (−νk² + iuk)w for all k, the second term explicit: with s² = νk²h it is −s² + i s √(u²h/ν)."""
    s = jnp.linspace(0.01, 30.0, 6001)[None]
    growth = {}
    for bound in (4.75, 4.85):
        method = exponax.etdrk.ETDRK4(1.0, -(s**2) + 0j, lambda w, c=bound: 1j * np.sqrt(c) * s * w)
        growth[bound] = float(jnp.abs(method.step_fourier(jnp.ones_like(s) + 0j)).max())
    assert growth[4.75] < 1 < growth[4.85]


def test_grids_of_a_smooth_forcing_agree():
    """The same points; what is left is the modes that only the finer grid has."""
    coarse, fine = (flows(smooth_forces(n)) for n in (32, 64))
    assert relative(coarse, fine[:, ::2, ::2]).max() < 1e-5


def test_every_mode_of_the_grid_is_advected(grids):
    """Their energy is that of a finer grid up to the last one, which is not so where modes beyond n/3 are not."""
    narrowed = lambda x: BOX.resize_modes(BOX.to_modes(x), (64, 64), (32, 32))  # noqa: E731
    coarse, fine = jax.jit(BOX.to_modes)(grids[32]), jax.jit(narrowed)(grids[64])
    wavenumber = np.sqrt(BOX.squared_wavenumbers((32, 32))) / (2 * np.pi)
    last = BOX.weights((32, 32)) * ((wavenumber > 11) & (wavenumber < 16))  # n/3 to n/2
    energy = [(last * np.abs(np.asarray(modes)) ** 2).sum() for modes in (coarse, fine)]
    assert abs(np.log(energy[0] / energy[1])) < 5e-3


def test_a_forcing_is_one_function_on_all_grids():
    with jax.enable_x64(True):
        draws = {n: forces(n) for n in (32, 33, 64)}
        for n in (32, 33):
            resized = jax.jit(lambda x, n=n: BOX.resize(x, (n, n)))(draws[64])
            np.testing.assert_allclose(resized, draws[n], atol=1e-12)


def test_a_key_is_one_flow_at_every_resolution(grids):
    """The waves beyond 32 points hold little of these flows, and what they hold changes the others little."""
    assert relative(grids[32], jax.jit(lambda x: BOX.resize(x, (32, 32)))(grids[64])).max() < 2e-3


def test_the_forcing_has_its_variance():
    """Mean square of 400 forcings within 3 of its standard errors, which come from some ten independent waves each."""
    fields = np.asarray(jax.jit(jax.vmap(lambda k: forcing((32, 32), key=k)))(jr.split(jr.key(2), 400)))
    expected = float(point_variance(FORCING(BOX, (32, 32)), BOX, (32, 32)))
    assert np.mean(fields**2) == pytest.approx(expected, rel=0.07)
    assert np.sqrt(expected) == pytest.approx(0.93, abs=0.01)
    assert np.sqrt(limit_variance(FORCING, BOX)) == pytest.approx(0.930, abs=5e-4)  # by Poisson's summation
    assert abs(fields.mean((1, 2))).max() < 1e-5


def test_advection_keeps_enstrophy():
    """d/dt ½⟨ω²⟩ = ⟨ωf⟩ − ν⟨|∇ω|²⟩: what advection does to it is zero, here with the forcing at one time."""
    with jax.enable_x64(True):
        f = forces(32)[0].astype(float)
        h = 1 / 64
        before, now, after = (np.asarray(flow(f, end=t, time_step=h)) for t in (3 - h, 3.0, 3 + h))
        modes = np.asarray(BOX.to_modes(jnp.asarray(now)))
        gradient = np.sum(BOX.weights((32, 32)) * BOX.squared_wavenumbers((32, 32)) * np.abs(modes) ** 2)
    rate = (np.mean(after**2) - np.mean(before**2)) / (4 * h)
    assert rate == pytest.approx(np.mean(now * np.asarray(f)) - VISCOSITY * gradient, rel=1e-3)


def test_flows_are_those_of_their_keys_whatever_their_number():
    seen = []
    many = vorticity_fields(5, 16, report=lambda done, total: seen.append((done, total)), key=jr.key(4))
    few = vorticity_fields(2, 16, key=jr.key(4))
    np.testing.assert_allclose(many[:2], few, atol=1e-5 * rms(few))
    assert many.shape == (5, 1, 16, 16) and seen[-1] == (5, 5)


def test_a_flow_that_blows_up_is_refused(monkeypatch):
    monkeypatch.setattr(forced_vorticity, "FORCING", PowerLaw(2.5, 7.0, 1e7, zero_mean=True))
    with pytest.raises(ArithmeticError, match="one of the flows 0 to 0 blew up"):
        vorticity_fields(1, 16, key=jr.key(0))


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="n must be at least 1"):
        vorticity_fields(0, 16, key=jr.key(0))
    with pytest.raises(ValueError, match="must be positive"):
        vorticity(jnp.zeros((8, 8)), time_step=0.0)
    with pytest.raises(ValueError, match="square grid, got"):
        vorticity(jnp.zeros((8, 16)))
    with pytest.raises(ValueError, match=r"the end, 1.0, is no multiple of the time step, 0.3"):
        vorticity(jnp.zeros((8, 8)), end=1.0, time_step=0.3)
