"""Facts that the page of every run names: how long it took, and how large its networks are."""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax

from subgrid.report.page import duration

TRAINING = "train"
"""The stage that trains, where an experiment has one."""


def runtime(seconds: Mapping[str, float], draws: Mapping[str, int]) -> str:
    """How long a run took, its training, and each of its draws.

    Args:
        seconds: by finished stage.
        draws: how many fields a stage drew, of stages that draw some.

    Returns:
        The words.

    Examples:
        >>> runtime({"train": 100.0, "sample": 20.0}, {"sample": 400})
        '2 min 0 s; training 1 min 40 s; 50 ms a draw (400 draws, with compilation and writing)'
    """
    words = [duration(sum(seconds.values()))]
    if TRAINING in seconds:
        words.append(f"training {duration(seconds[TRAINING])}")
    drawn = {stage: n for stage, n in draws.items() if n and stage in seconds}
    if n := sum(drawn.values()):
        each = sum(seconds[stage] for stage in drawn) / n
        text = duration(each) if each >= 0.1 else f"{1000 * each:.2g} ms"
        words.append(f"{text} a draw ({n:,} draws, with compilation and writing)")
    return "; ".join(words)


def n_parameters(network: Any) -> int:
    """How many trained numbers a network has.

    Args:
        network: any Equinox module.

    Returns:
        The number of values of its floating-point arrays.

    Examples:
        >>> n_parameters(eqx.nn.Linear(3, 2, key=key))
        8
    """
    return sum(leaf.size for leaf in jax.tree.leaves(eqx.filter(network, eqx.is_inexact_array)))
