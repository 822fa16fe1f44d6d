"""The stages of downscaling Kolmogorov flow: archives, debiasing, a training a model, ensembles, scores."""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

from subgrid.experiments.navier_stokes import amounts, archives
from subgrid.experiments.navier_stokes.animation import ANIMATED, GIF, animate
from subgrid.experiments.navier_stokes.calibration import CALIBRATION, calibrate
from subgrid.experiments.navier_stokes.config import (
    FlowTable,
    NavierStokesConfig,
    PriorTable,
    SamplingTable,
)
from subgrid.experiments.navier_stokes.debiasing import all_debiased, debias, debiased_path
from subgrid.experiments.navier_stokes.methods import ModelName, models_of
from subgrid.experiments.navier_stokes.models import train
from subgrid.experiments.navier_stokes.page import page
from subgrid.experiments.navier_stokes.run import NavierStokesRun
from subgrid.experiments.navier_stokes.sampling import downscale, downscale_perfect, perfect_paths, unpaired_paths
from subgrid.experiments.navier_stokes.scoring import score
from subgrid.runs.config import ConfigError
from subgrid.runs.experiment import Recipe
from subgrid.runs.page import METRICS, report_stage
from subgrid.runs.stage import Dependencies, Stage, Update, all_but
from subgrid.simulate.snapshots import require_stable

SEED = {"run": ("seed",)}
COMMON = ("viscosity", "drag", "amplitude", "wavenumber", "n_trajectories", "n_snapshots", "interval", "spin_up")
OF_ARCHIVE = {
    "fine": ("n_fine", "time_step", *COMMON),
    "coarse": ("n_coarse", "coarse_time_step", "advection", *COMMON),
}
SPLIT = ("training_fraction",)
NETWORK = all_but(PriorTable, "n_steps", "n_conditional_steps", "preconditioning")
GROWING = {"comparison": ("methods",), "navier_stokes": ("factors",)}
"""Keys of which another value asks for more, and leaves what is there as it is."""
OF_ENSEMBLES: Dependencies = {
    **SEED,
    "navier_stokes": all_but(FlowTable, "factors", "speed"),
    "debias": (),
    "prior": (),
    "baselines": (),
    "sampling": all_but(SamplingTable, "chunk"),
}
UNPAIRED: Dependencies = {"evaluation": ("n_unpaired", "unpaired_members", "n_images")}
OF_PERFECT: Dependencies = {
    **{table: keys for table, keys in OF_ENSEMBLES.items() if table not in ("debias", "baselines", "navier_stokes")},
    "navier_stokes": (*OF_ARCHIVE["fine"], *SPLIT),
    "baselines": ("batch_size", "n_transformer_steps", "transformer_patch", "transformer_width", "transformer_layers"),
    "evaluation": ("n_conditions", "n_members", "n_images"),
}
OF_BASELINES = {
    "vision-transformer": ("n_transformer_steps", "transformer_patch", "transformer_width", "transformer_layers"),
    "cycle-gan": ("n_gan_steps", "gan_learning_rate", "gan_channels"),
    "clim-align": ("n_alignment_steps", "alignment_learning_rate", "alignment_filters", "alignment_levels"),
    "align-flow": ("n_alignment_steps", "alignment_learning_rate", "alignment_filters", "alignment_levels"),
}
"""Keys of [baselines] that decide each model; `batch_size` decides all."""


def stages(config: NavierStokesConfig) -> list[Stage]:
    """All stages of a configuration, in order."""
    made = ("debias", *(name.words for name in models_of(config)))
    asked = ("fine", *(name.words for name in models_of(config) if not name.is_whole))
    evaluation = {"evaluation": ()}
    found = [
        *(_archive_stage(config, which) for which in ("fine", "coarse")),
        *([_calibration_stage(config)] if config.calibration.grids else []),
        _debias_stage(config),
        *(_model_stage(config, name) for name in models_of(config)),
        _ensemble_stage(
            "downscale",
            downscale,
            "unpaired",
            unpaired_paths,
            made,
            {**OF_ENSEMBLES, **UNPAIRED},
            work=amounts.unpaired(config),
        ),
        _ensemble_stage(
            "perfect model",
            downscale_perfect,
            "perfect",
            perfect_paths,
            asked,
            OF_PERFECT,
            work=amounts.perfect(config),
        ),
        Stage(
            "score",
            score,
            (METRICS,),
            needs=("downscale", "perfect model"),
            depends_on={**GROWING, **evaluation},
            if_changed="remake",
        ),
    ]
    animated = [_animation_stage()] if ANIMATED in config.comparison.methods else []
    return [*found, *animated, report_stage(page, config, needs=("score", *(stage.name for stage in animated)))]


