"""Langevin's equation: variances by recursion through the very steps, against closed forms and the specification."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.functional.gaussian_field import GaussianField, field_of
from subgrid.functional.langevin import annealed_langevin, langevin, langevin_step
from subgrid.functional.levels import variance_levels
from subgrid.functional.operators import gaussian_operator
from subgrid.numerics.spectra import PowerLaw

from .small import ROUGH, SMOOTH, amplitudes, waves


def factors(exact, s, h, n=16):
    """Of one step on modes 0 … 4: what it leaves of a mode, and what it makes of a mode of the noise."""
    with jax.enable_x64(True):
        zero = jnp.zeros((1, n))
        step = jax.jit(lambda v, xi: langevin_step(exact, v, s, xi, step_size=h))
        kept = np.diag(amplitudes(jax.vmap(lambda v: step(v, zero))(waves(n))))
        made = np.diag(amplitudes(jax.vmap(lambda xi: step(zero, xi))(waves(n))))
    return kept, made


@pytest.mark.parametrize("h", [0.1, 0.5, 1.5])
def test_stationary_variance(h):
    s, exact = 0.01, gaussian_operator(SMOOTH, ROUGH)
    first, second = (field.mode_variances((16,))[:5] for field in (SMOOTH, ROUGH))
    kept, made = factors(exact, s, h)
    total, rho = first + s * second, s * second / (first + s * second)
    np.testing.assert_allclose(made**2 * second / (1 - kept**2), total / (1 - h * rho / 2), rtol=1e-6)


def test_one_step_size_is_stable_on_every_grid_where_the_unpreconditioned_one_falls_with_it():
    exact, bounds = gaussian_operator(SMOOTH, ROUGH), []
    for n in (64, 128, 256):
        first, second = (field.mode_variances((n,))[n // 2 - 1] for field in (SMOOTH, ROUGH))
        bounds.append(2 * (first + 0.01 * second))
    np.testing.assert_allclose(bounds, [5.3e-7, 1.3e-7, 3.1e-8], rtol=0.02)  # two digits, of the specification
    last = waves(256, [127])[0]
    kept = jax.jit(lambda v: langevin_step(exact, v, 0.01, jnp.zeros_like(v), step_size=1.9))(last)
    assert 0.8 < np.abs(kept).max() < 1  # stable, at the finest wave


def annealed(levels, steps, n_steps, *, lam, start=None):
    """Variances of modes of unit noise at the end of the levels, each step with its own noise."""
    v = np.full_like(lam, levels[0] if start is None else start)
    for s, step in zip(levels, steps, strict=True):
        for _ in range(n_steps):
            v = (1 - step / (lam + s)) ** 2 * v + 2 * step
    return v


@pytest.mark.parametrize(
    ("h", "n_levels", "inflation"), [(0.1, 50, 1.17), (0.1, 200, 1.038), (0.1, 500, 1.015), (0.1, 1000, 1.007)]
)
def test_inflation_of_the_specification(h, n_levels, inflation):
    levels, lam = np.geomspace(1e2, 1e-4, n_levels), np.ones(1)
    found = annealed(levels, h * levels, 10, lam=lam) / (lam + levels[-1])
    assert found[0] == pytest.approx(inflation, abs=2e-3)


def test_the_exponent_of_the_step():
    # Modes of variance 0, .1, 1 at the last level .01, where .01, .11, 1.01 is right; levels are variances.
    levels, lam = np.geomspace(30, 0.01, 500), np.array([0.0, 0.1, 1.0])
    inherited = annealed(levels, 0.5 * 6e-6 * (levels / levels[-1]) ** 2, 3, lam=lam)
    np.testing.assert_allclose(inherited, [0.099, 0.286, 1.440], atol=1e-3)
    np.testing.assert_allclose(annealed(levels, 0.05 * levels, 3, lam=lam), [0.0107, 0.1165, 1.069], atol=5e-4)
    np.testing.assert_allclose(annealed(levels, 0.2 * levels, 3, lam=lam), [0.0112, 0.1125, 1.026], atol=5e-4)


def test_the_sampler_takes_the_steps_of_the_recursion():
    # Levels and steps by the sampler itself, on white noise of unit variance a mode, against the recursion.
    lam, n, draws = np.array([0.5, 0.5, 0.5]), 7, 2000
    data, noise = field_of(PowerLaw(0.0, 1.0, np.sqrt(0.5))), field_of(PowerLaw(0.0, 1.0))
    exact, levels = gaussian_operator(data, noise), variance_levels(20, largest=10.0, smallest=0.1)

    @jax.jit
    @jax.vmap
    def run(key):
        first, second = jr.split(key)
        v = jnp.sqrt(10.0) * noise.sample((n,), key=first)
        return annealed_langevin(exact, v, levels, noise=noise, n_steps=3, step_size=0.2, key=second)

    found = np.mean(np.abs(np.fft.rfft(run(jr.split(jr.key(0), draws))[:, 0], norm="forward")) ** 2, 0)[1:]
    s = np.asarray(levels)
    before = annealed(s[:-1], 0.2 * s[:-1], 3, lam=lam)
    before = annealed(s[-1:], 0.2 * s[-1:], 2, lam=lam, start=before[0])
    last = (1 - 0.2 * s[-1] / (lam + s[-1])) ** 2 * before
    np.testing.assert_allclose(found, last, rtol=4 / np.sqrt(draws))  # of |c|², exponential


def test_a_chain_at_one_level_keeps_its_stationary_variance():
    data, noise = field_of(PowerLaw(0.0, 1.0)), GaussianField(1.0, 5.0)
    exact = gaussian_operator(data, noise)
    draws = jax.jit(
        jax.vmap(lambda k: langevin(exact, jnp.zeros((1, 7)), 50.0, noise=noise, n_steps=40, step_size=0.5, key=k))
    )(jr.split(jr.key(0), 1500))
    found = np.mean(np.abs(np.fft.rfft(draws[:, 0], norm="forward")) ** 2, 0)[:3]
    second = 50 * noise.mode_variances((7,))[:3]
    rho = second / (1 + second)
    # |1 − hρ|^80 of a start at 0 is missing: nothing of the first modes, .2 % of the third. Four standard errors.
    np.testing.assert_allclose(found, (1 + second) / (1 - 0.25 * rho), rtol=4 * np.sqrt(2 / 1500))
