"""The configuration of a climate run: a TOML file with the table [climate]."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from subgrid.data.sources.remote import local_path, url_of
from subgrid.data.variables.wanted import Variable, wanted_variables
from subgrid.downscaling.debiasing.choice import CANDIDATES
from subgrid.downscaling.debiasing.of_anomalies import DYNAMIC
from subgrid.downscaling.debiasing.settings import ClimateDebiasMethod
from subgrid.downscaling.refined.prior import N_COMPONENTS, N_LEVELS
from subgrid.downscaling.refined.refinement import RefinementSettings
from subgrid.execution.runners import parse_scheduler
from subgrid.runs.config import (
    AsTuple,
    ConfigError,
    Configuration,
    Distinct,
    Positive,
    PositiveFloat,
    RunTable,
    Table,
    absolute,
)

DEFAULT = RefinementSettings()
"""The library's own defaults: there are no others."""
FilePaths = Annotated[str | tuple[str, ...], AsTuple, Distinct]


def _checked(variables: tuple[str, ...] | dict[str, Any]) -> tuple[str, ...] | dict[str, Any]:
    """As given, if `Variable` takes it; else a `DataError`, which is a ValueError."""
    wanted_variables(variables)
    return variables


class ClimateTable(Table):
    fine: FilePaths
    """The fine reference: a file, a store, a folder, a glob, or a list of these. Relative to the configuration file."""
    coarse: FilePaths
    """The coarse model over the period of the reference; several members are pooled."""
    scenario: Annotated[str | tuple[str, ...] | None, AsTuple, Distinct] = None
    """The same model over another period, to be downscaled with its change signal kept."""
    variables: Annotated[tuple[str, ...] | dict[str, Any], AsTuple, AfterValidator(_checked), Field(min_length=1)]
    """Names; or a table of names and what is said of each: its name or names in files, `{tas = "tg"}`, or `names`,
    `quantity`, `bounds` and `units`, `{hum = {names = ["rh", "hu"], bounds = [0, 100]}}`."""
    orography: Annotated[str | tuple[str, ...] | None, AsTuple, Distinct] = None
    """Static predictors for the network, regridded to the fine grid."""
    orography_variable: str | None = None
    """Its name in that file; by default it is found by its standard name, name or units."""
    minimum_valid: Annotated[float, Field(ge=0, le=1)] = 0.5
    """A coarse cell with less of its area under valid fine cells leaves the constraint."""
    gaps: Literal["refuse", "mask", "drop"] = "refuse"
    """What a cell of any archive with values at some times only is: an error, or outside the mask; or a reason to drop
    those times."""
    step: Literal["day", "month"] | None = None
    """To which archives of shorter steps are averaged when they are opened, over complete days or months."""
    n_harmonics: Positive = 3
    """Of the smooth climatology over the days of a year."""
    training: Literal["odd-winters", "even-winters", "all"] = "odd-winters"
    """Season years to choose and fit everything on; the others are downscaled and scored. "all" leaves none to score.
    `subgrid folds` makes both halves."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the variables, the channels."""
        return tuple(self.variables)

    @property
    def wanted(self) -> dict[str, Variable]:
        """What is said of each variable."""
        return wanted_variables(self.variables) or {}


PATHS = ("fine", "coarse", "scenario", "orography")


class ClimateDebiasTable(Table):
    method: ClimateDebiasMethod | Literal["auto"] = "auto"
    """"auto": one of the candidates, by left-out training years."""
    strength: Annotated[float, Field(ge=0, le=1)] | Literal["auto"] = "auto"
    """From none to full: of "gaussian" and "reduced-ot" how much of the difference of correlations is moved, of others
    how far each field is; "auto": by left-out training years."""
    candidates: Annotated[tuple[ClimateDebiasMethod, ...], AsTuple, Distinct, Field(min_length=1)] = CANDIDATES
    """Of the method "auto", from the least to the most correcting. Others than these take minutes for every fold."""
    marginals: bool = True
    """Quantile mapping of every coarse cell after a transport."""
    n_quantiles: Positive = 100
    """Levels of quantile mapping."""
    explained_variance: Annotated[float, Field(gt=0, le=1)] = 0.9
    """The share of variance that the components of "reduced-ot" hold."""
    n_steps: Positive = DYNAMIC.n_steps
    """Training steps of a dynamic transport: of a flow, of each of two rounds, of each iteration of a bridge."""
    batch_size: Positive = DYNAMIC.batch_size
    """Days a training step."""
    learning_rate: PositiveFloat = DYNAMIC.learning_rate
    """Peak of Adam's rate, which falls along a cosine."""
    hidden: Annotated[tuple[Positive, ...], AsTuple, Field(min_length=1)] = DYNAMIC.channels
    """Hidden layers of the perceptron, which takes all kept cells at once."""
    sigma: PositiveFloat = DYNAMIC.sigma
    """Noise of "interpolant" and "schrodinger-bridge", in standard deviations of the target's anomalies."""
    n_iterations: Positive = DYNAMIC.n_iterations
    """Outer iterations of "schrodinger-bridge", each training the drift of one direction."""
    n_flow_steps: Positive = DYNAMIC.n_flow_steps
    """Steps of the midpoint rule along the fitted velocity."""


