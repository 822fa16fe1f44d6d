"""The stages of a moist-turbulence run: simulate, fit, downscale, judge.

Each leaves its part in the run's folder and is skipped if the part is there:

    RUN/config.toml            the resolved configuration
    RUN/coarse.zarr, fine.zarr the two archives, training runs first
    RUN/models/NAME/           networks of one method, and the state of its training
    RUN/downscaled/NAME.zarr   held-out coarse fields, downscaled with every context
    RUN/metrics.json, report.html
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from subgrid.cli import turbulence_fits
from subgrid.cli.progress import progress_bar
from subgrid.cli.run_folder import Reads, check_own_folder, keep_config, kept_config, require_same_values
from subgrid.cli.streams import TurbulenceStream, turbulence_key
from subgrid.cli.timings import timed
from subgrid.cli.turbulence_config import TurbulenceConfig, load_turbulence_config, missing_keys
from subgrid.cli.turbulence_data import (
    Archives,
    Fields,
    contexts,
    load_archives,
    simulate_coarse,
    simulate_fine,
    write_fields,
)
from subgrid.networks.context import Context
from subgrid.types import Key


@dataclass
class TurbulenceRun:
    """One run: its configuration and its folder."""

    config: TurbulenceConfig
    folder: Path

    def path(self, name: str) -> Path:
        return self.folder / name

    def key(self, stream: TurbulenceStream, *of: str) -> Key:
        """The key of a named random stream (see `streams.py`)."""
        return turbulence_key(self.config.run.seed, stream, *of)

    @cached_property
    def archives(self) -> Archives:
        return load_archives(
            self.config.turbulence, self.config.normalisation, self.path("fine.zarr"), self.path("coarse.zarr")
        )


_SIMULATED: Reads = {"run": ("seed",), "turbulence": ()}
_BUILT: Reads = {**_SIMULATED, "normalisation": (), "network": ()}
_FITTED: dict[str, Reads] = {
    "denoiser": {**_BUILT, "training": (), "diffusion": ()},
    "flow": {**_BUILT, "training": ()},
    "bridge": {
        **_BUILT,
        "training": ("batch_size", "ema_decay"),
        "bridge": (),
        "evaluation": ("n_sampling_steps",),  # its pairs are simulated with as many
    },
}
_EVALUATED: Reads = {"evaluation": ("n_sampling_steps", "n_cases")}
MADE_FROM: dict[str, Reads] = {
    "coarse.zarr": _SIMULATED,
    "fine.zarr": _SIMULATED,
    **{f"models/{name}": _FITTED[kind] for name, kind in turbulence_fits.KINDS.items()},
    **{
        f"downscaled/{method}.zarr": {**_FITTED[turbulence_fits.KINDS[model]], **_EVALUATED}
        for method, (model, *_) in turbulence_fits.MODELS.items()
    },
}
"""What each part of a run folder depends on."""


def open_run(path: Path, overrides: Sequence[str], folder: Path) -> TurbulenceRun:
    """A new run folder, or the continuation of one: what is finished in it must have been made as the file says.

    **Raises:** `ConfigError`; `OutputExists`, naming the key, if a finished part was made with another value.
    """
    config = load_turbulence_config(path, overrides)
    check_own_folder(folder, kind="run")
    if (stored := kept_config(load_turbulence_config, folder)) is not None:
        require_same_values(folder, stored, config, MADE_FROM, later=missing_keys(folder / "config.toml"))
    keep_config(config, folder / "config.toml")
    return TurbulenceRun(config, folder)


def run_all(run: TurbulenceRun) -> Path:
    """Every stage in order; returns the path of the report."""
    simulate(run)
    train(run)
    downscale(run)
    return judge(run)


def simulate(run: TurbulenceRun) -> None:
    """Both archives."""
    makers: dict[TurbulenceStream, Any] = {"coarse": simulate_coarse, "fine": simulate_fine}
    for name, make in makers.items():
        if not run.path(f"{name}.zarr").exists():
            with timed(run.folder, f"simulate {name}"), progress_bar(f"simulate {name}") as update:
                make(run.config.turbulence, run.path(f"{name}.zarr"), report=update, key=run.key(name))


def train(run: TurbulenceRun) -> None:
    """Every model that the configured methods need; resumes from the last checkpoint of the one that was stopped."""
    for name in turbulence_fits.models_of(run.config):
        folder = run.path("models") / name
        if not turbulence_fits.is_fitted(folder):
            with timed(run.folder, f"fit {name}", resumed=folder.exists()), progress_bar(f"fit {name}") as update:
                key = run.key("fits", name)
                turbulence_fits.fit_model(name, run.config, run.archives, folder, report=update, key=key)


@dataclass(frozen=True)
class Cases:
    """What is downscaled: held-out coarse fields, each with every context. Normalised, on the fine grid."""

    coarse: Fields
    """Each under the wavenumber of its context."""
    context: Context


def cases(run: TurbulenceRun) -> Cases:
    """The configured number of held-out coarse fields, spread over all runs and times."""
    held_out, table = run.archives.held_out_coarse, run.config.turbulence
    chosen = np.linspace(0, len(held_out.values) - 1, run.config.evaluation.n_cases).round().astype(int)
    k = np.repeat(np.asarray(table.wavenumbers), len(chosen))
    return Cases(
        Fields(
            np.tile(held_out.values[chosen], (len(table.wavenumbers), 1, 1, 1)),
            k,
            np.tile(held_out.runs[chosen], len(table.wavenumbers)),
        ),
        contexts(table.n_fine, k, run.archives.wavenumbers),
    )


def downscale(run: TurbulenceRun) -> None:
    """All cases by every configured method."""
    missing = [m for m in run.config.evaluation.methods if not run.path(f"downscaled/{m}.zarr").exists()]
    for method in missing:
        with timed(run.folder, f"downscale with {method}"), progress_bar(method) as update:
            each = cases(run)
            key = run.key("downscale", method)
            folder = run.path("models")
            fields = turbulence_fits.downscale(
                method, run.config, run.archives, folder, each.coarse.values, each.context, report=update, key=key
            )
            write_fields(run.archives.restore(fields), each.coarse.wavenumbers, run.path(f"downscaled/{method}.zarr"))


def judge(run: TurbulenceRun) -> Path:
    """Scores and the page, anew each time: seconds, and figures change more often than fields."""
    from subgrid.cli import turbulence_reporting, turbulence_scoring

    with timed(run.folder, "judge"):
        judged = turbulence_scoring.judge(run)
    return turbulence_reporting.write_page(run, judged)
