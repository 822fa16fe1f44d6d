"""Writing: everything is made aside, under a hidden name, and renamed when whole."""

import contextlib
import errno
import json
import os
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import xarray as xr


class OutputError(OSError):
    """An output that cannot be written; the message says why."""


class OutputExists(ValueError):
    """Something is there already that would be lost; the message says how to go on."""


def check_free(path: str | Path, *, overwrite: bool = False) -> Path:
    """The path, if nothing is there or it may be replaced.

    **Raises:** `OutputExists` if it exists and `overwrite` is false.
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise OutputExists(f"{path}: exists already; choose another output or pass --overwrite.")
    return path


def write_whole(path: str | Path, write: Callable[[Path], None], *, overwrite: bool = False) -> Path:
    """Calls `write(temporary)` and renames the result to `path`; on any failure nothing is left behind.

    **Raises:** `OutputExists` for an existing path; `OutputError` for a full disk or a folder that cannot be written.
    """
    path = check_free(path, overwrite=overwrite)
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(partial)
        _replace(partial, path)
    except BaseException as error:
        _remove(partial)
        if isinstance(error, OSError):
            raise OutputError(_explain(path, error)) from error
        raise
    return path


def write_zarr(dataset: xr.Dataset, path: str | Path, *, overwrite: bool = False) -> Path:
    """One Zarr v3 store, whole or not at all. Errors are those of `write_whole`."""

    def write(partial: Path) -> None:
        with warnings.catch_warnings():  # xarray reads consolidated metadata faster, and complains without it
            warnings.filterwarnings("ignore", message="Consolidated metadata")
            dataset.to_zarr(partial, zarr_format=3, consolidated=True, mode="w")

    return write_whole(path, write, overwrite=overwrite)


def write_text(path: str | Path, text: str, *, overwrite: bool = True) -> Path:
    """One text file, whole or not at all. Errors are those of `write_whole`."""
    return write_whole(path, lambda partial: _write_and_sync(partial, text), overwrite=overwrite)


def write_json(path: str | Path, content: Any, *, overwrite: bool = True) -> Path:
    """One JSON file, whole or not at all. Errors are those of `write_whole`."""
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
        _remove(old)
    else:
        os.replace(partial, path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            path.unlink()


def _explain(path: Path, error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return f"{path}: no space left on the disk; nothing was written."
    return f"{path}: cannot be written ({error.strerror or error})."
