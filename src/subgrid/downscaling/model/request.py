"""What an ensemble is asked for: targets, their times and names, and the way back, before anything is drawn."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float

from subgrid.data.canonical import check_climate, open_climate
from subgrid.data.fields import DataError, sample_dims, samples_of
from subgrid.data.plain import Fields, open_plain, stacked
from subgrid.data.pooling.members import available_samples
from subgrid.data.pooling.pooling import notes_of
from subgrid.downscaling.climate.coarse_fit import check_grid, check_step
from subgrid.downscaling.climate.domain import interpolation
from subgrid.downscaling.model.model import Model
from subgrid.downscaling.model.sides import FineSide
from subgrid.downscaling.preparation.climatology import ChangeSignal
from subgrid.downscaling.preparation.series import Series, series_of
from subgrid.downscaling.stored.opening import opening

Change: TypeAlias = Literal["ask", "none", "preserve"]
FEWEST_YEARS = 10
"""Of fields whose own change of climate is kept: a smooth course of the year over fewer is weather."""
FAR = 5
"""Years between the periods of two archives beyond which it is asked whether their climate is the same."""


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
        change: put back on the fine grid; None for none.
        notes: what was done or assumed, a sentence each.
        attributes: of the coarse archive.
    """

    targets: Float[np.ndarray, "n channel *coarse"]
    phase: Float[np.ndarray, " n"] | None
    samples: xr.Dataset
    sizes: Mapping[str, int]
    there: Bool[np.ndarray, " samples"]
    members: np.ndarray | None
    fine: FineSide
    change: ChangeSignal | None
    notes: tuple[str, ...]
    attributes: dict


def request_of(
    coarse: Fields, model: Model, *, change: Change = "ask", gaps: Literal["refuse", "drop"] = "refuse"
) -> Request:
    """Opens coarse fields as the model's own were, and debiases them.

    Args:
        coarse: a path, Dataset or DataArray, on the grid of the training archive.
        model: the fitted model.
        change: of the climate, as for `downscale`.
        gaps: of cells that the model was trained with: "refuse", or "drop" the times that lack a value.

    Returns:
        What to draw for.

    Raises:
        DataError: for fields that cannot be used, lie on another grid, or are of another climate without a word on it.
    """
    if model.coarse.reading.dated:
        return _dated(coarse, model, change, gaps)
    return _plain(coarse, model, change)


def _plain(coarse: Fields, model: Model, change: Change) -> Request:
    if change == "preserve":
        raise DataError("coarse: the model knows no dates, so there is no change of climate; leave out change.")
    side = model.coarse
    dataset = open_plain(coarse, list(side.names), name="coarse", units=side.reading.units)
    field = stacked(dataset)
    samples = samples_of(field, source=str(coarse) if isinstance(coarse, str) else "coarse")
    shape = tuple(model.fine.operator.coarse_shape)
    if samples.values.shape[2:] != shape:
        raise DataError(
            f"{samples.source}: fields have the grid {samples.values.shape[2:]}; the model was trained with {shape}."
        )
    lead = sample_dims(field)
    series = Series(samples.values, None, samples.trajectory, np.arange(len(samples)), np.zeros(len(samples), int))
    targets = side.targets(series)
    coordinates = {n: c.variable for n, c in field.coords.items() if set(map(str, c.dims)) <= set(lead)}
    return Request(
        targets,
        None,
        xr.Dataset(coords=coordinates).drop_encoding(),
        {dim: field.sizes[dim] for dim in lead},
        np.ones(len(samples), bool),
        None,
        model.fine,
        None,
        (),
        dict(dataset.attrs),
    )


def _dated(coarse: Fields, model: Model, change: Change, gaps: Literal["refuse", "drop"]) -> Request:
    side = model.coarse
    wanted = opening(side.reading)
    source = coarse.to_dataset(name=coarse.name or side.names[0]) if isinstance(coarse, xr.DataArray) else coarse
    opened = open_climate(source, wanted, name="coarse", step=side.reading.step)
    check_grid(side, opened)
    dataset = check_climate(opened, name="coarse", gaps=gaps, needed=side.kept)
    check_step(side, dataset)
    series = series_of(dataset, side.names)
    notes = list(notes_of(dataset))
    if change == "ask":
        _require_same_period(side.reading.period, series)
    signal, fine = None, model.fine
    if change == "preserve":
        _require_long(series)
        found = side.change_to(series)
        targets, signal = side.targets_without(found, series), found.on(interpolation(dataset, model.fine.grid))
        fine = fine.with_change(signal)
        notes += [said] if (said := side.pairing_to(series)) else []
    else:
        targets = side.targets(series)
    time = dataset["time"].drop_vars([n for n in dataset["time"].coords if n != "time"]).drop_encoding()
    members = np.asarray(dataset["realization"].values) if dataset.sizes.get("realization", 1) > 1 else None
    return Request(
        targets,
        series.phase,
        xr.Dataset(coords={"time": time.variable}),
        {"realization": dataset.sizes.get("realization", 1), "time": dataset.sizes["time"]},
        available_samples(dataset),
        members,
        fine,
        signal,
        tuple(notes),
        dict(dataset.attrs),
    )


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
    if first <= trained[1] + FAR and last >= trained[0] - FAR:
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
            f"coarse: {years} season year{'s' * (years > 1)} of fields {'do' if years > 1 else 'does'} not tell a change "
            f"of climate, {FEWEST_YEARS} and more do; downscale them together with the rest of their period, or with "
            'change = "none".'
        )
