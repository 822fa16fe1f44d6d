"""Debiasers of coarse vorticity: fitted on the training fields and their images, applied to all held-out fields.

RUN/debiased/FACTOR.NAME.npz   fields, and what the fit reported
"""

import json
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from subgrid.data.store import read_arrays, write_arrays
from subgrid.downscaling.baselines.partial_noising import (
    diffusion_bridge_debiaser,
    noising_debiaser,
    train_coarse_priors,
)
from subgrid.downscaling.debiasing.fit import apply_debiaser, correct, fit_debiaser_array
from subgrid.downscaling.debiasing.settings import debias_settings
from subgrid.downscaling.prior.model import PriorSettings
from subgrid.downscaling.prior.training import TrainingSettings
from subgrid.experiments.navier_stokes.archives import symmetries
from subgrid.experiments.navier_stokes.methods import debiasers_of, short_memory
from subgrid.experiments.navier_stokes.run import NavierStokesRun
from subgrid.numerics.streams import substream
from subgrid.numerics.symmetries import augmented
from subgrid.runs.stage import Update
from subgrid.transport.gaussian import fit_gaussian_map
from subgrid.types import Debiaser, Key

N_QUANTILES = 200
"""Of marginals; the default of transports."""
NOT_OF_TRANSPORTS = (
    "n_images",
    "network_points",
    "n_bridge_steps",
    "noising_level",
    "noising_channels",
    "n_noising_steps",
    "n_noising_levels",
)
"""Keys of [debias] that transports do not know by these names."""
COST = {
    "gaussian": 1,
    "entropic-ot": 10,
    "rectified-flow": 200,
    "schrodinger-bridge": 200,
    "ddib": 120,
    "sdedit": 20,
}
"""Of each, as was measured at one factor: what the time left is told by."""
PARTS = 1000
"""That the whole is told in."""


def debiased_path(folder: Path, factor: int, name: str) -> Path:
    """Where debiased fields are kept."""
    return folder / "debiased" / f"{factor}.{name}.npz"


def all_debiased(run: NavierStokesRun) -> list[tuple[int, str]]:
    """Factors and debiasers of the run."""
    return [(factor, name) for factor in run.config.navier_stokes.factors for name in debiasers_of(run.config)]


def debias(run: NavierStokesRun, update: Update) -> None:
    """Fits what is not there yet, and applies it."""
    wanted = all_debiased(run)
    costs = [COST[name] * (run.config.navier_stokes.n_fine // factor) ** 2 for factor, name in wanted]
    run.path("debiased").mkdir(exist_ok=True)  # and stays empty where all methods start from raw fields
    for (factor, name), cost, before in zip(wanted, costs, accumulate(costs, initial=0), strict=False):
        path = debiased_path(run.folder, factor, name)
        if not path.exists():
            part = before / sum(costs), cost / sum(costs)
            _debias(run, factor, name, path, partial(_tell, update, f"{name}, {factor}x", *part))
    update(PARTS, PARTS)


def _tell(update: Update, what: str, before: float, share: float, done: int, total: int, note: str = "") -> None:
    """How far a debiaser is, in parts of all of them."""
    update(round(PARTS * (before + share * done / max(total, 1))), PARTS, f"{what} {note}")


def _debias(run: NavierStokesRun, factor: int, name: str, path: Path, update: Update) -> None:
    key = run.key("debias", name, f"{factor}x")
    debiaser, summary = fit(run, factor, name, update=update, key=key)
    held_out = run.coarse.at(run.config.navier_stokes.n_fine // factor).held_out
    fields = apply_debiaser(debiaser, held_out)
    write_arrays({"fields": fields, "summary": np.array(json.dumps(summary))}, path)


def fit(run: NavierStokesRun, factor: int, name: str, *, update: Update, key: Key) -> tuple[Debiaser, dict[str, Any]]:
    """The debiaser, and what its solver reports."""
    config = run.config
    coarse = run.coarse.at(config.navier_stokes.n_fine // factor).training
    folder = run.path(f"debias/{factor}.{name}")
    match name:
        case "gaussian":
            return _gaussian(run, factor, coarse, key=key)
        case "ddib" | "sdedit":
            return _noised(run, factor, coarse, name, update=update)
        case _:
            table = config.debias.model_dump(exclude=set(NOT_OF_TRANSPORTS))
            table["n_correction_samples"] = config.debias.n_images
            table["patch"] = config.debias.patch(coarse.shape[-1])
            if name == "schrodinger-bridge":
                table["n_steps"] = config.debias.n_bridge_steps
            settings = debias_settings(periodic=True, symmetries=_group(run, factor), **table)
            options = {"method": name, "folder": folder, "report": update, "key": key}
            return fit_debiaser_array(coarse, run.fine.training, run.operator(factor), settings, **options)


def _gaussian(run: NavierStokesRun, factor: int, coarse: np.ndarray, *, key: Key) -> tuple[Debiaser, dict[str, Any]]:
    """Mean and covariance, then marginals, of random images of both archives."""
    n, group = run.config.debias.n_images, _group(run, factor)
    coarsened = run.operator(factor)(jnp.asarray(run.fine.training))
    source = augmented(jnp.asarray(coarse), n, group, key=substream(key, "source"))
    target = augmented(coarsened, n, group, key=substream(key, "target"))
    linear = fit_gaussian_map(source, target)
    return correct(linear, source, target, ("marginals",), n_quantiles=N_QUANTILES), {"method": "gaussian"}


def _noised(
    run: NavierStokesRun, factor: int, coarse: np.ndarray, name: str, *, update: Update
) -> tuple[Debiaser, dict[str, Any]]:
    """By diffusion models on the coarse grid, which both methods share."""
    table, points = run.config.debias, coarse.shape[-1]
    network = PriorSettings(1, (points, points), table.noising_channels, patch=table.patch(points))
    training = TrainingSettings(
        table.n_noising_steps,
        table.batch_size,
        table.learning_rate,
        warmup=100,
        ema_decay=short_memory(table.n_noising_steps),
        symmetries=_group(run, factor),
    )
    report = lambda step, metrics: update(step, 2 * training.n_steps, f"loss {metrics['loss']:.4f}")  # noqa: E731
    coarsened = np.asarray(run.operator(factor)(jnp.asarray(run.fine.training)))
    folder, key = run.path(f"debias/{factor}.noising"), run.key("debias", "noising", f"{factor}x")
    priors = train_coarse_priors(coarse, coarsened, network, training, folder=folder, report=report, key=key)
    options: dict[str, Any] = {"level": table.noising_level, "n_steps": table.n_noising_levels}
    if name == "ddib":
        return diffusion_bridge_debiaser(priors, **options), {"method": name}
    noise_key = run.key("debias", name, f"{factor}x")
    return noising_debiaser(priors.target, **options, key=noise_key), {"method": name}


def read_debiased(run: NavierStokesRun, factor: int, name: str) -> np.ndarray:
    """Held-out coarse fields, debiased."""
    if name == "none":
        return run.coarse.at(run.config.navier_stokes.n_fine // factor).held_out
    return read_arrays(debiased_path(run.folder, factor, name))["fields"]


def _group(run: NavierStokesRun, factor: int):
    table = run.config.navier_stokes
    return symmetries(table, table.n_fine // factor)
