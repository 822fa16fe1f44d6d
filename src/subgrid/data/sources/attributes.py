"""Attributes that no file can hold: left out before anything is computed, so that every output can be written."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from subgrid.data.fields import DataError

PACKING = ("scale_factor", "add_offset")
WITH_ROLES = ("cell_measures", "formula_terms")
REFERENCES = (*WITH_ROLES, "ancillary_variables", "bounds", "climatology", "grid_mapping", "geometry")
"""Attributes of CF that name other variables."""


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


def with_numeric_packing(dataset: xr.Dataset, *, file: str) -> tuple[xr.Dataset, tuple[str, ...]]:
    """A dataset whose scale factors and offsets are numbers, where they are written as text.

    Args:
        dataset: not decoded; it is not changed.
        file: for messages.

    Returns:
        The dataset and a sentence on each that was read.

    Raises:
        DataError: for a text that is no number.

    Examples:
        >>> with_numeric_packing(xr.open_dataset("tas.nc", decode_cf=False), file="tas.nc")[1]
        ("tas: scale_factor is the text '0.1', read as a number",)
    """
    notes: list[str] = []
    for name, variable in dataset.variables.items():
        for key in PACKING:
            if not isinstance(text := variable.attrs.get(key), str):
                continue
            try:
                number = float(text)
            except ValueError as error:
                raise DataError(
                    f"{file}: the attribute {key!r} of {name} is the text {text!r}, not a number; write it as one."
                ) from error
            dataset = dataset.copy() if not notes else dataset
            dataset[name].attrs[key] = number
            notes.append(f"{name}: {key} is the text {text!r}, read as a number")
    return dataset, tuple(notes)


def without_malformed_references(dataset: xr.Dataset) -> xr.Dataset:
    """A dataset without attributes that should name other variables and cannot be read; nothing here needs them.

    Args:
        dataset: not decoded; it is not changed.

    Returns:
        The dataset.
    """
    malformed = {
        name: [key for key in REFERENCES if key in variable.attrs and not _is_reference(key, variable.attrs[key])]
        for name, variable in dataset.variables.items()
    }
    if not any(malformed.values()):
        return dataset
    cleaned = dataset.copy()
    for name, keys in malformed.items():
        cleaned[name].attrs = {k: v for k, v in dataset[name].attrs.items() if k not in keys}
    return cleaned


def with_named_bounds(decoded: xr.Dataset, dataset: xr.Dataset) -> xr.Dataset:
    """A decoded dataset that knows which bounds were named, whether they are there or not: decoding forgets the others.

    Args:
        decoded: from `dataset`; its encodings are changed.
        dataset: as it is in the file.

    Returns:
        The decoded dataset.
    """
    for name, variable in dataset.variables.items():
        bounds = variable.attrs.get("bounds", variable.encoding.get("bounds"))
        if isinstance(bounds, str) and name in decoded.variables:
            decoded.variables[name].encoding.setdefault("bounds", bounds)
    return decoded


def _is_reference(key: str, value: Any) -> bool:
    """Names of variables; of those with roles, "role: name" each."""
    if not isinstance(value, str):
        return False
    words = value.replace(" :", ":").split()
    return key not in WITH_ROLES or len(words) < 2 or ":" in words[0]


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
