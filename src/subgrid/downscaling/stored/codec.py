"""A part of a model as plain JSON and arrays, and back: nothing is pickled, and no name of a class is written.

    part ─encode▶ description, {"steps.0.kept": array, …} ─decode▶ the same part, to the same bits

A module or dataclass is {"kind": its name in `kinds.KINDS`, field: …}; an array is {"array": its name}; tuples, sparse
matrices and datasets of coordinates have forms of their own; numbers, texts, lists and None stand for themselves.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import xarray as xr
from jax.experimental import sparse

from subgrid.downscaling.stored.kinds import KINDS, class_of, kind_of

Arrays = dict[str, np.ndarray]


class LaterVersion(ValueError):
    """A description that says more than this version understands."""


def encode(part: Any) -> tuple[Any, Arrays]:
    """A part as a description and its arrays.

    Args:
        part: modules and dataclasses of the known kinds, arrays, plain values, and tuples, lists and mappings of these.

    Returns:
        What JSON keeps, and the arrays by the names that it gives them.

    Raises:
        TypeError: for something that has no kind, naming where it is.

    Examples:
        >>> description, arrays = encode(Subsample((192,), 8))
    """
    arrays: Arrays = {}
    return _encode(part, "part", arrays), arrays


def decode(description: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """The part that `encode` described.

    Args:
        description: from `encode`, perhaps by way of JSON.
        arrays: by name.

    Returns:
        The part.

    Raises:
        KeyError: for an array or a field that there is not.
        LaterVersion: for a kind or a field that this version does not know.

    Examples:
        >>> decode(*encode(Subsample((192,), 8)))
    """
    match description:
        case {"kind": kind, **fields}:  # first: a field may have the name of one of the forms below
            return _part(kind, {name: decode(value, arrays) for name, value in fields.items()})
        case {"array": name, **more}:
            return jax.device_put(arrays[name]) if more["jax"] else np.asarray(arrays[name])
        case {"texts": texts, "shape": shape}:
            return np.array(texts, dtype=str).reshape(shape)
        case {"tuple": items}:
            return tuple(decode(item, arrays) for item in items)
        case {"mapping": items}:
            return {name: decode(item, arrays) for name, item in items.items()}
        case list():
            return [decode(item, arrays) for item in description]
        case dict():
            raise LaterVersion(f"a description with {', '.join(map(str, description)) or 'nothing'}")
    return description


def _encode(part: Any, path: str, arrays: Arrays) -> Any:
    inside = lambda items: {name: _encode(item, f"{path}.{name}", arrays) for name, item in items}  # noqa: E731
    match part:
        case None | bool() | int() | float() | str():
            return part
        case np.generic():
            return part.item()
        case np.ndarray() if part.dtype.kind in "UOT":  # a few names, which arrays of numbers have no room for
            return {"texts": [str(each) for each in part.ravel()], "shape": list(part.shape)}
        case np.ndarray() | jax.Array():
            name = _free_name(path, arrays)
            arrays[name] = np.asarray(part)
            return {"array": name, "jax": isinstance(part, jax.Array)}
        case sparse.BCOO():
            flags = ("indices_sorted", "unique_indices")
            facts = {"data": part.data, "indices": part.indices, "shape": tuple(part.shape)}
            return {"kind": "sparse matrix"} | inside((facts | {flag: getattr(part, flag) for flag in flags}).items())
        case xr.Dataset():
            return {"kind": "coordinates"} | inside(_described(part).items())
        case tuple():
            return {"tuple": [_encode(item, f"{path}.{i}", arrays) for i, item in enumerate(part)]}
        case list():
            return [_encode(item, f"{path}.{i}", arrays) for i, item in enumerate(part)]
        case Mapping():
            return {"mapping": inside((str(name), item) for name, item in part.items())}
    kind = kind_of(part)
    if kind is None or not dataclasses.is_dataclass(part):
        raise TypeError(f"{path}: a {type(part).__name__} has no kind; name one in `stored.kinds`.")
    return {"kind": kind} | inside((field.name, getattr(part, field.name)) for field in dataclasses.fields(part))


def _free_name(path: str, arrays: Arrays) -> str:
    """A name that no other array has, in one store: the keys of mappings may hold dots and slashes."""
    name = path.replace("/", "|")
    while name in arrays:
        name += "_"
    return name


def _part(kind: str, fields: Mapping[str, Any]) -> Any:
    match kind:
        case "sparse matrix":
            return _sparse(fields)
        case "coordinates":
            return _dataset(fields)
    if kind not in KINDS:
        raise LaterVersion(f"a part of the kind {kind!r}")
    return _made(kind, class_of(kind), fields)


def _made(kind: str, cls: type, fields: Mapping[str, Any]) -> Any:
    """An instance with these fields: what its `__init__` once computed is not computed again."""
    part = object.__new__(cls)
    known = {field.name: field for field in dataclasses.fields(cls)}
    if unknown := [name for name in fields if name not in known]:
        raise LaterVersion(f"{unknown[0]!r} of a part of the kind {kind!r}")
    for name, field in known.items():
        if name in fields:
            object.__setattr__(part, name, fields[name])
        elif field.default is not dataclasses.MISSING:  # a field that is younger than the file
            object.__setattr__(part, name, field.default)
        elif field.default_factory is not dataclasses.MISSING:
            object.__setattr__(part, name, field.default_factory())
        else:
            raise KeyError(f"{cls.__name__} has no {name}")
    return part


def _sparse(fields: Mapping[str, Any]) -> sparse.BCOO:
    flags = {flag: fields[flag] for flag in ("indices_sorted", "unique_indices")}
    return sparse.BCOO((fields["data"], fields["indices"]), shape=fields["shape"], **flags)


def _described(dataset: xr.Dataset) -> dict[str, Any]:
    """Coordinates and attributes of a grid, and variables that hold no more than their attributes."""
    describe = lambda each: {"dims": each.dims, "values": np.asarray(each.values), "attrs": _plain(each.attrs)}  # noqa: E731
    return {
        "coords": {str(name): describe(each.variable) for name, each in dataset.coords.items()},
        "variables": {str(name): describe(each.variable) for name, each in dataset.data_vars.items()},
        "attrs": _plain(dataset.attrs),
    }


def _dataset(fields: Mapping[str, Any]) -> xr.Dataset:
    made = {
        part: {name: (each["dims"], np.asarray(each["values"]), each["attrs"]) for name, each in fields[part].items()}
        for part in ("variables", "coords")
    }
    return xr.Dataset(made["variables"], made["coords"], fields["attrs"])


def _plain(attributes: Mapping[Any, Any]) -> dict[str, Any]:
    """Attributes as JSON keeps them: numbers for NumPy's, lists for arrays, texts for what else there is."""

    def one(value: Any) -> Any:
        match value:
            case np.generic():
                return value.item()
            case np.ndarray():
                return value.tolist()
            case list() | tuple():
                return [one(item) for item in value]
            case None | bool() | int() | float() | str():
                return value
        return str(value)

    return {str(name): one(value) for name, value in attributes.items()}
