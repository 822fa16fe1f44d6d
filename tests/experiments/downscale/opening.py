"""Runs on the tiny archives, without the command line."""

from pathlib import Path

from subgrid.experiments.downscale import EXPERIMENT
from subgrid.experiments.downscale.config import DownscaleConfig
from subgrid.experiments.downscale.run import DownscaleRun
from subgrid.runs.experiment import load_config, open_run
from subgrid.runs.launch import launch
from subgrid.runs.runner import Planned, plan

from ...tiny import sketched

SETTINGS = [
    "data.translation_invariant=false",
    "coarsening.factor=4",
    "coarsening.kind=block-mean",
    "debias.method=gaussian",
    "prior.channels=[8]",
    "prior.n_blocks=1",
    "training.n_steps=20",
    "training.steps_per_dispatch=10",
    "training.batch_size=8",
    "sampling.guidance=gaussian-gain",
    "sampling.n_members=3",
    "evaluation.n_conditions=4",
    "evaluation.n_unpaired=6",
    "evaluation.n_shifts=1",
]
"""Of a run on the tiny archives, as quick as can be."""


def configured(settings=()) -> DownscaleConfig:
    """The defaults with "table.key=value" overrides."""
    return load_config(EXPERIMENT, None, settings)


def files(archives: Path) -> list[str]:
    """Overrides for the fine and the coarse archive in a folder."""
    return [
        "data.source=files",
        *(f"data.{name}={archives / name}.nc" for name in ("fine", "coarse")),
    ]


def opened(folder: Path, settings=()) -> DownscaleRun:
    """The run in a folder, of which nothing is made or written."""
    run = open_run(EXPERIMENT, None, folder, settings)
    assert isinstance(run, DownscaleRun)
    return run


def planned(folder: Path, settings=(), until=None) -> dict[str, Planned]:
    """What a call would do, by stage."""
    run = opened(folder, settings)
    stages = EXPERIMENT.recipe().stages(run.config)
    return {each.stage.name: each for each in plan(run, stages, until=until)}


def finished(folder: Path, settings=(), **options) -> DownscaleRun:
    """The run after all that was asked for; its figures are sketched."""
    with sketched():
        run, left = launch(EXPERIMENT, None, folder, settings, progress=False, **options)
    assert left is None and isinstance(run, DownscaleRun)
    return run
