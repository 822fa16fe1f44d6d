"""Weights that mean something, where networks start without saying anything."""

from typing import Any

import equinox as eqx
import jax
import numpy as np


def perturbed(network: Any, scale: float = 0.1) -> Any:
    """With noise on every weight, away from the zeros that they start at; NumPy's, which is not compiled."""
    rng = np.random.default_rng(1)
    moved = lambda leaf: jax.device_put(leaf + np.float32(scale * rng.normal(size=leaf.shape)))  # noqa: E731
    arrays, static = eqx.partition(network, eqx.is_inexact_array)
    return eqx.combine(jax.tree.map(lambda leaf: moved(np.asarray(leaf)), arrays), static)


def normal(seed: int, *shape: int) -> np.ndarray:
    """N(0, 1) in single precision."""
    return np.float32(np.random.default_rng(seed).normal(size=shape))
