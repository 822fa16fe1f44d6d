"""Opening one file or store, here or behind a URL, lazily and by its content: NetCDF, HDF5, Zarr, Zarr in a zip.

Nothing that needs pickle is read: a Zarr array of Python objects is refused before it is opened. A file whose variables
lie in a group is read there if one group alone holds some; "path#group" chooses one of several.
"""

import importlib
import json
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import xarray as xr

from subgrid.data.fields import DataError, text_as_objects
from subgrid.data.sources.file_kinds import HDF5, HEAD_BYTES, READABLE, ZIP, kind_of, refusal, zip_members, zip_refusal
from subgrid.data.sources.groups import Opened, in_group, netcdf_tree, or_error, zarr_tree
from subgrid.data.sources.remote import (
    bare_path,
    filesystem_of,
    is_web,
    local_path,
    sends_parts,
    store_of,
    unreachable,
    url_of,
    whole_copy,
)
from subgrid.data.sources.zarr_metadata import ZARR_FILES, check_metadata

NETCDF_SUFFIXES = (".nc", ".nc3", ".nc4", ".netcdf", ".cdf")
MODE = re.compile(r"mode=[\w,]+|bytes")
"""Behind "#": what the NetCDF library shall do, and no group."""
FILE_SUFFIXES = (
    *NETCDF_SUFFIXES, ".h5", ".hdf5", ".hdf", ".he5", ".zip", ".grib", ".grb", ".grib2", ".tif", ".gz", ".tar",
)  # fmt: skip
"""Of what is a file behind a URL; anything else may be the folder of a store."""


def open_path(path: str | Path) -> Opened:
    """One file or store, lazily, by its content and not by its name.

    Args:
        path: a path or URL; with "#" and the name of a group, that group.

    Returns:
        What is in it, not decoded.

    Raises:
        DataError: for what is missing, what is neither NetCDF nor Zarr, naming what it is and how to open it, what is
            cut short, and variables in several groups.

    Examples:
        >>> open_path("imerg.HDF5").notes
        ("read from its group 'Grid', the only one that holds fields",)
    """
    place, group = split_group(path)
    url = url_of(place)
    if url is not None:
        return _open_remote(url, group)
    local = local_path(place)
    if not local.exists():
        raise DataError(f"{path}: no such file or store.")
    if local.is_dir():
        return _open_zarr(str(local), str(local), group, lambda: _checked_folder(local))
    return _open_file(local, str(local), group)


def _open_file(path: Path, name: str, group: str | None) -> Opened:
    """A file on a disk; messages call it by another name where it is a copy."""
    head = first_bytes(path)
    kind = kind_of(head)
    if kind == ZIP:
        return _open_zip(name, path, zip_members(str(path)), group, lambda: _zip_store(path))
    if kind not in READABLE:
        raise DataError(refusal(name, head))
    _refuse_truncated_classic(path, name)
    read = lambda inner: xr.open_dataset(path, engine="netcdf4", decode_cf=False, group=inner)  # noqa: E731
    return _open_netcdf(name, group, read, lambda: _handle(path))


def _handle(path: Path) -> Any:
    import netCDF4

    return netCDF4.Dataset(path)


def split_group(path: str | Path) -> tuple[str | Path, str | None]:
    """A path and the group in it that is named behind "#", None where none is."""
    text = str(path)
    if "#" not in text or (url_of(text) is None and local_path(path).exists()):
        return path, None
    before, _, group = text.rpartition("#")
    if MODE.fullmatch(group):
        return before, None
    return before, group.strip("/") or None


def first_bytes(path: Path) -> bytes:
    """The beginning of a file, which tells what it is.

    Raises:
        DataError: if it cannot be read at all.
    """
    try:
        with path.open("rb") as stream:
            return stream.read(HEAD_BYTES)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from error


def is_zarr(path: Path) -> bool:
    """Whether a folder is a Zarr store, or is called one."""
    return path.suffix == ".zarr" or any((path / name).exists() for name in ZARR_FILES)


def _open_remote(url: str, group: str | None) -> Opened:
    fs, path = filesystem_of(url)
    store = lambda: _open_zarr(url, _remote_store(url), group, lambda: check_metadata(*store_of(url), url))  # noqa: E731
    by_name = is_called_file(path)
    try:
        if not by_name and not is_web(path) and is_remote_zarr(url):
            return store()
        head = _remote_head(fs, path)
        if not by_name and kind_of(head) not in (*READABLE, ZIP) and is_remote_zarr(url):
            return store()  # a folder on the web may send a page about itself
    except DataError:
        raise
    except Exception as error:
        if not by_name and is_web(path) and is_remote_zarr(url):
            return store()
        raise unreachable(url, error) from error
    opened = _open_remote_file(url, fs, path, head, group)
    opened.dataset.encoding["source"] = url
    return opened


def _remote_head(fs: Any, path: str) -> bytes:
    with fs.open(path, "rb") as stream:
        return stream.read(HEAD_BYTES)


def kind_behind(fs: Any, path: str) -> str:
    """What a file behind a URL is by its first bytes; empty where it cannot be read."""
    try:
        return kind_of(_remote_head(fs, path))
    except Exception:  # said by what opens it
        return ""


def _open_remote_file(url: str, fs: Any, path: str, head: bytes, group: str | None) -> Opened:
    kind = kind_of(head)
    if kind not in (*READABLE, ZIP):
        raise DataError(refusal(url, head))
    if not sends_parts(fs, path):
        opened = _open_file(whole_copy(fs, path, url), url, group)
        return Opened(opened.dataset, ("sent whole only: read from a temporary copy", *opened.notes))
    if kind == ZIP:
        with fs.open(path, "rb") as stream:
            members = zip_members(stream)
        return _open_zip(url, None, members, group, lambda: _remote_store(f"zip::{url}"))
    return _open_remote_netcdf(url, fs, path, head, group)


