"""What `downscale` gives back: draws with names, coordinates and their history."""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import jax.random as jr
import numpy as np
import xarray as xr
from jaxtyping import Float

from subgrid.data.pooling.members import COARSE_MEMBER
from subgrid.downscaling.model.draws import OF_PARTICLES, Diagnostics
from subgrid.downscaling.model.request import Request
from subgrid.types import Key

MEMBER = "realization"


def ensemble_dataset(
    request: Request,
    fields: Float[np.ndarray, "n member channel *space"],
    diagnostics: Diagnostics,
    attributes: Mapping[str, Any],
) -> xr.Dataset:
    """The draws of a request as a dataset.

    Args:
        request: what was drawn for.
        fields: draws for each of its targets.
        diagnostics: of each draw, (n, member) by name: coordinates of the result.
        attributes: of the output.

    Returns:
        Variables (realization, *samples, *space). Members of the coarse archive are followed each by their own draws;
        `coarse_realization` says for which of them a draw is.
    """
    grid, m = request.fine.grid, fields.shape[1]
    samples = {dim: size for dim, size in request.sizes.items() if dim != MEMBER}
    of_archive = request.sizes.get(MEMBER, 1)
    lead = (MEMBER, *samples)

    def by_member(each: np.ndarray) -> np.ndarray:
        """(n, m, …) to (realization, *samples, …), NaN where a member lacks a time."""
        whole = np.full((len(request.there), *each.shape[1:]), np.nan, np.float32)
        whole[request.there] = each
        apart = whole.reshape(*request.sizes.values(), *each.shape[1:])
        first = [*request.sizes].index(MEMBER) if MEMBER in request.sizes else None
        apart = apart[None] if first is None else np.moveaxis(apart, first, 0)
        moved = np.moveaxis(apart, 1 + len(samples), 1)
        return moved.reshape(of_archive * m, *samples.values(), *each.shape[2:])

    values = by_member(fields)
    channels = np.moveaxis(values, len(lead), 0)
    dims = (*lead, *grid.attrs["space"])
    variables = {name: (dims, channels[c], grid[name].attrs) for c, name in enumerate(request.fine.names)}
    number = (MEMBER, np.arange(of_archive * m), {"standard_name": MEMBER, "units": "1"})
    coordinates: dict[Any, Any] = {**grid.coords, **request.samples.coords, MEMBER: number}
    coordinates |= {name: (lead, by_member(each), OF_PARTICLES.get(name, {})) for name, each in diagnostics.items()}
    if request.members is not None:
        labels = np.repeat(request.members, m)
        coordinates[COARSE_MEMBER] = (MEMBER, labels, {"long_name": "member of the coarse model"})
    return xr.Dataset(variables, coordinates, dict(attributes))


def provenance(given: Mapping[Any, Any], settings: Mapping[str, Any], *, checkpoint: str, key: Key) -> dict[str, Any]:
    """The attributes of the input, and how the output came from it.

    Args:
        given: attributes of the input.
        settings: of the call.
        checkpoint: the identity of the prior.
        key: of all draws.

    Returns:
        The attributes of the output.
    """
    import subgrid

    configuration = json.dumps({**settings, "checkpoint": checkpoint}, sort_keys=True)
    made = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} subgrid {subgrid.__version__}: downscaled by subgrid.downscale"
    return {str(name): value for name, value in with_history(given, made).items()} | {
        "Conventions": "CF-1.11",
        "subgrid_version": subgrid.__version__,
        "configuration": configuration,
        "configuration_hash": hashlib.sha256(configuration.encode()).hexdigest(),
        "seed": str(np.asarray(jr.key_data(key)).tolist()),
        "checkpoint": checkpoint,
    }


def with_history(attributes: Mapping[Any, Any], *notes: str) -> dict[Any, Any]:
    """Attributes whose history begins with some notes.

    Args:
        attributes: of a dataset.
        notes: a line each.

    Returns:
        The attributes, those given untouched.
    """
    lines = [*notes, *([str(attributes["history"])] if attributes.get("history") else [])]
    return {**attributes, **({"history": "\n".join(lines)} if lines else {})}
