"""`downscale`: ensembles of a model, in memory or in a store filled work item by work item, to the same bits."""

import contextlib
import hashlib
import json
import shutil
import uuid
import warnings
from collections.abc import Mapping
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any, get_args

import jax.random as jr
import numpy as np
import xarray as xr
from jaxtyping import Float

from subgrid.data.leftovers import owner
from subgrid.data.plain import Fields
from subgrid.data.pooling.members import COARSE_MEMBER
from subgrid.data.store import WORK, OutputExists, check_free, output_kind, write_dataset, write_zarr
from subgrid.downscaling.climate.degenerate import require_finite_fields
from subgrid.downscaling.model.blocks import time_blocks
from subgrid.downscaling.model.draws import Diagnostics, SamplingSettings, n_levels_of
from subgrid.downscaling.model.folder import load
from subgrid.downscaling.model.model import Model
from subgrid.downscaling.model.output import ensemble_dataset, provenance, with_history
from subgrid.downscaling.model.request import Change, Request, Wanted, request_of
from subgrid.downscaling.model.sampler import Sampler, sample_targets
from subgrid.downscaling.prior.novelty import OutsideTraining
from subgrid.downscaling.settings import sort_settings
from subgrid.downscaling.stored.codec import encode
from subgrid.downscaling.stored.part import save_part
from subgrid.execution.runners import Serial, parse_scheduler, run
from subgrid.execution.sampling import loader_of
from subgrid.execution.store import ASIDE, Store, tidy
from subgrid.execution.template import Template, create_store
from subgrid.numerics.streams import draw_keys, substream
from subgrid.training.progress import progress as progress_of, say
from subgrid.types import Key

STREAM = "ensemble"
"""Of the draws, a stream of the key: in memory and in a store the same."""
OUTSIDE = "outside_training"
"""The attribute of an output that says of fields far outside of what the model was fitted on."""
TARGETS = f"{WORK}/targets"
"""In a store, where readers do not look: what is sampled from, until it is full."""


def downscale(
    coarse: Fields,
    model: Model | str | Path,
    *,
    n_members: int = 16,
    change: Change = "ask",
    out: str | Path | None = None,
    progress: bool = True,
    key: Key | int,
    **settings: Any,
) -> xr.Dataset:
    """An ensemble of fine fields for every coarse field: draws from p(x | C′x = T(y)).

    The fitted transport T of the model is applied to the new fields.

    Args:
        coarse: a path, Dataset or DataArray, on the grid of the coarse archive that the model was fitted on.
        model: from `fit` or `load`, or its folder.
        n_members: for each of the coarse archive's own members, default 16.
        change: of the climate. "none": the fields are of the climate that the model was fitted in; "preserve": of
            another one, ten years and more of them: the coarse model's own smoothed change is taken out first and put
            back on the fine grid. "ask", the default: "none", and an error where the periods lie more than five years
            apart.
        out: a Zarr store (.zarr) or NetCDF file (.nc) to write to; None, the default, keeps all in memory. A store is
            filled work item by work item: memory does not grow, and the same call goes on after a crash.
        progress: whether to show how far it is; default True.
        key: of all draws, or the seed of one. Two calls with one key share their noise, time by time and member by
            member, which makes the mean of their difference less noisy and the spread of its members no uncertainty;
            give each call a key of its own for that.
        **settings: of the sampler (`SamplingSettings`: `n_levels`, `guidance`, `method`, `n_particles`, `chunk`), of
            what is wanted (`Wanted`: `time`, `region`, `points`, `nearest`, `gaps`), and `scheduler` of a store:
            "serial", the default, "local:N", "slice:i/n" or "dask://host:port".

    Returns:
        A Dataset with "realization" (members of the coarse archive × `n_members`), the dimensions of its samples and
        the fine grid; with `out` the same, opened lazily.

    Raises:
        DataError: for fields that cannot be used, lie on another grid, or are of another period without a word on it.
        OutputExists: if `out` is there and not of the same call, or is the input.
        ValueError: for less than one member, a change that does not exist, settings that do not go with the model, and
            a scheduler without a store.
        TypeError: for a setting that does not exist.

    Warns:
        OutsideTraining: for fields far outside of the archive that the model was fitted on; the attribute
            "outside_training" of the output says the same.

    Examples:
        >>> ensemble = downscale("cnrm_new.nc", model, n_members=16, key=jax.random.key(1))
    """
    if n_members < 1:
        raise ValueError(f"n_members must be at least 1, got {n_members}.")
    if change not in get_args(Change):
        raise ValueError(f"change must be one of {', '.join(get_args(Change))}, got {change!r}.")
    key = jr.key(key) if isinstance(key, int) else key
    scheduler = parse_scheduler(settings.pop("scheduler", "serial"))
    stored = _is_store(out, coarse)
    if not stored and scheduler != Serial():
        raise ValueError("scheduler is of a Zarr store, which is filled piece by piece; name one as the output.")
    own, part = sort_settings("downscale", settings, SamplingSettings, Wanted)
    sampling, wanted = SamplingSettings(**own), Wanted(**part)
    model = model if isinstance(model, Model) else load(model)
    request = request_of(coarse, model, change=change, wanted=wanted)
    for note in request.notes:
        say(f"coarse: {note}", enabled=progress)
    if request.outside is not None:
        warnings.warn(request.outside, OutsideTraining, stacklevel=2)
    n_levels = n_levels_of(model.prior, sampling)
    given = {name: str(value) for name, value in (own | part | {"n_levels": n_levels}).items() if value is not None}
    said = {"n_members": n_members, "change": change, **given}
    attributes = provenance(
        with_history(request.attributes, *request.notes, *model.coarse.reading.notes),
        said,
        checkpoint=model.checkpoint,
        key=key,
    ) | ({} if request.outside is None else {OUTSIDE: request.outside})
    if out is not None and stored:
        model.draws(sampling)  # settings that do not go with the model are refused before a store is made
        asked = {name: text for name, text in said.items() if name != "chunk"}
        store = _make_store(Path(out), model, request, n_members, sampling, asked, attributes, key)
        _fill(store, model, request, sampling, scheduler, progress)
        return xr.open_zarr(out)
    sampler = Sampler(request.fine, model.draws(sampling))
    drawn, told = _in_memory(sampler, request, n_members, progress, key)
    dataset = ensemble_dataset(request, drawn, told, attributes)
    if out is not None:
        write_dataset(dataset, out)
    return dataset


