"""The configuration of the gallery: a TOML file with the table [gallery]."""

from typing import Annotated, Literal

from pydantic import Field

from subgrid.runs.config import AsTuple, Configuration, Positive, PositiveFloat, RunTable, Table, Widths


class GalleryTable(Table):
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


class GalleryConfig(Configuration):
    """All tables."""

    run: RunTable = RunTable(name="toy_gallery")
    gallery: GalleryTable = GalleryTable()