def _archive_stage(config: NavierStokesConfig, which: str) -> Stage:
    partial_store = f"{which}.partial.zarr"

    def make(run: NavierStokesRun, update: Update) -> None:
        paths = run.path(f"{which}.zarr"), run.path(partial_store)
        archives.simulate(run.config.navier_stokes, which, *paths, report=update, key=run.key(which))

    depends = {**SEED, "navier_stokes": OF_ARCHIVE[which]}
    parts, check = (f"{which}.zarr",), partial(_require_stable, which)
    return Stage(
        which,
        make,
        parts,
        depends_on=depends,
        state=(partial_store,),
        check=check,
        work=amounts.simulation(config, which),
    )


def _require_stable(which: str, run: NavierStokesRun) -> None:
    """Before anything is computed; what happens all the same is caught by the first value that is not finite."""
    table = run.config.navier_stokes
    solver, key = archives.solver_of(table, which), "time_step" if which == "fine" else "coarse_time_step"
    try:
        require_stable(solver, table.speed)
    except ValueError as error:
        fits = table.interval / math.ceil(table.interval / solver.largest_time_step(table.speed))
        raise ConfigError(f"navier_stokes.{key}: {error} Of these {fits:.8g} divides the interval.") from error


def _calibration_stage(config: NavierStokesConfig) -> Stage:
    depends = {**SEED, "calibration": (), "navier_stokes": (), "evaluation": ("n_images",)}
    return Stage(
        "calibration",
        calibrate,
        (CALIBRATION,),
        needs=("fine",),
        depends_on=depends,
        if_changed="remake",
        work=amounts.calibration(config),
    )


def _debias_stage(config: NavierStokesConfig) -> Stage:
    return Stage(
        "debias",
        debias,
        ("debiased",),
        needs=("fine", "coarse"),
        depends_on={**SEED, "debias": (), "navier_stokes": SPLIT, "evaluation": ("n_images",)},
        grows_with=GROWING,
        state=("debias",),
        whole=lambda run: all(debiased_path(run.folder, *each).exists() for each in all_debiased(run)),
        work=amounts.debiasing(config),
    )


def _model_stage(config: NavierStokesConfig, name: ModelName) -> Stage:
    paired = name.kind in ("cycle-gan", "clim-align", "align-flow")
    own = ("n_steps", "preconditioning") if name.kind == "prior" else ("n_conditional_steps",)
    network: Dependencies = {"prior": (*NETWORK, *own)}
    if name.kind in OF_BASELINES:
        network = {"baselines": ("batch_size", *OF_BASELINES[name.kind])}
    if name.kind == "vision-transformer":
        network = {**network, "prior": ("learning_rate", "warmup", "ema_decay")}
    return Stage(
        name.words,
        partial(_train, name),
        (name.folder,),
        needs=("fine", "coarse") if paired else ("fine",),
        depends_on={**SEED, "navier_stokes": SPLIT, **network},
        work=amounts.training(config, name),
    )


def _train(name: ModelName, run: NavierStokesRun, update: Update) -> None:
    train(run, name, update)


def _ensemble_stage(
    name: str,
    make: Callable[[NavierStokesRun, Update], None],
    part: str,
    paths: Callable[[NavierStokesRun], list[Path]],
    needs: tuple[str, ...],
    depends: Dependencies,
    *,
    work: float,
) -> Stage:
    return Stage(
        name,
        make,
        (part,),
        needs=needs,
        depends_on=depends,
        grows_with=GROWING,
        whole=lambda run: all(path.exists() for path in paths(run)),
        work=work,
    )


def _animation_stage() -> Stage:
    """Of a draw of the prior."""
    depends: Dependencies = {**OF_ENSEMBLES, "navier_stokes": (), "evaluation": ("n_unpaired", "n_images")}
    return Stage("animation", animate, (GIF,), needs=("debias", "prior"), depends_on=depends, if_changed="remake")


RECIPE = Recipe(NavierStokesRun, stages, page)