def _is_store(out: str | Path | None, coarse: Fields) -> bool:
    """Whether a store is wanted, which may be there already; a file, or memory, is made in one go.

    Raises:
        OutputExists: for an output that is there, except a store, and one that is, holds or lies in the input.
    """
    if out is None:
        return False
    stored, inputs = output_kind(out) == "store", [coarse] if isinstance(coarse, str | Path) else []
    check_free(out, overwrite=True, kind="store" if stored else "file", inputs=inputs)
    if not stored and Path(out).exists():
        raise OutputExists(f"{out}: exists already; choose another output, or remove it first.")
    return stored


def _in_memory(
    sampler: Sampler, request: Request, n_members: int, progress: bool, key: Key
) -> tuple[Float[np.ndarray, "n m channel *space"], Diagnostics]:
    """Block by block, as a store's work items."""
    n, fine = len(request.targets), request.fine
    keys = draw_keys(substream(key, STREAM), np.arange(n), np.arange(n_members))
    step, _ = time_blocks(n, n_members, int(np.prod(fine.space)) * len(fine.names))
    parts: list[np.ndarray] = []
    told: list[Diagnostics] = []
    with progress_of("downscale", enabled=progress) as update:
        for first in range(0, n, step):
            block = slice(first, first + step)
            phase = None if request.phase is None else request.phase[block]
            drawn, found = sampler.with_diagnostics(request.targets[block], phase, keys=keys[block])
            times = np.arange(n)[block]
            require_finite_fields(drawn, fine.given_mask, fine.names, times, fine.grid)
            parts.append(drawn)
            told.append(found)
            update(min(first + step, n), n)
    return np.concatenate(parts), {name: np.concatenate([each[name] for each in told]) for name in told[0]}


def _fill(
    store: Store, model: Model, request: Request, sampling: SamplingSettings, scheduler: Any, progress: bool
) -> None:
    """Does what is pending of a store, in whose working folder the targets lie until it is full."""
    targets = store.path / TARGETS
    if store.pending():
        _save_targets(store, request)
        loader = loader_of(
            sample_targets,
            folder=str(model.folder.resolve()),
            targets=str(targets / "targets.zarr"),
            fine=str(targets / "fine.zarr"),
            sampling={each.name: getattr(sampling, each.name) for each in fields(sampling)},
            version=f"{model.checkpoint} {_digest(request)}",
        )
        with progress_of("downscale", enabled=progress) as update:
            run(store, loader, scheduler, progress=partial(update))
    if left := len(store.pending()):
        say(f"{left} work items of {store.path} are left to other slices", enabled=progress)
    else:
        shutil.rmtree(targets, ignore_errors=True)
        tidy(store)


