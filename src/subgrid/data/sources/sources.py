"""Finding archives: paths, globs, folders and URLs of NetCDF and Zarr, as datasets with decoded CF metadata.

Values stay where they are.
"""

import glob
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import xarray as xr

from subgrid.data.fields import DataError
from subgrid.data.sources.attributes import (
    with_named_bounds,
    with_numeric_packing,
    with_writable_attributes,
    without_malformed_references,
)
from subgrid.data.sources.file_kinds import PAGE, READABLE, UNPACKERS, ZIP, kind_of, zip_members
from subgrid.data.sources.opening import (
    NETCDF_SUFFIXES,
    first_bytes,
    is_called_file,
    is_remote_zarr,
    is_zarr,
    kind_behind,
    open_path,
    split_group,
)
from subgrid.data.sources.remote import (
    bare_path,
    filesystem_of,
    is_pattern,
    is_web,
    local_path,
    remote_paths,
    unreachable,
    url_in,
    url_of,
)
from subgrid.data.sources.zarr_metadata import ZARR_FILES
from subgrid.data.times.absolute_times import with_readable_times
from subgrid.data.times.calendars import check_calendar

Source: TypeAlias = str | Path | xr.Dataset | Sequence[str | Path | xr.Dataset]

TOLD_OF = ("GRIB", "HDF4", "GeoTIFF", "tar", *UNPACKERS)
"""Kinds of files that may hold fields: it is said if a folder holds some that are not read."""


@dataclass(frozen=True)
class SourceFile:
    """A file of an archive, opened lazily, its CF metadata decoded.

    Args:
        name: that messages call it by: its path.
        dataset: what is in it.
        notes: what was converted or dropped when it was opened, a sentence each.
    """

    name: str
    dataset: xr.Dataset
    notes: tuple[str, ...] = ()


def read_sources(source: Source, *, name: str) -> list[SourceFile]:
    """Every file of an archive, opened lazily, times decoded, with the name that messages call it by.

    Args:
        source: a NetCDF file, a Zarr store, a folder of them, a glob, a URL, a `Dataset`, or a list of these.
        name: what messages call a `Dataset`.

    Returns:
        The files, in the order of their names, with what was left out of each.

    Raises:
        DataError: for a missing file, one that cannot be read, or times that cannot be decoded.

    Examples:
        >>> files = read_sources("cmip/tas_*.nc", name="coarse")
    """
    opened: dict[str, SourceFile] = {}
    for item in expand(source):
        if isinstance(item, xr.Dataset):
            file = name if name not in opened else f"{name}[{len(opened)}]"
            opened[file] = _decoded(item, file=file)
        elif str(item) not in opened:
            opened[str(item)] = open_source(item)
    if not opened:
        raise DataError(f"{name}: no files given; name at least one NetCDF file or Zarr store.")
    first, *others = opened.values()
    unread = tuple(note for item in _single(source) if not isinstance(item, xr.Dataset) for note in _unread(item))
    return [replace(first, notes=(*first.notes, *unread)), *others]


def open_source(path: str | Path) -> SourceFile:
    """One file or store, opened lazily, its CF metadata decoded; "#" and a name behind its path choose a group."""
    opened = open_path(path)
    return _decoded(opened.dataset, file=str(path), notes=opened.notes)


def _decoded(dataset: xr.Dataset, *, file: str, notes: tuple[str, ...] = ()) -> SourceFile:
    readable, read = with_readable_times(dataset, file=file)
    numeric, numbers = with_numeric_packing(readable, file=file)
    dataset, left_out = with_writable_attributes(decode(numeric, file=file))
    return SourceFile(file, dataset, (*notes, *read, *numbers, *left_out))


def decode(dataset: xr.Dataset, *, file: str) -> xr.Dataset:
    """CF metadata decoded: fill values, scale factors, times in their own calendar, auxiliary coordinates.

    Args:
        dataset: as it is in the file.
        file: for messages.

    Returns:
        The decoded dataset.

    Raises:
        DataError: for a calendar or time units that CF does not know.
    """
    for variable in dataset.variables.values():
        if "calendar" in variable.attrs:
            check_calendar(str(variable.attrs["calendar"]), file=file)
    try:
        coder = xr.coders.CFDatetimeCoder()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", xr.SerializationWarning)  # of fill values that come twice, and the like
            warnings.filterwarnings("ignore", message=r"Variable\(s\) referenced in")  # said where they would be used
            own = without_malformed_references(dataset).copy()  # decoding takes attributes away from what is decoded
            decoded = xr.decode_cf(own, decode_times=coder, decode_timedelta=False, decode_coords="all")
    except Exception as error:
        raise DataError(f"{file}: {_undecodable(dataset, error)}") from error
    return with_named_bounds(decoded, dataset)


def _undecodable(dataset: xr.Dataset, error: Exception) -> str:
    """Which times begin at no date, as nearly always; else what the decoder says."""
    for name, variable in dataset.variables.items():
        units = str(variable.attrs.get("units", ""))
        if "since" not in units.lower().split():
            continue
        try:
            xr.decode_cf(xr.Dataset({"times": variable.copy()}), decode_times=xr.coders.CFDatetimeCoder())
        except Exception:  # of many kinds, by which calendar is behind it
            calendar = variable.attrs.get("calendar", "standard")
            return (
                f"{name} counts in {units!r}, which begins at no date of its calendar {str(calendar)!r}, or holds "
                "numbers that lead to none; correct the attributes 'units' (such as 'days since 1950-01-01') and "
                "'calendar' (year 0 is in no calendar of the real world)."
            )
    return f"the metadata cannot be decoded ({first_line(error)}); check the attributes 'units' and 'calendar' of time."


