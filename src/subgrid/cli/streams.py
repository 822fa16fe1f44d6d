"""The random streams of every experiment, by name: what is not listed here, the type checker refuses.

A name may be followed by what it is of: the method, the model, the variable. Their order here is of no account.
"""

from typing import Literal, TypeAlias

from subgrid.numerics.streams import stream
from subgrid.types import Key

RunStream: TypeAlias = Literal[
    "fine",
    "coarse",
    "prior",
    "debias",
    "shifts of the reference",
    "shifts of the independent reference",
    "shifts of the coarse fields",
    "conditions of the ensemble",
    "conditions of the perfect model",
    "conditions of the noise floor",
    "ensemble",
    "perfect model",
    "ranks",
]
"""Of `subgrid run` on files or on simulated archives, and of the single steps."""

ClimateStream: TypeAlias = Literal[
    "training", "historical", "perfect model", "scenario", "ranks", "return level", "change"
]
"""Of a climate run. "historical", "perfect model" and "scenario" are the draws of its ensembles."""

TurbulenceStream: TypeAlias = Literal["coarse", "fine", "fits", "cases", "downscale"]


def run_key(seed: int, name: RunStream, *of: str) -> Key:
    """The key of one use in a run on files. run_key(config.run.seed, "debias", "gaussian")"""
    return stream(seed, "run", name, *of)


def climate_key(seed: int, name: ClimateStream, *of: str) -> Key:
    """The key of one use in a climate run. climate_key(config.run.seed, "ranks", "tas")"""
    return stream(seed, *climate_names(name, *of))


def climate_names(name: ClimateStream, *of: str) -> tuple[str, ...]:
    """The whole name of a stream, as a store keeps it."""
    return "climate", name, *of


def turbulence_key(seed: int, name: TurbulenceStream, *of: str) -> Key:
    """The key of one use in a run on moist turbulence. turbulence_key(config.run.seed, "fits", "flow-matching")"""
    return stream(seed, "turbulence", name, *of)


def toy_key(seed: int, task: str, method: str, repetition: int) -> Key:
    """The key of one cell of the 2-D table. toy_key(config.run.seed, "moons", "reflow", 3)"""
    return stream(seed, "toy", task, method, f"repetition {repetition}")


def gaussian_bridge_key(seed: int, dimension: int) -> Key:
    """The key of the Gaussian bridge of one dimension."""
    return stream(seed, "gaussian bridge", f"dimension {dimension}")


def sampler_errors_key(seed: int) -> Key:
    """The key of the noise that the mixture is sampled with, the same for all methods and grids."""
    return stream(seed, "sampler errors", "mixture")


def gallery_key(seed: int, target: str) -> Key:
    """The key of one set of the gallery."""
    return stream(seed, "gallery", target)
