"""A fitted bridge between N(−a·1, I) and N(a·1, I) against its closed form."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from subgrid.experiments.gaussian_bridge.config import GaussianBridgeTable
from subgrid.numerics.noise import standard_normal
from subgrid.transport.bridge import Bridge, Direction, bridge_times, sample_bridge_path
from subgrid.transport.bridge_fitting import BridgeSettings
from subgrid.transport.gaussian_bridge import GaussianBridge, gaussian_schroedinger_bridge
from subgrid.types import Key
from subgrid.verification.gaussian_divergence import diagonal_gaussian_divergence


def exact_bridge(table: GaussianBridgeTable, d: int) -> GaussianBridge:
    """The Schrödinger bridge of the experiment."""
    ones, eye = jnp.ones(d), jnp.eye(d)
    return gaussian_schroedinger_bridge(-table.offset * ones, eye, table.offset * ones, eye, sigma=table.sigma)


def settings_of(table: GaussianBridgeTable) -> BridgeSettings:
    return BridgeSettings(
        sigma=table.sigma,
        start=table.start,
        n_iterations=table.n_iterations,
        n_steps=table.n_steps,
        batch_size=table.batch_size,
        learning_rate=table.learning_rate,
        n_pairs=table.n_pairs,
        n_simulation_steps=table.n_sampling_steps,
    )


def measure(bridge: Bridge, exact: GaussianBridge, table: GaussianBridgeTable, *, key: Key) -> dict[str, float]:
    """Mean KL over the times of the sampler, both ways; coupling covariance and the variance at the end reached."""
    numbers: dict[str, float] = {}
    directions: tuple[Direction, Direction] = ("forward", "backward")
    for direction, k in zip(directions, jr.split(key), strict=True):
        drift = getattr(bridge, direction)
        found = _measure_one_way(drift, exact, direction, table.n_test, table.n_sampling_steps, k)
        numbers |= {f"{name}_{direction}": float(value) for name, value in found.items()}
    return numbers


@eqx.filter_jit
def _measure_one_way(drift, exact: GaussianBridge, direction: Direction, n: int, n_steps: int, key: Key):
    draw_key, path_key = jr.split(key)
    start = exact.mean0 if direction == "forward" else exact.mean1
    x = start + standard_normal((n, len(start)), key=draw_key)
    # Noise on the last step too: the distributions at all 21 times are then those of one diffusion.
    times = bridge_times(direction, n_steps)
    simulate = partial(sample_bridge_path, direction=direction, sigma=exact.sigma, times=times, noise_at_end=True)
    paths = jax.vmap(lambda x, k: simulate(drift, x, key=k))(x, jr.split(path_key, n))
    means, spreads = jax.vmap(exact.moments)(times)
    variances = jnp.diagonal(spreads, axis1=1, axis2=2)
    divergences = jax.vmap(diagonal_gaussian_divergence, in_axes=(1, 0, 0))(paths, means, variances)
    first, last = (paths[:, i] - paths[:, i].mean(0) for i in (0, -1))
    return {"kl": divergences.mean(), "covariance": (first * last).mean(), "variance": (last**2).mean()}
