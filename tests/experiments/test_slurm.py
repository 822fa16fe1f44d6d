"""The scripts for clusters give `subgrid` and `sbatch` the right commands; stand-ins for both write them down."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "experiments" / "slurm" / "climate_array.sh"
pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash, as SLURM's job scripts do")


def called(folder: Path, *arguments: str, **environment: str) -> tuple[int, list[str]]:
    """The exit code of the script, and the commands that it gave, one a line."""
    for name, answer in (("subgrid", ""), ("sbatch", "echo 41")):
        stand_in = folder / "bin" / name
        stand_in.parent.mkdir(exist_ok=True)
        stand_in.write_text(f'#!/bin/sh\necho "{name} $*" >> "{folder}/calls"\n{answer}\n')
        stand_in.chmod(0o755)
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", SCRIPT, *arguments],
        cwd=folder,
        env={"PATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    calls = folder / "calls"
    return done.returncode, calls.read_text().splitlines() if calls.exists() else []


@pytest.mark.parametrize(
    ("stage", "scheduler"), [("prepare", "none"), ("slice", "slice:2/3"), ("score", "serial")], ids=lambda text: text
)
def test_a_job_runs_its_stage(tmp_path, stage, scheduler):
    done = called(tmp_path, "run.toml", "RUN", "3", stage, SLURM_ARRAY_TASK_ID="2")
    assert done == (0, [f"subgrid run run.toml --output RUN --set sampling.scheduler={scheduler}"])


def test_all_jobs_are_submitted_each_after_the_one_before(tmp_path):
    code, calls = called(tmp_path, "run.toml", "RUN", "3", SBATCH_OPTIONS="--partition=gpu --gpus=1")
    assert code == 0
    assert [call.rsplit(" ", 1)[1] for call in calls] == ["prepare", "slice", "score"]
    assert all("--partition=gpu --gpus=1" in call and "run.toml RUN 3" in call for call in calls)
    assert "--array 0-2 --dependency afterok:41" in calls[1]
    assert "--dependency afterany:41" in calls[2]


def test_a_slice_without_its_number_and_an_unknown_stage_are_refused(tmp_path):
    assert called(tmp_path, "run.toml", "RUN", "3", "slice") == (1, [])
    assert called(tmp_path, "run.toml", "RUN", "3", "sample") == (2, [])
