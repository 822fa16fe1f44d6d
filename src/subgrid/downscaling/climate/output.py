"""What `downscale_climate` gives back: draws with names, coordinates and their history."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import jax.random as jr
import numpy as np
import xarray as xr
from jaxtyping import Bool, Float

from subgrid.types import Key


def with_all_times(
    fields: Float[np.ndarray, "n member channel *space"], there: Bool[np.ndarray, " sample"]
) -> Float[np.ndarray, "sample member channel *space"]:
    """Draws of every (model member, time), NaN at times that a member of another length lacks.

    Args:
        fields: draws of those that are there.
        there: as `available_samples` has it.

    Returns:
        The draws.
    """
    if there.all():
        return fields
    whole = np.full((len(there), *fields.shape[1:]), np.nan, fields.dtype)
    whole[there] = fields
    return whole


def ensemble_dataset(
    fields: Float[np.ndarray, "sample member channel *space"],
    grid: xr.Dataset,
    names: Sequence[str],
    coarse: xr.Dataset,
    attributes: Mapping[str, Any],
) -> xr.Dataset:
    """Draws of every (model member, time) as a dataset.

    Args:
        fields: draws, one member of the coarse model after the other.
        grid: from `load_grid`.
        names: of the channels.
        coarse: the canonical dataset that they were drawn for.
        attributes: of the output.

    Returns:
        Variables (realization, time, *space); `coarse_realization` says which member of the coarse model each is for.
    """
    n_times, n_members, space = coarse.sizes["time"], fields.shape[1], fields.shape[3:]
    of_model = fields.shape[0] // n_times
    by_member = np.moveaxis(fields.reshape(of_model, n_times, n_members, -1, *space), (0, 2, 3), (1, 2, 0))
    values = by_member.reshape(len(names), of_model * n_members, n_times, *space)
    dims = ("realization", "time", *grid.attrs["space"])
    variables = {n: (dims, values[c], grid[n].attrs) for c, n in enumerate(names)}
    time = coarse["time"].drop_vars([n for n in coarse["time"].coords if n != "time"]).drop_encoding()
    number = ("realization", np.arange(of_model * n_members), {"standard_name": "realization", "units": "1"})
    coordinates = {**grid.coords, "time": time.variable, "realization": number}
    if of_model > 1:
        labels = np.repeat(np.asarray(coarse["realization"].values), n_members)
        coordinates["coarse_realization"] = ("realization", labels, {"long_name": "member of the coarse model"})
    return xr.Dataset(variables, coordinates, attributes)


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
    made = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} subgrid {subgrid.__version__}: downscaled by downscale_climate"
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
