"""The front door: an ensemble and a reference in, scores with their floors out."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from subgrid.data.times.steps import Step
from subgrid.downscaling.verifying.field_sets import Chosen, FieldSet, Given, ensemble_sets
from subgrid.downscaling.verifying.matching import in_units_of, on_grid_of, require_channels
from subgrid.downscaling.verifying.paired_scores import PairedSums, paired_rows, paired_sums
from subgrid.downscaling.verifying.pairing import Pairing, pair
from subgrid.downscaling.verifying.references import checked, reference_sets
from subgrid.downscaling.verifying.result import Score, Verification
from subgrid.downscaling.verifying.set_scores import set_rows
from subgrid.downscaling.verifying.stations import at_stations_of, stations_of
from subgrid.downscaling.verifying.time_steps import at_step, require_step
from subgrid.training.progress import progress as show_progress
from subgrid.types import ProgressReport

EFFECTIVE_SIZE = "effective_size"
"""The coordinate of draws by particles, as `downscale` names it."""


@dataclass(frozen=True)
class Matched:
    """One variable of an ensemble and its reference, on one grid and in one unit.

    Args:
        name: of the variable.
        ensemble: its fields.
        reference: the reference, on the ensemble's grid and in its unit.
        pairing: the samples that both have; None for distributions only.
        notes: what was found and done, a sentence each.
    """

    name: str
    ensemble: FieldSet
    reference: FieldSet
    pairing: Pairing | None
    notes: tuple[str, ...]


def verify(
    ensemble: Given,
    reference: Given,
    *,
    variables: Chosen = None,
    paired: bool | None = None,
    step: Step | None = None,
    progress: bool = True,
) -> Verification:
    """Scores of an ensemble against a reference, each beside its floor.

    Where both have the same dates (or the same samples), every sample of the ensemble is compared with its own truth:
    CRPS, error of the ensemble mean, spread/skill, and whether the truth's rank among the members is uniform. Always,
    the distributions are compared: W1, KLD, covRMSE, MELR, MMD, with one half of the reference against the other as the
    floor. The result says which was done. Values stay on disk and are read in blocks, so archives may be of any length.

    Args:
        ensemble: a Dataset, a variable, or a path or URL of a Zarr store or NetCDF file: any ensemble that Subgrid
            writes, or one with a dimension "realization", "member" or the like.
        reference: fine fields without members, given in the same way; a folder or pattern of files too. Its grid has
            the ensemble's cells to .001 degrees, in any order of axes; its unit is converted. It is read as `fit` reads
            archives, and what the ensemble is taken to be holds for it too. Of an ensemble at
            stations it is values at these stations, in any order, or fields, which are taken at the stations as the
            ensemble was.
        variables: names in the ensemble, by default all; {"tas": "tg"} where the reference has other names, and
            {"tas": {"names": "tg", "units": "degC"}} where it says no units, or wrong ones; `quantity` says what both
            are, and `missing` what stands for no value in the reference, as for `subgrid.fit`.
        paired: False compares distributions only; True insists on pairs. By default dates that both have make pairs,
            unless the ensemble is no nearer to the reference of a date than to that of other years, as that of a
            free-running climate model; numbers (trajectory 3, sample 7) do, if it is nearer to them than to others.
        step: "day" or "month" averages both over complete days or months first, as `fit` averages its archives; what
            has that step already stays as it is. By default None: steps that differ are refused for pairs.
        progress: whether to show how much is done; default True.

    Returns:
        A table of scores, with notes on how they were made. A score outside its floor, or that fails its test, says so.

    Raises:
        DataError: naming the file and what to do, for a store that is not finished, grids and units that do not go
            together, calendars that differ, variables without a counterpart, a reference with values that are
            implausible or fill values that nothing declares, and one that is something else than the ensemble; for
            time steps that differ, or cannot be averaged to `step`.
        ValueError: for an unknown `step`.

    Examples:
        >>> verify("ensemble.zarr", "EOBS_Iberia_tas.nc", variables={"tas": "tg"})
    """
    rows: list[Score] = []
    notes: list[str] = []
    n_pairs = 0
    for matched in match(ensemble, reference, variables=variables, paired=paired, step=step):
        found, said = _scores(matched, progress=progress)
        rows += found
        notes += [*matched.notes, *said]
        n_pairs = max(n_pairs, 0 if matched.pairing is None else len(matched.pairing))
    return Verification(tuple(rows), n_pairs, tuple(dict.fromkeys(notes)))


def match(
    ensemble: Given,
    reference: Given,
    *,
    variables: Chosen = None,
    paired: bool | None = None,
    step: Step | None = None,
) -> Iterator[Matched]:
    """Every variable of an ensemble with its reference, nothing but coordinates and a few samples read.

    Args:
        ensemble: as for `verify`.
        reference: as for `verify`.
        variables: as for `verify`.
        paired: as for `verify`.
        step: as for `verify`.

    Yields:
        What belongs together.

    Raises:
        DataError: as `verify`.
    """
    require_step(step)
    ours = ensemble_sets(ensemble, variables)
    theirs = reference_sets(reference, ours, variables, step=step)
    for name, given in theirs.items():
        fields = at_step(ours[name], step, like=given.array)
        require_channels(fields, given)
        stations = stations_of(fields)
        placed, cut = on_grid_of(fields, given) if stations is None else at_stations_of(fields, stations, given)
        placed = checked(placed)
        converted, changed = in_units_of(fields, placed)
        pairing, why = pair(fields, converted, wanted=paired)
        said = tuple(f"{name}: {note}" for note in (*fields.notes, *placed.notes, *cut, *changed, *why, *_told(fields)))
        yield Matched(name, fields, converted, pairing, said)


def _told(fields: FieldSet) -> tuple[str, ...]:
    """What particles told of the draws, in words."""
    if EFFECTIVE_SIZE not in fields.array.coords:
        return ()
    sizes = np.asarray(fields.array[EFFECTIVE_SIZE].values)
    smallest, middle = np.nanmin(sizes), np.nanmedian(sizes)
    return (f"drawn by particles of an effective size of {smallest:.3g} at least, {middle:.3g} in the middle",)


def sums_of(matched: Matched, *, report: ProgressReport | None = None) -> PairedSums:
    """What paired scores and their maps are made of.

    Args:
        matched: with pairs.
        report: `report(done, total)`.

    Returns:
        Sums over all pairs.

    Raises:
        ValueError: if there are no pairs.
    """
    if matched.pairing is None:
        raise ValueError(f"{matched.name}: ensemble and reference have no samples in common.")
    return paired_sums(matched.ensemble, matched.reference, matched.pairing, report=report)


def _scores(matched: Matched, *, progress: bool) -> tuple[list[Score], tuple[str, ...]]:
    """All rows of one variable."""
    name, units, pairing = matched.name, matched.ensemble.units, matched.pairing
    rows: list[Score] = []
    notes: tuple[str, ...] = ()
    if pairing is not None:
        with show_progress(f"verify {name}, pairs", enabled=progress) as update:
            sums = sums_of(matched, report=update)
        rows += paired_rows(sums, pairing, variable=name, units=units)
        notes = (_paired_note(matched, pairing, sums),)
    with show_progress(f"verify {name}, distributions", enabled=progress) as update:
        found, said = set_rows(matched.ensemble, matched.reference, pairing, variable=name, report=update)
    return [*rows, *found], (*notes, *said)


def _paired_note(matched: Matched, pairing: Pairing, sums: PairedSums) -> str:
    """How the pairs were found, and how many cells and members count."""
    cells = sums.maps["count"] > 0
    said = f"{matched.name}: {pairing.because}, at {cells.sum()} of {cells.size} cells"
    whole = int(np.isfinite(sums.shares).all(axis=1).sum())
    if matched.ensemble.n_members > 1 and whole < len(pairing):
        said += f"; {len(pairing) - whole} samples lack members or values, and are not among the ranks"
    return said
