"""Scores of one set of fields against another, no pairs needed: a fixed number of samples, spread over the archive."""

from collections.abc import Callable, Mapping
from functools import partial

import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Bool, Float, Int

from subgrid.data.blocks import BLOCK_BYTES
from subgrid.downscaling.evaluation import ABOUT
from subgrid.downscaling.verifying.field_sets import FieldSet
from subgrid.downscaling.verifying.pairing import Pairing
from subgrid.downscaling.verifying.result import Score
from subgrid.downscaling.verifying.stations import stations_of
from subgrid.downscaling.verifying.time_steps import date_coordinate
from subgrid.numerics.evenly import evenly_spaced
from subgrid.types import ProgressReport
from subgrid.verification.distributions import (
    covariance_rmse,
    kl_divergence_per_point,
    maximum_mean_discrepancy,
    wasserstein_1,
)
from subgrid.verification.masks import valid_cells
from subgrid.verification.spectra import mean_energy_log_ratio

MOST_SAMPLES = 1000
"""Of each set: a quantile of the middle has an error of 3 % of the standard deviation then."""
SET_BYTES = 2**27
"""Of each set, in float32: of larger fields, fewer samples are taken, 32 at least."""
MOST_CELLS = 2048
"""Between which covariances are compared, evenly spaced: their pairs are what costs. *Merely convenient.*"""
DENSITY_CELLS = 256
"""At which densities are estimated, evenly spaced: each takes half a million exponentials. *Merely convenient.*"""
FEWEST = 8
"""Samples of each set: of fewer, no distribution is known."""
OUTSIDE = 1.5
"""Times its floor: floors of different halves of an archive differ by about as much. *Merely convenient.*"""
SHORTEST_AXIS = 4
"""Cells, for a spectrum."""
Sets = tuple[Float[np.ndarray, "n channel *space"], ...]


def set_rows(
    ensemble: FieldSet,
    reference: FieldSet,
    pairing: Pairing | None,
    *,
    variable: str,
    report: ProgressReport | None = None,
) -> tuple[list[Score], tuple[str, ...]]:
    """Distributional scores of members against the first half of the reference, and of its second half: the floor.

    Args:
        ensemble: the ensemble.
        reference: on its grid, in its unit.
        pairing: the samples that both have, which alone are compared then; None compares all of them.
        variable: its name.
        report: `report(done, total)`, in samples.

    Returns:
        The rows, none where there are too few samples, and notes.
    """
    ours, theirs, notes = _samples(ensemble, reference, pairing)
    n = min(_most(ensemble.shape), len(theirs) // 2, len(ours) * ensemble.n_members)
    if n < FEWEST:
        return [], (*notes, f"{variable}: too few samples for the scores of distributions, which need {2 * FEWEST}")
    half = len(theirs) // 2
    total = 3 * n
    said = partial(_say, report, total)
    our_months, their_months = _months(ensemble), _months(reference)
    first = _fields(reference, _spread(theirs[:half], n, their_months), said, 0)
    second = _fields(reference, _spread(theirs[half:], n, their_months), said, n)
    generated = _fields(ensemble, _spread(ours, n, our_months), said, 2 * n)
    sets = first, generated, second
    mask = valid_cells(*sets)
    if min(map(len, sets)) < FEWEST or not mask.any():
        return [], (*notes, f"{variable}: no cell has values in all samples, so distributions are not compared")
    notes = (
        *notes,
        f"{variable}: distributions of {len(generated)} members against {len(first)} samples of the first half of the "
        f"reference, at {mask.sum()} of {mask.size} cells; floor: {len(second)} samples of its second half",
    )
    spectral = stations_of(ensemble) is None  # places of a list have no neighbours
    scores, floors = (_scores(each, first, mask, spectral=spectral) for each in (generated, second))
    return _rows(scores, floors, ensemble, variable, n), notes


def _samples(
    ensemble: FieldSet, reference: FieldSet, pairing: Pairing | None
) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " m"], tuple[str, ...]]:
    """Which samples are compared: those that are paired, else those of the months that both have."""
    if pairing is not None:
        return pairing.ensemble, np.unique(pairing.reference), ()
    ours, theirs = np.arange(ensemble.n_samples), np.arange(reference.n_samples)
    our_months, their_months = _months(ensemble), _months(reference)
    if our_months is None or their_months is None:
        return ours, theirs, ()
    common = np.intersect1d(our_months, their_months)
    chosen = [np.flatnonzero(np.isin(m, common)) for m in (our_months, their_months)]
    if not len(common) or (len(chosen[0]), len(chosen[1])) == (len(ours), len(theirs)):
        return ours, theirs, ()
    listed = ", ".join(str(m) for m in common)
    return chosen[0], chosen[1], (f"only the months that both have are compared: {listed}",)


