"""A tiny climate run, finished once for all files."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from subgrid.downscaling.model import blocks
from subgrid.experiments.climate import stages
from subgrid.runs.page import Page, write_metrics
from subgrid.runs.score_table import ScoreTable

from ...downscaling.climate_pair import write_configuration, write_pair
from ...tiny import Outcome, called

STORES = ("ensemble", "perfect_model", "scenario")


@pytest.fixture(scope="package")
def pair(tmp_path_factory) -> Path:
    """fine.nc, coarse.nc and scenario.nc of tas and pr, and run.toml."""
    folder = write_pair(tmp_path_factory.mktemp("pair"), rainy=True)
    write_configuration(folder, "tas", "pr")
    return folder


@pytest.fixture(scope="package")
def finished(pair, tmp_path_factory) -> tuple[Path, Outcome]:
    """A finished run of 8 work items an ensemble, and what it said."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "DRAWS_AT_ONCE", 24)
        outcome = called("run", pair / "run.toml", "-o", folder)
    assert outcome.code == 0, outcome.err
    return folder, outcome


@pytest.fixture
def small_work_items(monkeypatch):
    """8 times an item with 3 members: 8 items for 60 days, as the finished run has them."""
    monkeypatch.setattr(blocks, "DRAWS_AT_ONCE", 24)


@pytest.fixture
def undrawn(monkeypatch):
    """Figures are half the work of a tiny run, and the page of the finished one shows them."""
    monkeypatch.setattr(stages, "page", lambda run: Page("not drawn"))


@pytest.fixture
def unscored(monkeypatch, undrawn):
    """Where chunks are compared: scores would be those of the finished run, so that they would be made is only said."""
    monkeypatch.setattr(stages, "score", lambda run, update: write_metrics(run, ScoreTable([], ())))


def continued(finished, tmp_path: Path, *removed: str) -> Path:
    """A copy of the finished run without some of its parts."""
    folder = tmp_path / "run"
    shutil.copytree(finished[0], folder)
    for name in removed:
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return folder


def chunks(folder: Path) -> dict[str, bytes]:
    """Every chunk of every ensemble."""
    files = [p for name in STORES for p in sorted((folder / f"{name}.zarr").glob("*/c/**/*")) if p.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def values(folder: Path, store: str, name: str = "tas") -> np.ndarray:
    with xr.open_zarr(folder / f"{store}.zarr", chunks=None) as stored:
        return stored[name].values
