"""Compiled steps against the recursion of gradient descent on a quadratic, whose every iterate is known."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pytest

from subgrid.training.feed import Dispatch
from subgrid.training.steps import averaged_model, compile_steps, init_state

RATE, DECAY, START = 0.1, 0.9, 4.0


class Point(eqx.Module):
    position: jax.Array
    name: str = "point"


def half_square(model, batch, key):
    return jnp.sum((model.position - batch) ** 2) / 2


def compiled(loss=half_square, draw=lambda data, key: data, *, steps_per_dispatch=5):
    model = Point(jnp.full(3, START, jnp.float32))  # a weak type would be traced twice
    optimiser = optax.sgd(RATE)
    run = compile_steps(model, loss, draw, optimiser, ema_decay=DECAY, steps_per_dispatch=steps_per_dispatch)
    return model, jax.tree.map(jnp.copy, init_state(model, optimiser)), run


def test_gradient_descent_on_a_quadratic():
    # About a target of 1: x_k = 1 + 3·(1 − r)^k, loss (3/2)·9·(1 − r)^{2k}, gradient norm √3·3·(1 − r)^k.
    model, state, run = compiled()
    powers = (1 - RATE) ** np.arange(11)
    for dispatch in range(2):
        state, metrics = run(state, Dispatch(jnp.ones(3), None), jr.key(0))
        ks = powers[5 * dispatch : 5 * dispatch + 5]
        assert metrics["loss"] == pytest.approx(np.mean(13.5 * ks**2), rel=1e-5)
        assert metrics["gradient_norm"] == pytest.approx(np.sqrt(3) * 3 * ks[0], rel=1e-5)  # the largest of the five
    np.testing.assert_allclose(state.parameters.position, 1 + 3 * powers[10], rtol=1e-5)
    weights = DECAY ** np.arange(10)[::-1]
    mean = np.sum(weights * (1 + 3 * powers[1:])) / weights.sum()
    np.testing.assert_allclose(averaged_model(model, state).position, mean, rtol=1e-5)
    assert int(state.step) == 10


def test_without_a_step_the_averaged_model_is_the_model():
    model, state, _ = compiled()
    same = averaged_model(model, state)
    np.testing.assert_array_equal(same.position, model.position)
    assert same.name == "point"


def test_keys_belong_to_steps_not_to_dispatches():
    noisy = lambda model, batch, key: half_square(model, batch + jr.normal(key, (3,)), key)  # noqa: E731
    pick = lambda data, key: data[jr.randint(key, (), 0, len(data))]  # noqa: E731
    ends = []
    for size in (5, 10):
        _, state, run = compiled(noisy, pick, steps_per_dispatch=size)
        for _ in range(10 // size):
            state, _ = run(state, Dispatch(jnp.arange(12.0).reshape(4, 3), None), jr.key(3))
        ends.append(state.parameters.position)
    np.testing.assert_allclose(*ends, rtol=1e-6)


def test_streamed_batches_are_taken_in_order():
    # Each step goes a tenth of the way to its target, so the end depends on their order.
    _, state, run = compiled(steps_per_dispatch=3)
    batches = np.asarray([1.0, 5.0, 2.0])[:, None] * np.ones(3)
    state, _ = run(state, Dispatch(None, jnp.asarray(batches, jnp.float32)), jr.key(0))
    x = START
    for target in (1.0, 5.0, 2.0):
        x -= RATE * (x - target)
    np.testing.assert_allclose(state.parameters.position, x, rtol=1e-6)


def test_it_traces_once():
    traces = []

    def counting(model, batch, key):
        traces.append(1)
        return half_square(model, batch, key)

    _, state, run = compiled(counting)
    state, _ = run(state, Dispatch(jnp.ones(3), None), jr.key(0))
    n = len(traces)
    run(state, Dispatch(jnp.zeros(3), None), jr.key(1))
    assert len(traces) == n
