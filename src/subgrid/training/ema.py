"""Exponential moving average of a parameter tree, unbiased from the first update on."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Scalar

from subgrid.types import PyTree


class Average(eqx.Module):
    """The mean m_k = Σ_i w_i θ_i with w_i ∝ d^{k−i}, Σ w_i = 1, and its normaliser n_k = 1 − d^k."""

    mean: PyTree
    normaliser: Scalar


def init_average(parameters: PyTree) -> Average:
    """The empty average; its mean is zero and must not be used before the first `update_average`."""
    return Average(jax.tree.map(jnp.zeros_like, parameters), jnp.zeros(()))


def update_average(average: Average, parameters: PyTree, decay: float) -> Average:
    """m ← m + w(θ − m),  w = (1 − d)/n,  n ← d·n + 1 − d.

    Dividing the step rather than the sum makes k identical updates return the value exactly, for every k: the first
    has w = 1, and all later differences vanish (Kingma & Ba 2015 for the bias correction itself).
    """
    normaliser = decay * average.normaliser + (1 - decay)
    weight = (1 - decay) / normaliser
    mean = jax.tree.map(lambda m, p: (m + weight * (p - m)).astype(m.dtype), average.mean, parameters)
    return Average(mean, normaliser)
