"""Ensembles as datasets: names, coordinates and attributes of what was downscaled, on the fine grid."""

from collections.abc import Hashable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float

from subgrid.data.fields import CONDITION_DIM, Samples

MemberDiagnostics = Mapping[str, Float[np.ndarray, "n *member"]]
"""What `sample_with_diagnostics` reports of each member, or what there is to report of each condition."""


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


def _along(coords: xr.Dataset, names: dict[str, str]) -> dict[Hashable, Any]:
    """The coordinates along the dimensions in `names`, renamed; dimension coordinates take the new name too."""
    along = {name: coord for name, coord in coords.variables.items() if coord.dims and set(coord.dims) <= set(names)}
    return {
        names.get(str(name), name): (tuple(names[str(d)] for d in coord.dims), coord.values, coord.attrs)
        for name, coord in along.items()
    }
