"""A tiny pair of archives, settings of a tiny run, and a way to call the command line in-process."""

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from subgrid.cli.main import run

TINY = [
    "--set=prior.channels=[16]",
    "--set=prior.n_blocks=1",
    "--set=training.n_steps=20",
    "--set=training.batch_size=8",
    "--set=training.steps_per_dispatch=10",
    "--set=sampling.n_levels=4",
    "--set=sampling.n_members=3",
    "--set=sampling.solver_iterations=2",
    "--set=debias.n_samples=32",
    "--set=debias.epsilon=2.0",
    "--set=debias.n_quantiles=10",
]


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The one sentence on standard error, progress left out."""
        return "\n".join(line for line in self.err.splitlines() if line.startswith("subgrid: "))


Call = Callable[..., Outcome]


@contextmanager
def sketched() -> Iterator[None]:
    """Figures are drawn whole, but coarsely and without being laid out, which takes most of the time of a tiny run.

    Tests of `report` and of the figures of an experiment draw some as they are.
    """

    canvases = {"png": FigureCanvasAgg, "svg": FigureCanvasSVG}

    def save(figure: Figure, target: io.BytesIO, *, format: str, metadata: dict | None = None, **_) -> None:
        # `Figure.savefig` draws twice, the first time only to lay out.
        figure.set_layout_engine("none")
        dpi, figure.dpi = figure.dpi, 30
        getattr(canvases[format](figure), f"print_{format}")(target, metadata=metadata)
        figure.dpi = dpi

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", save)
        yield


def called(*arguments) -> Outcome:
    """The command line in this process, for fixtures that outlive a test; figures are sketched."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, sketched(), redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["subgrid", *map(str, arguments)])
        code = run()
    return Outcome(code, out.getvalue(), err.getvalue())


def refuses(outcome: Outcome, code: int, *fragments: str) -> None:
    """Passes if a command failed with this code and one sentence, in which all fragments are."""
    assert outcome.code == code, outcome.err
    assert "Traceback" not in outcome.err, outcome.err
    assert len(outcome.complaint.splitlines()) == 1, outcome.err
    for fragment in fragments:
        assert fragment in outcome.complaint, f"{fragment!r} is not in {outcome.complaint!r}"


def left_behind(folder: Path) -> list[str]:
    """Names of what is in a folder."""
    return sorted(entry.name for entry in folder.iterdir())


def waves(n_samples: int, n_points: int, seed: int) -> xr.Dataset:
    """Random periodic waves, dimensions time and x."""
    rng = np.random.default_rng(seed)
    x = 2 * np.pi * np.arange(n_points) / n_points
    amplitude, phase = rng.normal(size=(n_samples, 3, 1)), rng.uniform(0, 2 * np.pi, (n_samples, 3, 1))
    fields = (amplitude * np.sin(np.arange(1, 4)[:, None] * x + phase)).sum(1).astype(np.float32)
    coordinates = {"time": np.arange(n_samples) * 0.5, "x": x}
    return xr.Dataset({"u": (("time", "x"), fields, {"units": "m s-1"})}, coordinates)
