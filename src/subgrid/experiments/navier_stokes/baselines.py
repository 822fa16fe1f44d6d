"""Baselines of other papers, trained and opened behind the same contract: coarse fields to fine ones."""

from typing import Any

from subgrid.downscaling.prior.training import TrainingSettings
from subgrid.experiments.navier_stokes.methods import ModelName
from subgrid.experiments.navier_stokes.run import NavierStokesRun
from subgrid.types import Upsampler


def train_baseline(run: NavierStokesRun, name: ModelName, training: TrainingSettings, options: dict[str, Any]) -> None:
    """One that is trained."""
    raise NotImplementedError(name.kind)


def open_baseline(run: NavierStokesRun, kind: str, factor: int) -> Upsampler:
    """Any of them."""
    raise NotImplementedError(kind)
