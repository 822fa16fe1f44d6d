"""Finding and reading archives: paths, globs, folders, NetCDF and Zarr, as datasets with decoded CF metadata.

Values stay on disk. Nothing that needs pickle is read: a Zarr array of Python objects is refused before it is opened.
"""

import glob
import json
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import xarray as xr

from subgrid.data.cf.absolute_times import with_readable_times
from subgrid.data.cf.calendars import check_calendar
from subgrid.data.fields import DataError

Source: TypeAlias = str | Path | xr.Dataset | Sequence[str | Path | xr.Dataset]

NETCDF_SUFFIXES = (".nc", ".nc3", ".nc4", ".netcdf", ".cdf")
ZARR_FILES = ("zarr.json", ".zgroup", ".zmetadata", ".zarray")
SAFE_OBJECT_FILTERS = ("vlen-utf8", "vlen-bytes")
"""Zarr 2 stores texts as objects behind these; they hold no code."""


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
        source: a NetCDF file, a Zarr store, a folder of them, a glob, a `Dataset`, or a list of these.
        name: what messages call a `Dataset`.

    Returns:
        The files, in the order of their names.

    Raises:
        DataError: for a missing file, one that cannot be read, or times that cannot be decoded.

    Examples:
        >>> files = read_sources("cmip/tas_*.nc", name="coarse")
    """
    opened: dict[str, SourceFile] = {}
    for item in expand(source):
        if isinstance(item, xr.Dataset):
            file = name if name not in opened else f"{name}[{len(opened)}]"
            opened[file] = _decoded(item, file)
        elif str(item) not in opened:
            opened[str(item)] = _decoded(_open(item), str(item))
    if not opened:
        raise DataError(f"{name}: no files given; name at least one NetCDF file or Zarr store.")
    return list(opened.values())


def _decoded(dataset: xr.Dataset, file: str) -> SourceFile:
    readable, notes = with_readable_times(dataset, file=file)
    return SourceFile(file, decode(readable, file=file), notes)


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
        return xr.decode_cf(dataset, decode_times=coder, decode_timedelta=False, decode_coords="all")
    except Exception as error:
        raise DataError(
            f"{file}: the metadata cannot be decoded ({first_line(error)}); check the attributes 'units' and "
            "'calendar' of time."
        ) from error


def first_line(error: BaseException) -> str:
    """The first line of an error's text, without its full stop; its class where there is no text."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def expand(source: Any) -> Iterator[Path | xr.Dataset]:
    """Every file, store and Dataset that a source stands for.

    Args:
        source: a path, a folder, a glob, a `Dataset`, or a list of these.

    Yields:
        Paths and datasets.

    Raises:
        DataError: for a path that does not exist, or a pattern or folder without data.

    Examples:
        >>> list(expand("cmip/tas_*.nc"))
    """
    match source:
        case xr.Dataset():
            yield source
        case str() | Path():
            yield from _paths(source)
        case _:
            for item in source:
                yield from expand(item)


def _paths(path: str | Path) -> list[Path]:
    """The files and stores behind a path, a glob or a folder, in the order of their names."""
    if glob.has_magic(str(path)) and not Path(path).exists():
        found = [Path(match) for match in sorted(glob.glob(str(path), recursive=True))]
        if not found:
            raise DataError(f"{path}: no file matches; check the folder and the pattern.")
        return found
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path}: no such file or store.")
    if not path.is_dir() or _is_zarr(path):
        return [path]
    inside = sorted(p for p in path.iterdir() if p.suffix.lower() in NETCDF_SUFFIXES or (p.is_dir() and _is_zarr(p)))
    if not inside:
        raise DataError(f"{path}: this folder is no Zarr store and holds no NetCDF file (*.nc) or Zarr store.")
    return inside


def _is_zarr(path: Path) -> bool:
    return path.suffix == ".zarr" or any((path / name).exists() for name in ZARR_FILES)


def _open(path: Path) -> xr.Dataset:
    if path.is_dir():
        _refuse_objects(path)
        return _or_error(path, "Zarr", lambda: _open_zarr(path))
    _refuse_truncated_classic(path)
    return _or_error(path, "NetCDF", lambda: xr.open_dataset(path, engine="netcdf4", decode_cf=False))


def _or_error(path: Path, kind: str, read) -> xr.Dataset:
    try:
        return read()
    except Exception as error:
        raise DataError(
            f"{path}: cannot be read as {kind} ({first_line(error)}); it may be incomplete: fetch or write it again."
        ) from error


def _open_zarr(path: Path) -> xr.Dataset:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*consolidated.*", category=RuntimeWarning)
        return xr.open_zarr(path, decode_cf=False, chunks=None)


def _refuse_objects(path: Path) -> None:
    """Raises `DataError` if any metadata of the store, consolidated or not, names objects or pickle."""
    names = (".zarray", ".zmetadata", "zarr.json")
    for file in (p for name in names for p in (path / name, *path.glob(f"*/{name}")) if p.is_file()):
        try:
            metadata = json.loads(file.read_text())
        except (OSError, ValueError) as error:
            raise DataError(
                f"{file}: the metadata of the Zarr store cannot be read ({first_line(error)}); write the store again."
            ) from error
        for array in _arrays(metadata):
            if _holds_objects(array):
                raise DataError(
                    f"{path}: {file.parent.name} is an array of Python objects, which could run code when read; "
                    "write it again as numbers or fixed-length text."
                )


def _arrays(metadata: Any) -> Iterator[dict[str, Any]]:
    """Every mapping inside the metadata, however deep: consolidated metadata nest those of the arrays."""
    if isinstance(metadata, dict):
        yield metadata
        children = [value for key, value in metadata.items() if key != "attributes"]
    else:
        children = metadata if isinstance(metadata, list) else []
    for child in children:
        yield from _arrays(child)


def _holds_objects(metadata: dict[str, Any]) -> bool:
    named = {str(metadata.get(key)) for key in ("id", "name", "data_type")}
    if named & {"pickle", "numcodecs.pickle", "object"}:
        return True
    filters = [f.get("id") for f in metadata.get("filters") or [] if isinstance(f, dict)]
    return metadata.get("dtype") == "|O" and not any(f in SAFE_OBJECT_FILTERS for f in filters)


def _refuse_truncated_classic(path: Path) -> None:
    """Raises `DataError` if a classic NetCDF file is shorter than its header says.

    The NetCDF library reads what is missing as anything at all, without complaint; scipy maps the file and objects.
    """
    from scipy.io import netcdf_file

    with path.open("rb") as stream:
        if stream.read(4) not in (b"CDF\x01", b"CDF\x02"):
            return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scipy warns of the map that outlives the file object
            netcdf_file(path, "r", mmap=True).close()
    except Exception as error:
        raise DataError(
            f"{path}: this NetCDF file ends before its header says ({path.stat().st_size} bytes are there); "
            "it was cut short: fetch or write it again."
        ) from error
