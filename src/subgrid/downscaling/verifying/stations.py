"""The reference of an ensemble at stations: observations there, or fields that are taken there as the ensemble was."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import KDTree

from subgrid.data.fields import DataError
from subgrid.data.grids.positions import Axis, listed_position
from subgrid.downscaling.interpolation.curvilinear import unit_vectors
from subgrid.downscaling.interpolation.places import AtPoints, PlaceRule, place_weights
from subgrid.downscaling.model.windows import RULE
from subgrid.downscaling.verifying.field_sets import FieldSet, cut
from subgrid.downscaling.verifying.matching import TOLERANCE, Matched, place_of

MASK_SAMPLES = 8
"""Of a reference, evenly spaced, in which a cell has a value at least once, or never: that of the land, or the sea."""


@dataclass(frozen=True)
class Stations:
    """The places of a variable that lie along its one dimension of space.

    Args:
        lat: degrees; None where a file does not give them.
        lon: degrees, likewise.
        texts: names, or whatever else is said of each in words, by the name of the coordinate.
    """

    lat: Float[np.ndarray, " place"] | None
    lon: Float[np.ndarray, " place"] | None
    texts: dict[str, np.ndarray]

    def said(self, i: int) -> str:
        """A station in words."""
        name = str(self.texts["name"][i]) if "name" in self.texts else f"number {i}"
        return (
            name if self.lat is None or self.lon is None else f"{name} (lat = {self.lat[i]:g}, lon = {self.lon[i]:g})"
        )


def stations_of(fields: FieldSet) -> Stations | None:
    """The stations of a set of fields.

    Args:
        fields: of any grid.

    Returns:
        Places with latitude and longitude along the one dimension of space; None for fields, lines and planes.
    """
    found = _along(fields)
    return None if found is None or found.lat is None else found


def _along(fields: FieldSet) -> Stations | None:
    """What is known of the places along a single dimension of space; None where there are more."""
    if len(fields.space) != 1:
        return None
    position = listed_position(fields.array.to_dataset(name="field"), "field", file=fields.source)
    coordinates = {
        str(n): c for n, c in fields.array.coords.items() if c.dims == fields.space and c.dtype.kind in "OUST"
    }
    texts = {name: np.array(list(map(str, c.values.tolist()))) for name, c in coordinates.items()}
    return Stations(*(position or (None, None)), texts)


def at_stations_of(ensemble: FieldSet, stations: Stations, reference: FieldSet) -> Matched:
    """The reference at the stations of an ensemble, in its order.

    Args:
        ensemble: at stations.
        stations: of the ensemble.
        reference: values at these stations and perhaps others, or fields on a grid with latitudes and longitudes.

    Returns:
        The reference, lazily, and notes on what was taken.

    Raises:
        DataError: for a station that the reference does not have, or that lies outside of its grid.
    """
    given = _along(reference)
    if given is None:
        return _of_fields(ensemble, stations, reference)
    if given.lat is None or given.lon is None:
        index, note = _by_texts(ensemble, stations, reference, given)
    else:
        index, note = _by_place(stations, given, reference), ""
    notes = [note] if note else []
    if len(index) < _size(reference):
        notes.append(f"the reference is cut to the {len(index)} stations of the ensemble")
    return cut(reference, {reference.space[0]: index}, reference.space), tuple(notes)


def _size(reference: FieldSet) -> int:
    return reference.array.sizes[reference.space[0]]


def _by_place(stations: Stations, given: Stations, reference: FieldSet) -> Int[np.ndarray, " n"]:
    """Where each station is among others, each another one: two may have one place, and keep their order then."""
    ours, theirs = (unit_vectors(np.asarray(each.lat), np.asarray(each.lon)) for each in (stations, given))
    near = np.deg2rad(TOLERANCE)
    if ours.shape == theirs.shape and (np.linalg.norm(ours - theirs, axis=1) <= near).all():
        return np.arange(len(ours))
    distance, index = KDTree(theirs).query(ours)
    index = np.asarray(index, np.int64)
    far = np.flatnonzero(distance > near)
    if far.size:
        i = int(far[0])
        raise DataError(
            f"{reference.source}: has no station at {stations.said(i)}; the nearest is {given.said(int(index[i]))} "
            f"({far.size} of {len(ours)} stations are missing). Give observations of all stations, or fields."
        )
    if len(np.unique(index)) < len(index):
        twice = next(i for i in range(len(index)) if index[i] in index[:i])
        raise DataError(
            f"{reference.source}: several stations of the ensemble are at {given.said(int(index[twice]))}, so their "
            "observations cannot be told apart; give those of the ensemble's stations in its order."
        )
    return index


def _by_texts(
    ensemble: FieldSet, stations: Stations, reference: FieldSet, given: Stations
) -> tuple[Int[np.ndarray, " n"], str]:
    """Stations without a place: by a name that both have, else in their order, which is said."""
    for own in stations.texts.values():
        for name, theirs in given.texts.items():
            place = {text: i for i, text in enumerate(theirs.tolist())}
            if len(place) == len(theirs) and len({*own.tolist()}) == len(own) and {*own.tolist()} <= {*place}:
                return np.array([place[text] for text in own.tolist()], np.int64), f"stations are found by {name!r}"
    n = len(np.asarray(stations.lat))
    both = sorted({*stations.texts} & {*given.texts})
    if both or n != _size(reference):
        ours, theirs = (", ".join(each.texts[both[0]].tolist()[:4]) if both else "" for each in (stations, given))
        said = f"by {both[0]!r}, {ours} are not all among {theirs}" if both else f"{n} against {_size(reference)}"
        raise DataError(
            f"{ensemble.source} and {reference.source} are not of the same stations: {said}. Give the observations "
            "latitudes and longitudes, or the ensemble's names."
        )
    return np.arange(n), "the reference says no latitudes, longitudes or names: stations are taken in their order"


def _of_fields(ensemble: FieldSet, stations: Stations, reference: FieldSet) -> Matched:
    """Fields at the stations, by the rule that the ensemble's attribute tells."""
    position = place_of(reference)
    if position is None:
        raise DataError(
            f"{reference.source}: {reference.name} has no latitudes and longitudes along two of its dimensions, so it "
            f"has no values at the stations of {ensemble.source}; give observations there, or fields with both."
        )
    told = ensemble.array.attrs.get(RULE)
    rule: PlaceRule = "nearest" if told == "nearest" else "interpolated"
    rising, axes = _rising(reference, position.lat, position.lon)
    cells, weights = place_weights(axes, _valid(rising), np.asarray(stations.lat), np.asarray(stations.lon), rule=rule)
    lost = np.flatnonzero(~(weights.sum(1) > 0))
    if lost.size:
        raise DataError(
            f"{reference.source}: {stations.said(int(lost[0]))} lies outside of its grid, or has no value around it "
            f"({lost.size} of {len(weights)} such stations); leave it out of the ensemble."
        )
    said = {"interpolated": "interpolated to the stations", "nearest": "taken at the nearest cell of each station"}[
        rule
    ]
    unsaid = "" if told == rule else f" ({ensemble.source} does not say by {RULE!r} how it was made)"
    return _boxed(rising, cells, weights), (f"the reference is {said}{unsaid}",)


