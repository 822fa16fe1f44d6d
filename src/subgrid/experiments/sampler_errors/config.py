"""The configuration of the table of sampler errors: a TOML file with the table [sampler_errors]."""

from typing import Annotated, Literal, get_args

from pydantic import Field

from subgrid.downscaling.upsampling.choices import GuidanceName, MethodName
from subgrid.experiments.sampler_errors.cases import PRODUCTS
from subgrid.runs.config import AsTuple, ConfigError, Configuration, Distinct, PositiveFloat, RunTable, Table

Grid = Literal["exponential", "central", "karras", "variance-preserving", "cosine"]


class SamplerErrorsTable(Table):
    """The table of sampler errors: method × grid × case against evaluations, exact denoisers, no network."""

    methods: Annotated[tuple[MethodName, ...], AsTuple, Distinct, Field(min_length=1)] = get_args(MethodName)
    """As `sampling.method`."""
    guided_methods: Annotated[tuple[MethodName, ...], AsTuple, Distinct, Field(min_length=1)] = (
        "gaussian-sde",
        "gaussian-ode",
        "ode-multistep",
        "sde-multistep",
        "heun",
    )
    """Under every guidance where 36 points are given means; the first under the other conditions too."""
    grids: Annotated[tuple[Grid, ...], AsTuple, Distinct, Field(min_length=1)] = (
        "exponential",
        "central",
        "karras",
        "variance-preserving",
        "cosine",
    )
    """Of noise levels; the last two are equal steps in the time of those processes."""
    guidances: Annotated[tuple[GuidanceName, ...], AsTuple, Distinct] = (
        "gaussian-gain",
        "moment-matching",
        "projection",
    )
    """As `sampling.guidance`."""
    evaluations: Annotated[tuple[Annotated[int, Field(ge=3)], ...], AsTuple, Distinct, Field(min_length=1)] = (
        4,
        8,
        16,
        32,
        64,
        128,
    )
    """Of the denoiser: the columns. A method has as many levels as they pay for."""
    noise_variance: PositiveFloat = 0.05
    """Of noisy coarse values; exact ones are always among the cases."""
    n_samples: Annotated[int, Field(ge=1000)] = 262_144
    """Of the mixtures by diffusions: their spread inside a mode is then known to .14 %."""


class SamplerErrorsConfig(Configuration):
    """All tables."""

    run: RunTable = RunTable(name="sampler_errors")
    sampler_errors: SamplerErrorsTable = SamplerErrorsTable()


def check(config: SamplerErrorsConfig) -> None:
    """A guidance whose cost nobody has written down is refused before anything is computed."""
    for guidance in config.sampler_errors.guidances:
        if guidance not in PRODUCTS:
            raise ConfigError(
                f'sampler_errors.guidances names "{guidance}", whose vector-Jacobian products nobody has counted; '
                "leave it out, or add their number to PRODUCTS in experiments/sampler_errors/cases.py."
            )
