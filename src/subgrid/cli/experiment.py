"""One run: its configuration, its folder, its random streams, and the archives it reads."""

import platform
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from subgrid.cli import build
from subgrid.cli.config import Config, Debias, Downscaling, Sampling, Training, load_config
from subgrid.cli.run_folder import Reads, all_but, check_own_folder, keep_config, kept_config, require_same_values
from subgrid.cli.streams import RunStream, run_key
from subgrid.data.batches import random_shifts
from subgrid.data.fields import DataError, Samples, hold_out, open_field, samples_of
from subgrid.types import Coarsening, Key

_SIMULATED: Reads = {"run": ("seed",), "data": ()}
_DEBIASED: Reads = {**_SIMULATED, "coarsening": (), "debias": (), "evaluation": ("n_shifts",)}
_PRIOR: Reads = {
    **_SIMULATED,
    "downscaling": ("method",),
    "prior": (),
    "training": all_but(Training, "tensorboard"),
}
_BRIDGE: Reads = {**_PRIOR, "downscaling": (), "coarsening": ()}
_CONDITIONAL: Reads = {**_PRIOR, "downscaling": ("method", "jitter"), "coarsening": ()}
SAMPLER_KEYS = ("n_levels", "guidance", "particles")
"""Of `sampling`: what the samplers of a comparison set each for itself."""


def _trained(config: Config) -> Reads:
    """What a model depends on: of p(x) nothing but the fine archive, of the others C′ too."""
    match config.downscaling:
        case Downscaling(method="diffusion"):
            return _PRIOR
        case Downscaling(method="bridge"):
            return _BRIDGE
        case Downscaling(jitter="debiaser"):
            return {**_DEBIASED, **_CONDITIONAL}
        case _:
            return _CONDITIONAL


def made_from(config: Config) -> dict[str, Reads]:
    """What each part of a run folder depends on, for the downscaling that is configured."""
    trained = _trained(config)
    sampled: Reads = {**_DEBIASED, **trained, "sampling": ()}
    return {
        "fine.zarr": _SIMULATED,
        "coarse.zarr": _SIMULATED,
        "model": trained,
        "debias": {**_SIMULATED, "coarsening": (), "debias": ()},
        "debiased.zarr": _DEBIASED,
        "debiasers": {**_DEBIASED, "debias": all_but(Debias, "method")},
        "samplers": {
            **_CONDITIONAL,
            "downscaling": ("jitter",),
            "sampling": all_but(Sampling, *SAMPLER_KEYS),
            "evaluation": ("n_shifts", "n_conditions"),
        },
        "ensemble.zarr": {**sampled, "evaluation": ("n_shifts", "n_unpaired", "unpaired_members")},
        "perfect_model.zarr": {
            **trained,
            "coarsening": (),
            "sampling": (),
            "evaluation": ("n_shifts", "n_conditions"),
        },
    }


@dataclass
class Experiment:
    """One run: its configuration, its folder, and what the stages have in common."""

    config: Config
    folder: Path

    def key(self, stream: RunStream, *of: str) -> Key:
        """The key of a named random stream (see `streams.py`)."""
        return run_key(self.config.run.seed, stream, *of)

    def path(self, name: str) -> Path:
        """A file or store of the run folder."""
        return self.folder / name

    def is_newest(self, name: str, made_from: Sequence[str]) -> bool:
        """Whether a file of the run is there and no older than the configuration, the archives and `made_from`."""
        path = self.path(name)
        inputs = [*map(self.path, ("config.toml", *made_from)), *map(self.archive_path, ("fine", "coarse"))]
        return path.exists() and all(path.stat().st_mtime_ns >= other.stat().st_mtime_ns for other in inputs)

    def archive_path(self, which: str) -> Path:
        """Where the "fine" or the "coarse" archive is: in the run folder if it is simulated."""
        data = self.config.data
        return Path(str(getattr(data, which))) if data.source == "files" else self.path(f"{which}.zarr")

    @cached_property
    def fine(self) -> tuple[Samples, Samples, Samples]:
        """The fine archive: training, reference and twin (independent of the reference: the noise floor)."""
        fraction = self.config.data.training_fraction
        training, reference, twin = hold_out(self._archive("fine"), (fraction, (1 - fraction) / 2, (1 - fraction) / 2))
        return (
            training,
            self._shifted(reference, "shifts of the reference"),
            self._shifted(twin, "shifts of the independent reference"),
        )

    @cached_property
    def coarse(self) -> tuple[Samples, Samples]:
        """The coarse archive: training and held out."""
        fraction = self.config.data.training_fraction
        training, held_out = hold_out(self._archive("coarse"), (fraction, (1 - fraction) / 2))
        return training, self._shifted(held_out, "shifts of the coarse fields")

    @cached_property
    def operator(self) -> Coarsening:
        fine, coarse = self.fine[0], self.coarse[0]
        shapes = fine.values.shape[2:], coarse.values.shape[2:]
        return build.operator_of(self.config.coarsening, *shapes, source=coarse.source)

    def _archive(self, which: str) -> Samples:
        data, path = self.config.data, self.archive_path(which)
        if data.source == "files" and not path.exists():
            raise DataError(f"data.{which} = {str(path)!r}: no such file or store (paths are taken from {Path.cwd()}).")
        return samples_of(open_field(path, data.variable if data.source == "files" else "u"), source=str(path))

    def _shifted(self, samples: Samples, stream: RunStream) -> Samples:
        """Random shifts of held-out fields, where the law allows it: free samples, the same number for every set."""
        if not self.config.data.translation_invariant:
            return samples
        n = self.config.evaluation.n_shifts
        repeated = samples.take(np.tile(np.arange(len(samples)), n))
        values = np.asarray(random_shifts(jnp.asarray(repeated.values), samples.n_space, key=self.key(stream)))
        return replace(repeated, values=values)


def open_experiment(config: Config, folder: str | Path) -> Experiment:
    """A new run folder, or the continuation of one: what is finished in it must have been made as `config` says.

    **Raises:** `OutputExists`, naming the key, if a finished part was made with another value; or if the folder is not
    that of a run.
    """
    folder = Path(folder)
    check_own_folder(folder, kind="run")
    if (stored := kept_config(load_config, folder)) is not None:
        require_same_values(folder, stored, config, made_from(stored))
    keep_config(config, folder / "config.toml")
    return Experiment(config, folder)


def machine_summary() -> dict[str, str | int]:
    """What the run ran on, without naming the machine."""
    import os

    return {
        "processor": platform.machine(),
        "cores": os.cpu_count() or 0,
        "devices": ", ".join(sorted({d.device_kind for d in jax.devices()})),
        "python": platform.python_version(),
        "jax": jax.__version__,
    }
