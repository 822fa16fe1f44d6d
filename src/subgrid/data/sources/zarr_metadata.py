"""The metadata of a Zarr store, looked at before it is opened: whether it is one, is whole, and holds no code."""

import json
from collections.abc import Iterator
from typing import Any

from subgrid.data.fields import DataError

ZARR_FILES = ("zarr.json", ".zgroup", ".zmetadata", ".zarray")
SAFE_OBJECT_FILTERS = ("vlen-utf8", "vlen-bytes")
"""Zarr 2 stores texts as objects behind these; they hold no code."""
METADATA = (".zarray", ".zmetadata", "zarr.json")


def check_metadata(fs: Any, root: str, name: str) -> None:
    """Refuses a folder that is no Zarr group, or whose metadata, consolidated or not, name objects or pickle.

    Args:
        fs: the file system of fsspec that holds it.
        root: of the store in it.
        name: what messages call it.

    Raises:
        DataError: for an array without a group, a folder without metadata, metadata that cannot be read, and arrays of
            Python objects.
    """
    root = root.rstrip("/")
    found = {key: _metadata(fs, root, key, name) for key in ZARR_FILES if fs.exists(_joined(root, key))}
    if not found:
        raise DataError(_no_store(fs, root, name))
    if ".zarray" in found or found.get("zarr.json", {}).get("node_type") == "array":
        raise DataError(
            f"{name}: is a single Zarr array, without a group that names its dimensions and coordinates; write it with "
            "xarray.Dataset(…).to_zarr(…), or give the folder above it."
        )
    for key, metadata in found.items():
        _refuse_objects(metadata, name, key)
    if not ({".zmetadata"} & set(found) or "consolidated_metadata" in found.get("zarr.json", {})):
        for key in _of_children(fs, root):
            _refuse_objects(_metadata(fs, root, key, name), name, key)


def _of_children(fs: Any, root: str) -> Iterator[str]:
    """The metadata files of the arrays of a group and of the groups in it."""
    for entry in fs.ls(root, detail=True):
        child = entry["name"].rstrip("/").rpartition("/")[2]
        if entry["type"] != "directory" or child == "c":
            continue
        here = [key for key in METADATA if fs.exists(_joined(root, f"{child}/{key}"))]
        yield from (f"{child}/{key}" for key in here)
        if fs.exists(_joined(root, f"{child}/.zgroup")) or ("zarr.json" in here and _is_group(fs, root, child)):
            yield from (f"{child}/{key}" for key in _of_children(fs, _joined(root, child)))


def _is_group(fs: Any, root: str, child: str) -> bool:
    return _metadata(fs, root, f"{child}/zarr.json", child).get("node_type") == "group"


def _metadata(fs: Any, root: str, key: str, name: str) -> dict[str, Any]:
    try:
        content = json.loads(fs.cat_file(_joined(root, key)))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{name}: the metadata of the Zarr store cannot be read ({key} is no JSON); write the store again."
        ) from error
    return content if isinstance(content, dict) else {}


def _no_store(fs: Any, root: str, name: str) -> str:
    """What a folder without metadata of Zarr is."""
    inside = {entry["name"].rstrip("/").rpartition("/")[2] for entry in fs.ls(root, detail=True)}
    if {"refs", "snapshots", "manifests"} <= inside:
        return (
            f"{name}: is a repository of Icechunk, not plain Zarr; open it with the package icechunk and pass the "
            "Dataset that xarray.open_zarr makes of its session."
        )
    return (
        f"{name}: is a folder without the metadata of a Zarr store (zarr.json, .zgroup, .zmetadata), so its writing "
        "did not end; write it again."
    )


def _joined(root: str, key: str) -> str:
    return f"{root}/{key}" if root else key


def _refuse_objects(metadata: Any, name: str, key: str) -> None:
    where = key.rpartition("/")[0]
    for inner, array in _arrays(metadata, where):
        if _holds_objects(array):
            raise DataError(
                f"{name}: {inner or 'one of its variables'} is an array of Python objects, which could run code when "
                "read; write it again as numbers or fixed-length text."
            )


def _arrays(metadata: Any, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every mapping inside the metadata, however deep: consolidated metadata nest those of the arrays."""
    if isinstance(metadata, dict):
        yield name, metadata
        children = [(key, value) for key, value in metadata.items() if key != "attributes"]
    else:
        children = [(name, value) for value in metadata] if isinstance(metadata, list) else []
    for key, child in children:
        yield from _arrays(child, key.removesuffix("/.zarray") if "/" in key else name)


def _holds_objects(metadata: dict[str, Any]) -> bool:
    named = {str(metadata.get(key)) for key in ("id", "name", "data_type")}
    if named & {"pickle", "numcodecs.pickle", "object"}:
        return True
    filters = [f.get("id") for f in metadata.get("filters") or [] if isinstance(f, dict)]
    return metadata.get("dtype") == "|O" and not any(f in SAFE_OBJECT_FILTERS for f in filters)
