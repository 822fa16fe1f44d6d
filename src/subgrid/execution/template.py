"""Making a store: a Zarr v3 hierarchy with every coordinate and no values yet, for work items to fill.

It is made aside and renamed, so that of two processes which make it at once, one wins and the other joins it.
"""

import errno
import hashlib
import json
import math
import shutil
import uuid
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import subgrid
from subgrid.data.leftovers import owner, remove_leftovers
from subgrid.data.store import RECORD, WORK, OutputError, OutputExists, output_kind, with_text_of_any_length
from subgrid.execution.files import check_name, inside, place, sync_tree
from subgrid.execution.layout import MEMBER, TIME, Layout, check_same
from subgrid.execution.store import ASIDE, Store, is_store, open_store

MANTISSA_BITS = 23
"""Of a float32, besides the leading one."""
CHUNK_VALUES = 2**20
"""Values in a chunk: 4 MiB of float32 before compression, which reads well from a disk and from an object store."""
SHARD_VALUES = 2**24
"""Values in a shard and so in a work item, at most: 64 MiB; files stay few and memory small."""


@dataclass(frozen=True)
class Template:
    """The form of an ensemble before there is one.

    Args:
        coordinates: a Dataset with the coordinate "time", those of space and, if there is one, the grid mapping; its
            data variables are not used, its attributes are kept.
        variables: the attributes of each variable by its name, in the order of the sampler's channels.
        space: the dimensions of one field, such as ("lat", "lon") or ("y", "x").
        n_members: of the ensemble, the dimension "realization".
        chunks: lengths by dimension, whole axes where not named; with neither chunks nor shards, `sensible_chunks`
            chooses.
        shards: the same, multiples of the chunks; without, none.
        times_per_item: of a work item, a multiple of the shards; one shard by default.
        members_per_item: of a work item, a multiple of the shards; one shard by default.
        attributes: of the store, beside those of the coordinates.
        diagnostics: attributes of what there is to tell of each draw, a number each, by its name; none by default.

    Examples:
        >>> Template(coarse, {"tas": {"units": "K"}}, space=("lat", "lon"), n_members=16)
    """

    coordinates: xr.Dataset
    variables: Mapping[str, Mapping[str, Any]]
    space: tuple[str, ...]
    n_members: int
    chunks: Mapping[str, int] | None = None
    shards: Mapping[str, int] | None = None
    times_per_item: int | None = None
    members_per_item: int | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    diagnostics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def create_store(
    path: str | Path,
    template: Template,
    *,
    seed: int | tuple[int, ...],
    stream: tuple[str, ...] = ("ensemble",),
    configuration: Mapping[str, Any],
    checkpoint: str = "",
    bit_rounding: int | Mapping[str, int] | None = None,
) -> Store:
    """A store for the template's ensemble at `path`: a new one, or the one there if it was made by the same facts.

    Args:
        path: of its folder.
        template: coordinates, variables, members and chunks.
        seed: of the draws, a number or the words of a key.
        stream: names of the random stream that they come from: stores with one seed and one stream share their noise,
            time by time and member by member.
        configuration: whatever else decides the values, plain enough for JSON.
        checkpoint: what names the model that is sampled.
        bit_rounding: mantissa bits to keep, 1 to 23, for all variables or by name: rounding is to the nearest, ties to
            even, relative error at most 2^-(bits+1), and compression gains. By default all are kept.

    Returns:
        The store; its work items are still to do, or some are done.

    Raises:
        OutputExists: if something else is at `path`, naming what differs.
        ValueError: for a template that makes no sense.
        OutputError: for a full disk or a folder that cannot be written.

    Examples:
        >>> store = create_store("out.zarr", template, seed=0, configuration={"guide": "moment-matching"})
    """
    path = Path(path)
    if output_kind(path) == "file":
        raise OutputError(f"{path}: a store that is filled item by item is a Zarr folder; choose a name such as .zarr.")
    layout = _layout(template, seed, stream, configuration, checkpoint, bit_rounding)
    if path.exists():
        return _existing(path, layout)
    aside = f".{path.name}.partial-"
    partial = path.with_name(f"{aside}{owner()}-{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path.parent, aside)
        _write(partial, template, layout)
        _move_into_place(partial, path)
    except OSError as error:
        full = error.errno == errno.ENOSPC
        reason = "no space left on the disk; nothing was written" if full else f"cannot be written ({error.strerror})"
        raise OutputError(f"{path}: {reason}.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return _existing(path, layout)


def sensible_chunks(sizes: Mapping[str, int], space: tuple[str, ...]) -> tuple[dict[str, int], dict[str, int]]:
    """Chunks and shards for an ensemble with `sizes` by dimension: whole fields, whole ensembles where they fit.

    A chunk holds up to `CHUNK_VALUES`, a shard up to `SHARD_VALUES`; one field at least.

    Examples:
        >>> sensible_chunks({"realization": 16, "time": 36500, "lat": 128, "lon": 192}, ("lat", "lon"))
    """
    per_field = math.prod(sizes[dim] for dim in space)
    members = max(1, min(sizes[MEMBER], CHUNK_VALUES // per_field))
    times = max(1, min(sizes[TIME], CHUNK_VALUES // (per_field * members)))
    chunks = {MEMBER: members, TIME: times} | {dim: sizes[dim] for dim in space}
    room = max(1, SHARD_VALUES // math.prod(chunks.values()))
    in_members = min(room, -(-sizes[MEMBER] // members))
    in_times = max(1, min(room // in_members, -(-sizes[TIME] // times)))
    return chunks, chunks | {MEMBER: members * in_members, TIME: times * in_times}


def _existing(path: Path, layout: Layout) -> Store:
    if not is_store(path):
        raise OutputExists(f"{path}: exists and is not a store of `subgrid`; choose another output.")
    store = open_store(path)
    check_same(path, store.layout, layout)
    return store


def _move_into_place(partial: Path, path: Path) -> None:
    """Renames a folder, unless another process was faster: a folder that holds something cannot be replaced."""
    try:
        partial.rename(path)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise


def _layout(
    template: Template,
    seed: int | tuple[int, ...],
    stream: tuple[str, ...],
    configuration: Mapping[str, Any],
    checkpoint: str,
    bit_rounding: int | Mapping[str, int] | None,
) -> Layout:
    _check_names(template)
    dims = (MEMBER, TIME, *template.space)
    sizes = {MEMBER: template.n_members} | {dim: template.coordinates.sizes[dim] for dim in dims[1:]}
    chunks, shards = _chunks(template, sizes)
    return Layout(
        variables=tuple(template.variables),
        dims=dims,
        shape=tuple(sizes[dim] for dim in dims),
        chunks=tuple(chunks[dim] for dim in dims),
        shards=tuple(shards[dim] for dim in dims),
        times_per_item=_per_item(template.times_per_item, TIME, shards[TIME], sizes[TIME]),
        members_per_item=_per_item(template.members_per_item, MEMBER, shards[MEMBER], sizes[MEMBER]),
        bit_rounding=_kept_bits(bit_rounding, tuple(template.variables)),
        seed=seed,
        checkpoint=checkpoint,
        coordinates={str(name): _digest(value) for name, value in sorted(_coordinates(template).coords.items())},
        configuration=json.loads(json.dumps(dict(configuration))),
        stream=stream,
        diagnostics=tuple(template.diagnostics),
    )


def _check_names(template: Template) -> None:
    if not template.variables:
        raise ValueError("the template names no variable; name at least one.")
    for name in (*template.variables, *template.diagnostics, *map(str, template.coordinates.coords), *template.space):
        check_name(name, source="template")
    missing = [dim for dim in (TIME, *template.space) if dim not in template.coordinates.sizes]
    if missing:
        raise ValueError(
            f"the template's coordinates have no dimension {missing[0]!r}; "
            f"they have {dict(template.coordinates.sizes)}."
        )
    if template.n_members < 1 or 0 in template.coordinates.sizes.values():
        raise ValueError("the template is empty; it needs one member and one time at least.")
    clash = {*template.variables, *template.diagnostics} & {*map(str, template.coordinates.coords), MEMBER}
    if clash := clash | ({*template.variables} & {*template.diagnostics}):
        raise ValueError(f"the template has {min(clash)!r} both as a variable and as a coordinate; rename one.")


def _chunks(template: Template, sizes: Mapping[str, int]) -> tuple[dict[str, int], dict[str, int]]:
    if template.chunks is None and template.shards is None:
        return sensible_chunks(sizes, template.space)
    chunks = {dim: min(size, (template.chunks or {}).get(dim, size)) for dim, size in sizes.items()}
    if template.shards is None:
        return chunks, chunks
    shards = {dim: template.shards.get(dim, -(-size // chunks[dim]) * chunks[dim]) for dim, size in sizes.items()}
    for dim, shard in shards.items():
        if chunks[dim] < 1 or shard < 1 or shard % chunks[dim]:
            near = max(1, shard // max(1, chunks[dim])) * max(1, chunks[dim])
            raise ValueError(f"shards of {shard} along {dim} do not hold whole chunks of {chunks[dim]}; use {near}.")
    return chunks, shards


def _per_item(asked: int | None, dim: str, shard: int, size: int) -> int:
    if asked is None or asked >= size:
        return min(shard, size) if asked is None else size
    if asked < 1 or asked % shard:
        near = max(1, round(asked / shard)) * shard
        raise ValueError(f"work items of {asked} along {dim} cut through shards (or chunks) of {shard}; use {near}.")
    return asked


def _kept_bits(bit_rounding: int | Mapping[str, int] | None, variables: tuple[str, ...]) -> dict[str, int]:
    bits = dict.fromkeys(variables, bit_rounding) if isinstance(bit_rounding, int) else dict(bit_rounding or {})
    for name, kept in bits.items():
        if name not in variables or not 1 <= kept <= MANTISSA_BITS:
            raise ValueError(
                f"bit_rounding of {name!r} to {kept} bits: variables are {', '.join(variables)}, "
                f"bits 1 to {MANTISSA_BITS}."
            )
    return bits


def _coordinates(template: Template) -> xr.Dataset:
    """The coordinates alone, in memory, as their file did not encode them, with one for the members."""
    members = xr.Variable(MEMBER, np.arange(template.n_members), {"standard_name": "realization", "units": "1"})
    mappings = {str(a["grid_mapping"]) for a in template.variables.values() if "grid_mapping" in a}
    given = template.coordinates.set_coords([n for n in template.coordinates.data_vars if n in mappings])
    kept = given.drop_vars(list(given.data_vars)).compute().drop_encoding()
    strange = [n for n, c in kept.coords.items() if not {*c.dims} <= {TIME, *template.space}]
    return kept.drop_vars([*strange, *({MEMBER} & {*map(str, kept.coords)})]).assign_coords({MEMBER: members})


def _digest(coordinate: xr.DataArray) -> str:
    values = np.asarray(coordinate.values)
    values = np.array(values.tolist()) if values.dtype.kind == "T" else values  # the same labels, from a store
    plain = "\n".join(map(str, values.ravel())).encode() if values.dtype.kind in "OMm" else values.tobytes()
    facts = json.dumps(
        [coordinate.dims, values.shape, coordinate.dt.calendar if _is_time(values) else str(values.dtype)]
    )
    return hashlib.sha256(facts.encode() + plain).hexdigest()[:16]


def _is_time(values: np.ndarray) -> bool:
    return values.dtype.kind == "M" or (values.dtype.kind == "O" and hasattr(values.ravel()[0], "calendar"))


def _write(partial: Path, template: Template, layout: Layout) -> None:
    import zarr

    with warnings.catch_warnings():  # xarray reads consolidated metadata faster, and complains without it
        warnings.filterwarnings("ignore", message="Consolidated metadata")
        dataset = with_text_of_any_length(_empty_dataset(template, layout))
        dataset.to_zarr(partial, zarr_format=3, consolidated=True, compute=False)
    # A group with one array of nothing: readers that walk the hierarchy do not look into an array's folder, and so meet
    # no stray file.
    zarr.open_group(partial / Path(WORK).parent, mode="w").create_array(Path(WORK).name, shape=(), dtype="uint8")
    inside(partial, f"{ASIDE}/x").parent.mkdir()
    place(partial, RECORD, (json.dumps(asdict(layout), indent=2) + "\n").encode(), aside=ASIDE)
    sync_tree(partial)


def _empty_dataset(template: Template, layout: Layout) -> xr.Dataset:
    import dask.array

    values = dask.array.full(layout.shape, np.float32(np.nan), dtype="float32", chunks=-1)  # never computed
    dataset = _coordinates(template)
    for name, attributes in template.variables.items():
        own = {k: v for k, v in attributes.items() if k != "grid_mapping"}
        if name in layout.bit_rounding:
            own["_QuantizeBitRoundNumberOfSignificantBits"] = layout.bit_rounding[name]
        # In the attributes, xarray would not know it for the name of a coordinate.
        mapping = {k: v for k, v in attributes.items() if k == "grid_mapping"}
        dataset[name] = xr.Variable(layout.dims, values, own, _encoding(layout) | mapping)
    return _with_diagnostics(dataset, template, layout).assign_attrs(_attributes(template, layout))


def _with_diagnostics(dataset: xr.Dataset, template: Template, layout: Layout) -> xr.Dataset:
    """Numbers of each draw, coordinates as in memory, not computed either."""
    import dask.array

    values = dask.array.full(layout.shape[:2], np.float32(np.nan), dtype="float32", chunks=-1)
    for name, attributes in template.diagnostics.items():
        dataset[name] = xr.Variable(layout.dims[:2], values, dict(attributes), _encoding(layout, 2))
    return dataset.set_coords(list(template.diagnostics))


def _attributes(template: Template, layout: Layout) -> dict[str, Any]:
    given = {**template.coordinates.attrs, **template.attributes}
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    made = f"{now} subgrid {subgrid.__version__}: store made for {layout.shape[0]} members"
    return given | {
        "Conventions": "CF-1.11",
        "history": "\n".join([made, *([str(given["history"])] if given.get("history") else [])]),
        "subgrid_version": subgrid.__version__,
        "configuration": json.dumps(layout.configuration, sort_keys=True),
        "configuration_hash": layout.hash,
        "seed": layout.seed if isinstance(layout.seed, int) else str(list(layout.seed)),
        "stream": "/".join(layout.stream),
        "checkpoint": layout.checkpoint,
    }


def _encoding(layout: Layout, n_dims: int | None = None) -> dict[str, Any]:
    """Of a variable along all dimensions, or the first of them."""
    from zarr.codecs import BloscCodec, BloscShuffle

    return {
        "dtype": "float32",
        "_FillValue": np.float32(np.nan),
        "chunks": layout.chunks[:n_dims],
        "shards": None if layout.shards == layout.chunks else layout.shards[:n_dims],
        # Bits of equal weight side by side: what is rounded away, and what hardly varies, compresses to nothing.
        "compressors": [BloscCodec(cname="zstd", clevel=5, shuffle=BloscShuffle.bitshuffle)],
    }
