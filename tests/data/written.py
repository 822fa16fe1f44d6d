"""One truth in the many ways in which archives write it: units, stamps, fills, orders, grids, members, containers."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cftime
import numpy as np
import xarray as xr

from .truths import Truth, rotated_axes

FILLS = ("NaN", "_FillValue", "missing_value", "both", "packed", "packed missing_value", "valid_range", "valid_min",
         "packed valid_range")  # fmt: skip
CONTAINERS = ("NETCDF4", "NETCDF3_CLASSIC", "NETCDF3_64BIT", "group", "zarr 2", "zarr 3", "dataset")
REFERENCES = ("1850-01-01", "1900-01-01 00:00:00", "1970-1-1", "2000-01-01T12:00:00")
SECONDS = {"days": 86_400, "hours": 3600, "minutes": 60, "seconds": 1}


@dataclass(frozen=True)
class Writing:
    """How a truth is written.

    Args:
        units: number of the spelling, those of amounts behind those of rates.
        name: number of the name.
        named: whether the standard name is written where the name has one.
        axis: of time: "since …" with a unit, "absolute", "numbers", "months since" or "texts".
        reference: number of the reference date.
        stamp: "start", "middle" or "end" of the interval.
        bounds: whether those of time are written.
        fill: one of `FILLS`.
        value: of missing values where they are numbers.
        dims: the order of time, latitude and longitude: "tyx", "yxt" or "xyt".
        north_first: whether latitudes descend.
        turn: whether longitudes run from 0 to 360.
        flat: whether a regular grid has 2-D coordinates.
        places: names of latitude and longitude.
        members: "dimension", "bytes", "auxiliary", "names", "attribute" or "scalar".
        member_dim: name of the dimension of members.
        shuffle: whether members come in another order.
        parts: number of files along time; times with a file each where it is the number of times.
        container: one of `CONTAINERS`.
        extra: "", "height", "other variable", "versions" or "single precision".
    """

    units: int = 0
    name: int = 0
    named: bool = True
    axis: str = "days since"
    reference: int = 0
    stamp: str = "start"
    bounds: bool = False
    fill: str = "NaN"
    value: float = -9999.0
    dims: str = "tyx"
    north_first: bool = False
    turn: bool = False
    flat: bool = False
    places: tuple[str, str] = ("lat", "lon")
    members: str = "dimension"
    member_dim: str = "member"
    shuffle: bool = False
    parts: int = 1
    container: str = "NETCDF4"
    extra: str = ""


def store(truth: Truth, writing: Writing, folder: Path) -> list[Any]:
    """The files of an archive, written.

    Args:
        truth: what they say.
        writing: how.
        folder: for them; it exists.

    Returns:
        A source for `open_climate`: paths, or datasets.
    """
    sources = []
    for number, (label, members) in enumerate(_by_member(truth, writing)):
        for part in np.array_split(np.arange(truth.n_times), writing.parts):
            dataset = _dataset(truth, writing, members, part, label)
            shown = label if writing.members == "names" else f"m{number}"
            path = folder / f"{truth.kind.names[writing.name][0]}_{shown}_{999 - part[0]}"  # names against the times
            sources.append(_stored(dataset, writing.container, path))
    return sources


def name_of(truth: Truth, writing: Writing) -> str:
    """The variable in the files."""
    return truth.kind.names[writing.name][0]


def units_of(truth: Truth, writing: Writing) -> tuple[str, float, float]:
    """Units in the files, with factor and offset to the canonical ones; of amounts, the factor of a day."""
    kind = truth.kind
    every = [*kind.spellings, *((text, factor, 0.0) for text, factor in kind.amounts)]
    return every[writing.units]


def tolerance_of(truth: Truth, writing: Writing) -> float:
    """How far values may be off: by rounding to single precision, or half a step of packed integers."""
    low, high = truth.kind.edges
    step = 1.2 * _amplitude(truth) * (high - low) / 60_000 if writing.fill.startswith("packed") else 0.0
    return step + 3e-6 * max(abs(low), abs(high), 300.0 if truth.quantity == "temperature" else 0.0)


def _amplitude(truth: Truth) -> float:
    """Packed values of months share one scale though sums over them differ with their lengths."""
    return 1.2 if truth.step == "month" else 1.0


def _by_member(truth: Truth, writing: Writing) -> list[tuple[Any, list[int]]]:
    """What files each member is in: (label of a file, numbers of its members)."""
    if truth.labels is None:
        return [(None, [0])]
    order = list(range(len(truth.labels)))[:: -1 if writing.shuffle else 1]
    if writing.members in ("names", "attribute", "scalar"):
        return [(truth.labels[i], [i]) for i in order]
    return [(None, order)]


def _dataset(truth: Truth, writing: Writing, members: list[int], part: np.ndarray, label: Any) -> xr.Dataset:
    """One file as it is on disk, nothing decoded."""
    together = truth.labels is not None and label is None
    values = truth.values()[members][:, part]
    dims, where = ["members", "time", *_space(truth, writing)], _places(truth, writing)
    field = xr.DataArray(_in_file(truth, writing, values, part), dims=dims)
    lat = where[writing.places[0]]
    if writing.north_first:
        field = field.isel({dims[-2]: slice(None, None, -1)})
        where = {n: v.isel({dims[-2]: slice(None, None, -1)}) if dims[-2] in v.dims else v for n, v in where.items()}
    letters = {"t": "time", "y": dims[-2], "x": dims[-1]}
    field = field.transpose("members", *(letters[letter] for letter in writing.dims))
    field = field.rename(members=writing.member_dim) if together else field.isel(members=0)
    name, standard_name = truth.kind.names[writing.name]
    attributes = {"units": units_of(truth, writing)[0], **_fill_attributes(truth, writing)}
    if standard_name and writing.named:
        attributes["standard_name"] = standard_name
    if lat.ndim == 2 and truth.rotated:
        attributes["grid_mapping"] = "rotated_pole"
    if lat.ndim == 2:
        attributes["coordinates"] = " ".join(writing.places)
    field.attrs = attributes
    dataset = xr.Dataset({name: field}).assign(where).assign(_times(truth, writing, part))
    dataset = _labelled(dataset, truth, writing, members, label)
    if len(part) == 1 and truth.n_times == writing.parts:
        dataset = dataset.isel(time=0)
    return _with_extra(dataset, name, writing)


def _in_file(truth: Truth, writing: Writing, canonical: np.ndarray, part: np.ndarray) -> np.ndarray:
    """Values in the units, precision and packing of the file, its fill where there are none."""
    _, factor, offset = units_of(truth, writing)
    days = np.diff(truth.edges)[part][:, None, None] if _is_amount(truth, writing) else 1.0
    values = (canonical - offset) / factor * days
    missing, fill = np.isnan(values), writing.fill
    if fill.startswith("packed"):
        scale, zero = _packing(truth, writing)
        packed = np.round((np.nan_to_num(values) - zero) / scale).astype(np.int16)
        return np.where(missing, np.int16(-32_768), packed)
    return np.where(missing, np.nan if fill == "NaN" else writing.value, values).astype(np.float32)


def _is_amount(truth: Truth, writing: Writing) -> bool:
    return writing.units >= len(truth.kind.spellings)


def _packing(truth: Truth, writing: Writing) -> tuple[float, float]:
    """Scale and offset: 60,000 steps over the range of the values."""
    _, factor, offset = units_of(truth, writing)
    longest = np.diff(truth.edges).max() if _is_amount(truth, writing) else 1.0
    low, high = ((edge - offset) / factor * longest for edge in truth.kind.edges)
    low = min(low, low / longest)
    scale = (high - low) / 60_000
    return float(scale), float(low + 30_000 * scale)


def _fill_attributes(truth: Truth, writing: Writing) -> dict[str, Any]:
    _, factor, offset = units_of(truth, writing)
    longest = np.diff(truth.edges).max() if _is_amount(truth, writing) else 1.0
    low, high = ((edge - offset) / factor * longest for edge in truth.kind.edges)
    single, value = np.float32, np.float32(writing.value)
    margin = 0.01 * (high - low)
    edges = np.array([0.0 if low == 0 else low - margin, high + margin], single)
    if writing.fill.startswith("packed"):
        scale, zero = _packing(truth, writing)
        declared = {
            "packed": {"_FillValue": np.int16(-32_768)},
            "packed missing_value": {"missing_value": np.int16(-32_768)},
            "packed valid_range": {"valid_range": np.array([-30_100, 30_100], np.int16)},
        }
        return {"scale_factor": scale, "add_offset": zero, **declared[writing.fill]}
    return {
        "NaN": {"_FillValue": single(np.nan)},
        "_FillValue": {"_FillValue": value},
        "missing_value": {"missing_value": value},
        "both": {"_FillValue": value, "missing_value": value},
        "valid_range": {"valid_range": edges},
        "valid_min": {"valid_min": edges[0], "valid_max": edges[1]},
    }[writing.fill]


def _space(truth: Truth, writing: Writing) -> tuple[str, str]:
    if truth.rotated:
        return "rlat", "rlon"
    return ("j", "i") if writing.flat else writing.places


def _places(truth: Truth, writing: Writing) -> dict[str, xr.DataArray]:
    """Coordinates of space by name."""
    lat, lon = truth.places()
    lon = lon % 360.0 if writing.turn else (lon + 180.0) % 360.0 - 180.0
    if writing.extra == "single precision":
        lat, lon = lat.astype(np.float32), lon.astype(np.float32)
    attributes = [
        {"units": units, "standard_name": name}
        for units, name in (("degrees_north", "latitude"), ("degrees_east", "longitude"))
    ]
    dims = _space(truth, writing)
    if not (truth.rotated or writing.flat):
        axes = lat[:, 0], lon[0]
        return {
            name: xr.DataArray(axis, dims=dim, attrs=about)
            for name, axis, dim, about in zip(writing.places, axes, dims, attributes, strict=True)
        }
    pair = zip(writing.places, (lat, lon), attributes, strict=True)
    found = {name: xr.DataArray(values, dims=dims, attrs=about) for name, values, about in pair}
    if truth.rotated:
        for dim, axis, about in zip(dims, rotated_axes(), ("grid_latitude", "grid_longitude"), strict=True):
            found[dim] = xr.DataArray(axis, dims=dim, attrs={"standard_name": about, "units": "degrees"})
        pole = {"grid_mapping_name": "rotated_latitude_longitude", "grid_north_pole_latitude": 50.0}
        found["rotated_pole"] = xr.DataArray(np.int32(0), attrs={**pole, "grid_north_pole_longitude": -170.0})
    return found


def _times(truth: Truth, writing: Writing, part: np.ndarray) -> dict[str, xr.DataArray]:
    """Times and, if they are written, their bounds."""
    begin, end = truth.edges[part], truth.edges[part + 1]
    share = {"start": 0.0, "middle": 0.5, "end": 1.0}[writing.stamp]
    stamps, attributes = begin + share * (end - begin), {"standard_name": "time", "calendar": truth.calendar}
    dates = cftime.num2date(stamps, "days since 1850-01-01", truth.calendar)
    if writing.axis == "absolute":
        numbers = [float(d.strftime("%Y%m%d")) + (d.hour + d.minute / 60) / 24 for d in dates]
        return {"time": xr.DataArray(numbers, dims="time", attrs={**attributes, "units": "day as %Y%m%d.%f"})}
    if writing.axis == "numbers":
        numbers = np.array([int(d.strftime("%Y%m%d")) for d in dates], np.int32)
        return {"time": xr.DataArray(numbers, dims="time", attrs={"calendar": truth.calendar})}
    if writing.axis == "texts":
        texts = np.array([d.strftime("%Y-%m-%dT%H:%M:%S") for d in dates])
        return {"time": xr.DataArray(texts, dims="time", attrs={"standard_name": "time"})}
    if writing.axis == "months since":
        year, month, _ = truth.start
        months = 12 * (year - 1990) + month - 1 + part + share
        return {"time": xr.DataArray(months, dims="time", attrs={**attributes, "units": "months since 1990-01-01"})}
    unit, reference = writing.axis.split(" ")[0], REFERENCES[writing.reference]
    zero = cftime.date2num(cftime.num2date(0, f"days since {reference}", truth.calendar),
                           "days since 1850-01-01", truth.calendar)  # fmt: skip
    count = lambda days: (days - zero) * 86_400 / SECONDS[unit]  # noqa: E731
    attributes["units"] = f"{unit} since {reference}"
    if not writing.bounds:
        return {"time": xr.DataArray(count(stamps), dims="time", attrs=attributes)}
    pairs = xr.DataArray(np.stack([count(begin), count(end)], -1), dims=("time", "bnds"))
    return {"time": xr.DataArray(count(stamps), dims="time", attrs={**attributes, "bounds": "time_bnds"}),
            "time_bnds": pairs}  # fmt: skip


def _labelled(dataset: xr.Dataset, truth: Truth, writing: Writing, members: list[int], label: Any) -> xr.Dataset:
    """Labels of members where they are written in the file."""
    if truth.labels is None:
        return dataset
    if writing.members == "attribute":
        return dataset.assign_attrs(variant_label=label)
    if writing.members == "scalar":
        return dataset.assign_coords({writing.member_dim: label})
    if writing.members == "names":
        return dataset
    labels = np.array([truth.labels[i] for i in members])
    if writing.members == "bytes":
        labels = labels.astype("S")
    if writing.members == "auxiliary":
        return dataset.assign_coords(variant=(writing.member_dim, labels))
    return dataset.assign_coords({writing.member_dim: labels})


def _with_extra(dataset: xr.Dataset, name: str, writing: Writing) -> xr.Dataset:
    """What is in a file beside what is wanted."""
    field = dataset[name]
    if writing.extra == "height":
        level = {"height": ("height", [2.0], {"units": "m", "positive": "up"})}
        return dataset.assign({name: field.expand_dims("height", axis=1)}).assign_coords(level)
    if writing.extra == "other variable":
        strange = xr.zeros_like(field).assign_attrs(units="quux", standard_name="")
        for key in ("valid_range", "valid_min", "valid_max", "_FillValue", "missing_value"):
            strange.attrs.pop(key, None)
        return dataset.assign(strange=strange)
    return dataset


def _stored(dataset: xr.Dataset, container: str, path: Path) -> Any:
    if container == "dataset":
        return dataset
    for variable in dataset.variables.values():
        variable.encoding = {} if "_FillValue" in variable.attrs else {"_FillValue": None}
    if container.startswith("zarr"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of texts, for which Zarr 3 has no final form
            options = {"zarr_format": int(container[-1]), "consolidated": container == "zarr 2"}
            dataset.to_zarr(path.with_suffix(".zarr"), **options)
        return path.with_suffix(".zarr")
    target = path.with_suffix(".nc")
    if container == "group":
        dataset.to_netcdf(target, group="Grid")
    else:
        dataset.to_netcdf(target, format=container)  # pyright: ignore[reportArgumentType, reportCallIssue]
    return target
