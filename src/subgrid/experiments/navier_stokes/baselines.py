"""Baselines of other papers, trained and opened behind the same contract: coarse fields to fine ones."""

from typing import Any

import jax.numpy as jnp
import jax.random as jr
import numpy as np

from subgrid.downscaling.baselines.bcsd import cubic_upsampler, fit_bcsd
from subgrid.downscaling.baselines.cycle_gan import CycleGANSettings, load_cycle_gan, train_cycle_gan
from subgrid.downscaling.baselines.flow_alignment import (
    FlowAlignmentSettings,
    load_flow_alignment,
    train_flow_alignment,
)
from subgrid.downscaling.baselines.unpaired import MODEL
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
from subgrid.numerics.operators import Subsample
from subgrid.numerics.symmetries import augmented
from subgrid.training.fitting import TrainingDiverged
from subgrid.training.progress import say
from subgrid.types import Upsampler

N_QUANTILES = 1000
"""Of BCSD, as published."""


def train_baseline(run: NavierStokesRun, name: ModelName, training: TrainingSettings, options: dict[str, Any]) -> None:
    """One that is trained; if it diverges, the weights of its last checkpoint stand in the table, if any."""
    try:
        _train(run, name, training, options)
    except TrainingDiverged as error:
        if not run.path(f"{name.folder}/{MODEL}").exists():
            raise
        say(f"{name.words}: {error} The table has the weights of its last checkpoint.")


def _train(run: NavierStokesRun, name: ModelName, training: TrainingSettings, options: dict[str, Any]) -> None:
    table, operator = run.config.baselines, run.operator(name.factor or 1)
    if name.kind == "vision-transformer":
        settings = VisionTransformerSettings(vision_transformer(table))
        train_vision_transformer(run.fine.training, operator, settings, training, **options)
        return
    observed = operator.coarse_shape[0]
    coarse, fine = run.coarse.at(observed).training, run.fine.training
    # Both archives are augmented by what acts on both grids.
    options = {**options, "symmetries": symmetries(run.config.navier_stokes, observed)}
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
        case "bcsd":
            return _bcsd(run, operator)
        case _:
            raise ValueError(f"no baseline is called {kind!r}.")


def _bcsd(run: NavierStokesRun, operator: Subsample) -> Upsampler:
    """Fitted on images of both archives, as whatever is trained sees them."""
    observed, key = operator.coarse_shape[0], run.key("images for BCSD", str(operator.coarse_shape[0]))
    group = symmetries(run.config.navier_stokes, observed)
    archives = run.coarse.at(observed).training, run.fine.training
    size = max(run.config.debias.n_images, *map(len, archives))
    coarse, fine = (
        np.asarray(augmented(jnp.asarray(fields), size, group, key=k))
        for fields, k in zip(archives, jr.split(key), strict=True)
    )
    return fit_bcsd(coarse, fine, operator, periodic=True, centred=False, n_quantiles=min(N_QUANTILES, size))


def vision_transformer(table: BaselinesTable) -> ViTSettings:
    """Its size."""
    return ViTSettings(table.transformer_patch, table.transformer_width, table.transformer_layers)


def cycle_gan(table: BaselinesTable) -> CycleGANSettings:
    """Its size and training."""
    generator = TranslationSettings(channels=table.gan_channels)
    return CycleGANSettings(
        generator=generator,
        n_steps=table.n_gan_steps,
        batch_size=table.batch_size,
        learning_rate=table.gan_learning_rate,
    )


def flow_alignment(table: BaselinesTable, kind: str) -> FlowAlignmentSettings:
    """ClimAlign with Wasserstein critics, AlignFlow with least squares."""
    return FlowAlignmentSettings(
        flow=GlowSettings(filters=table.alignment_filters, n_levels=table.alignment_levels),
        critic_kind="wasserstein" if kind == "clim-align" else "least-squares",
        n_steps=table.n_alignment_steps,
        batch_size=table.batch_size,
        learning_rate=table.alignment_learning_rate,
    )
