"""The plan between Gaussian fields: its ends, its covariance, and the general closed form at one point."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.transport.gaussian_bridge import gaussian_schroedinger_bridge
from subgrid.transport.spectral_plan import fit_spectral_plan

SIGMA = 0.8


def white(std: float, n: int, seed: int) -> np.ndarray:
    return (std * np.random.default_rng(seed).normal(size=(n, 1, 8, 8))).astype(np.float32)


def test_between_white_fields_every_point_follows_the_closed_form():
    n, s0, s1 = 4000, 1.3, 0.6
    source, target = white(s0, n, 0), white(s1, n, 1) + 2
    plan = fit_spectral_plan(source, target, sigma=SIGMA)
    keys = jr.split(jr.key(0), n)
    x0 = jnp.asarray(source)
    x1 = jax.vmap(lambda x, k: plan(x, key=k))(x0, keys)
    bridge = gaussian_schroedinger_bridge(
        jnp.zeros(1), jnp.array([[s0**2]]), jnp.array([2.0]), jnp.array([[s1**2]]), sigma=SIGMA
    )
    # n·64 values: four standard errors of a mean, a standard deviation, a covariance; 1 % for the fitted spectra.
    error = 4 / np.sqrt(64 * n)
    assert float(x1.mean()) == pytest.approx(2, abs=s1 * error)
    assert float(x1.std()) == pytest.approx(s1, rel=error + 0.01)
    covariance = float(jnp.mean((x0 - x0.mean()) * (x1 - x1.mean())))
    assert covariance == pytest.approx(float(bridge.coupling[0, 0]), abs=s0 * s1 * error * 2 + 0.01)


def test_waves_that_only_one_side_has():
    # The target has none: nothing is passed on. The source has none: the target's wave is drawn without it.
    flat = np.zeros((500, 1, 8, 8), np.float32)
    nothing = fit_spectral_plan(white(1, 500, 2), flat, sigma=SIGMA)
    np.testing.assert_allclose(nothing(jnp.asarray(white(1, 1, 3)[0]), key=jr.key(0)), 0, atol=1e-6)
    new = fit_spectral_plan(flat, white(1, 500, 4), sigma=SIGMA)
    drawn = jax.vmap(lambda k: new(jnp.zeros((1, 8, 8)), key=k))(jr.split(jr.key(1), 500))
    assert float(drawn.std()) == pytest.approx(1, rel=4 / np.sqrt(2 * 500 * 64) + 0.01)


def test_bad_input():
    with pytest.raises(ValueError, match="sigma"):
        fit_spectral_plan(white(1, 3, 0), white(1, 3, 1), sigma=0.0)
    with pytest.raises(ValueError, match="must share channels and grid"):
        fit_spectral_plan(white(1, 3, 0), white(1, 3, 1)[..., :4], sigma=1.0)
