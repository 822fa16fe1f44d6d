"""One run: its configuration, its folder, its random streams, and the archives it reads."""

import json
import platform
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from subgrid.cli import build
from subgrid.cli.config import Config, Debias, load_config
from subgrid.cli.run_folder import Reads, check_own_folder, keep_config, require_same_values
from subgrid.cli.streams import stream_key
from subgrid.data.batches import random_shifts
from subgrid.data.fields import DataError, Samples, hold_out, open_field, samples_of
from subgrid.data.store import write_json
from subgrid.types import Coarsening, Key

_SIMULATED = {"run": ("seed",), "data": ()}
_DEBIASED = {**_SIMULATED, "coarsening": (), "debias": (), "evaluation": ("n_shifts",)}
_COMPARED = {**_DEBIASED, "debias": tuple(key for key in Debias.model_fields if key != "method")}
_TRAINED = {**_SIMULATED, "downscaling": (), "prior": (), "training": ()}
MADE_FROM: dict[str, Reads] = {
    "fine.zarr": _SIMULATED,
    "coarse.zarr": _SIMULATED,
    "model": _TRAINED,
    "debias": {**_SIMULATED, "coarsening": (), "debias": ()},
    "debiased.zarr": _DEBIASED,
    "debiasers": _COMPARED,
    "ensemble.zarr": {
        **_TRAINED,
        **_DEBIASED,
        "sampling": (),
        "evaluation": ("n_shifts", "n_unpaired", "unpaired_members"),
    },
    "perfect_model.zarr": {
        **_TRAINED,
        "coarsening": (),
        "sampling": (),
        "evaluation": ("n_shifts", "n_conditions"),
    },
}
"""What each part of a run folder depends on."""


@dataclass
class Experiment:
    """One run: its configuration, its folder, and what the stages have in common."""

    config: Config
    folder: Path

    def key(self, stream: str) -> Key:
        """The key of a named random stream (see `streams.py`)."""
        return stream_key(self.config.run.seed, stream)

    def path(self, name: str) -> Path:
        """A file or store of the run folder."""
        return self.folder / name

    @property
    def timings(self) -> dict[str, float]:
        """Seconds by stage, of this call and of those before it."""
        file = self.path("timings.json")
        return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}

    @contextmanager
    def timed(self, stage: str, *, resumed: bool = False) -> Iterator[None]:
        """Keeps the seconds of a stage in `timings.json`, also if it is interrupted.

        They replace those of an earlier attempt, unless the stage is `resumed`, that is goes on where that one ended.
        """
        started, timings = time.monotonic(), self.timings
        before = timings.get(stage, 0.0) if resumed else 0.0
        try:
            yield
        finally:
            write_json(self.path("timings.json"), {**timings, stage: round(before + time.monotonic() - started, 1)})

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
        return training, self._shifted(reference, 0), self._shifted(twin, 1)

    @cached_property
    def coarse(self) -> tuple[Samples, Samples]:
        """The coarse archive: training and held out."""
        fraction = self.config.data.training_fraction
        training, held_out = hold_out(self._archive("coarse"), (fraction, (1 - fraction) / 2))
        return training, self._shifted(held_out, 2)

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

    def _shifted(self, samples: Samples, stream: int) -> Samples:
        """Random shifts of held-out fields, where the law allows it: free samples, the same number for every set."""
        if not self.config.data.translation_invariant:
            return samples
        n, key = self.config.evaluation.n_shifts, jr.fold_in(self.key("evaluation shifts"), stream)
        repeated = samples.take(np.tile(np.arange(len(samples)), n))
        values = np.asarray(random_shifts(jnp.asarray(repeated.values), samples.n_space, key=key))
        return replace(repeated, values=values)


def open_experiment(config: Config, folder: str | Path) -> Experiment:
    """A new run folder, or the continuation of one: what is finished in it must have been made as `config` says.

    **Raises:** `OutputExists`, naming the key, if a finished part was made with another value; or if the folder is not
    that of a run.
    """
    folder = Path(folder)
    stored = folder / "config.toml"
    check_own_folder(folder, kind="run")
    if stored.exists():
        old = load_config(stored)
        model = MADE_FROM["model"]
        if old.downscaling.method == "bridge":  # fitted between C′x and x
            model = {**model, "coarsening": ()}
        require_same_values(folder, old, config, {**MADE_FROM, "model": model})
    keep_config(config, stored)
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