class ClimateComparisonTable(Table):
    debiasers: Annotated[tuple[ClimateDebiasMethod, ...], AsTuple, Distinct] = ()
    """Methods that `subgrid debias` fits beside each other, with the settings of [debias], and scores on the coarse
    cells of the season years that are not trained on."""


class ClimatePriorTable(Table):
    directions: Annotated[tuple[Positive, ...], AsTuple, Distinct, Field(min_length=1)] = N_COMPONENTS
    """Numbers of principal components to choose from, by the likelihood of left-out years."""
    channels: Annotated[tuple[Positive, ...], AsTuple, Field(min_length=1)] = DEFAULT.channels
    """Width of each level of the refining network, finest first."""
    n_blocks: Positive = DEFAULT.n_blocks
    """Residual blocks a level."""
    patch: Positive = DEFAULT.patch
    """Fine cells an axis that the network takes together first."""
    n_steps: Annotated[int, Field(ge=0, multiple_of=20)] = DEFAULT.n_steps
    """Of the network, which is used only if its draws for years that it was not trained on have a lower CRPS, beyond
    the uncertainty of the difference; 0: none."""
    batch_size: Positive = DEFAULT.batch_size
    """Fields a training step."""
    learning_rate: PositiveFloat = DEFAULT.learning_rate
    """Peak of Adam's rate, after the warm-up."""
    sigma_min: PositiveFloat = DEFAULT.sigma_min
    """Smallest noise level, in standard deviations of the anomalies."""
    sigma_max: PositiveFloat = DEFAULT.sigma_max
    """Largest noise level, well above the standard deviation of the leading direction."""


class ClimateSamplingTable(Table):
    n_levels: Annotated[int, Field(ge=4)] = N_LEVELS
    """Noise levels of a draw, where a network refines the prior."""
    n_members: Annotated[int, Field(ge=3)] = 16
    """Of every ensemble, for each member of the coarse model."""
    common_noise: bool = False
    """Whether member m has the same noise at the n-th time of the historical ensemble and of the scenario: the mean of
    a change has less sampling noise then, and the spread of its members is not its uncertainty."""
    scheduler: str = "serial"
    """Who samples: "serial", "local:N", "dask://host:port", "slice:i/n", or "none" to prepare and train only."""
    bit_rounding: Annotated[int, Field(ge=1, le=23)] | None = None
    """Bits of the mantissa that files keep; by default all."""


class ClimateConfig(Configuration):
    """All tables of a climate configuration."""

    run: RunTable = RunTable(name="climate")
    climate: ClimateTable
    debias: ClimateDebiasTable = ClimateDebiasTable()
    comparison: ClimateComparisonTable = ClimateComparisonTable()
    prior: ClimatePriorTable = ClimatePriorTable()
    sampling: ClimateSamplingTable = ClimateSamplingTable()


PREPARE_ONLY = "none"
"""The scheduler that samples nothing: what the jobs of an array wait for."""


def check(config: ClimateConfig) -> None:
    """Values that do not go together, and a scheduler that there is not."""
    if config.prior.sigma_min >= config.prior.sigma_max:
        raise ConfigError("prior.sigma_min must be below prior.sigma_max.")
    names = config.climate.names
    if len({*names}) < len(names):
        raise ConfigError(f"climate.variables = {[*names]}: each variable may come once.")
    if config.sampling.scheduler == PREPARE_ONLY:
        return
    try:
        parse_scheduler(config.sampling.scheduler)
    except ValueError as error:
        raise ConfigError(f'sampling.scheduler: {error} "{PREPARE_ONLY}" prepares and trains only.') from error


def resolve(config: ClimateConfig, base: Path) -> ClimateConfig:
    """Every path absolute, from `base`, the folder of the configuration file; URLs stay as they are."""
    return _with_paths(config, lambda path: absolute(local_path(path), base) if url_of(path) is None else path)


def without_folders(config: ClimateConfig) -> ClimateConfig:
    """The last part of every path alone: for what is given away, where folders say nothing."""
    return _with_paths(config, lambda path: Path(path).name)


def _with_paths(config: ClimateConfig, change: Callable[[str], str]) -> ClimateConfig:
    table = config.climate
    given = {key: getattr(table, key) for key in PATHS if getattr(table, key) is not None}
    changed = {
        key: tuple(map(change, value)) if isinstance(value, tuple) else change(value) for key, value in given.items()
    }
    return config.model_copy(update={"climate": table.model_copy(update=changed)})


def files_of(table: ClimateTable, *names: str) -> dict[str, tuple[str, ...]]:
    """The paths of some archives, by their keys."""
    found = {f"climate.{name}": getattr(table, name) for name in names}
    return {key: (each,) if isinstance(each, str) else each for key, each in found.items() if each is not None}


def sources(value: str | tuple[str, ...]) -> str | list[str]:
    """What `open_climate` takes."""
    return value if isinstance(value, str) else list(value)
