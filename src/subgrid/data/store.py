"""Writing: everything is made aside, under a hidden name, and renamed when whole."""

import contextlib
import errno
import json
import os
import shutil
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import xarray as xr

from subgrid.data.fields import text_as_objects
from subgrid.data.leftovers import owner, remove_leftovers
from subgrid.data.sources.attributes import with_writable_attributes
from subgrid.data.sources.opening import split_group
from subgrid.data.sources.remote import local_path, url_of

Kind: TypeAlias = Literal["file", "store"]
Arrays: TypeAlias = Mapping[str, np.ndarray]
"""By name."""
NETCDF_SUFFIXES = (".nc", ".nc4", ".netcdf", ".cdf")
OTHER_FORMATS = (
    ".grib", ".grib2", ".grb", ".grb2", ".tif", ".tiff", ".csv", ".txt", ".json", ".toml", ".h5", ".hdf5", ".hdf",
    ".he5", ".zip", ".gz", ".bz2", ".xz", ".zst", ".tar", ".npy", ".npz", ".parquet", ".nc3",
)  # fmt: skip
KEPT_ENCODING = ("units", "calendar", "grid_mapping", "bounds", "coordinates")
ZARR_MARKS = ("zarr.json", ".zgroup", ".zmetadata")
"""What tells a Zarr store, of either format, from any other folder."""
WORK = ".subgrid/work"
"""What a store that is filled piece by piece keeps of its making, and below it the record of what it is to be, and a
marker for each piece that is done."""
RECORD, MARKERS = f"{WORK}/store.json", f"{WORK}/done"


class OutputError(OSError):
    """An output that cannot be written; the message says why."""


class OutputExists(ValueError):
    """Something is there already that would be lost; the message says how to go on."""


def check_free(
    path: str | Path, *, overwrite: bool = False, kind: Kind | None = None, inputs: Iterable[str | Path] = ()
) -> Path:
    """The path, if something can be written there and nothing would be lost that should not be.

    Args:
        path: of the output.
        overwrite: whether an older output may be replaced: a file by a file, a store by a store, never any other
            folder.
        kind: what will be written, "file" or "store", if known.
        inputs: the files and folders that are being read.

    Returns:
        The path.

    Raises:
        OutputExists: if something is there that may not be replaced, or the path is one of the inputs, in one or around
            one.
        OutputError: if its folder is a file or cannot be written.

    Examples:
        >>> check_free("out.zarr", overwrite=True, kind="store", inputs=["coarse.nc"])
    """
    if (url := url_of(path)) is not None:
        raise OutputError(f"{url}: outputs are written to this machine; give a path, and copy the output there after.")
    path = Path(path)
    for source in (local_path(split_group(each)[0]) for each in inputs if url_of(each) is None):
        _require_apart(path, source)
    if path.exists():
        _require_replaceable(path, overwrite, kind)
    _require_writable(path)
    return path


def _require_apart(path: Path, source: Path) -> None:
    output, read = path.resolve(), source.resolve()
    if output == read or output in read.parents or read in output.parents:
        raise OutputExists(f"{path}: is the input {source}, or holds it, or is in it; choose another output.")


def _require_replaceable(path: Path, overwrite: bool, kind: Kind | None) -> None:
    if not overwrite:
        raise OutputExists(f"{path}: exists already; choose another output or pass --overwrite.")
    if path.is_dir() and (kind == "file" or not any((path / mark).exists() for mark in ZARR_MARKS)):
        raise OutputExists(f"{path}: is a folder, and no Zarr store to be replaced by one; choose another output.")
    if not path.is_dir() and kind == "store":
        raise OutputExists(f"{path}: is a file, and a Zarr store would be a folder; choose another output.")


def _require_writable(path: Path) -> None:
    there = next(folder for folder in path.absolute().parents if folder.exists())
    if not there.is_dir():
        raise OutputError(f"{path}: cannot be written ({there} is a file, not a folder).")
    if not os.access(there, os.W_OK | os.X_OK):
        raise OutputError(f"{path}: cannot be written (no permission in {there}).")


