"""The configuration of a climate run: a TOML file with the table [climate]."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from subgrid.cli.config import (
    AsTuple,
    ConfigError,
    Positive,
    PositiveFloat,
    Run,
    Table,
    load_as,
    origin_of,
    read_tables,
)
from subgrid.downscaling.climate import DYNAMIC, ClimateDebiasMethod
from subgrid.downscaling.climate_prior import DIRECTIONS, RefinementSettings
from subgrid.downscaling.climate_run import N_LEVELS
from subgrid.downscaling.debiasing_choice import CANDIDATES

DEFAULT = RefinementSettings()
"""The library's own defaults: there are no others."""
Paths = Annotated[str | tuple[str, ...], AsTuple]


class Climate(Table):
    fine: Paths
    """The fine reference: a file, a store, a folder, a glob, or a list of these. Relative to the configuration file."""
    coarse: Paths
    """The coarse model over the period of the reference; several members are pooled."""
    scenario: Annotated[str | tuple[str, ...] | None, AsTuple] = None
    """The same model over another period, to be downscaled with its change signal kept."""
    variables: Annotated[tuple[str, ...], AsTuple, Field(min_length=1)]
    orography: Annotated[str | tuple[str, ...] | None, AsTuple] = None
    """Static predictors for the network, regridded to the fine grid."""
    minimum_valid: Annotated[float, Field(ge=0, le=1)] = 0.5
    """A coarse cell with less of its area under valid fine cells leaves the constraint."""
    gaps: Literal["refuse", "mask"] = "refuse"
    """What a fine cell with values at some times only is: an error, or outside the mask."""
    n_harmonics: Positive = 3
    training: Literal["odd-winters", "even-winters", "all"] = "odd-winters"
    """Season years to choose and fit everything on; the others are downscaled and scored. "all" leaves none to score.
    `subgrid folds` makes both halves."""


PATHS = ("fine", "coarse", "scenario", "orography")


class ClimateDebias(Table):
    method: ClimateDebiasMethod | Literal["auto"] = "auto"
    """"auto": one of the candidates, by left-out training years."""
    strength: Annotated[float, Field(ge=0, le=1)] | Literal["auto"] = "auto"
    """From none to full: of "gaussian" and "reduced-ot" how much of the difference of correlations is moved, of others
    how far each field is; "auto": by left-out training years."""
    candidates: Annotated[tuple[ClimateDebiasMethod, ...], AsTuple, Field(min_length=1)] = CANDIDATES
    """Of the method "auto", from the least to the most correcting. Others than these take minutes for every fold."""
    marginals: bool = True
    """Quantile mapping of every coarse cell after a transport."""
    n_quantiles: Positive = 100
    explained_variance: Annotated[float, Field(gt=0, le=1)] = 0.9
    n_steps: Positive = DYNAMIC.n_steps
    """Training steps of a dynamic transport: of a flow, of each of two rounds, of each iteration of a bridge."""
    batch_size: Positive = DYNAMIC.batch_size
    learning_rate: PositiveFloat = DYNAMIC.learning_rate
    hidden: Annotated[tuple[Positive, ...], AsTuple, Field(min_length=1)] = DYNAMIC.channels
    sigma: PositiveFloat = DYNAMIC.sigma
    n_iterations: Positive = DYNAMIC.n_iterations
    n_flow_steps: Positive = DYNAMIC.n_flow_steps


class ClimateComparison(Table):
    debiasers: Annotated[tuple[ClimateDebiasMethod, ...], AsTuple] = ()
    """Methods that `subgrid debias` fits beside each other, with the settings of [debias], and scores on the coarse
    cells of the winters that are not trained on."""


class ClimatePriorTable(Table):
    directions: Annotated[tuple[Positive, ...], AsTuple, Field(min_length=1)] = DIRECTIONS
    """Numbers of principal directions to choose from, by the likelihood of left-out years."""
    channels: Annotated[tuple[Positive, ...], AsTuple, Field(min_length=1)] = DEFAULT.channels
    n_blocks: Positive = DEFAULT.n_blocks
    patch: Positive = DEFAULT.patch
    n_steps: Annotated[int, Field(ge=0, multiple_of=20)] = DEFAULT.n_steps
    """Of the network, which is used only if its draws for years that it was not trained on have a lower CRPS, beyond
    the uncertainty of the difference; 0: none."""
    batch_size: Positive = DEFAULT.batch_size
    learning_rate: PositiveFloat = DEFAULT.learning_rate
    sigma_min: PositiveFloat = DEFAULT.sigma_min
    sigma_max: PositiveFloat = DEFAULT.sigma_max


class ClimateSampling(Table):
    n_levels: Annotated[int, Field(ge=4)] = N_LEVELS
    n_members: Annotated[int, Field(ge=3)] = 16
    common_noise: bool = False
    """Whether member m has the same noise at the n-th time of the historical ensemble and of the scenario: the mean of
    a change has less sampling noise then, and the spread of its members is not its uncertainty."""
    scheduler: str = "serial"
    bit_rounding: Annotated[int, Field(ge=1, le=23)] | None = None


class ClimateConfig(Table):
    """All tables of a climate configuration."""

    run: Run = Run(name="climate")
    climate: Climate
    debias: ClimateDebias = ClimateDebias()
    comparison: ClimateComparison = ClimateComparison()
    prior: ClimatePriorTable = ClimatePriorTable()
    sampling: ClimateSampling = ClimateSampling()


def load_climate_config(path: str | Path, overrides: Sequence[str] = ()) -> ClimateConfig:
    """Reads and checks the configuration of a climate run. **Raises:** `ConfigError`, one sentence a fault."""
    config = load_as(ClimateConfig, path, overrides)
    if config.prior.sigma_min >= config.prior.sigma_max:
        raise ConfigError(f"{origin_of(path, overrides)}: prior.sigma_min must be below prior.sigma_max.")
    return config


def is_climate(path: str | Path) -> bool:
    """Whether a configuration file is one of a climate run: it has the table [climate]."""
    return "climate" in read_tables(path)


def absolute(table: Climate, base: Path) -> Climate:
    """The table with every path absolute; relative ones start from `base`, the folder of the configuration file."""

    def near(value: str | tuple[str, ...] | None):
        if value is None or isinstance(value, tuple):
            return None if value is None else tuple(str(base / path) for path in value)
        return str(base / value)

    return table.model_copy(update={key: near(getattr(table, key)) for key in PATHS})


def names_only(table: Climate) -> Climate:
    """The table with the last part of every path alone: for what is given away, where folders say nothing."""

    def last(value: str | tuple[str, ...] | None):
        if value is None or isinstance(value, tuple):
            return None if value is None else tuple(Path(path).name for path in value)
        return Path(value).name

    return table.model_copy(update={key: last(getattr(table, key)) for key in PATHS})


def sources(value: str | tuple[str, ...]) -> str | list[str]:
    """What `open_climate` takes."""
    return value if isinstance(value, str) else list(value)
