"""The two archives of the moist-turbulence experiment: simulated, kept as Zarr, read back as normalised fields."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import jax
import jax.random as jr
import numpy as np
import xarray as xr
from jaxtyping import Float, Int

from subgrid.data.archive import ensemble_of_runs_dataset
from subgrid.data.normalise import Standardiser, fit_standardiser
from subgrid.data.store import OutputExists, write_zarr
from subgrid.downscaling.preparation.normal_score import fit_normal_score
from subgrid.downscaling.preparation.transforms import ChannelTransforms, Unchanged
from subgrid.experiments.moist_turbulence.config import NormalisationTable, TurbulenceTable
from subgrid.networks.context import Context
from subgrid.numerics.spectral import refine
from subgrid.simulate.moist_turbulence import INTERVAL, MoistTurbulence, context, trajectories
from subgrid.types import Key, NotedReport

CHANNELS = {"zeta": "vorticity", "c": "supersaturation"}
BLOCK = 64
"""Fields that are refined and scaled together."""


def simulate_coarse(table: TurbulenceTable, path: Path, *, report: NotedReport, key: Key) -> None:
    """As many runs as of the fine archive in all contexts together, each from rest and of as many frames.

    Spin-up is nearly all of their cost, and worth it: of two sets of 16 long runs the standard deviations of c were
    1.05 and 1.42, and whatever is faithful to its source inherits what is wrong with the sources.
    """
    runs = [MoistTurbulence(table.n_coarse)] * (_n_runs(table) * len(table.wavenumbers))
    frames = trajectories(
        runs,
        n_frames=table.n_frames,
        n_spin_up=table.n_spin_up,
        report=lambda done, total: report(done, total, ""),
        key=key,
    )
    _write(frames, [0] * len(runs), path)


def simulate_fine(table: TurbulenceTable, path: Path, *, report: NotedReport, key: Key) -> None:
    """Runs of every context from the same spun-up states of ζ, under forcings of their own."""
    spin_key, run_key = jr.split(key)
    n_runs = _n_runs(table)
    n_long = table.n_spin_up
    n_total = n_long + table.n_settle + table.n_frames
    spun_up = trajectories(
        [MoistTurbulence(table.n_points_spin_up)] * n_runs,
        n_frames=1,
        n_spin_up=n_long - 1,
        report=lambda done, _: report(done, n_total, "spin-up"),
        key=spin_key,
    )
    wavenumbers = [k for k in table.wavenumbers for _ in range(n_runs)]
    frames = trajectories(
        [MoistTurbulence(table.n_fine, wavenumber=k) for k in wavenumbers],
        n_frames=table.n_frames,
        n_spin_up=table.n_settle,
        start=np.tile(refine(spun_up[:, 0], table.n_fine), (len(table.wavenumbers), 1, 1, 1)),
        report=lambda done, _: report(n_long + done, n_total, ""),
        key=run_key,
    )
    _write(frames, wavenumbers, path)


def _n_runs(table: TurbulenceTable) -> int:
    """Of one context."""
    return table.n_training_runs + table.n_held_out_runs


def _write(frames: np.ndarray, wavenumbers: list[int], path: Path) -> None:
    dataset = ensemble_of_runs_dataset(
        frames,
        CHANNELS,
        coordinates={"wavenumber": np.asarray(wavenumbers)},
        interval=INTERVAL,
        domain=2 * np.pi,
        attributes={"title": "forced two-dimensional moist turbulence"},
    )
    write_zarr(dataset, path, overwrite=True)


def write_fields(
    fields: Float[np.ndarray, "case channel y x"], wavenumbers: Int[np.ndarray, " case"], path: Path
) -> None:
    """Downscaled fields as a store like the archives: each case a run of one frame."""
    dataset = ensemble_of_runs_dataset(
        fields[:, None],
        CHANNELS,
        coordinates={"wavenumber": wavenumbers},
        interval=INTERVAL,
        domain=2 * np.pi,
        attributes={"title": "moist turbulence downscaled"},
    )
    write_zarr(dataset, path, overwrite=True)


def read_fields(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """What `write_fields` wrote, and the wavenumbers of the contexts."""
    runs, wavenumbers = _read(path)
    return runs[:, 0], wavenumbers


@dataclass(frozen=True)
class Fields:
    """Fields on the fine grid; of each the k of its context (0: none), and the run it is of.

    Runs of the same number share their spun-up state of ζ, whatever the context: they are not independent.
    """

    values: Float[np.ndarray, "n channel y x"]
    wavenumbers: Int[np.ndarray, " n"]
    runs: Int[np.ndarray, " n"]

    def of(self, wavenumber: int) -> np.ndarray:
        """Those of one context."""
        return self.values[self.wavenumbers == wavenumber]

    def with_values(self, values: np.ndarray) -> "Fields":
        """Other values of the same runs."""
        return replace(self, values=values)


@dataclass(frozen=True)
class Scales:
    """From physical units to those that networks work on, and back, some fields at a time."""

    transforms: ChannelTransforms
    standardiser: Standardiser

    def normalise(self, fields: np.ndarray) -> np.ndarray:
        return _in_blocks(jax.jit(lambda x: self.standardiser.normalise(self.transforms.forward_series(x), 2)), fields)

    def restore(self, values: np.ndarray) -> np.ndarray:
        return _in_blocks(jax.jit(lambda z: self.transforms.inverse_series(self.standardiser.restore(z, 2))), values)


def fit_scales(fields: Float[np.ndarray, "n channel y x"], table: NormalisationTable) -> Scales:
    """Normal scores of the channels that the table names, and standard deviations of what they have become."""
    scored = [name in table.normal_scores for name in CHANNELS]
    transforms = ChannelTransforms(
        tuple(fit_normal_score(fields[:, i]) if score else Unchanged() for i, score in enumerate(scored))
    )
    return Scales(transforms, fit_standardiser(_in_blocks(jax.jit(lambda x: transforms.forward_series(x)), fields)))


def _in_blocks(function: Callable, fields: np.ndarray) -> np.ndarray:
    """Like function(fields), float32 on the host; what it needs on the way is bounded."""
    parts = (np.asarray(function(fields[i : i + BLOCK]), np.float32) for i in range(0, len(fields), BLOCK))
    first = next(parts)
    out = np.empty((len(fields), *first.shape[1:]), np.float32)
    for i, part in enumerate(chain([first], parts)):
        out[i * BLOCK : i * BLOCK + len(part)] = part
    return out


@dataclass(frozen=True)
class Archives:
    """What is trained on and what is evaluated against, all on the scales of the fine training runs.

    The held-out fine runs are two independent halves: the reference, and the independent reference whose distance from
    it is the noise floor.
    """

    fine: Fields
    coarse: Fields
    reference: Fields
    independent: Fields
    held_out_coarse: Fields
    scales: Scales

    @property
    def wavenumbers(self) -> list[int]:
        """Of the contexts, in rising order: a context's group is its place here."""
        return np.unique(self.fine.wavenumbers).tolist()

    def restore(self, values: np.ndarray) -> np.ndarray:
        """Physical units."""
        return self.scales.restore(values)


