"""The configuration of the Gaussian bridge: a TOML file with the table [gaussian_bridge]."""

from typing import Annotated, Literal

from pydantic import Field

from subgrid.runs.config import AsTuple, Configuration, Positive, PositiveFloat, RunTable, Steps, Table, Widths


class GaussianBridgeTable(Table):
    """The bridge between N(−a·1, I) and N(a·1, I) by iterative Markovian fitting, against the closed form."""

    dimensions: Annotated[tuple[Positive, ...], AsTuple, Field(min_length=1)] = (5, 20, 50)
    offset: float = 0.1
    sigma: PositiveFloat = 1.0
    start: Literal["independent", "reference", "entropic"] = "independent"
    n_train: Annotated[int, Field(ge=2)] = 100_000
    n_test: Annotated[int, Field(ge=2)] = 10_000
    hidden: Widths = (256, 256)
    batch_size: Positive = 128
    learning_rate: PositiveFloat = 1e-3
    n_iterations: Positive = 16
    n_steps: Steps = 4000
    """Training steps an outer iteration."""
    n_pairs: Positive = 65_536
    n_sampling_steps: Positive = 20


class GaussianBridgeConfig(Configuration):
    """All tables."""

    run: RunTable = RunTable(name="gaussian_bridge")
    gaussian_bridge: GaussianBridgeTable = GaussianBridgeTable()
