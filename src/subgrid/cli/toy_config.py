"""The configurations of small experiments, by their table: [toy], [gaussian_bridge], [gallery] or [sampler_errors]."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from subgrid.cli.config import AsTuple, Positive, PositiveFloat, Run, Table, read_tables

Task = Literal["moons", "scurve", "8gaussians", "moons-8gaussians"]
Method = Literal["dsbm-ipf", "dsbm-imf", "dsbm-imf+", "rectified-flow", "ot-cfm", "cfm", "sf2m"]
Widths = Annotated[tuple[Positive, ...], AsTuple, Field(min_length=1)]
Steps = Annotated[int, Field(ge=100, multiple_of=100)]


class Toy(Table):
    """The 2-D table: W₂ and path energy by task, method and seed."""

    tasks: Annotated[tuple[Task, ...], AsTuple, Field(min_length=1)] = (
        "moons",
        "scurve",
        "8gaussians",
        "moons-8gaussians",
    )
    """From the standard Gaussian to these sets; and from moons to eight Gaussians."""
    methods: Annotated[tuple[Method, ...], AsTuple, Field(min_length=1)] = (
        "dsbm-ipf",
        "dsbm-imf",
        "dsbm-imf+",
        "rectified-flow",
        "ot-cfm",
        "cfm",
        "sf2m",
    )
    n_seeds: Positive = 5
    sigma: PositiveFloat = 1.0
    """Of the reference of the bridges and of [SF]²M."""
    n_train: Annotated[int, Field(ge=2)] = 100_000
    n_test: Annotated[int, Field(ge=2)] = 10_000
    n_sampling_steps: Positive = 20
    hidden: Widths = (256, 256)
    batch_size: Positive = 256
    learning_rate: PositiveFloat = 1e-3
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


class GaussianBridge(Table):
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


class Gallery(Table):
    """The animation: sets of points reached from noise by denoising, flow, reflow and bridge, side by side."""

    targets: Annotated[
        tuple[Literal["8gaussians", "moons", "scurve", "checkerboard", "pinwheel"], ...], AsTuple, Field(min_length=1)
    ] = ("8gaussians", "moons", "scurve", "checkerboard", "pinwheel")
    sigma: PositiveFloat = 0.4
    """Of the bridge, in units of the target's standard deviation."""
    n_points: Positive = 300
    n_frames: Annotated[int, Field(ge=2)] = 40
    n_train: Annotated[int, Field(ge=2)] = 50_000
    hidden: Widths = (256, 256)
    batch_size: Positive = 256
    learning_rate: PositiveFloat = 1e-3
    n_steps: Annotated[int, Field(ge=200, multiple_of=200)] = 6000
    """Of the denoiser, of each flow, and twice those of each outer iteration of the bridge."""
    n_iterations: Positive = 6


SamplingMethod = Literal[
    "gaussian-sde",
    "gaussian-ode",
    "ode-multistep",
    "sde-multistep",
    "heun",
    "euler-maruyama",
    "ancestral",
    "predictor-corrector",
]
Grid = Literal["exponential", "central", "karras", "variance-preserving", "cosine"]


class SamplerErrors(Table):
    """The table of sampler errors: method × grid × case against evaluations, exact denoisers, no network."""

    methods: Annotated[tuple[SamplingMethod, ...], AsTuple, Field(min_length=1)] = (
        "gaussian-sde",
        "gaussian-ode",
        "ode-multistep",
        "sde-multistep",
        "heun",
        "euler-maruyama",
        "ancestral",
        "predictor-corrector",
    )
    """As `sampling.method`."""
    guided_methods: Annotated[tuple[SamplingMethod, ...], AsTuple, Field(min_length=1)] = (
        "gaussian-sde",
        "gaussian-ode",
        "ode-multistep",
        "sde-multistep",
        "heun",
    )
    """Under every guidance where 36 points are given means; the first under the other conditions too."""
    grids: Annotated[tuple[Grid, ...], AsTuple, Field(min_length=1)] = (
        "exponential",
        "central",
        "karras",
        "variance-preserving",
        "cosine",
    )
    guidances: Annotated[tuple[Literal["gaussian-gain", "moment-matching", "projection"], ...], AsTuple] = (
        "gaussian-gain",
        "moment-matching",
        "projection",
    )
    evaluations: Annotated[tuple[Annotated[int, Field(ge=3)], ...], AsTuple, Field(min_length=1)] = (
        4,
        8,
        16,
        32,
        64,
        128,
    )
    noise_variance: PositiveFloat = 0.05
    """Of noisy coarse values; exact ones are always among the cases."""
    n_samples: Annotated[int, Field(ge=1000)] = 262_144
    """Of the mixtures by diffusions: their spread inside a mode is then known to .14 %."""


class ToyConfig(Table):
    run: Run = Run(name="toy_2d")
    toy: Toy = Toy()


class GaussianBridgeConfig(Table):
    run: Run = Run(name="gaussian_bridge")
    gaussian_bridge: GaussianBridge = GaussianBridge()


class GalleryConfig(Table):
    run: Run = Run(name="toy_gallery")
    gallery: Gallery = Gallery()


class SamplerErrorsConfig(Table):
    run: Run = Run(name="sampler_errors")
    sampler_errors: SamplerErrors = SamplerErrors()


CONFIGURATIONS: dict[
    str, type[ToyConfig] | type[GaussianBridgeConfig] | type[GalleryConfig] | type[SamplerErrorsConfig]
] = {
    "toy": ToyConfig,
    "gaussian_bridge": GaussianBridgeConfig,
    "gallery": GalleryConfig,
    "sampler_errors": SamplerErrorsConfig,
}


def toy_table(path: str | Path) -> str | None:
    """Which of the small experiments a configuration file is of, by its table; None for any other file."""
    tables = read_tables(path)
    return next((name for name in CONFIGURATIONS if name in tables), None)
