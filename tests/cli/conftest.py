"""A tiny pair of archives and a tiny trained model, made once, and a way to call the command line in-process."""

import io
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

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
PRIOR = "--set=downscaling.method=diffusion"


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The one sentence on standard error, progress bars left out."""
        return "\n".join(line for line in self.err.splitlines() if line.startswith("subgrid: "))


Call = Callable[..., Outcome]


@pytest.fixture
def subgrid(capsys, monkeypatch) -> Call:
    def call(*arguments) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["subgrid", *map(str, arguments)])
        code = run()
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call


def called(*arguments) -> Outcome:
    """The command line in this process, for fixtures that outlive a test."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["subgrid", *map(str, arguments)])
        code = run()
    return Outcome(code, out.getvalue(), err.getvalue())


def waves(n_samples: int, n_points: int, seed: int) -> xr.Dataset:
    """Random periodic waves, dimensions time and x."""
    rng = np.random.default_rng(seed)
    x = 2 * np.pi * np.arange(n_points) / n_points
    amplitude, phase = rng.normal(size=(n_samples, 3, 1)), rng.uniform(0, 2 * np.pi, (n_samples, 3, 1))
    fields = (amplitude * np.sin(np.arange(1, 4)[:, None] * x + phase)).sum(1).astype(np.float32)
    coordinates = {"time": np.arange(n_samples) * 0.5, "x": x}
    return xr.Dataset({"u": (("time", "x"), fields, {"units": "m s-1"})}, coordinates)


@pytest.fixture(scope="session")
def archives(tmp_path_factory) -> Path:
    """A folder with fine.nc (32 points) and coarse.nc (8 points), 64 samples each."""
    folder = tmp_path_factory.mktemp("archives")
    waves(64, 32, seed=0).to_netcdf(folder / "fine.nc")
    coarse = waves(64, 8, seed=1)
    coarse.u.values *= 1.3
    coarse.to_netcdf(folder / "coarse.nc")
    return folder


@pytest.fixture(scope="session")
def model(archives, tmp_path_factory) -> Path:
    """A prior trained for twenty steps on fine.nc, which is good for any C′."""
    folder = tmp_path_factory.mktemp("models") / "model"
    outcome = called("train", archives / "fine.nc", "-o", folder, *TINY, PRIOR)
    assert outcome.code == 0, outcome.err
    return folder
