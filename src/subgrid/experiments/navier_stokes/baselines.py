"""Baselines of other papers, trained and opened behind the same contract: coarse fields to fine ones."""

from typing import Any

from subgrid.downscaling.baselines.bcsd import cubic_upsampler, fit_bcsd
from subgrid.downscaling.baselines.cycle_gan import CycleGANSettings, load_cycle_gan, train_cycle_gan
from subgrid.downscaling.baselines.flow_alignment import (
    FlowAlignmentSettings,
    load_flow_alignment,
    train_flow_alignment,
)
from subgrid.downscaling.baselines.vision_transformer import (
    VisionTransformerSettings,
    load_vision_transformer,
    train_vision_transformer,
)
from subgrid.downscaling.prior.training import TrainingSettings
from subgrid.experiments.navier_stokes.archives import symmetries
from subgrid.experiments.navier_stokes.config import BaselinesTable
from subgrid.experiments.navier_stokes.methods import ModelName
from subgrid.experiments.navier_stokes.run import NavierStokesRun
from subgrid.networks.cycle_gan import TranslationSettings
from subgrid.networks.glow import GlowSettings
from subgrid.networks.vit import ViTSettings
from subgrid.types import Upsampler

N_QUANTILES = 1000
"""Of BCSD, as published."""


def train_baseline(run: NavierStokesRun, name: ModelName, training: TrainingSettings, options: dict[str, Any]) -> None:
    """One that is trained."""
    table, operator = run.config.baselines, run.operator(name.factor or 1)
    if name.kind == "vision-transformer":
        settings = VisionTransformerSettings(vision_transformer(table))
        train_vision_transformer(run.fine.training, operator, settings, training, **options)
        return
    observed = operator.coarse_shape[0]
    coarse, fine = run.coarse.at(observed).training, run.fine.training
    # Both archives are augmented by what acts on both grids.
    options |= {"symmetries": symmetries(run.config.navier_stokes, observed)}
    if name.kind == "cycle-gan":
        train_cycle_gan(coarse, fine, operator, cycle_gan(table), **options)
    else:
        train_flow_alignment(coarse, fine, operator, flow_alignment(table, name.kind), **options)


def open_baseline(run: NavierStokesRun, kind: str, factor: int) -> Upsampler:
    """Any of them."""
    operator, folder = run.operator(factor), run.path(ModelName(kind, factor).folder)
    match kind:
        case "cubic":
            return cubic_upsampler(operator, periodic=True, centred=False)
        case "vision-transformer":
            return load_vision_transformer(folder, operator)
        case "cycle-gan":
            return load_cycle_gan(folder, operator)
        case "clim-align" | "align-flow":
            return load_flow_alignment(folder, operator)
        case _:
            coarse, fine = run.coarse.at(operator.coarse_shape[0]).training, run.fine.training
            n = min(N_QUANTILES, len(coarse), len(fine))
            return fit_bcsd(coarse, fine, operator, periodic=True, centred=False, n_quantiles=n)


def vision_transformer(table: BaselinesTable) -> ViTSettings:
    """Its size."""
    return ViTSettings(width=table.transformer_width, n_layers=table.transformer_layers)


def cycle_gan(table: BaselinesTable) -> CycleGANSettings:
    """Its size and training."""
    generator = TranslationSettings(channels=table.gan_channels)
    return CycleGANSettings(generator=generator, n_steps=table.n_gan_steps, batch_size=table.batch_size)


def flow_alignment(table: BaselinesTable, kind: str) -> FlowAlignmentSettings:
    """ClimAlign with Wasserstein critics, AlignFlow with least squares."""
    return FlowAlignmentSettings(
        flow=GlowSettings(filters=table.alignment_filters, n_levels=table.alignment_levels),
        critic_kind="wasserstein" if kind == "clim-align" else "least-squares",
        n_steps=table.n_alignment_steps,
        batch_size=table.batch_size,
    )
