"""Annealed Langevin chains: the recursion step by step, the distribution on a Gaussian, and modes that are crossed."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.diffusion.noise_levels import exponential_grid
from subgrid.mcmc.annealed import (
    AnnealedLangevin,
    annealed_langevin,
    proportional_step,
    signal_to_noise_step,
)
from subgrid.mcmc.driver import run_chain
from subgrid.mcmc.langevin import ula_step


def unit_score(x, sigma):
    return -x / (1 + sigma**2)


def test_the_recursion_is_that_of_the_paper():
    # h_i = ½ ε σ_i²/σ_L², n steps at each level, and a denoising step; the keys are those that the driver deals out.
    levels, epsilon, n = jnp.array([4.0, 2.0, 1.0]), 0.08, 2
    x, keys = jnp.array([3.0, -1.0]), jr.split(jr.key(0), 6)
    found = annealed_langevin(unit_score, x, levels, n_steps=n, relative_step=epsilon / (2 * 1.0**2), key=jr.key(0))
    for k, sigma in enumerate([4.0, 4.0, 2.0, 2.0, 1.0, 1.0]):
        h = epsilon * sigma**2 / (2 * 1.0**2)
        x = ula_step(x, lambda z, sigma=sigma: unit_score(z, sigma), h, key=keys[k])
    np.testing.assert_allclose(found, x + 1.0**2 * unit_score(x, 1.0), rtol=1e-5)


def test_steps_beyond_the_last_level_stay_there():
    kernel = AnnealedLangevin(
        lambda x, sigma: jnp.full_like(x, sigma), jnp.array([2.0, 1.0]), 1, proportional_step(0.0)
    )
    state = kernel.init(jnp.zeros(1))
    for _ in range(4):
        state, _ = kernel.step(state, key=jr.key(0))
    assert int(state.n_done) == 4
    rule = lambda sigma, score, noise: sigma**2  # noqa: E731
    far = AnnealedLangevin(unit_score, jnp.array([2.0, 1.0]), 1, rule)
    one = AnnealedLangevin(unit_score, jnp.array([1.0]), 1, rule)
    after, alone = far.step(state, key=jr.key(1))[0], one.step(state, key=jr.key(1))[0]
    np.testing.assert_array_equal(after.position, alone.position)


def test_signal_to_noise_steps_widen_a_gaussian_by_the_known_factor():
    # On N(0, σ²I) with many components ‖s‖² = vd/σ⁴ and τ = 2r²σ⁴/v; v = σ²/(1 − τ/2σ²) has the solution (1 + r²)σ².
    d, sigma, ratio = 20_000, 3.0, 0.5
    kernel = AnnealedLangevin(lambda x, s: -x / s**2, jnp.array([sigma]), 1, signal_to_noise_step(ratio))
    start = kernel.init(sigma * jr.normal(jr.key(0), (d,)))
    run = jax.jit(lambda k: run_chain(kernel, start, 30, keep=lambda state: None, key=k))
    assert run(jr.key(1)).state.position.var() == pytest.approx((1 + ratio**2) * sigma**2, rel=4 * np.sqrt(2 / d))


def test_variance_on_a_gaussian_follows_its_recursion_through_all_levels():
    # On N(0, 1) blurred by σ a step multiplies by 1 − rσ²/(1 + σ²) and adds 2rσ²: so does the variance, exactly.
    r, n, n_levels, n_steps = 0.1, 50_000, 20, 5
    levels = exponential_grid(n_levels, sigma_max=10.0, sigma_min=0.1)
    kernel = AnnealedLangevin(unit_score, levels, n_steps, proportional_step(r))
    run = jax.jit(lambda x, k: run_chain(kernel, kernel.init(x), n_levels * n_steps, keep=lambda state: None, key=k))
    found = run(10 * jr.normal(jr.key(3), (n,)), jr.key(4)).state.position.var()
    expected = 10.0**2
    for sigma in np.repeat(np.asarray(levels, np.float64), n_steps):
        expected = (1 - r * sigma**2 / (1 + sigma**2)) ** 2 * expected + 2 * r * sigma**2
    assert found == pytest.approx(expected, rel=4 * np.sqrt(2 / n))
    # Negative control: so quick a descent lags far behind the variance of the last level.
    assert expected > 1.2 * (1 + 0.1**2)


TURN = np.arange(8) * np.pi / 4
CENTRES = jax.device_put(4 * np.stack([np.cos(TURN), np.sin(TURN)], axis=1).astype(np.float32))


def eight_gaussians_score(x, sigma):
    """Of eight equal Gaussians of standard deviation .1 on radius 4, blurred."""
    variance = 0.1**2 + sigma**2
    weights = jax.nn.softmax(-jnp.sum((x - CENTRES) ** 2, axis=1) / (2 * variance))
    return (weights @ CENTRES - x) / variance


def test_annealing_crosses_between_modes_where_one_level_stays():
    n = 1000
    start, keys = jnp.broadcast_to(CENTRES[0], (n, 2)), jr.split(jr.key(2), n)

    def modes(levels):
        run = lambda x, k: annealed_langevin(eight_gaussians_score, x, levels, n_steps=6, key=k)  # noqa: E731
        x = jax.jit(jax.vmap(run))(start, keys)
        return np.bincount(np.argmin(np.linalg.norm(x[:, None] - CENTRES, axis=2), axis=1), minlength=8) / n

    stuck = modes(jnp.full(40, 0.02))
    np.testing.assert_array_equal(stuck, [1, 0, 0, 0, 0, 0, 0, 0])
    # Four standard errors of a share of one eighth, and some hundredths for a descent as quick as this one.
    np.testing.assert_allclose(modes(exponential_grid(40, sigma_max=10.0, sigma_min=0.02)), 1 / 8, atol=0.06)


@pytest.mark.slow
def test_annealed_chain_on_a_gaussian():
    mean, std, n = 1.5, 0.8, 4_000
    score = lambda x, sigma: -(x - mean) / (std**2 + sigma**2)  # noqa: E731
    levels = exponential_grid(40, sigma_max=20.0, sigma_min=0.01)

    def excess(n_steps):
        run = lambda x, key: annealed_langevin(score, x, levels, n_steps=n_steps, relative_step=0.1, key=key)  # noqa: E731
        x = jax.jit(run)(20 * jr.normal(jr.key(0), (n,)), jr.key(1))
        assert x.mean() == pytest.approx(mean, abs=0.05)
        return float(x.var()) - std**2

    # A chain lags behind the falling level by an excess of variance ∝ 1/n_steps, until the bias of the step takes over,
    # at most relative_step/2 of the variance; four standard errors, √(2/n), beside it.
    few, many = excess(20), excess(200)
    assert many < few / 3
    assert abs(many) < (0.1 / 2 + 4 * np.sqrt(2 / n)) * std**2


def test_fields_keep_their_shape_and_the_key_decides():
    levels = exponential_grid(5)
    draws = [annealed_langevin(unit_score, jnp.ones((2, 3, 4)), levels, n_steps=2, key=jr.key(k)) for k in (0, 0, 1)]
    assert draws[0].shape == (2, 3, 4)
    np.testing.assert_array_equal(draws[0], draws[1])
    assert (draws[0] != draws[2]).all()