def _save_targets(store: Store, request: Request) -> None:
    """What every process that fills the store samples from, if it is not there; of two that write it, one wins.

    It is made where half-written files of the store are, which `tidy` removes after their process was killed.
    """
    folder = store.path / TARGETS
    if folder.exists():
        return
    space = tuple(f"coarse_{axis}" for axis in range(request.targets.ndim - 2))
    arrays: dict[str, Any] = {"target": (("sample", "channel", *space), np.asarray(request.targets, np.float32))}
    if request.phase is not None:
        arrays["phase"] = ("sample", request.phase)
    aside = store.path / ASIDE / f"{owner()}-{uuid.uuid4().hex}"
    try:
        write_zarr(xr.Dataset(arrays, {"time": ("sample", _times(request))}), aside / "targets.zarr")
        save_part(aside / "fine.zarr", request.fine)
        with contextlib.suppress(OSError):  # another process was faster: a folder with content is not replaced
            aside.rename(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _times(request: Request) -> np.ndarray:
    """The time of every sample, or its number."""
    if "time" not in request.samples.coords or tuple(request.sizes) not in (("realization", "time"), ("time",)):
        return np.arange(len(request.targets))
    return np.tile(request.samples["time"].values, request.sizes.get("realization", 1))[request.there]


def _make_store(
    out: Path, model: Model, request: Request, n_members: int, sampling: SamplingSettings, asked: Mapping[str, Any],
    attributes: Mapping[str, Any], key: Key,
) -> Store:  # fmt: skip
    grid = request.fine.grid
    variables = {name: dict(grid[name].attrs) for name in request.fine.names}
    coordinates = grid.drop_vars(list(variables)).assign_coords(_sample_coordinates(request))
    space, shape = tuple(grid.attrs["space"]), request.fine.given_mask.shape
    counted = {dim: np.arange(n) for dim, n in zip(space, shape, strict=True) if dim not in coordinates.sizes}
    coordinates = coordinates.assign_coords(counted)  # a store knows its sizes by its coordinates
    drawn = len(variables) * int(np.prod(request.fine.space))  # memory is that of whole fields, whatever is given out
    item, chunk = time_blocks(len(request.targets), n_members, drawn)
    kept = {name: value for name, value in attributes.items() if name not in TEMPLATE_WRITES}
    template = Template(
        coordinates.drop_attrs(deep=False),
        variables,
        space=space,
        n_members=n_members,
        chunks={"time": chunk, "realization": n_members},
        shards={"time": item, "realization": n_members},
        attributes={name: value for name, value in kept.items() if name != "space"},
        diagnostics=sampling.diagnostics,
    )
    return create_store(
        out,
        template,
        seed=tuple(np.asarray(jr.key_data(key)).tolist()),
        stream=(STREAM,),
        configuration={"targets": _digest(request), **asked},
        checkpoint=model.checkpoint,
    )


SAMPLE_NAMES = {"time": "time_of_sample", "realization": COARSE_MEMBER}
"""Of coordinates that would be taken for the dimensions of a store."""
TEMPLATE_WRITES = ("configuration", "configuration_hash", "seed", "checkpoint", "subgrid_version", "Conventions")
"""Attributes that a store has of its own."""


def _sample_coordinates(request: Request) -> dict[str, Any]:
    """One dimension "time" of all samples: what counted them before are coordinates along it."""
    if tuple(request.sizes) in (("realization", "time"), ("time",)) and request.members is None:
        return {"time": request.samples["time"].variable if "time" in request.samples else ("time", _times(request))}
    places = np.unravel_index(np.flatnonzero(request.there), tuple(request.sizes.values()))
    found: dict[str, Any] = {"time": ("time", _times(request))}
    for dim, place in zip(request.sizes, places, strict=True):
        if dim == "realization" and request.members is not None:
            found[COARSE_MEMBER] = ("time", request.members[place])
        else:
            values = request.samples[dim].values[place] if dim in request.samples.coords else place
            found[SAMPLE_NAMES.get(dim, dim)] = ("time", values)
    return found


def _digest(request: Request) -> str:
    """Of what is drawn for, and of the way back to files: two changes of climate may leave the same targets."""
    description, arrays = encode(request.fine)
    found = hashlib.sha256(json.dumps(description).encode())
    for each in (np.asarray(request.targets, np.float32), *arrays.values()):
        found.update(each.tobytes())
    return found.hexdigest()[:32]
