"""Groups of NetCDF and Zarr: fields are read at the root, or in a group where one alone holds some."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import xarray as xr

from subgrid.data.fields import DataError

BOUNDS = ("_bnds", "_bounds", "_vertices")
AGAIN = "it was cut short or is damaged: fetch or write it again"
Tree = Iterator[tuple[str, list[str]]]
"""Every group of a file and the names of the fields in it."""


@dataclass(frozen=True)
class Opened:
    """A file as it is, nothing decoded.

    Args:
        dataset: what is in it.
        notes: on how it was opened, a sentence each.
    """

    dataset: xr.Dataset
    notes: tuple[str, ...] = ()


def zarr_tree(store: Any, root: str = "") -> Tree:
    """Every group of a Zarr store, below the group `root` in it, and the fields in it."""
    import zarr

    def walk(node: Any, path: str) -> Tree:
        yield path, [name for name, array in node.arrays() if _is_field(name, array.ndim)]
        for name, child in node.groups():
            yield from walk(child, f"{path}/{name}".strip("/"))

    yield from walk(zarr.open_group(store, path=root, mode="r"), "")


def netcdf_tree(open_file: Callable[[], Any]) -> Tree:
    """Every group of a NetCDF file and the fields in it, by netCDF4 or h5netcdf."""
    with open_file() as root:
        yield from _walk(root, "")


def _walk(node: Any, path: str) -> Tree:
    yield path, [name for name, variable in node.variables.items() if _is_field(name, len(variable.dimensions))]
    for name, child in node.groups.items():
        yield from _walk(child, f"{path}/{name}".strip("/"))


def _is_field(name: str, n_dims: int) -> bool:
    return n_dims >= 2 and not name.endswith(BOUNDS)


def in_group(
    name: str,
    group: str | None,
    opened: xr.Dataset,
    read: Callable[[str | None], xr.Dataset],
    tree: Callable[[], Tree],
) -> Opened:
    """The dataset where its fields are: at the root, in the group that is asked for, or in the only one with fields."""
    if group is None and any(_is_field(str(n), len(v.dims)) for n, v in opened.variables.items()):
        return Opened(opened)
    if group is not None:
        return Opened(_with_parents(opened, group, read))
    every = or_error(name, "the groups of it", lambda: dict(tree()))
    held = {path: fields for path, fields in every.items() if path and fields}
    if not held:
        _require_variables(name, opened)
        return Opened(opened)
    if len(held) > 1:
        listing = ", ".join(f"{path} ({', '.join(fields[:3])})" for path, fields in held.items())
        raise DataError(
            f"{name}: its fields are in several groups, {listing}; say which, as in '{name}#{next(iter(held))}'."
        )
    only = next(iter(held))
    dataset = or_error(name, "NetCDF", lambda: read(only))
    note = f"read from its group {only!r}, the only one that holds fields"
    return Opened(_with_parents(dataset, only, read), (note,))


def _with_parents(dataset: xr.Dataset, group: str, read: Callable[[str | None], xr.Dataset]) -> xr.Dataset:
    """The coordinates that the groups around a group hold for it: a dimension and its values may be in a parent."""
    parts = group.split("/")
    for depth in range(len(parts) - 1, -1, -1):
        around = read("/".join(parts[:depth]) or None)
        for name, variable in around.variables.items():
            fits = all(dataset.sizes.get(dim) == size for dim, size in variable.sizes.items())
            if name not in dataset.variables and variable.dims and fits:
                dataset = dataset.assign({name: variable})
    return dataset


def _require_variables(name: str, opened: xr.Dataset) -> None:
    if not opened.variables:
        raise DataError(f"{name}: holds no variable at all; its writing did not end, so write it again.")


def or_error(name: str, kind: str, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except DataError:
        raise
    except Exception as error:
        raise DataError(f"{name}: {_reason(kind, error)}.") from error


def _reason(kind: str, error: BaseException) -> str:
    """What went wrong, without a library's words."""
    text = str(error)
    if isinstance(error, PermissionError):
        return "cannot be read (no permission)"
    if "_ARRAY_DIMENSIONS" in text or "dimension_names" in text:
        return "is Zarr whose arrays do not name their dimensions; write it with xarray, which does"
    if isinstance(error, KeyError | FileNotFoundError) or "group not found" in text:  # of Zarr, of NetCDF
        return "holds no such group; leave out '#' and what is behind it to read the groups that it has"
    return f"cannot be read as {kind}; {AGAIN}"
