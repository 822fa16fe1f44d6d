"""The configuration of the 2-D table: a TOML file with the table [toy]."""

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

Task = Literal["moons", "scurve", "8gaussians", "moons-8gaussians"]
ToyMethod = Literal["dsbm-ipf", "dsbm-imf", "dsbm-imf+", "rectified-flow", "ot-cfm", "cfm", "sf2m"]


class ToyTable(Table):
    """The 2-D table: W₂ and path energy by task, method and seed."""

    tasks: Annotated[tuple[Task, ...], AsTuple, Distinct, Field(min_length=1)] = (
        "moons",
        "scurve",
        "8gaussians",
        "moons-8gaussians",
    )
    """From the standard Gaussian to these sets; and from moons to eight Gaussians."""
    methods: Annotated[tuple[ToyMethod, ...], AsTuple, Distinct, Field(min_length=1)] = (
        "dsbm-ipf",
        "dsbm-imf",
        "dsbm-imf+",
        "rectified-flow",
        "ot-cfm",
        "cfm",
        "sf2m",
    )
    """Bridges by iterative Markovian fitting, flows, and the simulation-free bridge."""
    n_seeds: Positive = 5
    """Independent trainings of every cell; more of them are added to a finished run."""
    sigma: PositiveFloat = 1.0
    """Of the reference of the bridges and of [SF]²M."""
    n_train: Annotated[int, Field(ge=2)] = 100_000
    """Points of either set."""
    n_test: Annotated[int, Field(ge=2)] = 10_000
    """Points that are moved and compared; the exact distance takes 14 s and 3 GB at 10,000."""
    n_sampling_steps: Positive = 20
    """Euler steps of every method."""
    hidden: Widths = (256, 256)
    """Hidden layers of the perceptrons."""
    batch_size: Positive = 256
    """Pairs a training step."""
    learning_rate: PositiveFloat = 1e-3
    """Peak of Adam's rate, which falls along a cosine."""
    n_steps: Steps = 10_000
    """Of the flows, in each round."""
    n_rounds: Positive = 2
    """Of rectified flow: the first is plain flow matching."""
    coupling_batch: Positive = 512
    """Points coupled at a time by the minibatch methods."""
    n_iterations: Positive = 8
    """Outer iterations of the bridges."""
    n_steps_bridge: Steps = 3000
    """Of each outer iteration."""
    n_pairs: Positive = 20_000
    """Pairs simulated for each of them."""


class ToyConfig(Configuration):
    """All tables."""

    run: RunTable = RunTable(name="toy_2d")
    toy: ToyTable = ToyTable()
