"""The configuration of the Gaussian bridge: a TOML file with the table [gaussian_bridge]."""

from typing import Annotated, Literal

from pydantic import Field

from subgrid.runs.config import (
    AsTuple,
    Configuration,
    Distinct,
    Positive,
    PositiveFloat,
    RunTable,
    Steps,
    Table,
    Widths,
)


class GaussianBridgeTable(Table):
    """The bridge between N(−a·1, I) and N(a·1, I) by iterative Markovian fitting, against the closed form."""

    dimensions: Annotated[tuple[Positive, ...], AsTuple, Distinct, Field(min_length=1)] = (5, 20, 50)
    """One bridge for each."""
    offset: float = 0.1
    """a: the ends are N(−a·1, I) and N(a·1, I)."""
    sigma: PositiveFloat = 1.0
    """Of the Brownian motion."""
    start: Literal["independent", "reference", "entropic"] = "independent"
    """The first coupling: DSBM-IMF, DSBM-IPF or DSBM-IMF+."""
    n_train: Annotated[int, Field(ge=2)] = 100_000
    """Samples of either end."""
    n_test: Annotated[int, Field(ge=2)] = 10_000
    """Paths that the divergence is estimated from; a perfect sampler scores d/n."""
    hidden: Widths = (256, 256)
    """Hidden layers of the two perceptrons, as published."""
    batch_size: Positive = 128
    """Pairs a training step, as published."""
    learning_rate: PositiveFloat = 1e-3
    """Peak of Adam's rate, which falls along a cosine in every iteration."""
    n_iterations: Positive = 16
    """Outer iterations, each training one direction; more of them continue a finished run."""
    n_steps: Steps = 4000
    """Training steps an outer iteration."""
    n_pairs: Positive = 65_536
    """Pairs simulated for each iteration."""
    n_sampling_steps: Positive = 20
    """Euler steps, which shrink towards the end."""


class GaussianBridgeConfig(Configuration):
    """All tables."""

    run: RunTable = RunTable(name="gaussian_bridge")
    gaussian_bridge: GaussianBridgeTable = GaussianBridgeTable()