def _rising(reference: FieldSet, lat: Axis, lon: Axis) -> tuple[FieldSet, tuple[np.ndarray, np.ndarray]]:
    """The fields with latitude first and axes that rise; curvilinear ones with the dimensions of their coordinates."""
    if lat.degrees.ndim == 2:
        return replace(reference, space=lat.dims), (lat.degrees, lon.degrees)
    values = lat.degrees, np.unwrap(lon.degrees, period=360.0)
    order = [np.argsort(axis) for axis in values]
    dims = lat.dims[0], lon.dims[0]
    return cut(reference, dict(zip(dims, order, strict=True)), dims), (values[0][order[0]], values[1][order[1]])


def _valid(fields: FieldSet) -> Bool[np.ndarray, "i j"]:
    """Cells that hold a value at some time."""
    tried = np.unique(np.linspace(0, fields.n_samples - 1, MASK_SAMPLES).round().astype(int))
    found = np.zeros(fields.shape, bool)
    for i in tried:
        found |= np.isfinite(fields.read(np.array([i]))[0, 0])
    return np.asarray(found.all(axis=0))


def _boxed(
    fields: FieldSet, cells: Int[np.ndarray, "place corner"], weights: Float[np.ndarray, "place corner"]
) -> FieldSet:
    """The fields at places, of which no more is read than the box of cells around them."""
    rows, columns = np.unravel_index(cells, fields.shape[1:])
    boxes = [np.arange(each.min(), each.max() + 1) for each in (rows, columns)]
    inner = (rows - rows.min()) * len(boxes[1]) + columns - columns.min()
    box = cut(fields, dict(zip(fields.space, boxes, strict=True)), fields.space)
    return replace(box, at=AtPoints(inner, weights.astype(np.float32), 2))
