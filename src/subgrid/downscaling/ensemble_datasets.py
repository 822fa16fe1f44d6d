"""Ensembles as datasets: names, coordinates and attributes of what was downscaled, on the fine grid."""

from collections.abc import Hashable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float

from subgrid.data.fields import CONDITION_DIM, DataError, Samples, channel_dims, sample_dims, space_dims
from subgrid.numerics.operators import BlockMean, Subsample
from subgrid.types import Coarsening

MemberDiagnostics = Mapping[str, Float[np.ndarray, "n *member"]]
"""What `sample_with_diagnostics` reports of each member, or what there is to report of each condition."""


def ensemble_coordinates(coarse: xr.DataArray, operator: Coarsening) -> xr.Dataset:
    """The coordinates that the ensemble of `coarse` will have: what is known of the result before anything is drawn.

    Args:
        coarse: the field to downscale.
        operator: C′.

    Returns:
        A dataset without variables: coordinates of the samples as in `coarse`, of space on the fine grid where they
            follow from the coarse ones (`fine_coordinates`), and the coarse ones as "…_coarse"; without the encoding of
            the files they came from, which need not suit the file they go to.

    Raises:
        DataError: if a dimension or coordinate of the coarse field has a name that the result needs.

    Examples:
        >>> ensemble_coordinates(coarse, Subsample((192,), 8))["x"].size
        192
    """
    lead, space = sample_dims(coarse), space_dims(coarse)
    _require_free_names(coarse, space)
    kept = {name: coord for name, coord in coarse.coords.items() if set(coord.dims) <= set(lead) and name != "member"}
    old = {f"{d}_coarse": (f"{d}_coarse", coarse[d].values, coarse[d].attrs) for d in space if d in coarse.coords}
    return xr.Dataset(coords={**kept, **fine_coordinates(coarse, space, operator), **old}).drop_encoding()


def ensemble_dataset(
    coarse: xr.DataArray,
    ensemble: Float[np.ndarray, "n member channel *fine"],
    targets: Float[np.ndarray, "n channel *coarse"],
    operator: Coarsening,
    *,
    diagnostics: MemberDiagnostics = MappingProxyType({}),
) -> xr.Dataset:
    """The arrays of a downscaling as a dataset: `ensemble` on the fine grid and `target`, what it was conditioned on.

    Args:
        coarse: the field that was downscaled.
        ensemble: (n, member, channel, *fine), samples in the order of `samples_of`.
        targets: (n, channel, *coarse), the debiased fields, in the same order.
        operator: C′.
        diagnostics: of the members, (n, member) by name, variables of their own; none by default.

    Returns:
        Sample dimensions as in `coarse`, "member" (and "channel" if `coarse` has it) and space; the space of `target`
            is named "…_coarse".

    Raises:
        DataError: as `ensemble_coordinates`.

    Examples:
        >>> ensemble_dataset(coarse, ensemble, targets, operator).to_zarr("ensemble.zarr")
    """
    coordinates, lead, space = ensemble_coordinates(coarse, operator), sample_dims(coarse), space_dims(coarse)
    channel, sizes = channel_dims(coarse), [coarse.sizes[d] for d in lead]
    values, conditions = (ensemble, targets) if channel else (ensemble[:, :, 0], targets[:, 0])
    on_coarse = (*channel, *(f"{d}_coarse" for d in space))
    variables = {
        "ensemble": ((*lead, "member", *channel, *space), values.reshape(*sizes, *values.shape[1:]), coarse.attrs),
        "target": ((*lead, *on_coarse), conditions.reshape(*sizes, *conditions.shape[1:]), coarse.attrs),
        **{name: ((*lead, "member"), each.reshape(*sizes, -1)) for name, each in diagnostics.items()},
    }
    as_in_coarse = [d for d in coarse.dims if d in lead]  # samples_of puts runs first, wherever the field has them
    return coordinates.assign(variables).transpose(*as_in_coarse, ...)


