"""Both ensembles of a run: unpaired, from debiased fields; and perfect-model, from the coarsened reference."""

from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Float

from subgrid.data.fields import CONDITION_DIM, Samples
from subgrid.data.store import write_zarr
from subgrid.downscaling.ensemble_datasets import MemberDiagnostics, conditions_dataset
from subgrid.downscaling.evaluation import draw_conditions
from subgrid.downscaling.prior.novelty import MOST, outside
from subgrid.downscaling.upsampling.bridge import BridgeUpsampler
from subgrid.downscaling.upsampling.functions import FunctionUpsampler, KnownFunctionUpsampler
from subgrid.downscaling.upsampling.particles import sample_with_diagnostics
from subgrid.experiments.downscale import build
from subgrid.experiments.downscale.run import DownscaleRun
from subgrid.runs.stage import Update

Drawn: TypeAlias = tuple[Float[np.ndarray, "n member channel *fine"], MemberDiagnostics]
"""An ensemble, and what there is to tell of its members and conditions."""


def downscale(run: DownscaleRun, update: Update) -> None:
    """Members of debiased fields, which have no truth."""
    config, settings = run.config, run.config.evaluation
    upsampler = build.open_upsampler(config, run.path("model"), run.operator)
    own_debiasing = config.downscaling.method == "bridge" and config.downscaling.source == "raw"
    stored = xr.open_zarr(run.path("debiased.zarr"))
    debiased = (stored.raw if own_debiasing else stored.debiased).values
    chosen = draw_conditions(len(debiased), settings.n_unpaired, key=run.key("conditions of the ensemble"))
    targets = debiased[chosen]
    where = _inputs_outside(run, upsampler, targets)
    ensemble, diagnostics = _sample(run, upsampler, targets, settings.unpaired_members, "ensemble", update)
    conditions = run.coarse[1].take(chosen)
    _write_ensemble(run, "ensemble.zarr", conditions, chosen, (ensemble, {**diagnostics, **where}), targets)


def downscale_perfect(run: DownscaleRun, update: Update) -> None:
    """Members of the coarsened reference, beside the truth."""
    upsampler = build.open_upsampler(run.config, run.path("model"), run.operator)
    reference, n = run.fine[1], run.config.evaluation.n_conditions
    chosen = draw_conditions(len(reference), n, key=run.key("conditions of the perfect model"))
    conditions = reference.take(chosen)
    targets = np.asarray(run.operator(jnp.asarray(conditions.values)))
    drawn = _sample(run, upsampler, targets, run.config.sampling.n_members, "perfect model", update)
    _write_ensemble(run, "perfect_model.zarr", conditions, chosen, drawn, targets, truth=conditions.values)


def _sample(
    run: DownscaleRun,
    upsampler: build.AnyUpsampler,
    targets: Float[np.ndarray, "n channel *coarse"],
    n_members: int,
    stream: str,
    update: Update,
) -> Drawn:
    """Members of every target."""
    chunk, key = run.config.sampling.chunk, run.key(stream)
    return sample_with_diagnostics(upsampler, targets, n_members, chunk=chunk, report=update, key=key)


def _inputs_outside(
    run: DownscaleRun, upsampler: build.AnyUpsampler, targets: Float[np.ndarray, "n channel *coarse"]
) -> dict[str, np.ndarray]:
    """Where each T(y) lies among coarsened training fields, with a warning if many are far.

    Bridges and conditional models of functions say nothing.
    """
    if isinstance(upsampler, BridgeUpsampler | KnownFunctionUpsampler):
        return {}
    fine = run.fine[0].values
    if isinstance(upsampler, FunctionUpsampler):  # distances are of its white coordinates
        some, inner = jnp.asarray(fine[:: max(1, len(fine) // MOST)]), upsampler.upsampler
        fine = np.asarray(jax.lax.map(upsampler.white, some, batch_size=64))
        targets = np.asarray(jax.vmap(upsampler.target)(jnp.asarray(targets)))
    else:
        inner = upsampler
    found = outside(inner.conditional, inner.standardiser, targets, fine)
    found.warn()
    return {"input_quantile": found.quantile, "input_ratio": found.ratio}


def _write_ensemble(
    run: DownscaleRun,
    name: str,
    conditions: Samples,
    chosen: np.ndarray,
    drawn: Drawn,
    targets: Float[np.ndarray, "n channel *coarse"],
    *,
    truth: Float[np.ndarray, "n channel *fine"] | None = None,
) -> None:
    """One store with names, units and coordinates; `condition` counts in the held-out set, where the file does not."""
    (ensemble, diagnostics), fine, coarse = drawn, run.fine[0], run.coarse[0]
    dataset = conditions_dataset(
        conditions, ensemble, targets, fine=fine, coarse=coarse, truth=truth, diagnostics=diagnostics
    )
    if CONDITION_DIM not in dataset.coords:
        dataset = dataset.assign_coords({CONDITION_DIM: chosen})
    attributes = {"variable": run.fine[0].name, "config": run.config.as_toml()}
    write_zarr(dataset.assign_attrs(attributes, Conventions="CF-1.11"), run.path(name), overwrite=True)
