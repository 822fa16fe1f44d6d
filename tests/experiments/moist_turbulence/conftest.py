"""The moist-turbulence experiment at a tiny size: its configuration, its archives alone, and all of it."""

import shutil
from pathlib import Path

import pytest

from subgrid.experiments.moist_turbulence import EXPERIMENT
from subgrid.runs.launch import launch

TINY = """
[turbulence]
n_fine = 64
n_points_spin_up = 32
wavenumbers = [1, 4]
n_spin_up = 2
n_settle = 1
n_training_runs = 1
n_held_out_runs = 2
n_frames = 3

[normalisation]
normal_scores = ["c"]

[network]
channels = [8]
patch = 8

[training]
n_steps = 20

[bridge]
n_steps = 40
n_iterations = 3
n_pairs = 8

[evaluation]
methods = ["diffusion-bridge", "flow-matching", "dsbm-imf"]
n_cases = 2
n_sampling_steps = 2
"""


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Path:
    """A configuration file."""
    path = tmp_path_factory.mktemp("turbulence") / "tiny.toml"
    path.write_text(TINY)
    return path


@pytest.fixture(scope="session")
def simulated(tiny, tmp_path_factory) -> Path:
    """A run folder with both archives, and nothing made from them."""
    folder = tmp_path_factory.mktemp("simulated") / "run"
    launch(EXPERIMENT, tiny, folder, goal="simulate", progress=False)
    return folder


@pytest.fixture(scope="session")
def finished(simulated, tiny, tmp_path_factory) -> Path:
    """A finished run folder."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    shutil.copytree(simulated, folder)
    _, left = launch(EXPERIMENT, tiny, folder, progress=False)
    assert left is None
    return folder
