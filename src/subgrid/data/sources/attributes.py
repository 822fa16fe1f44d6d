"""Attributes that no file can hold: left out before anything is computed, so that every output can be written."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import xarray as xr


def with_writable_attributes(dataset: xr.Dataset) -> tuple[xr.Dataset, tuple[str, ...]]:
    """A dataset without the attributes that neither NetCDF nor Zarr takes: bytes, dictionaries, dates, None and others.

    Args:
        dataset: any; it is not changed.

    Returns:
        The dataset and a sentence on what was left out, if anything was.

    Examples:
        >>> with_writable_attributes(xr.Dataset(attrs={"made": None, "title": "a"}))[1]
        ('attributes that no file can hold are left out: made (NoneType)',)
    """
    kept, dropped = writable(dataset.attrs)
    by_variable = {name: writable(variable.attrs) for name, variable in dataset.variables.items()}
    said = list(dropped) + [f"{name}.{each}" for name, (_, lost) in by_variable.items() for each in lost]
    changed = [n for n, (_, lost) in by_variable.items() if lost or _holds_truth(dataset.variables[n].attrs)]
    if not said and not changed and not _holds_truth(dataset.attrs):
        return dataset, ()
    cleaned = dataset.copy()
    cleaned.attrs = kept
    for name in changed:
        cleaned[name].attrs = by_variable[name][0]
    return cleaned, (f"attributes that no file can hold are left out: {', '.join(said)}",) if said else ()


def writable(attributes: Mapping[Hashable, Any]) -> tuple[dict[Hashable, Any], list[str]]:
    """Those attributes that NetCDF and Zarr both take: texts, numbers, and lists of either.

    Args:
        attributes: any.

    Returns:
        The attributes, truth values as 0 and 1; and what was left out, each as "name (kind)".

    Examples:
        >>> writable({"title": "a", "message": b"GRIB"})
        ({'title': 'a'}, ['message (bytes)'])
    """
    kept: dict[Hashable, Any] = {}
    dropped = []
    for name, value in attributes.items():
        if isinstance(name, str) and name and _is_writable(value):
            kept[name] = int(value) if isinstance(value, bool | np.bool_) else value
        else:
            dropped.append(f"{name} ({type(value).__name__})")
    return kept, dropped


def _holds_truth(attributes: Mapping[Hashable, Any]) -> bool:
    return any(isinstance(value, bool | np.bool_) for value in attributes.values())


def _is_writable(value: Any) -> bool:
    match value:
        case str():
            return _is_unicode(value)
        case bool() | np.bool_() | float() | np.floating():
            return True
        case int() | np.integer():
            return -(2**63) <= int(value) < 2**63
        case np.ndarray():
            return value.ndim <= 1 and value.size > 0 and (value.dtype.kind in "iuf" or _are_texts(value.tolist()))
        case list() | tuple():
            return len(value) > 0 and (_are_texts(value) or all(_is_number(each) for each in value))
    return False


def _is_number(value: Any) -> bool:
    return (
        isinstance(value, int | float | np.integer | np.floating)
        and not isinstance(value, bool)
        and _is_writable(value)
    )


def _are_texts(values: Any) -> bool:
    values = values if isinstance(values, list | tuple) else [values]
    return all(isinstance(each, str) and _is_unicode(each) for each in values)


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
