"""Fitting what a configuration asks for: a debiaser, a prior, a conditional model."""

from pathlib import Path
from typing import Any

from subgrid.data.fields import Samples
from subgrid.data.stream import StreamedFields
from subgrid.downscaling.conditional.model import train_conditional
from subgrid.downscaling.debiasing.fit import chosen_in_words, fit_debiaser_array
from subgrid.downscaling.debiasing.settings import debias_settings
from subgrid.downscaling.prior.functions import train_function_prior
from subgrid.downscaling.prior.model import train_prior
from subgrid.downscaling.prior.training import Fields
from subgrid.experiments.downscale import build
from subgrid.experiments.downscale.config import DownscaleConfig
from subgrid.runs.stage import Update
from subgrid.training.progress import say
from subgrid.types import Coarsening, Debiaser, Key


def train_on(
    config: DownscaleConfig,
    fields: Fields,
    folder: Path,
    *,
    operator: Coarsening | None,
    jitter: float = 0.0,
    update: Update,
    key: Key,
) -> None:
    """Trains a prior, or a conditional model for C′, on fields in memory or on disk."""
    channels, space, training = fields.shape[1], fields.shape[2:], build.training_settings_of(config)
    report = lambda step, numbers: update(step, config.training.n_steps, f"loss {numbers['loss']:.4f}")  # noqa: E731
    options: dict[str, Any] = {"folder": folder, "report": report, "key": key}
    if config.prior.kind == "function-space":
        if isinstance(fields, StreamedFields):
            raise ValueError("a prior of functions is trained on fields in memory, and these are read from the disk.")
        known = None if config.downscaling.method == "diffusion" else operator
        settings = build.function_settings_of(config, channels, space)
        train_function_prior(fields, settings, training, operator=known, **options)
    elif operator is None or config.downscaling.method == "diffusion":
        settings = build.prior_settings_of(config, channels, space)
        train_prior(fields, settings, training, noise_levels=build.noise_levels_of(config), **options)
    else:
        settings = build.conditional_settings_of(config, channels, space, jitter=jitter)
        train_conditional(fields, operator, settings, training, **options)


def fit_debiaser(
    config: DownscaleConfig,
    coarse: Samples,
    fine: Samples,
    operator: Coarsening,
    *,
    folder: Path | None = None,
    update: Update,
    key: Key,
) -> tuple[Debiaser, dict]:
    """The configured transport from coarse fields to coarsened fine fields, and what its solver reports.

    One that is trained resumes from its checkpoints in `folder`.
    """
    chosen = config.debias.model_dump()
    method = chosen.pop("method")
    common = {name: getattr(config.data, name) for name in ("translation_invariant", "periodic")}
    debiaser, summary = fit_debiaser_array(
        coarse.values,
        fine.values,
        operator,
        debias_settings(**common, **chosen),
        method=method,
        folder=folder,
        report=update,
        key=key,
    )
    if said := chosen_in_words(summary):
        say(said)
    return debiaser, summary
