"""Fixed-step integrators against closed solutions, orders of convergence, and exact moments of the discrete chain."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.numerics.integration import (
    euler_maruyama,
    euler_maruyama_path,
    euler_step,
    heun_step,
    integrate,
    integrate_path,
    midpoint_step,
    runge_kutta_step,
)

ORDERS = [(euler_step, 1), (heun_step, 2), (midpoint_step, 2), (runge_kutta_step, 4)]


def riccati(x, t):
    return -2 * t * x**2  # x(t) = 1/(1/x₀ + t²): neither linear nor autonomous


@pytest.mark.parametrize(("step", "order"), ORDERS)
def test_orders_of_convergence(step, order):
    with jax.enable_x64(True):
        start = jnp.asarray([1.0, 0.5])
        exact = 1 / (1 / np.asarray(start) + 1)
        ends = [integrate(riccati, start, jnp.linspace(0.0, 1.0, n + 1), step=step) for n in (32, 64)]
        errors = [np.abs(np.asarray(end) - exact).max() for end in ends]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.15)  # the next order is 1/32 of the error


@pytest.mark.parametrize(("step", "order"), ORDERS)
def test_falling_times_lead_back(step, order):
    with jax.enable_x64(True):
        start, n = jnp.asarray([1.0, 0.5]), 64
        there = integrate(riccati, start, jnp.linspace(0.0, 1.0, n + 1), step=step)
        back = integrate(riccati, there, jnp.linspace(1.0, 0.0, n + 1), step=step)
    np.testing.assert_allclose(back, start, atol=4 * n**-order)  # two global errors of size h^p


def test_path_visits_the_solution_at_uneven_times():
    times = jnp.asarray([0.0, 0.1, 0.15, 0.4, 0.8, 1.0])
    path = integrate_path(lambda x, t: 3 * t**2 * jnp.ones(2), jnp.zeros(2), times, step=runge_kutta_step)
    np.testing.assert_allclose(path[:, 1], times**3, atol=1e-6)  # Simpson's rule is exact for cubics
    end = integrate(lambda x, t: 3 * t**2 * jnp.ones(2), jnp.zeros(2), times, step=runge_kutta_step)
    np.testing.assert_array_equal(end, path[-1])


def test_midpoint_rule_never_visits_the_far_end():
    # x′ = (1 − x)/(1 − t) is 0/0 at t = 1, and its solution from 0 is x = t.
    times = jnp.linspace(0.0, 1.0, 9)
    np.testing.assert_allclose(
        integrate(lambda x, t: (1 - x) / (1 - t), jnp.zeros(1), times, step=midpoint_step), 1.0, atol=1e-6
    )


@pytest.mark.parametrize("noise_at_end", [True, False])
@pytest.mark.parametrize("ends", [(0.0, 1.0), (1.0, 0.0)], ids=["rising", "falling"])
def test_moments_of_the_discrete_ornstein_uhlenbeck_chain(ends, noise_at_end):
    # x ← (1 − h)x + √(h g²)ξ moves the variance by V ← (1 − h)²V + h g², without the last term at a silent end.
    n, n_samples = 16, 40_000
    times, sign = jnp.linspace(*ends, n + 1), np.sign(ends[1] - ends[0])
    g = lambda t: 1.0 + t  # noqa: E731
    variance = 0.0
    for i, t in enumerate(np.linspace(*ends, n + 1)[:-1]):
        noisy = noise_at_end or i < n - 1
        variance = (1 - 1 / n) ** 2 * variance + noisy * (1 + t) ** 2 / n
    move = lambda key: euler_maruyama(  # noqa: E731
        lambda x, t: -sign * x, jnp.zeros(1), times, diffusion=g, noise_at_end=noise_at_end, key=key
    )
    got = np.asarray(jax.jit(jax.vmap(move))(jr.split(jr.key(0), n_samples)), np.float64)
    error = np.sqrt(2 / n_samples)  # relative standard error of a variance
    assert got.var() == pytest.approx(variance, rel=4 * error)
    assert got.mean() == pytest.approx(0.0, abs=4 * np.sqrt(variance / n_samples))


def test_a_path_ends_where_the_end_is_and_starts_where_it_started():
    times, key = jnp.linspace(0.0, 1.0, 6), jr.key(1)
    for noise_at_end in (True, False):
        options = {"diffusion": 0.5, "noise_at_end": noise_at_end, "key": key}
        path = euler_maruyama_path(riccati, jnp.ones((2, 3)), times, **options)
        np.testing.assert_array_equal(path[-1], euler_maruyama(riccati, jnp.ones((2, 3)), times, **options))
        np.testing.assert_array_equal(path[0], jnp.ones((2, 3)))
        last = path[-2] + 0.2 * riccati(path[-2], times[-2])
        assert bool(jnp.allclose(path[-1], last, atol=1e-6)) is not noise_at_end


def test_without_noise_it_is_eulers_rule():
    times = jnp.linspace(0.0, 1.0, 6)
    got = euler_maruyama(riccati, jnp.ones(2), times, diffusion=0.0, key=jr.key(0))
    np.testing.assert_allclose(got, integrate(riccati, jnp.ones(2), times, step=euler_step), rtol=1e-6)
