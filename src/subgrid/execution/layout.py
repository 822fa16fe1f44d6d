"""What a store is made of: variables, dimensions, chunks, work items, random stream and configuration, and their hash.

Two stores can hold parts of one ensemble exactly if their layouts are equal; everything here is plain data, so that
a layout reads back from JSON as it was written.
"""

import hashlib
import itertools
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from subgrid.data.store import OutputExists
from subgrid.execution.work_items import WorkItem, work_items

MEMBER, TIME = "realization", "time"


@dataclass(frozen=True)
class Layout:
    """The facts a store is written by; see `subgrid.execution.template.Template` for where they come from.

    `dims`, `shape`, `chunks` and `shards` go together, member and time in front; without sharding `shards` equals
    `chunks`. `coordinates` holds a digest of each. `seed` is a number, or the words of a key. `stream` names the random
    stream of the draws; it is empty in stores of earlier versions, whose streams had no names: they can be read and not
    continued. `diagnostics` are numbers of each draw, along the first two dimensions.
    """

    variables: tuple[str, ...]
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    shards: tuple[int, ...]
    times_per_item: int
    members_per_item: int
    bit_rounding: dict[str, int]
    seed: int | tuple[int, ...]
    checkpoint: str
    coordinates: dict[str, str]
    configuration: dict[str, Any]
    stream: tuple[str, ...] = ()
    diagnostics: tuple[str, ...] = ()

    @property
    def space_shape(self) -> tuple[int, ...]:
        return self.shape[2:]

    @property
    def hash(self) -> str:
        """SHA-256 of all of it, as hexadecimal digits; that of earlier versions where draws tell nothing."""
        facts = {name: value for name, value in asdict(self).items() if value or name != "diagnostics"}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def items(self) -> list[WorkItem]:
        """All work items, in order."""
        n_members, n_times = self.shape[:2]
        return work_items(
            n_times, n_members, times_per_item=self.times_per_item, members_per_item=self.members_per_item
        )

    def files(self, item: WorkItem) -> dict[str, list[str]]:
        """The chunk files (shard files, with sharding) that an aligned item fills, by variable, within the array."""
        spans = (item.member, item.time, *((0, size) for size in self.space_shape))
        axes = [range(a // unit, -(-b // unit)) for (a, b), unit in zip(spans, self.shards, strict=True)]
        of_fields, of_draws = (
            ["/".join(["c", *map(str, place)]) for place in itertools.product(*along)] for along in (axes, axes[:2])
        )
        return dict.fromkeys(self.variables, of_fields) | dict.fromkeys(self.diagnostics, of_draws)


def layout_of(content: Mapping[str, Any]) -> Layout:
    """The layout that `dataclasses.asdict` and JSON have made plain.

    Raises:
        TypeError, KeyError: for content that is not a layout.
    """
    plain: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in content.items()
    }
    return Layout(**plain)


def check_aligned(layout: Layout, item: WorkItem) -> None:
    """Passes if an item covers whole chunks (shards, with sharding), so that no two items write to one file.

    xarray and Zarr accept other regions too, and silently lose data where two processes write them at once.

    Raises:
        ValueError: naming the nearest span that is aligned, or the axis that the item leaves.
    """
    for name, span, axis in (("member", item.member, 0), ("time", item.time, 1)):
        (first, last), size, unit = span, layout.shape[axis], layout.shards[axis]
        if not 0 <= first < last <= size:
            raise ValueError(
                f"{name} {first}:{last} is not within the store's {size}; items come from `store.items()`."
            )
        if first % unit or (last % unit and last != size):
            kind = "chunks" if layout.shards == layout.chunks else "shards"
            near = first // unit * unit, min(-(-last // unit) * unit, size)
            raise ValueError(f"{name} {first}:{last} cuts through {kind} of {unit}; use {near[0]}:{near[1]}.")


def check_same(path: Any, found: Layout, wanted: Layout) -> None:
    """Passes if a store may be continued: its layout must be the wanted one.

    Raises:
        OutputExists: naming the first facts that differ, with both values.
    """
    if found.hash == wanted.hash:
        return
    old, new = (_flat(asdict(layout)) for layout in (found, wanted))
    names = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
    differences = ", ".join(
        f"{name} = {_short(old.get(name))} instead of {_short(new.get(name))}" for name in names[:3]
    )
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    raise OutputExists(
        f"{path}: was made by another configuration ({differences}{more}); choose another output, or remove it first."
    )


def _flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as one, with dotted names."""
    flat = {}
    for name, value in content.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat


def _short(value: Any) -> str:
    text = "nothing" if value is None else json.dumps(value)
    return text if len(text) <= 40 else f"{text[:36]} …"
