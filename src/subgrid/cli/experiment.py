"""One run: its configuration, its folder, its random streams, and the archives it reads."""

import json
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from subgrid.cli import build
from subgrid.cli.config import Config, load_config
from subgrid.data.batches import random_shifts
from subgrid.data.fields import Samples, hold_out, open_field, samples_of
from subgrid.data.store import OutputExists, write_json, write_text
from subgrid.types import Coarsening

STREAMS = (
    "fine",
    "coarse",
    "prior",
    "debias",
    "debias shifts",
    "evaluation shifts",
    "conditions",
    "ensemble",
    "perfect",
    "ranks",
)
"""Names of the random streams. Only ever append: a stream's place is what its key is made of."""

_SIMULATED = {"run": ("seed",), "data": ()}
_DEBIASED = {**_SIMULATED, "coarsening": (), "debias": (), "evaluation": ("n_shifts",)}
_TRAINED = {**_SIMULATED, "prior": (), "training": ()}
MADE_FROM: dict[str, dict[str, tuple[str, ...]]] = {
    "fine.zarr": _SIMULATED,
    "coarse.zarr": _SIMULATED,
    "model": _TRAINED,
    "debiased.zarr": _DEBIASED,
    "ensemble.zarr": {**_TRAINED, **_DEBIASED, "sampling": (), "evaluation": ()},
    "perfect_model.zarr": {**_TRAINED, **_DEBIASED, "sampling": (), "evaluation": ()},
}
"""The tables, or keys of a table, that each part of a run folder depends on; () is the whole table."""


@dataclass
class Experiment:
    """One run: its configuration, its folder, and what the stages have in common."""

    config: Config
    folder: Path
    timings: dict[str, float] = field(default_factory=dict)

    def key(self, stream: str) -> jax.Array:
        """The key of a named random stream: adding a stage never changes the numbers of another."""
        return jr.fold_in(jr.key(self.config.run.seed), STREAMS.index(stream))

    def path(self, name: str) -> Path:
        return self.folder / name

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Adds the seconds of a stage to `timings.json`, where a resumed run finds them again."""
        started = time.monotonic()
        yield
        file = self.path("timings.json")
        self.timings = json.loads(file.read_text()) if file.exists() else {}
        self.timings[stage] = round(self.timings.get(stage, 0.0) + time.monotonic() - started, 1)
        write_json(file, self.timings)

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
        fine, coarse = self.fine[0].values, self.coarse[0].values
        return build.operator_of(self.config.coarsening, fine.shape[2:], coarse.shape[2:])

    def _archive(self, which: str) -> Samples:
        data = self.config.data
        simulated = data.source != "files"
        path = self.path(f"{which}.zarr") if simulated else Path(str(getattr(data, which)))
        return samples_of(open_field(path, "u" if simulated else data.variable), source=str(path))

    def _shifted(self, samples: Samples, stream: int) -> Samples:
        """Random shifts of held-out fields, where the law allows it: free samples, the same number for every set."""
        if not self.config.data.translation_invariant:
            return samples
        n, key = self.config.evaluation.n_shifts, jr.fold_in(self.key("evaluation shifts"), stream)
        repeated = jnp.asarray(np.concatenate([samples.values] * n))
        values = np.asarray(random_shifts(repeated, samples.n_space, key=key))
        return Samples(values, np.concatenate([samples.trajectory] * n), samples.space_dims, samples.source)


def open_experiment(config: Config, folder: str | Path) -> Experiment:
    """A new run folder, or the continuation of one: what is finished in it must have been made as `config` says.

    **Raises:** `OutputExists`, naming the key, if a finished part was made with another value; or if the folder is not
    that of a run.
    """
    folder = Path(folder)
    stored = folder / "config.toml"
    if stored.exists():
        _refuse_other_values(load_config(stored), config, folder)
    elif folder.exists() and any(folder.iterdir()):
        raise OutputExists(f"{folder}: exists and is not a run folder; choose another output folder.")
    write_text(stored, config.as_toml())
    return Experiment(config, folder)


def _refuse_other_values(stored: Config, wanted: Config, folder: Path) -> None:
    old, new = stored.model_dump(), wanted.model_dump()
    for part, reads in MADE_FROM.items():
        if not (folder / part).exists():
            continue
        for table, keys in reads.items():
            for key in keys or old[table]:
                if old[table][key] != new[table][key]:
                    raise OutputExists(
                        f"{folder}: {part} was made with {table}.{key} = {old[table][key]!r}, not {new[table][key]!r}; "
                        f"remove {part} to make it anew, or choose another output folder."
                    )


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