def load_archives(table: TurbulenceTable, normalisation: NormalisationTable, fine: Path, coarse: Path) -> Archives:
    """Both archives on the fine grid, runs for training apart from those held out.

    Scales are those of the fine training runs, for coarse fields too: what is alike in both must stay alike.
    """
    n_train, n_runs = table.n_training_runs, _n_runs(table)
    middle = (n_train + n_runs) // 2
    runs, wavenumbers = _read(fine)
    _require_size(runs, n_runs * len(table.wavenumbers), table.n_frames, fine)
    place = np.arange(len(runs)) % n_runs  # among the runs of one context
    coarse_runs, none = _read(coarse)
    _require_size(coarse_runs, n_runs * len(table.wavenumbers), table.n_frames, coarse)
    n_coarse = n_train * len(table.wavenumbers)
    coarse_place = np.arange(len(coarse_runs))
    flat = lambda values: values.reshape(-1, *values.shape[2:])  # noqa: E731
    scales = fit_scales(flat(runs[place < n_train]), normalisation)

    def of_fine(which: np.ndarray) -> Fields:
        return _frames(scales.normalise(flat(runs[which])), wavenumbers[which], place[which], table.n_frames)

    def of_coarse(which: np.ndarray) -> Fields:
        refined = _in_blocks(lambda block: refine(block, table.n_fine), flat(coarse_runs[which]))
        return _frames(scales.normalise(refined), none[which], coarse_place[which], table.n_frames)

    return Archives(
        fine=of_fine(place < n_train),
        reference=of_fine((place >= n_train) & (place < middle)),
        independent=of_fine(place >= middle),
        coarse=of_coarse(coarse_place < n_coarse),
        held_out_coarse=of_coarse(coarse_place >= n_coarse),
        scales=scales,
    )


def _frames(values: np.ndarray, wavenumbers: np.ndarray, runs: np.ndarray, n_frames: int) -> Fields:
    return Fields(values, np.repeat(wavenumbers, n_frames), np.repeat(runs, n_frames))


def contexts(n_points: int, wavenumbers: Int[np.ndarray, " n"], known: Sequence[int]) -> Context:
    """sin(kx) sin(ky) of each sample, as a channel, and the place of k among the `known` wavenumbers."""
    group = np.asarray([known.index(k) for k in wavenumbers.tolist()])
    patterns = np.stack([np.asarray(context(n_points, k), np.float32)[None] for k in known])
    return Context(patterns[group], group)


def _require_size(runs: np.ndarray, n_runs: int, n_frames: int, path: Path) -> None:
    if runs.shape[:2] != (n_runs, n_frames):
        raise OutputExists(
            f"{path}: holds {len(runs)} runs of {runs.shape[1]} frames, the configuration asks for {n_runs} of "
            f"{n_frames}; remove it, and the models made from it, to simulate anew."
        )


def _read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with xr.open_zarr(path, chunks=None) as stored:
        return np.stack([stored[name].values for name in CHANNELS], axis=2), stored.wavenumber.values