def _months(fields: FieldSet) -> Int[np.ndarray, " n"] | None:
    name = date_coordinate(fields)
    if name is None:
        return None
    return np.asarray(xr.DataArray(fields.coordinate(name)).dt.month.values) if len(fields.lead) == 1 else None


def _most(shape: tuple[int, ...]) -> int:
    return int(np.clip(SET_BYTES // (4 * int(np.prod(shape))), 32, MOST_SAMPLES))


def _spread(samples: Int[np.ndarray, " n"], n: int, months: Int[np.ndarray, " all"] | None) -> Int[np.ndarray, " m"]:
    """n of the samples, in order, of every calendar month its share; each as often as needed.

    Evenly spaced in time a dozen of 240 months would be those of three calendar months.
    """
    by_month = samples if months is None else samples[np.argsort(months[samples], kind="stable")]
    return np.sort(by_month[(np.arange(n) * len(samples)) // n])


def _say(report: ProgressReport | None, total: int, done: int) -> None:
    if report is not None:
        report(min(done, total), total)


def _fields(
    fields: FieldSet, samples: Int[np.ndarray, " n"], said: Callable[[int], None], before: int
) -> Float[np.ndarray, "m channel *space"]:
    """One member of each sample, in turn: the k-th of those that are there; samples without any are left out."""
    size = max(1, BLOCK_BYTES // (4 * fields.n_members * int(np.prod(fields.shape))))
    found = []
    for start in range(0, len(samples), size):
        values = fields.read(samples[start : start + size])
        there = np.asarray(np.isfinite(values).any(axis=tuple(range(2, values.ndim))))
        for k, (members, known) in enumerate(zip(values, there, strict=True), start):
            if known.any():
                numbers = np.flatnonzero(known)
                found.append(members[numbers[k % len(numbers)]])
        said(before + start + len(values))
    return np.stack(found) if found else np.empty((0, *fields.shape), np.float32)


def _scores(
    pred: Float[np.ndarray, "n channel *space"],
    ref: Float[np.ndarray, "m channel *space"],
    mask: Bool[np.ndarray, "channel *space"],
    *,
    spectral: bool,
) -> dict[str, float]:
    """All scores by name, in the order of the table; those of spectra, if any, where every cell has a value."""
    x, y = (fields[:, mask] for fields in (pred, ref))
    few, fewer = evenly_spaced(x.shape[1], MOST_CELLS), evenly_spaced(x.shape[1], DENSITY_CELLS)
    divergence = np.asarray(kl_divergence_per_point(jnp.asarray(y[:, fewer]), jnp.asarray(x[:, fewer])))
    known = divergence[np.isfinite(divergence)]
    whole = jnp.asarray(x), jnp.asarray(y)
    scores = {
        "W1": wasserstein_1(*whole),
        "KLD mean": known.mean() if known.size else np.nan,
        "covRMSE": covariance_rmse(jnp.asarray(x[:, few]), jnp.asarray(y[:, few])),
    }
    n_space = pred.ndim - 2
    if spectral and mask.all() and n_space <= 3 and min(pred.shape[2:]) >= SHORTEST_AXIS:
        energies = mean_energy_log_ratio(jnp.asarray(pred), jnp.asarray(ref), n_space)
        scores |= dict(zip(("MELRu", "MELRw"), energies, strict=True))
    scores["MMD"] = maximum_mean_discrepancy(*whole)
    return {name: float(value) for name, value in scores.items()}


def _rows(
    scores: Mapping[str, float], floors: Mapping[str, float], ensemble: FieldSet, variable: str, n: int
) -> list[Score]:
    return [
        Score(
            name,
            variable,
            ABOUT[name].units(ensemble.units, none=""),
            scores[name],
            floors[name],
            "0",
            ABOUT[name].sentence,
            _verdict(scores[name], max(floors[name], 2 / n) if name == "MMD" else floors[name]),
        )
        for name in scores
    ]


def _verdict(value: float, floor: float) -> str:
    """In words, if a score is clearly above its floor. That of the MMD scatters about 0 by less than 2/n."""
    if not value > OUTSIDE * floor:
        return ""
    return f"{value / floor:.1f} times its floor" if floor > 0 else "above its floor"
