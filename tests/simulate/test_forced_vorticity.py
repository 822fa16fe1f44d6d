"""Forced vorticity: the Stokes limit, orders of convergence, one flow at every resolution, the budget of enstrophy."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.numerics.spectra import point_variance
from subgrid.simulate.forced_vorticity import BOX, END, FORCING, VISCOSITY, forcing, vorticity, vorticity_fields

flow = jax.jit(vorticity, static_argnames=("viscosity", "end", "time_step"))


def rms(x):
    return float(np.sqrt(np.mean(np.square(x))))


def test_one_wave_is_a_stokes_flow():
    """A single wave advects nothing: ω = f (1 − exp(−νκ²t))/(νκ²)."""
    x = np.arange(32) / 32
    f = np.cos(2 * np.pi * (2 * x[:, None] + x))
    kappa2 = 5 * (2 * np.pi) ** 2
    expected = f * (1 - np.exp(-VISCOSITY * kappa2 * END)) / (VISCOSITY * kappa2)
    np.testing.assert_allclose(flow(jnp.asarray(f, jnp.float32)), expected, atol=2e-5)


def test_the_scheme_is_of_fourth_order():
    """Errors fall 16-fold or faster with the step, in double precision."""
    with jax.enable_x64(True):
        f = forcing((32, 32), key=jr.key(0)).astype(float)
        found = [np.asarray(flow(f, time_step=dt)) for dt in (0.5, 0.25, 0.03125)]
    coarse, fine = (rms(each - found[-1]) for each in found[:2])
    assert np.log2(coarse / fine) > 3.7
    assert fine / rms(found[-1]) < 1e-3


def test_a_key_is_one_flow_at_every_resolution():
    """The waves beyond 32 points hold little of these flows, and what they hold changes the others little."""
    coarse, fine = (flow(forcing((n, n), key=jr.key(1))) for n in (32, 64))
    cut = BOX.resize(fine, (32, 32))
    assert rms(cut - BOX.resize(coarse, (32, 32))) < 2e-3 * rms(cut)


def test_the_forcing_has_its_variance():
    """Mean square of 400 forcings within 3 of its standard errors, which come from some ten independent waves each."""
    fields = np.asarray(jax.vmap(lambda k: forcing((32, 32), key=k))(jr.split(jr.key(2), 400)))
    expected = float(point_variance(FORCING(BOX, (32, 32)), BOX, (32, 32)))
    assert np.mean(fields**2) == pytest.approx(expected, rel=0.07)
    assert np.sqrt(expected) == pytest.approx(0.93, abs=0.01)
    assert abs(fields.mean((1, 2))).max() < 1e-5


def test_advection_keeps_enstrophy():
    """d/dt ½⟨ω²⟩ = ⟨ωf⟩ − ν⟨|∇ω|²⟩: what advection does to it is zero, here with the forcing at one time."""
    with jax.enable_x64(True):
        f = forcing((32, 32), key=jr.key(3)).astype(float)
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


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="square grid, got"):
        vorticity(jnp.zeros((8, 16)))
    with pytest.raises(ValueError, match=r"the end, 1.0, is no multiple of the time step, 0.3"):
        vorticity(jnp.zeros((8, 8)), end=1.0, time_step=0.3)
