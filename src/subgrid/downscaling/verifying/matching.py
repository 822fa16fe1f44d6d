"""The reference on the ensemble's grid and in its unit: cells by their coordinates, whatever the order of the axes."""

from dataclasses import replace

import numpy as np
import xarray as xr
from jaxtyping import Float, Int

from subgrid.data.fields import DataError
from subgrid.data.grids.canonical_grid import as_regular
from subgrid.data.grids.positions import Position, has_position, position_of
from subgrid.data.times.calendars import step_days
from subgrid.data.variables import UnknownUnit, describe, parse_unit, same_unit
from subgrid.data.variables.unit_spellings import registry
from subgrid.data.variables.units import conversion
from subgrid.downscaling.verifying.field_sets import FieldSet, cut
from subgrid.downscaling.verifying.time_steps import is_dated

TOLERANCE = 1e-3
"""Degrees, and of axes of other kinds the share of a step: what float32 and text leave of a coordinate."""
Matched = tuple[FieldSet, tuple[str, ...]]
"""The reference, and what was done to it."""


def on_grid_of(ensemble: FieldSet, reference: FieldSet) -> Matched:
    """The reference on the cells of the ensemble, axes in its order.

    Args:
        ensemble: whose grid it is.
        reference: with all of its cells, and perhaps more.

    Returns:
        The reference, lazily, and a note if it was cut.

    Raises:
        DataError: naming both grids, if a cell of the ensemble is not in the reference.
    """
    if len(ensemble.space) != len(reference.space):
        raise _other_grid(ensemble, reference)
    own, other = place_of(ensemble), place_of(reference)
    if own is None or other is None:
        return _on_plain_axes(ensemble, reference)
    if own.lat.degrees.ndim != other.lat.degrees.ndim:
        raise _other_grid(ensemble, reference)
    if own.lat.degrees.ndim == 2:
        return _on_curvilinear(ensemble, reference, own, other)
    pairs = [(own.lat, other.lat, None), (own.lon, other.lon, 360.0)]
    places, names = {}, {}
    for here, there, period in pairs:
        index = _find(here.degrees, there.degrees, TOLERANCE, period)
        if index is None:
            raise _other_grid(ensemble, reference)
        places[there.dims[0]], names[here.dims[0]] = index, there.dims[0]
    return _cut(ensemble, reference, places, names)


def require_channels(ensemble: FieldSet, reference: FieldSet) -> None:
    """Passes for as many channels in both.

    Args:
        ensemble: the ensemble.
        reference: of any grid.

    Raises:
        DataError: naming both numbers.
    """
    if ensemble.shape[0] != reference.shape[0]:
        raise DataError(
            f"{ensemble.source}: {ensemble.name} has {ensemble.shape[0]} channels, {reference.source} has "
            f"{reference.shape[0]}; select the same ones."
        )


def in_units_of(ensemble: FieldSet, reference: FieldSet) -> Matched:
    """The reference in the unit of the ensemble, converted when it is read.

    Args:
        ensemble: whose unit it is.
        reference: in a unit of the same quantity.

    Returns:
        The reference, and a note on what was converted or assumed.

    Raises:
        DataError: if one unit cannot become the other.
    """
    wanted, given = ensemble.units, reference.units
    if wanted == given or (wanted and given and same_unit(wanted, given)):
        return reference, ()
    if not wanted or not given:
        without = ensemble if not wanted else reference
        return reference, (f"{without.source} gives no units: values are compared as they are",)
    factor, offset = _line(ensemble, reference)
    converted = replace(reference, factor=factor, offset=offset)
    return converted, (f"the reference is converted from {given} to {wanted}",)


def place_of(fields: FieldSet) -> Position | None:
    """Latitude and longitude of two axes of space.

    Args:
        fields: of any grid.

    Returns:
        Both axes; None for stations, lines and planes.
    """
    dataset = fields.array.to_dataset(name="field")
    if not has_position(dataset, "field"):
        return None
    try:
        position = as_regular(position_of(dataset, "field", file=fields.source))
    except DataError:  # a list of cells, or coordinates that are no angles: compared axis by axis
        return None
    dims = {*position.lat.dims, *position.lon.dims}
    return position if dims <= {*fields.space} and len(dims) == 2 else None


def _on_curvilinear(ensemble: FieldSet, reference: FieldSet, own: Position, other: Position) -> Matched:
    order = reference.space if {*reference.space} != {*ensemble.space} else ensemble.space
    lat, lon = (axis.degrees if other.lat.dims == order else axis.degrees.T for axis in (other.lat, other.lon))
    mine = [axis.degrees if own.lat.dims == ensemble.space else axis.degrees.T for axis in (own.lat, own.lon)]
    if lat.shape != mine[0].shape or max(_gap(lat, mine[0], None), _gap(lon, mine[1], 360.0)) > TOLERANCE:
        raise _other_grid(ensemble, reference)
    return replace(reference, space=order), ()


