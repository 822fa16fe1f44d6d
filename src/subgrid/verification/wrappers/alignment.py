"""Dimensions by name: what two arrays must share, and their values in the order that a metric wants."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float


def require_dims(what: str, array: xr.DataArray, dims: Sequence[str]) -> None:
    missing = [dim for dim in dims if dim not in array.dims]
    if missing:
        raise ValueError(f"{what} has no dimension {missing[0]!r}; its dimensions are {tuple(array.dims)}.")


def values_of(array: xr.DataArray, dims: Sequence[Any]) -> Float[Array, "..."]:
    return jnp.asarray(array.transpose(*dims).values, dtype=jnp.float32)


def names_of(dims: str | Sequence[str]) -> tuple[str, ...]:
    return (dims,) if isinstance(dims, str) else tuple(dims)


def require_aligned(left: xr.DataArray, right: xr.DataArray, what: str, *apart: str) -> None:
    """Apart from the dimensions `apart`, both arrays live on the same grid."""
    if set(left.dims) - set(apart) != set(right.dims) - set(apart):
        raise ValueError(f"{what} must have the same dimensions, got {left.dims} and {right.dims}.")
    try:
        xr.align(left, right, join="exact", copy=False, exclude=apart)
    except ValueError as error:
        raise ValueError(f"{what} differ in their coordinates or sizes; select or regrid first: {error}") from error


def sample_sets(
    pred: xr.DataArray, ref: xr.DataArray, sample_dim: str
) -> tuple[Float[Array, "..."], Float[Array, "..."], tuple[Any, ...]]:
    """Both sets with samples on axis 0, and the other dimensions in the order of ref."""
    require_dims("pred", pred, [sample_dim])
    require_dims("ref", ref, [sample_dim])
    require_aligned(pred, ref, "pred and ref", sample_dim)
    points = tuple(dim for dim in ref.dims if dim != sample_dim)
    return values_of(pred, (sample_dim, *points)), values_of(ref, (sample_dim, *points)), points


def truth_pair(
    ensemble: xr.DataArray, truth: xr.DataArray, member_dim: str
) -> tuple[Float[Array, "member ..."], Float[Array, "..."], tuple[Any, ...]]:
    require_dims("ensemble", ensemble, [member_dim])
    if member_dim in truth.dims:
        raise ValueError(f"truth must not have the member dimension {member_dim!r}, got {truth.dims}.")
    require_aligned(ensemble, truth, "ensemble and truth", member_dim)
    return values_of(ensemble, (member_dim, *truth.dims)), values_of(truth, truth.dims), truth.dims


def labelled(
    values: Array, like: xr.DataArray, name: str, dims: Sequence[Any] = (), *, units: str | None = None
) -> xr.DataArray:
    """Values with the coordinates of `like` along `dims` and its attributes; `units` None keeps the unit."""
    attrs = dict(like.attrs)
    if units is not None and "units" in attrs:
        attrs["units"] = units
    kept = {key: coord for key, coord in like.coords.items() if set(coord.dims) <= set(dims)}
    return xr.DataArray(np.array(values), dims=tuple(dims), coords=kept, attrs=attrs, name=name)
