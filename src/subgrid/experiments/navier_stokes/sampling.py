"""Fine ensembles, a file each: of debiased coarse fields by every method, of coarsened references by every upsampler.

RUN/unpaired/FACTOR.METHOD.npz    fields (condition, member, channel, y, x), and the conditions' numbers
RUN/perfect/FACTOR.UPSAMPLER.npz  the same, of reference fields
"""

from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from subgrid.data.store import write_arrays
from subgrid.downscaling.evaluation import draw_conditions
from subgrid.downscaling.prior.novelty import outside
from subgrid.downscaling.upsampling.guided import DiffusionUpsampler
from subgrid.downscaling.upsampling.particles import sample_with_diagnostics
from subgrid.experiments.navier_stokes.debiasing import read_debiased
from subgrid.experiments.navier_stokes.methods import (
    DETERMINISTIC,
    PARTICLES_SHARE,
    Method,
    methods_of,
    upsamplers_of,
)
from subgrid.experiments.navier_stokes.models import open_upsampler
from subgrid.experiments.navier_stokes.run import NavierStokesRun
from subgrid.runs.stage import Update
from subgrid.types import Key, Upsampler

KEPT_OPEN = 4
"""Upsamplers at a time: of one factor, and some of the next."""
Tell = Callable[[int, int], None]
Drawn = dict[str, np.ndarray]


def unpaired_path(folder: Path, factor: int, method: str) -> Path:
    """Where an ensemble of debiased fields is kept."""
    return folder / "unpaired" / f"{factor}.{method}.npz"


def perfect_path(folder: Path, factor: int, upsampler: str) -> Path:
    """Where an ensemble of coarsened reference fields is kept."""
    return folder / "perfect" / f"{factor}.{upsampler}.npz"


def unpaired_paths(run: NavierStokesRun) -> list[Path]:
    """Of all methods and factors."""
    factors, methods = run.config.navier_stokes.factors, run.config.comparison.methods
    return [unpaired_path(run.folder, factor, method) for factor in factors for method in methods]


def perfect_paths(run: NavierStokesRun) -> list[Path]:
    """Of all upsamplers and factors."""
    factors, upsamplers = run.config.navier_stokes.factors, upsamplers_of(run.config)
    return [perfect_path(run.folder, factor, upsampler) for factor in factors for upsampler in upsamplers]


def downscale(run: NavierStokesRun, update: Update) -> None:
    """Members of debiased fields, which have no truth."""
    factors, methods = run.config.navier_stokes.factors, methods_of(run.config)
    opened = lru_cache(KEPT_OPEN)(partial(open_upsampler, run))  # one for all debiasers: compiled once
    for i, (factor, method) in enumerate((f, m) for f in factors for m in methods):
        path, tell = unpaired_path(run.folder, factor, method.name), _teller(update, i, len(factors) * len(methods))
        if not path.exists():
            tell(method.name, factor)(0, 1)
            write_arrays(
                _unpaired(run, factor, method, opened(method.upsampler, factor), tell(method.name, factor)), path
            )
    update(1000 * len(factors) * len(methods), 1000 * len(factors) * len(methods))


def downscale_perfect(run: NavierStokesRun, update: Update) -> None:
    """Members of the coarsened reference."""
    run.path("perfect").mkdir(exist_ok=True)  # and stays empty where all methods start from raw fields
    factors, upsamplers = run.config.navier_stokes.factors, upsamplers_of(run.config)
    for i, (factor, name) in enumerate((f, u) for f in factors for u in upsamplers):
        path, tell = perfect_path(run.folder, factor, name), _teller(update, i, len(factors) * len(upsamplers))
        if not path.exists():
            tell(name, factor)(0, 1)
            write_arrays(_perfect(run, factor, name, tell(name, factor)), path)
    update(1000 * len(factors) * len(upsamplers), 1000 * len(factors) * len(upsamplers))


def perfect_cases(run: NavierStokesRun) -> np.ndarray:
    """Numbers of the reference fields that are downscaled: the same for all upsamplers and factors."""
    key = run.key("conditions of the perfect model")
    return draw_snapshots(run, len(run.fine.reference), run.config.evaluation.n_conditions, key=key)


def unpaired_cases(run: NavierStokesRun) -> np.ndarray:
    """Numbers of the held-out coarse fields that are downscaled: the same for all methods and factors."""
    key = run.key("conditions of the ensemble")
    return draw_snapshots(run, len(run.coarse.held_out), run.config.evaluation.n_unpaired, key=key)


def draw_snapshots(run: NavierStokesRun, n_held_out: int, n: int, *, key: Key) -> np.ndarray:
    """Numbers of n held-out fields, one image a snapshot at most: the first part of them has an image of each."""
    return draw_conditions(n_held_out // run.config.evaluation.n_images, n, key=key)


def _unpaired(run: NavierStokesRun, factor: int, method: Method, opened: Upsampler, tell: Tell) -> Drawn:
    chosen = _share(unpaired_cases(run), method.upsampler)
    targets = read_debiased(run, factor, method.debiaser)[chosen]
    where = _inputs_outside(run, opened, targets)
    drawn = _sample(run, opened, method.upsampler, targets, run.config.evaluation.unpaired_members, "ensemble", tell)
    return {"conditions": chosen, **drawn, **where}


def _perfect(run: NavierStokesRun, factor: int, upsampler: str, tell: Tell) -> Drawn:
    chosen = _share(perfect_cases(run), upsampler)
    targets = np.asarray(run.operator(factor)(jnp.asarray(run.fine.reference[chosen])))
    opened, n_members = open_upsampler(run, upsampler, factor), run.config.evaluation.n_members
    return {"conditions": chosen, **_sample(run, opened, upsampler, targets, n_members, "perfect model", tell)}


def _share(chosen: np.ndarray, upsampler: str) -> np.ndarray:
    return chosen[::PARTICLES_SHARE] if upsampler == "particles" else chosen


def _sample(
    run: NavierStokesRun,
    upsampler: Upsampler,
    name: str,
    targets: np.ndarray,
    n_members: int,
    stream: str,
    tell: Tell,
) -> Drawn:
    n_members = 1 if name in DETERMINISTIC else n_members
    chunk, key = run.config.sampling.chunk, run.key(stream)
    fields, diagnostics = sample_with_diagnostics(upsampler, targets, n_members, chunk=chunk, report=tell, key=key)
    return {"fields": fields, **diagnostics}


def _inputs_outside(run: NavierStokesRun, upsampler: Upsampler, targets: np.ndarray) -> Drawn:
    """Where each T(y) lies among coarsened training fields, with a warning if many are far; of the guided prior."""
    if not isinstance(upsampler, DiffusionUpsampler):
        return {}
    found = outside(upsampler.conditional, upsampler.standardiser, targets, run.fine.training)
    found.warn()
    return {"input_quantile": found.quantile, "input_ratio": found.ratio}


def _teller(update: Update, i: int, n: int) -> Callable[[str, int], Tell]:
    """A cell counts as a thousand parts."""
    return lambda name, factor: (
        lambda done, total: update(1000 * i + round(1000 * done / total), 1000 * n, f"{name}, {factor}x")
    )
