"""What a training will take, told before it begins: operations over the rate that this machine reaches, and memory."""

import functools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

SHARE = {"cpu": 0.35, "gpu": 0.3, "tpu": 0.3}
"""Of the rate of a large product of matrices that a training step reaches: on two cores the network of Kuramoto–
Sivashinsky runs at .3 to .4 of it; on accelerators this is *merely* a guess."""
DECOMPOSED = 0.015
"""Of the rate of a large product of matrices in float32 that a decomposition in float64 reaches: .006 to .06 on two
cores, more with larger matrices."""
GRADIENT = 3
"""Operations of a loss with its gradient, in units of those of the loss: a backward pass costs two forward ones."""
COPIES = 5
"""Of the weights: themselves, their gradient, two moments, their average."""


@dataclass(frozen=True)
class Cost:
    """What a fit will take.

    Args:
        seconds: of training and what follows it, without compilation.
        bytes: of weights, data and what a step keeps for its gradient.
        parameters: of the network, 0 where there is none.
    """

    seconds: float
    bytes: float
    parameters: int

    def __str__(self) -> str:
        network = f"a network of {self.parameters:,} parameters; " if self.parameters else ""
        return (
            f"{network}after debiasing the fit takes about {_duration(self.seconds)} and {self.bytes / 2**30:.1f} GiB "
            "on this machine, by its measured rate, and compiles for up to a minute"
        )

    def __add__(self, other: "Cost") -> "Cost":
        """One after the other."""
        most = max(self.bytes, other.bytes)
        return Cost(self.seconds + other.seconds, most, self.parameters + other.parameters)


def decomposition_cost(n: int, d: int, *, times: int, dense: bool) -> Cost:
    """The cost of principal components in float64, the eigenvectors of a covariance.

    Args:
        n: fields.
        d: values of a field.
        times: how often.
        dense: whether the covariance is one of d × d numbers, as with a taper; else of the smaller of n and d.

    Returns:
        Time and memory; the time is good to a factor of three.
    """
    small = d if dense else min(n, d)
    operations = times * (4.0 * n * d * small + 9.0 * small**3)
    return Cost(operations / (_rate() * DECOMPOSED), 8.0 * (2 * n * d + 2 * d * small), 0)


def training_cost(
    network: Any, forward: Callable[[Any], Any], *, batch_size: int, n_steps: int, data_bytes: float
) -> Cost:
    """The cost of a training, from one forward pass that is traced and not run.

    Args:
        network: its arrays, or their shapes.
        forward: of one sample, a function of the network.
        batch_size: samples a step.
        n_steps: of the training.
        data_bytes: of the fields to train on.

    Returns:
        Time and memory; the time is good to a factor of two.

    Examples:
        >>> print(training_cost(network, lambda n: n(x, sigma), batch_size=64, n_steps=4000, data_bytes=x.nbytes))
    """
    arrays, static = eqx.partition(network, lambda leaf: hasattr(leaf, "shape"))
    parameters = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(arrays))
    lowered = jax.jit(lambda each: forward(eqx.combine(each, static))).lower(arrays)
    analysis: Any = lowered.cost_analysis() or {}
    operations = float(analysis.get("flops", 0.0)) * GRADIENT * batch_size * n_steps
    kept = float(analysis.get("bytes accessed", 0.0)) / 2 * batch_size  # each result is written once and read once
    rate = _rate() * SHARE.get(jax.default_backend(), 0.3)
    return Cost(operations / rate, kept + COPIES * 4 * parameters + 2 * data_bytes, parameters)


@functools.cache
def _rate(n: int = 1024) -> float:
    """Operations a second of a product of matrices, measured once a process."""
    product = jax.jit(jnp.matmul)
    x = jnp.ones((n, n))
    product(x, x).block_until_ready()  # compiles
    taken = []
    for _ in range(3):
        started = time.perf_counter()
        product(x, x).block_until_ready()
        taken.append(time.perf_counter() - started)
    return 2 * n**3 / min(taken)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