def first_line(error: BaseException) -> str:
    """The first line of an error's text, without its full stop; its class where there is no text."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def expand(source: Any) -> Iterator[str | Path | xr.Dataset]:
    """Every file, store and Dataset that a source stands for.

    Args:
        source: a path, a folder, a glob, a URL, a `Dataset`, or a list of these.

    Yields:
        Paths, URLs and datasets.

    Raises:
        DataError: for a path that does not exist, or a pattern or folder without data.

    Examples:
        >>> list(expand("cmip/tas_*.nc"))
    """
    for item in _single(source):
        if isinstance(item, xr.Dataset):
            yield item
        elif (url := url_of(item)) is not None:
            yield from (path for match in remote_paths(url) for path in _of_remote_folder(match))
        else:
            yield from _paths(item)


def is_there(path: str | Path) -> bool:
    """Whether a path or pattern leads to something on this machine; a URL is not asked, and taken to be there."""
    return url_of(path) is not None or bool(_matches(path)) or local_path(split_group(path)[0]).exists()


def _single(source: Any) -> Iterator[str | Path | xr.Dataset]:
    """The items of a source, however its lists are nested."""
    if isinstance(source, str | Path | xr.Dataset):
        yield source
    elif hasattr(source, "__array__"):
        raise DataError(
            "archives are paths, URLs or xarray Datasets, and this is an array; give its axes names: "
            'xr.Dataset({"u": (("sample", "y", "x"), array)}), or array.to_dataset(name="u") of a DataArray.'
        )
    else:
        for item in source:
            yield from _single(item)


def _paths(given: str | Path) -> list[Path]:
    """The files and stores behind a path, a glob or a folder, in the order of their names."""
    if matches := _matches(given):
        return matches
    bare, group = split_group(given)
    path = local_path(bare)
    if glob.has_magic(str(path)) and not path.exists():
        if not (matches := _matches(bare)):
            raise DataError(f"{given}: no file matches; check the folder and the pattern.")
        return [_with_group(match, group) for match in matches]
    if not path.exists():
        raise DataError(f"{given}: no such file or store.")
    if not path.is_dir() or is_zarr(path):
        return [_with_group(path, group)]
    inside = sorted(entry for entry in path.iterdir() if _is_archive(entry))
    if not inside:
        held = ", ".join(_others(path)[:3])
        raise DataError(
            f"{path}: this folder is no Zarr store and holds no NetCDF file (*.nc) or Zarr store"
            + (f", but {held}." if held else ".")
        )
    return [_with_group(entry, group) for entry in inside]


def _matches(pattern: str | Path) -> list[Path]:
    """The paths that a pattern stands for; none where it is the name of a path."""
    path = local_path(pattern)
    if not glob.has_magic(str(path)) or path.exists():
        return []
    return [Path(match) for match in sorted(glob.glob(str(path), recursive=True))]


def _with_group(path: Path, group: str | None) -> Path:
    return path if group is None else Path(f"{path}#{group}")


def _is_archive(path: Path) -> bool:
    """Whether an entry of a folder is read with it: by what is in it; one that is called NetCDF must be."""
    if path.name.startswith("."):
        return False
    if path.is_dir():
        return is_zarr(path)
    if path.suffix.lower() in NETCDF_SUFFIXES:
        return True
    kind = _kind(path)
    return kind in READABLE or (kind == ZIP and any(n.rpartition("/")[2] in ZARR_FILES for n in zip_members(str(path))))


def _kind(path: Path) -> str:
    return kind_of(first_bytes(path)) if path.is_file() else ""


def _others(folder: Path) -> list[str]:
    """Files of a folder that may hold fields and are not read with it, each with what it is."""
    entries = sorted(entry for entry in folder.iterdir() if entry.is_file() and not _is_archive(entry))
    kinds = {entry.name: _kind(entry) for entry in entries}
    return [f"{name} ({kind})" for name, kind in kinds.items() if kind in (*TOLD_OF, ZIP)]


def _unread(item: str | Path) -> Iterator[str]:
    """What is left out of a folder, a sentence."""
    if url_of(item) is not None:
        return
    folder = local_path(item)
    if folder.is_dir() and not is_zarr(folder) and (others := _others(folder)):
        more = f" and {len(others) - 3} more" if len(others) > 3 else ""
        yield f"{folder}: not read are {', '.join(others[:3])}{more}"


def _of_remote_folder(url: str) -> list[str]:
    """The files and stores in a folder behind a URL; the URL itself where it is a file or a store."""
    chained = filesystem_of(url)[1] if "::" in url else url  # "zip::a.zip" is what is in it, and no file
    if "#" in url or is_called_file(chained) or bare_path(url).rstrip("/").endswith(".zarr") or is_pattern(url):
        return [url]
    fs, path = filesystem_of(url)
    page = is_web(path) and not bare_path(path).endswith("/")
    if page and kind_behind(fs, path) != PAGE:  # asked whether it is a folder, fsspec would fetch all of a file
        return [url]
    try:
        if not fs.isdir(path) or is_remote_zarr(url):
            return [url]
        entries = sorted((entry["name"].rstrip("/"), entry["type"]) for entry in fs.ls(path, detail=True))
    except Exception as error:
        raise unreachable(url, error) from error
    inside = [
        url_in(fs, entry, url)
        for entry, kind in entries
        if bare_path(entry).lower().endswith(NETCDF_SUFFIXES)
        or (kind == "directory" and is_remote_zarr(url_in(fs, entry, url)))
    ]
    if not inside and not page:
        raise DataError(f"{url}: this folder is no Zarr store and holds no NetCDF file (*.nc) or Zarr store.")
    return inside or [url]
