"""Members of ensembles: which dimension they lie on, their labels, their order, and those that two archives share."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Bool

from subgrid.data.blocks import BLOCK_BYTES
from subgrid.data.fields import TEXT_KINDS, DataError

MEMBER_DIMS = (
    "realization", "realisation", "realizations", "member", "members", "ensemble", "ensembles", "number", "ens",
    "member_id", "member_number", "ensemble_member", "ensemble_number", "variant_label", "perturbation", "nmember",
    "n_member", "nens", "ens_member",
)  # fmt: skip
"""In lower case."""
MEMBER_LABEL = re.compile(r"r\d+i\d+p\d+(?:f\d+)?")
AVAILABLE = "available"
"""The coordinate (realization, time) that says which times each of several members of unequal lengths has."""
COARSE_MEMBER = "coarse_realization"
"""The coordinate of an ensemble that says for which member of the coarse model a draw, or a sample, is."""
VERSIONS = "expver"
"""Of ERA5: 1 the final analysis, 5 the preliminary one that stands in for its last months."""
NUMBERED = "number of the member, in the order of the files"
"""Long name of labels that no file gives."""


def with_canonical_members(dataset: xr.Dataset, variable: str, *, file: str) -> tuple[xr.Dataset, tuple[str, ...]]:
    """A variable whose members, if it has some, lie on "realization", labelled and in natural order.

    The versions of ERA5 (`expver`) are merged: they are parts of one series and no members.

    Args:
        dataset: decoded.
        variable: in it.
        file: for messages.

    Returns:
        The dataset, and what was merged or dropped, a sentence each.

    Raises:
        DataError: for a label that comes twice.

    Examples:
        >>> with_canonical_members(xr.open_dataset("era5.nc"), "t2m", file="era5.nc")[1]
        ('t2m: the 2 values of expver (1, 5) are merged, the first where both have a value',)
    """
    dataset, notes = _merged_versions(dataset, variable)
    dim = member_dim(dataset[variable])
    if dim is None:
        return dataset, notes
    labels = _labels(dataset, dim)
    dataset = dataset.drop_vars([n for n in {dim, "realization"} if n in dataset.variables])
    dataset = dataset.drop_dims("realization") if dim != "realization" and "realization" in dataset.dims else dataset
    dataset = dataset.rename({dim: "realization"} if dim != "realization" else {})
    if labels is None:
        return dataset, notes
    _refuse_repeated(labels, dim, file)
    order = sorted(range(len(labels)), key=lambda i: natural_key(labels[i]))
    dataset = dataset.assign_coords(realization=("realization", np.array(labels)))
    return dataset if order == list(range(len(labels))) else dataset.isel(realization=order), notes


def member_dim(field: xr.DataArray) -> str | None:
    """The dimension of members, by its standard name, its name or labels such as r1i1p1f1; None if there is none."""
    described = [str(d) for d in field.dims if d in field.coords and _is_realization(field[d])]
    named = [str(d) for d in field.dims if str(d).lower() in MEMBER_DIMS]
    return next(iter([*described, *named]), None)


def single_member(dataset: xr.Dataset) -> str | None:
    """The label of the one member that a dataset holds, where a coordinate without dimension gives it.

    Args:
        dataset: decoded.

    Returns:
        The label, or None.
    """
    for name, coordinate in dataset.coords.items():
        if coordinate.ndim == 0 and (str(name).lower() in MEMBER_DIMS or _is_realization(coordinate)):
            return str(label_of(coordinate.values[()]))
    return None


def label_of(value: Any) -> str | int:
    """A label as text, or as a number where it is one: bytes are decoded, 3.0 is 3."""
    if isinstance(value, bytes):
        return value.decode(errors="replace").strip().rstrip("\0")
    if isinstance(value, str):
        return value.strip()
    return int(value) if float(value).is_integer() else str(value)


def natural_key(label: Any) -> tuple[tuple[int, Any], ...]:
    """A key by which r2i1p1 comes before r10i1p1, and 2 before 10."""
    parts = re.split(r"(\d+)", str(label))
    return tuple((1, int(part)) if part.isdigit() else (0, part) for part in parts if part)


def shared_labels(one: Sequence[Any] | None, other: Sequence[Any] | None) -> tuple[str, ...]:
    """Labels that both archives have, in natural order; none where one of them has no labels."""
    both = {str(label) for label in one or ()} & {str(label) for label in other or ()}
    return tuple(sorted(both, key=natural_key))


def available_samples(dataset: xr.Dataset) -> Bool[np.ndarray, " sample"]:
    """Which (member, time) pairs of a canonical dataset exist, one member after the other: all but of unequal members.

    Args:
        dataset: canonical, with "time".

    Returns:
        True for those that `series_of` keeps.
    """
    n = dataset.sizes.get("realization", 1) * dataset.sizes["time"]
    if AVAILABLE not in dataset.coords:
        return np.ones(n, bool)
    return np.asarray(dataset[AVAILABLE].transpose("realization", "time").values, bool).reshape(n)


def _is_realization(coordinate: xr.DataArray) -> bool:
    if coordinate.attrs.get("standard_name") == "realization":
        return True
    if coordinate.dtype.kind not in TEXT_KINDS or not coordinate.size:
        return False
    return all(isinstance(v, str | bytes) and MEMBER_LABEL.fullmatch(str(label_of(v))) for v in coordinate.values.flat)


def _labels(dataset: xr.Dataset, dim: str) -> list[str | int] | None:
    """Those of CMIP's form before all others, the dimension's own before those of other variables along it."""
    along = [n for n, v in dataset.variables.items() if v.dims == (dim,) and (n == dim or v.dtype.kind in TEXT_KINDS)]
    described = [n for n in along if _is_realization(dataset[n]) and dataset[n].dtype.kind in TEXT_KINDS]
    chosen = next(iter([*described, *(n for n in along if n == dim), *along]), None)
    if chosen is None or dataset[chosen].attrs.get("long_name") == NUMBERED:
        return None
    labels = [label_of(value) for value in dataset[chosen].values]
    return labels if all(isinstance(label, int) for label in labels) else [str(label) for label in labels]


def _refuse_repeated(labels: list[str | int], dim: str, file: str) -> None:
    twice = [label for label in dict.fromkeys(labels) if labels.count(label) > 1]
    if twice:
        raise DataError(
            f"{file}: member {twice[0]} comes {labels.count(twice[0])} times along {dim!r}; if these are different "
            f"members, give each its own label, or drop the labels, dataset.drop_vars('{dim}'), and they are numbered; "
            "if they are the same, keep one."
        )


def _merged_versions(dataset: xr.Dataset, variable: str) -> tuple[xr.Dataset, tuple[str, ...]]:
    """Final and preliminary data of ERA5 as one series."""
    field = dataset[variable]
    if VERSIONS not in field.dims:
        if VERSIONS not in dataset.variables or not set(dataset[VERSIONS].dims) <= set(field.dims):
            return dataset, ()
        values = ", ".join(str(label_of(v)) for v in dict.fromkeys(dataset[VERSIONS].values.flat))
        return dataset, (f"{variable}: expver ({values}), final and preliminary data of one series, is dropped",)
    n = field.sizes[VERSIONS]
    labels = [label_of(v) for v in dataset[VERSIONS].values] if VERSIONS in dataset.variables else list(range(n))
    order = sorted(range(n), key=lambda i: natural_key(labels[i]))
    parts = [_lazy(field).isel({VERSIONS: i}, drop=True) for i in order]
    merged = parts[0]
    for part in parts[1:]:
        merged = merged.where(merged.notnull(), part)
    merged.attrs, merged.encoding = dict(field.attrs), dict(field.encoding)
    kept = dataset.drop_vars([name for name, v in dataset.variables.items() if VERSIONS in v.dims])
    if n == 1:
        return kept.assign({variable: merged}), ()
    listed = ", ".join(str(labels[i]) for i in order)
    return kept.assign({variable: merged}), (
        f"{variable}: the {n} values of expver ({listed}) are merged, the first where both have a value",
    )


def _lazy(field: xr.DataArray) -> xr.DataArray:
    """In blocks along the longest dimension before space, so that merging reads nothing."""
    if field.chunks is not None:
        return field
    lead = max((d for d in field.dims[:-2] if d != VERSIONS), key=lambda d: field.sizes[d], default=None)
    if lead is None:
        return field.chunk()
    per_index = 4 * field.size // field.sizes[lead]
    return field.chunk(dict.fromkeys(field.dims, -1) | {lead: max(1, BLOCK_BYTES // max(per_index, 1))})