def _open_remote_netcdf(url: str, fs: Any, path: str, head: bytes, group: str | None) -> Opened:
    if kind_of(head) == HDF5:
        h5netcdf = _h5netcdf(url)
        read = lambda inner: xr.open_dataset(  # noqa: E731
            fs.open(path, "rb"), engine="h5netcdf", decode_cf=False, group=inner, phony_dims="access"
        )
        return _open_netcdf(url, group, read, lambda: h5netcdf.File(fs.open(path, "rb"), "r", phony_dims="access"))
    if head.startswith(b"CDF\x05"):
        raise DataError(f"{url}: is classic NetCDF of 64-bit data, which is read from a disk only; copy it here first.")
    dataset = or_error(url, "NetCDF", lambda: xr.open_dataset(fs.open(path, "rb"), engine="scipy", decode_cf=False))
    return Opened(dataset)


def is_called_file(path: str) -> bool:
    """Whether a path or URL has the name of a file, and not of a folder."""
    return bare_path(path).lower().endswith(FILE_SUFFIXES)


def is_remote_zarr(url: str) -> bool:
    """Whether a URL is that of a Zarr store: on the web, where some servers answer everything, by what it answers."""
    fs, path = store_of(url)
    if is_called_file(path):
        return False
    if is_web(path):
        return any(_is_json(fs, f"{path.rstrip('/')}/{name}") for name in ZARR_FILES)
    return any(fs.exists(f"{path.rstrip('/')}/{name}") for name in ZARR_FILES)


def _is_json(fs: Any, path: str) -> bool:
    try:
        return isinstance(json.loads(fs.cat_file(path)), dict)
    except Exception:  # refused, or no JSON; why the URL itself cannot be read is said
        return False


def _remote_store(url: str) -> Any:
    from zarr.storage import FsspecStore

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of file systems that do not read side by side
        if url == bare_path(url):
            return FsspecStore.from_url(url, read_only=True)
        fs, path = store_of(url, asynchronous=True)
        return FsspecStore(fs, path=path, read_only=True)


def _h5netcdf(url: str) -> Any:
    for package in ("h5py", "h5netcdf"):  # h5netcdf installs without h5py, which it reads with
        try:
            module = importlib.import_module(package)
        except ImportError as error:
            raise DataError(
                f"{url}: NetCDF behind a URL needs the package {package}; install it with `pip install h5netcdf h5py`, "
                "or copy the file here first."
            ) from error
    return module


def _checked_folder(path: Path) -> None:
    import fsspec

    check_metadata(fsspec.filesystem("file"), str(path), str(path))


def _zip_store(path: Path) -> Any:
    from zarr.storage import ZipStore

    return ZipStore(path, mode="r")


def _open_zip(name: str, local: Path | None, members: list[str], group: str | None, store: Callable[[], Any]) -> Opened:
    """A Zarr store in a zip archive, at its root or in its one folder, read where it is."""
    import fsspec

    roots = {member.rpartition("/")[0] for member in members if member.rpartition("/")[2] in ZARR_FILES}
    root = min(roots, key=len, default=None)
    if root is None or not all(member == root or member.startswith(root) for member in roots):
        raise DataError(zip_refusal(name, members))

    def check() -> None:
        fs = fsspec.filesystem("zip", fo=str(local)) if local is not None else fsspec.core.url_to_fs(f"zip::{name}")[0]
        check_metadata(fs, root, name)

    opened = _open_zarr(name, store(), group, check, root=root)
    return Opened(opened.dataset, ("Zarr in a zip archive, read where it is", *opened.notes))


def _open_zarr(name: str, store: Any, group: str | None, check: Callable[[], None], *, root: str = "") -> Opened:
    check()
    read = lambda inner: _zarr_dataset(store, root, inner)  # noqa: E731
    return in_group(name, group, or_error(name, "Zarr", lambda: read(group)), read, lambda: zarr_tree(store, root))


def _zarr_dataset(store: Any, root: str, group: str | None) -> xr.Dataset:
    inside = "/".join(part for part in (root, group) if part) or None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*consolidated.*", category=RuntimeWarning)
        warnings.filterwarnings("ignore", message=".*[Dd]uplicate.*")
        consolidated = False if root else None  # else it is looked for outside of the root
        dataset = xr.open_zarr(store, group=inside, decode_cf=False, chunks=None, consolidated=consolidated)
    labels = {n: v for n, v in dataset.variables.items() if v.dtype.kind == "T" and v.ndim <= 1}
    return dataset.assign({name: text_as_objects(variable) for name, variable in labels.items()})


def _open_netcdf(
    name: str, group: str | None, read: Callable[[str | None], xr.Dataset], handle: Callable[[], Any]
) -> Opened:
    return in_group(name, group, or_error(name, "NetCDF", lambda: read(group)), read, lambda: netcdf_tree(handle))


def _refuse_truncated_classic(path: Path, name: str) -> None:
    """Raises `DataError` if a classic NetCDF file is shorter than its header says.

    The NetCDF library reads what is missing as anything at all, without complaint; scipy maps the file and objects.
    """
    from scipy.io import netcdf_file

    if first_bytes(path)[:4] not in (b"CDF\x01", b"CDF\x02"):
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scipy warns of the map that outlives the file object
            netcdf_file(path, "r", mmap=True).close()
    except Exception as error:
        raise DataError(
            f"{name}: this NetCDF file ends before its header says ({path.stat().st_size} bytes are there); "
            "it was cut short: fetch or write it again."
        ) from error