def _on_plain_axes(ensemble: FieldSet, reference: FieldSet) -> Matched:
    """Axes of one name belong together, and axes of other names in their order."""
    by_name = {*ensemble.space} == {*reference.space}
    names = {d: d if by_name else other for d, other in zip(ensemble.space, reference.space, strict=True)}
    places = {}
    for here, there in names.items():
        mine, other = _numbers(ensemble.array, here), _numbers(reference.array, there)
        if mine is None or other is None:
            if ensemble.array.sizes[here] != reference.array.sizes[there]:
                raise _other_grid(ensemble, reference)
            continue
        steps = np.abs(np.diff(mine))
        step = float(steps.min()) if steps.size else 1.0
        if (index := _find(mine, other, TOLERANCE * step, None)) is None:
            raise _other_grid(ensemble, reference)
        places[there] = index
    return _cut(ensemble, reference, places, names)


def _cut(
    ensemble: FieldSet, reference: FieldSet, places: dict[str, Int[np.ndarray, " n"]], names: dict[str, str]
) -> Matched:
    smaller = any(len(index) < reference.array.sizes[d] for d, index in places.items())
    note = f"the reference is cut to the {_extent(ensemble)} of the ensemble"
    return cut(reference, places, tuple(names[d] for d in ensemble.space)), (note,) if smaller else ()


def _find(
    wanted: Float[np.ndarray, " n"], held: Float[np.ndarray, " m"], tolerance: float, period: float | None
) -> Int[np.ndarray, " n"] | None:
    """Where each value is among others, each at another place; None if one is not there."""
    distance = np.abs(wanted[:, None] - held[None])
    distance = distance if period is None else np.minimum(distance % period, -distance % period)
    index = np.argmin(distance, axis=1)
    there = distance[np.arange(len(wanted)), index] <= tolerance
    return index if there.all() and len(np.unique(index)) == len(index) else None


def _gap(first: np.ndarray, second: np.ndarray, period: float | None) -> float:
    distance = np.abs(first - second)
    return float(np.max(distance if period is None else np.minimum(distance % period, -distance % period)))


def _numbers(array: xr.DataArray, dim: str) -> Float[np.ndarray, " n"] | None:
    if dim not in array.coords or array[dim].dtype.kind not in "fiu":
        return None
    return np.asarray(array[dim].values, np.float64)


def _extent(fields: FieldSet) -> str:
    return f"{' × '.join(str(n) for n in fields.shape[1:])} cells"


def _other_grid(ensemble: FieldSet, reference: FieldSet) -> DataError:
    return DataError(
        f"{ensemble.source} and {reference.source} are not on the same grid: {_described(ensemble)}, and "
        f"{_described(reference)}. Compare with fields on the grid that the model was trained on, or regrid the "
        "reference to it first."
    )


def _described(fields: FieldSet) -> str:
    """A grid in words: how many cells, from where to where."""
    position = place_of(fields)
    if position is None:
        axes = [(d, _numbers(fields.array, d)) for d in fields.space]
    else:
        axes = [("lat", position.lat.degrees.ravel()), ("lon", position.lon.degrees.ravel())]
    ranges = [f"{d} from {v.min():.6g} to {v.max():.6g}" for d, v in axes if v is not None and v.size]
    return f"{_extent(fields)} ({', '.join(ranges)})" if ranges else _extent(fields)


def _line(ensemble: FieldSet, reference: FieldSet) -> tuple[float, float]:
    """(factor, offset) from the reference's unit to the ensemble's, by the canonical unit of what they measure."""
    described = describe(ensemble.array.rename(ensemble.name))
    if described.quantity == "other":
        described = describe(reference.array.rename(reference.name))
    if described.kind.units is None:
        return _ratio(ensemble, reference), 0.0
    lines = []
    for fields in (reference, ensemble):
        time = next((fields.array[d] for d in fields.lead if d in fields.array.coords), None)
        step = step_days(time) if time is not None and is_dated(time) else None
        bare = xr.DataArray(0.0, attrs=fields.array.attrs, name=ensemble.name)  # by which `variables` calls it
        daily = step if step is not None and step <= 1 else None  # amounts of months are divided by their own lengths
        lines.append(conversion(bare, described, file=fields.source, step_days=daily))
    there, here = lines
    return float(there.factor / here.factor), float((there.offset - here.offset) / here.factor)


def _ratio(ensemble: FieldSet, reference: FieldSet) -> float:
    try:
        there, here = parse_unit(reference.units), parse_unit(ensemble.units)
        if there.offset != here.offset:
            raise UnknownUnit(reference.units)
        return float(registry().Quantity(there.scale, there.unit).to(here.unit).magnitude) / here.scale
    except Exception as error:  # pint has several kinds for what does not go together
        raise DataError(
            f"{reference.source}: {reference.name} is in {reference.units!r}, which cannot become {ensemble.units!r}, "
            f"the unit of {ensemble.source}; convert one of them."
        ) from error
