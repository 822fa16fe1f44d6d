"""The configuration of models of functions: a TOML file with the table [functions]."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from subgrid.numerics.signed_distance import MEASURED_ON
from subgrid.runs.config import (
    AsTuple,
    ConfigError,
    Configuration,
    Distinct,
    Positive,
    PositiveFloat,
    RunTable,
    Steps,
    Table,
    Widths,
    absolute,
)

SystemName = Literal["ramp-mixture", "wave-mixture", "forced-vorticity", "digits"]
Candidate = Literal["diffusion", "flow", "diffusion-points", "diffusion-white", "flow-white"]
NetworkKind = Literal["fno", "unet"]


class FunctionsTable(Table):
    """Fields of one system, models trained on one grid, and the grids that they are sampled on."""

    system: SystemName = "ramp-mixture"
    """What the fields are: a mixture in one dimension between walls, one in two, forced vorticity, or digits."""
    digits: str | None = None
    """Folder of the MNIST files, from the folder of the configuration; of the system "digits" alone."""
    n_train: Annotated[int, Field(ge=2)] = 10_000
    """Fields to train on."""
    n_test: Annotated[int, Field(ge=4)] = 1_000
    """Fields of the truth on every grid, and samples of every candidate."""
    n_points: Annotated[int, Field(ge=8)] = 64
    """Of the training grid, an axis."""
    grids: Annotated[tuple[Positive, ...], AsTuple, Distinct, Field(min_length=1)] = (64, 256, 1024)
    """Points an axis that candidates are sampled on."""
    cost_grids: Annotated[tuple[Positive, ...], AsTuple, Distinct] = ()
    """Points an axis at which the evaluations of an adaptive solver are counted, for flows."""
    candidates: Annotated[tuple[Candidate, ...], AsTuple, Distinct, Field(min_length=1)] = (
        "diffusion",
        "flow",
        "diffusion-points",
        "diffusion-white",
        "flow-white",
    )
    """Trace-class noise and what is known in every mode; the same noise at points; white noise at points."""
    n_seeds: Positive = 1
    """Independent trainings of every candidate; more of them are added to a finished run."""
    alpha: PositiveFloat = 1.0
    """Of the noise, C = s²(−Δ + τ²)^−α; above half the dimension."""
    tau: PositiveFloat = 5.0
    """Of the noise, the inverse of its correlation length, in sides."""
    network: NetworkKind = "fno"
    """Of models of functions, which work on the modes of the training grid. Models of points always have a Fourier
    neural operator: no other network is one operator on all grids."""
    width: Positive = 32
    """Channels of the operator."""
    n_layers: Positive = 4
    """Of the operator."""
    n_modes: Positive = 16
    """The largest wave that the operator sees, an axis."""
    coordinates: bool = True
    """Whether the network sees places: fields that are homogeneous need none."""
    channels: Widths = (32, 64)
    """Of the levels of the UNet."""
    patch: Positive = 2
    """Points an axis that the UNet takes together first."""
    n_steps: Steps = 3_000
    """Training steps."""
    batch_size: Positive = 64
    """Fields a step."""
    learning_rate: PositiveFloat = 2e-3
    """Peak of Adam's rate, which falls along a cosine."""
    n_levels: Annotated[int, Field(ge=2)] = 32
    """Of noise, in sampling, two evaluations each."""

    @property
    def n_space(self) -> int:
        """Dimensions of the fields."""
        return 1 if self.system == "ramp-mixture" else 2

    def shape(self, n: int) -> tuple[int, ...]:
        """A grid of n points an axis."""
        return (n,) * self.n_space


class FunctionsConfig(Configuration):
    """All tables."""

    run: RunTable = RunTable(name="function_space")
    functions: FunctionsTable = FunctionsTable()


def check(config: FunctionsConfig) -> None:
    """Values that do not go together."""
    table = config.functions
    if table.alpha <= table.n_space / 2:
        raise ConfigError(
            f"functions.alpha = {table.alpha:g}: noise in {table.n_space} dimensions needs more than "
            f"{table.n_space / 2:g}, or its variance grows with the grid; {table.n_space / 2 + 0.5:g} would do."
        )
    if table.n_points not in table.grids or min(table.grids) < table.n_points:
        raise ConfigError(
            f"functions.grids = {list(table.grids)}: the training grid of {table.n_points} must be among them, and no "
            "smaller one: a coarser grid does not hold its modes."
        )
    if odd := [n for n in table.grids if n % table.n_points]:
        raise ConfigError(
            f"functions.grids: {odd[0]} is no multiple of the training grid's {table.n_points}, which cubic "
            "interpolation, the baseline, needs."
        )
    if low := [n for n in table.cost_grids if n < table.n_points]:
        raise ConfigError(
            f"functions.cost_grids: {low[0]} points do not hold the modes of the {table.n_points} of the training."
        )
    if table.system == "digits" and (uneven := [n for n in table.grids if MEASURED_ON % n]):
        raise ConfigError(
            f"functions.grids: distances of digits are known on divisors of {MEASURED_ON} points, not {uneven[0]}."
        )
    if (table.digits is None) == (table.system == "digits"):
        raise ConfigError(
            'functions.digits: the system "digits" needs the folder of its files, and no other takes one.'
        )


def resolve(config: FunctionsConfig, base: Path) -> FunctionsConfig:
    """The folder of the digits absolute, from `base`."""
    folder = config.functions.digits
    return config if folder is None else _with_digits(config, absolute(folder, base))


def without_folders(config: FunctionsConfig) -> FunctionsConfig:
    """The last part of the folder of the digits alone."""
    folder = config.functions.digits
    return config if folder is None else _with_digits(config, Path(folder).name)


def _with_digits(config: FunctionsConfig, folder: str) -> FunctionsConfig:
    return config.model_copy(update={"functions": config.functions.model_copy(update={"digits": folder})})
