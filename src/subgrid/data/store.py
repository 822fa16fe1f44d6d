"""Writing: everything is made aside, under a hidden name, and renamed when whole."""

import contextlib
import errno
import json
import os
import shutil
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal, TypeAlias

import xarray as xr

Kind: TypeAlias = Literal["file", "store"]
ZARR_MARKS = ("zarr.json", ".zgroup", ".zmetadata")
"""What tells a Zarr store, of either format, from any other folder."""


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
    path = Path(path)
    for source in map(Path, inputs):
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
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
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
            dataset.to_zarr(partial, zarr_format=3, consolidated=True, mode="w")

    return write_whole(path, write, overwrite=overwrite, kind="store")


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
