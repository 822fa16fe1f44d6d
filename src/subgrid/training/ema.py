"""Exponential moving average of a parameter tree, unbiased from the first update on."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Scalar

from subgrid.types import PyTree


class Average(eqx.Module):
    """The mean m_k = Σ_i w_i θ_i with w_i ∝ d^{k−i}, Σ w_i = 1, and its normaliser n_k = 1 − d^k."""

    mean: PyTree
    """m_k, of the structure of the parameters θ."""
    normaliser: Scalar
    """n_k, a scalar; 0 before the first update."""


def init_average(parameters: PyTree) -> Average:
    """The empty average; its mean is zero and must not be used before the first `update_average`.

    Args:
        parameters: a tree of arrays.

    Returns:
        An average of their structure.
    """
    return Average(jax.tree.map(jnp.zeros_like, parameters), jnp.zeros(()))


def update_average(average: Average, parameters: PyTree, decay: float) -> Average:
    """The average with one more value: m ← m + w(θ − m),  w = (1 − d)/n,  n ← d·n + 1 − d.

    Dividing the step rather than the sum makes k identical updates return the value exactly, for every k: the first
    has w = 1, and all later differences vanish.

    Args:
        average: of the values before.
        parameters: θ, the new value.
        decay: d, from 0 (only the newest counts) to below 1.

    Returns:
        The new average.

    References:
        Kingma & Ba (2015), arXiv:1412.6980, for the bias correction itself.

    Examples:
        >>> average = update_average(init_average(weights), weights, 0.999)  # its mean is weights
    """
    normaliser = decay * average.normaliser + (1 - decay)
    weight = (1 - decay) / normaliser
    mean = jax.tree.map(lambda m, p: (m + weight * (p - m)).astype(m.dtype), average.mean, parameters)
    return Average(mean, normaliser)
