"""What an ensemble is asked for: targets, their times and names, and the way back, before anything is drawn."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float

from subgrid.data.canonical import check_climate, open_climate
from subgrid.data.checks.places import show_time
from subgrid.data.fields import DataError, sample_dims, samples_of
from subgrid.data.plain import Fields, as_dataset, check_plain, open_plain, stacked
from subgrid.data.pooling.members import available_samples
from subgrid.data.pooling.pooling import notes_of
from subgrid.data.variables.wanted import Variable, Variables, wanted_variables
from subgrid.downscaling.climate.coarse_fit import check_grid, check_step
from subgrid.downscaling.climate.domain import interpolation
from subgrid.downscaling.model.masks import without_mask
from subgrid.downscaling.model.model import Model
from subgrid.downscaling.model.seen import outside_in_words
from subgrid.downscaling.model.sides import CoarseSide, FineSide, without_change
from subgrid.downscaling.model.windows import at_points, cut_to, read_points
from subgrid.downscaling.preparation.series import Series, series_of
from subgrid.downscaling.stored.opening import opening

Change: TypeAlias = Literal["ask", "none", "preserve"]
FEWEST_YEARS = 10
"""Of fields whose own change of climate is kept: a smooth course of the year over fewer is weather."""
FAR = 5
"""Years between the periods of two archives beyond which it is asked whether their climate is the same."""


@dataclass(frozen=True)
class Wanted:
    """Which part of a coarse archive is downscaled, and which of the fine grid is given out.

    Args:
        gaps: of coarse cells that the model was trained with: "refuse", the default, or "drop" the times that lack a
            value.
        time: first and last time, as ("2001", "2005-06") or "2001:2005-06"; all by default. A change of climate is
            taken from the whole archive in any case.
        region: south, west, north, east of what is given out, degrees; all of the fine grid by default.
        points: places to give out in place of fields: a CSV file (`read_points`), or a Dataset with `lat` and `lon`
            along "point".
        nearest: whether a place gets the nearest cell with values; by default it lies between the four around it.
        variables: what is said of variables in these files, as for `subgrid.fit`: names, units and missing values; what
            they are and their bounds are the model's.

    Raises:
        ValueError: for a region and points at once, a region that is not four numbers, and unknown `gaps`.
    """

    gaps: Literal["refuse", "drop"] = "refuse"
    time: str | tuple[str | None, str | None] | None = None
    region: Sequence[float] | None = None
    points: Any = None
    nearest: bool = False
    variables: Variables | None = None

    def __post_init__(self):
        if self.gaps not in ("refuse", "drop"):
            raise ValueError(f'gaps must be "refuse" or "drop", got {self.gaps!r}.')
        if self.region is not None and self.points is not None:
            raise ValueError("give a region or points, not both; points inside a region are points.")
        if self.region is not None and len(self.region) != 4:
            raise ValueError(f"region must be south, west, north, east, got {self.region!r}.")

    def span(self) -> slice:
        """First and last time, None for an open end."""
        ends = self.time.split(":") if isinstance(self.time, str) else self.time or (None, None)
        first, last = ends[0] or None, ends[-1] or None
        return slice(first, last)

    def of(self, fine: FineSide) -> FineSide:
        """The fine side, given out on what is wanted."""
        if self.region is not None:
            return cut_to(fine, self.region)
        if self.points is None:
            return fine
        points = self.points if isinstance(self.points, xr.Dataset) else read_points(self.points)
        return at_points(fine, points, nearest=self.nearest)


@dataclass(frozen=True)
class Request:
    """Everything that the draws of an ensemble follow from, beside the model and the keys.

    Args:
        targets: (n, channel, *coarse), y′.
        phase: (n,), of the year; None for fields without dates.
        samples: coordinates of the samples, of the coarse archive.
        sizes: of the dimensions that count samples, in the order in which samples are counted.
        there: (samples,), which of them there are, as members may differ in length.
        members: labels of the coarse archive's own members; None where there is one.
        fine: the way back, with the change to put back.
        notes: what was done or assumed, a sentence each.
        attributes: of the coarse archive.
        outside: what is to be said of fields far outside of what the model was fitted on; None for nothing.
    """

    targets: Float[np.ndarray, "n channel *coarse"]
    phase: Float[np.ndarray, " n"] | None
    samples: xr.Dataset
    sizes: Mapping[str, int]
    there: Bool[np.ndarray, " samples"]
    members: np.ndarray | None
    fine: FineSide
    notes: tuple[str, ...]
    attributes: dict
    outside: str | None = None


def request_of(
    coarse: Fields,
    model: Model,
    *,
    change: Change = "ask",
    wanted: Wanted = Wanted(),
) -> Request:
    """Opens coarse fields as the model's own were, and debiases them.

    Args:
        coarse: a path, Dataset or DataArray, on the grid of the training archive.
        model: the fitted model.
        change: of the climate, as for `downscale`.
        wanted: what of it.

    Returns:
        What to draw for.

    Raises:
        DataError: for fields that cannot be used, lie on another grid, or are of another climate without a word on it.
    """
    if model.coarse.reading.dated:
        return _dated(coarse, model, change, wanted)
    return _plain(coarse, model, change, wanted)


def _plain(coarse: Fields, model: Model, change: Change, wanted: Wanted) -> Request:
    if change == "preserve":
        raise DataError("coarse: the model knows no dates, so there is no change of climate; leave out change.")
    side = model.coarse
    known = dict(side.reading.wanted or dict.fromkeys(side.names, Variable()))
    known |= wanted_variables(wanted.variables) or {}
    dataset = open_plain(coarse, known, name="coarse", units=side.reading.units)
    check_plain(dataset, name=str(coarse) if isinstance(coarse, str | Path) else "coarse")
    field = stacked(dataset)
    if wanted.time is not None:
        field = _within(field, wanted)
    found = without_mask(field) if side.kept is not None else None
    source = str(coarse) if isinstance(coarse, str | Path) else "coarse"
    samples = samples_of(field if found is None else found.field, source=source)
    shape = tuple(model.fine.operator.coarse_shape) if side.kept is None else side.kept.shape
    if samples.values.shape[2:] != shape:
        raise DataError(
            f"{samples.source}: fields have the grid {samples.values.shape[2:]}; the model was trained with {shape}."
        )
    lead = sample_dims(field)
    values = samples.values
    if found is not None and found.mask is not None:
        values = np.where(found.mask, values, np.nan)  # the side says which points it needs
    series = Series(values, None, samples.trajectory, np.arange(len(samples)), np.zeros(len(samples), int))
    targets = side.targets(series)
    coordinates = {n: c.variable for n, c in field.coords.items() if set(map(str, c.dims)) <= set(lead)}
    return Request(
        targets,
        None,
        xr.Dataset(coords=coordinates).drop_encoding(),
        {dim: field.sizes[dim] for dim in lead},
        np.ones(len(samples), bool),
        None,
        wanted.of(model.fine),
        notes_of(dataset),
        dict(dataset.attrs),
        _outside(side, series, lambda i: f"number {i}"),
    )


def _within(field: xr.DataArray, wanted: Wanted) -> xr.DataArray:
    """Plain fields of the wanted times, which may be numbers.

    Raises:
        DataError: without such times, or for what is no span of them.
    """
    if "time" not in field.indexes:
        raise DataError("coarse: has no coordinate of time to choose by.")
    index, span = field.indexes["time"], wanted.span()
    try:
        if index.dtype.kind in "fiu":
            span = slice(*(None if end is None else float(end) for end in (span.start, span.stop)))
        chosen = field.isel(time=index.slice_indexer(span.start, span.stop))
    except Exception as error:
        raise DataError(f"time: {wanted.time!r} is no span of the archive's times, such as 0:10 of numbers.") from error
    if not chosen.sizes["time"]:
        raise DataError(f"time: nothing of {index[0]} to {index[-1]} lies within {wanted.time!r}.")
    return chosen


def _dated(coarse: Fields, model: Model, change: Change, wanted: Wanted) -> Request:
    side = model.coarse
    variables = opening(side.reading, wanted.variables)
    opened = open_climate(as_dataset(coarse, side.names[0]), variables, name="coarse", step=side.reading.step)
    check_grid(side, opened)
    dataset = check_climate(opened, name="coarse", gaps=wanted.gaps, needed=side.kept)
    check_step(side, dataset)
    series = series_of(dataset, side.names)
    notes = list(notes_of(dataset))
    there = available_samples(dataset)
    now = _chosen_times(dataset, wanted)
    kept = np.tile(now, len(there) // len(now))
    if change == "ask":
        _require_same_period(side.reading.period, series[kept[there]])
    fine, seen = model.fine, series
    if change == "preserve":
        _require_long(series)
        found = side.change_to(series)
        seen = without_change(found, series)
        targets = side.targets_without(found, series)
        fine = fine.with_change(found.on(interpolation(dataset, model.fine.grid)))
        notes += [said] if (said := side.pairing_to(series)) else []
    else:
        targets = side.targets(series)
    time = dataset["time"][now].drop_vars([n for n in dataset["time"].coords if n != "time"]).drop_encoding()
    places = np.flatnonzero(there & kept) % len(now)
    members = np.asarray(dataset["realization"].values) if dataset.sizes.get("realization", 1) > 1 else None
    return Request(
        targets[kept[there]],
        series.phase[kept[there]],
        xr.Dataset(coords={"time": time.variable}),
        {"realization": dataset.sizes.get("realization", 1), "time": time.size},
        there[kept],
        members,
        wanted.of(fine),
        tuple(notes),
        dict(dataset.attrs),
        _outside(side, seen[kept[there]], lambda i: show_time(dataset["time"].values[places[i]])),
    )


def _outside(side: CoarseSide, series: Series, name: Callable[[int], str]) -> str | None:
    return None if side.seen is None else outside_in_words(side.seen, side.prepared(series), name)


def _chosen_times(dataset: xr.Dataset, wanted: Wanted) -> Bool[np.ndarray, " time"]:
    """Which times are wanted.

    Raises:
        DataError: if there are none, with the times that there are.
    """
    chosen = np.ones(dataset.sizes["time"], bool)
    if wanted.time is not None:
        index, span = dataset["time"].to_index(), wanted.span()
        try:
            within = index.slice_indexer(span.start, span.stop)
        except Exception as error:
            raise DataError(f"time: {wanted.time!r} is no span of dates such as 2001:2005-06.") from error
        chosen[:] = False
        chosen[within] = True
        if not chosen.any():
            raise DataError(
                f"time: nothing of the coarse archive, {show_time(index[0])} to {show_time(index[-1])}, lies within "
                f"{wanted.time!r}."
            )
    return chosen


def _years(series: Series) -> tuple[int, int]:
    years = np.asarray(series.season_year)
    return int(years.min()), int(years.max())


def _require_same_period(trained: tuple[int, int] | None, series: Series) -> None:
    """Asks for `change` where fields are of another period than what everything was fitted in.

    Raises:
        DataError: with both periods.
    """
    if trained is None:
        return
    first, last = _years(series)
    if first >= trained[0] - FAR and last <= trained[1] + FAR:
        return
    raise DataError(
        f"coarse: its fields are of {first} to {last}, and the model was fitted on {trained[0]} to {trained[1]}; say "
        'whether their climate is another: change = "preserve" (on the command line --change preserve) keeps the '
        'coarse model\'s own change, change = "none" takes them for fields of the climate of the fit.'
    )


def _require_long(series: Series) -> None:
    """Refuses to take a change of climate from a few years.

    Raises:
        DataError: with the number of years.
    """
    years = len(np.unique(series.season_year))
    if years < FEWEST_YEARS:
        raise DataError(
            f"coarse: {years} season year{'s' * (years > 1)} of fields {'do' if years > 1 else 'does'} not tell a "
            f"change of climate, {FEWEST_YEARS} and more do; downscale them together with their whole period, or with "
            'change = "none".'
        )