def conditions_dataset(
    conditions: Samples,
    ensemble: Float[np.ndarray, "n member channel *fine"],
    targets: Float[np.ndarray, "n channel *coarse"],
    *,
    fine: Samples,
    coarse: Samples,
    truth: Float[np.ndarray, "n channel *fine"] | None = None,
    diagnostics: MemberDiagnostics = MappingProxyType({}),
) -> xr.Dataset:
    """Ensembles of single samples, taken here and there from an archive, as a dataset along "condition".

    Args:
        conditions: the samples that were downscaled, which say when and in which run each was.
        ensemble: (n, member, channel, *fine).
        targets: (n, channel, *coarse), the debiased fields.
        fine: the fine archive, for the coordinates of space, names and units.
        coarse: the coarse archive, for the same.
        truth: (n, channel, *fine), if it is known.
        diagnostics: of the members, (n, member), or of the conditions, (n,), by name; none by default.

    Returns:
        `ensemble` (condition, member, channel, *space), `target`, `truth` and the diagnostics.

    Examples:
        >>> chosen = coarse.take(indices)
        >>> conditions_dataset(chosen, ensemble, targets, fine=fine, coarse=coarse).to_zarr("ensemble.zarr")
    """
    on_fine, on_coarse = fine.space_dims, tuple(f"{d}_coarse" for d in fine.space_dims)
    renamed = dict(zip(coarse.space_dims, on_coarse, strict=True))
    taken = {"ensemble", "target", "truth", "member", "channel", *diagnostics} & set(conditions.coords)
    of_samples = conditions.coords.rename({name: f"{name}_of_condition" for name in taken})
    coordinates = {
        **_along(of_samples, {CONDITION_DIM: CONDITION_DIM}),
        **_along(fine.coords, {d: d for d in on_fine}),
        **_along(coarse.coords, renamed),
    }
    fields = {
        "ensemble": ((CONDITION_DIM, "member", "channel", *on_fine), ensemble, fine.attrs),
        "target": ((CONDITION_DIM, "channel", *on_coarse), targets, coarse.attrs),
        **{name: ((CONDITION_DIM, "member")[: each.ndim], each) for name, each in diagnostics.items()},
    }
    if truth is not None:
        fields["truth"] = ((CONDITION_DIM, "channel", *on_fine), truth, fine.attrs)
    return xr.Dataset(fields, coordinates)


def fine_coordinates(coarse: xr.DataArray, space: tuple[str, ...], operator: Coarsening) -> dict[str, Any]:
    """Space coordinates of the fine grid, from equally spaced coarse ones.

    A coarse point is the first of its f fine points (`Subsample`) or their middle (`BlockMean`). Axes without a
    coordinate, with unequal spacing or under another operator get none.
    """
    if not isinstance(operator, Subsample | BlockMean):
        return {}
    found = {}
    for dim, factor in zip(space, operator.factors, strict=True):
        x = coarse[dim].values if dim in coarse.coords else np.empty(0)
        if len(x) < 2 or not np.issubdtype(x.dtype, np.number):
            continue
        spacing = (x[-1] - x[0]) / (len(x) - 1)
        if np.allclose(np.diff(x), spacing, rtol=1e-3, atol=0):
            offset = (factor - 1) / 2 if isinstance(operator, BlockMean) else 0.0
            fine = x[0] + (np.arange(len(x) * factor) - offset) * spacing / factor
            found[dim] = (dim, fine, coarse[dim].attrs)
    return found


def _along(coords: xr.Dataset, names: dict[str, str]) -> dict[Hashable, Any]:
    """The coordinates along the dimensions in `names`, renamed; dimension coordinates take the new name too."""
    along = {name: coord for name, coord in coords.variables.items() if coord.dims and set(coord.dims) <= set(names)}
    return {
        names.get(str(name), name): (tuple(names[str(d)] for d in coord.dims), coord.values, coord.attrs)
        for name, coord in along.items()
    }


def _require_free_names(coarse: xr.DataArray, space: tuple[str, ...]) -> None:
    if "member" in coarse.dims:
        raise DataError("coarse: has a dimension 'member', which the ensemble will have; rename it to 'realization'.")
    for name in ("ensemble", "target", *(f"{d}_coarse" for d in space)):
        if name in coarse.dims or name in coarse.coords:
            raise DataError(f"coarse: has a coordinate {name!r}, a name that the result needs; rename or drop it.")