def write_whole(
    path: str | Path, write: Callable[[Path], None], *, overwrite: bool = False, kind: Kind | None = None
) -> Path:
    """Calls `write(temporary)` and renames the result to the path; on any failure nothing is left behind.

    What a killed process of this host left of the same path is removed first.

    Args:
        path: of the output; its folder is made if need be.
        write: makes a file or a folder at the path that it is given.
        overwrite: whether an older output may be replaced, as for `check_free`.
        kind: what is written, "file" or "store", if known.

    Returns:
        The path.

    Raises:
        OutputExists: if something is there that may not be replaced.
        OutputError: if it cannot be written, as on a full disk. What `write` raises, other than `OSError`, passes
            through.

    Examples:
        >>> write_whole("figure.png", lambda partial: figure.savefig(partial, format="png"))
    """
    path = check_free(path, overwrite=overwrite, kind=kind)
    aside = f".{path.name}.partial-"
    partial = path.with_name(f"{aside}{owner()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path.parent, aside)
        write(partial)
        _replace(partial, path)
    except BaseException as error:
        remove(partial)
        if isinstance(error, OSError):
            raise OutputError(_explain(path, error)) from error
        raise
    return path


def write_zarr(dataset: xr.Dataset, path: str | Path, *, overwrite: bool = False) -> Path:
    """Writes one Zarr v3 store, whole or not at all.

    Args:
        dataset: what to write.
        path: of the store.
        overwrite: whether an older store may be replaced, not by default.

    Returns:
        The path.

    Raises:
        OutputExists: if something is there that may not be replaced.
        OutputError: if it cannot be written.

    Examples:
        >>> write_zarr(dataset, "out.zarr")
    """

    def write(partial: Path) -> None:
        with warnings.catch_warnings():  # xarray reads consolidated metadata faster, and complains without it
            warnings.filterwarnings("ignore", message="Consolidated metadata")
            with_text_of_any_length(dataset).to_zarr(partial, zarr_format=3, consolidated=True, mode="w")

    return write_whole(path, write, overwrite=overwrite, kind="store")


def with_text_of_any_length(dataset: xr.Dataset) -> xr.Dataset:
    """The dataset with names and labels as zarr's v3 specifies text: of fixed length it has none, and warns.

    Args:
        dataset: to write.

    Returns:
        The dataset, its text as objects.
    """
    text = {name: variable for name, variable in dataset.variables.items() if variable.dtype.kind in "SU"}
    return dataset.assign({name: text_as_objects(variable) for name, variable in text.items()})


def output_kind(path: str | Path) -> Kind:
    """What an ensemble is written as at a path: "file", NetCDF, where it ends as such files do; else "store", Zarr.

    Args:
        path: of the output.

    Returns:
        The kind, for `check_free` and `write_dataset`.

    Raises:
        OutputError: for the suffix of another kind of file, which Subgrid does not write, and for a URL.

    Examples:
        >>> output_kind("ensemble.nc"), output_kind("ensemble.zarr")
        ('file', 'store')
    """
    suffix = Path(path).suffix.lower()
    if suffix in OTHER_FORMATS:
        raise OutputError(
            f"{path}: Subgrid writes NetCDF (.nc) and Zarr (.zarr), and no {suffix}; choose one of them as the output."
        )
    return "file" if suffix in NETCDF_SUFFIXES else "store"


def write_dataset(dataset: xr.Dataset, path: str | Path, *, overwrite: bool = False) -> Path:
    """Writes a dataset, whole or not at all: as NetCDF where the path ends in .nc, else as a Zarr v3 store.

    Args:
        dataset: what to write; attributes that neither holds are left out.
        path: of the output.
        overwrite: whether an older output of the same kind may be replaced, not by default.

    Returns:
        The path.

    Raises:
        OutputExists: if something is there that may not be replaced.
        OutputError: if it cannot be written, or the path has the suffix of a file of another kind.

    Examples:
        >>> write_dataset(ensemble, "ensemble.nc")
    """
    kind = output_kind(path)
    dataset, _ = with_writable_attributes(dataset)
    if kind == "store":
        return write_zarr(dataset, path, overwrite=overwrite)
    return write_whole(path, lambda partial: _write_netcdf(dataset, partial), overwrite=overwrite, kind="file")


def _write_netcdf(dataset: xr.Dataset, path: Path) -> None:
    """NetCDF-4, compressed; of what the dataset was read from, the units of its times and links of CF are kept."""
    plain = dataset.drop_encoding()
    for name, variable in dataset.variables.items():
        kept = {key: variable.encoding[key] for key in KEPT_ENCODING if key in variable.encoding}
        packed = variable.ndim > 1 and variable.dtype.kind in "fiu"
        plain[name].encoding = kept | ({"zlib": True, "complevel": 1, "shuffle": True} if packed else {})
    try:
        plain.to_netcdf(path, engine="netcdf4", format="NETCDF4")
    except RuntimeError as error:  # the NetCDF library does not say more
        free = shutil.disk_usage(path.parent).free
        full = free < dataset.nbytes
        raise OSError(errno.ENOSPC if full else errno.EIO, "the NetCDF library failed to write it") from error


def write_text(path: str | Path, text: str, *, overwrite: bool = True) -> Path:
    """Writes one text file, whole or not at all.

    Args:
        path: of the file.
        text: written as UTF-8.
        overwrite: whether an older file may be replaced, as it is by default.

    Returns:
        The path.

    Raises:
        OutputExists: if something is there that may not be replaced.
        OutputError: if it cannot be written.

    Examples:
        >>> write_text("notes.txt", "two lines\\nof text\\n")
    """
    return write_whole(path, lambda partial: _write_and_sync(partial, text), overwrite=overwrite, kind="file")


def write_json(path: str | Path, content: Any, *, overwrite: bool = True) -> Path:
    """Writes one JSON file, whole or not at all.

    Args:
        path: of the file.
        content: what `json.dumps` takes.
        overwrite: whether an older file may be replaced, as it is by default.

    Returns:
        The path.

    Raises:
        OutputExists: if something is there that may not be replaced.
        OutputError: if it cannot be written.

    Examples:
        >>> write_json("scores.json", {"covRMSE": 0.1})
    """
    return write_text(path, json.dumps(content, indent=2) + "\n", overwrite=overwrite)


def _write_and_sync(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _replace(partial: Path, path: Path) -> None:
    if path.is_dir():  # a folder cannot be renamed onto another: move the old one out of the way first
        old = path.with_name(f".{path.name}.old-{os.getpid()}")
        os.replace(path, old)
        try:
            os.replace(partial, path)
        except BaseException:
            os.replace(old, path)
            raise
        remove(old)
    else:
        os.replace(partial, path)


def remove(path: Path) -> None:
    """Removes a file or a folder with all that is in it, if it is there.

    Args:
        path: of the file or folder.
    """
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            path.unlink()


def _explain(path: Path, error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return f"{path}: no space left on the disk; nothing was written."
    return f"{path}: cannot be written ({error.strerror or error})."


def write_arrays(arrays: Arrays, path: str | Path) -> Path:
    """Arrays into one npz file, whole or not at all; an older one is replaced.

    Args:
        arrays: by name.
        path: of the file.

    Returns:
        The path.

    Raises:
        OutputExists: if something else is there.
        OutputError: if it cannot be written.

    Examples:
        >>> write_arrays({"fields": fields}, "RUN/fields.npz")
    """

    def write(partial: Path) -> None:
        with partial.open("wb") as file:
            np.savez(file, allow_pickle=False, **dict(arrays))

    return write_whole(path, write, overwrite=True, kind="file")


def read_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """What `write_arrays` wrote.

    Args:
        path: of the file.

    Returns:
        The arrays by name.
    """
    with np.load(path) as file:
        return dict(file)
