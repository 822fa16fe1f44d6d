"""The configuration of the gallery: a TOML file with the table [gallery]."""

from typing import Annotated, Literal

from pydantic import Field

from subgrid.runs.config import AsTuple, Configuration, Distinct, Positive, PositiveFloat, RunTable, Table, Widths


class GalleryTable(Table):
    """The animation: sets of points reached from noise by denoising, flow, reflow and bridge, side by side."""

    targets: Annotated[
        tuple[Literal["8gaussians", "moons", "scurve", "checkerboard", "pinwheel"], ...],
        AsTuple,
        Distinct,
        Field(min_length=1),
    ] = ("8gaussians", "moons", "scurve", "checkerboard", "pinwheel")
    """The sets that points are led to."""
    sigma: PositiveFloat = 0.4
    """Of the bridge, in units of the target's standard deviation."""
    n_points: Positive = 300
    """Points that move."""
    n_frames: Annotated[int, Field(ge=2)] = 40
    """Frames, four steps of each sampler apart."""
    n_train: Annotated[int, Field(ge=2)] = 50_000
    """Points to train on."""
    hidden: Widths = (256, 256)
    """Hidden layers."""
    batch_size: Positive = 256
    """Points a training step."""
    learning_rate: PositiveFloat = 1e-3
    """Peak of Adam's rate."""
    n_steps: Annotated[int, Field(ge=200, multiple_of=200)] = 6000
    """Of the denoiser, of each flow, and twice those of each outer iteration of the bridge."""
    n_iterations: Positive = 6
    """Outer iterations of the bridge."""


class GalleryConfig(Configuration):
    """All tables."""

    run: RunTable = RunTable(name="toy_gallery")
    gallery: GalleryTable = GalleryTable()
