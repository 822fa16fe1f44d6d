"""A stage of an experiment: what it makes, what it needs, and which keys of the configuration it depends on."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from subgrid.runs.config import Table
from subgrid.training.progress import Update as Update

Dependencies: TypeAlias = Mapping[str, tuple[str, ...]]
"""Tables of the configuration, and the keys of each; () is the whole table."""


@dataclass(frozen=True)
class Stage:
    """One step of an experiment, written to the run folder.

    Args:
        name: unique in the experiment; of its record, its progress bar, and `--until`.
        make: called as make(run, update). It leaves its parts whole or not at all, and is called again to go on where
            it was stopped; it raises `Unfinished` if others have to go on.
        parts: paths in the run folder that are there when the stage is finished.
        needs: names of other stages, whose dependencies are inherited.
        depends_on: keys of the configuration that decide what is made.
        grows_with: keys of which another value leaves what is there as it is, and may ask for more of it; the stage is
            made again, and skips by itself what is there.
        inputs: files, stores or patterns outside the run folder that are read, by the key that names them. Their
            contents count, not their paths.
        state: paths that keep the state of an unfinished making; refused like parts.
        if_changed: what happens to finished parts if a dependency has changed: "refuse" for what took long, "remake"
            for scores and pages.
        shared: whether several processes may make it at the same time.
        whole: whether the parts of a finished stage still hold all that it made, called as whole(run): a store may have
            lost items, which are then made anew.
        left: a sentence if this process leaves the stage to others, called as left(run) before it would be made.
        check: complains of what the stage cannot do, with `ConfigError`, before anything is made; called as check(run).
        sentences: about what was made, for the terminal, called as sentences(run).
        work: how much there is to do, in any unit that time is proportional to; estimates scale with it.
        memory: bytes that making it takes at least, as far as sizes say; 0 if they do not.
    """

    name: str
    make: Callable[[Any, Update], None]
    parts: tuple[str, ...]
    needs: tuple[str, ...] = ()
    depends_on: Dependencies = field(default_factory=dict)
    grows_with: Dependencies = field(default_factory=dict)
    inputs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    state: tuple[str, ...] = ()
    if_changed: Literal["refuse", "remake"] = "refuse"
    shared: bool = False
    whole: Callable[[Any], bool] = lambda run: True
    left: Callable[[Any], str | None] = lambda run: None
    check: Callable[[Any], None] = lambda run: None
    sentences: Callable[[Any], Iterable[str]] = lambda run: ()
    work: float | int = 1.0
    memory: int = 0


def all_but(table: type[Table], *names: str) -> tuple[str, ...]:
    """The keys of a table without some of them.

    Args:
        table: the model of the table.
        names: of the keys to leave out.

    Returns:
        The other keys, in their order.

    Raises:
        KeyError: for a name that is no key of the table.

    Examples:
        >>> depends_on = {"debias": all_but(Debias, "method")}
    """
    if unknown := set(names) - set(table.model_fields):
        raise KeyError(f"{table.__name__} has no keys {sorted(unknown)}.")
    return tuple(key for key in table.model_fields if key not in names)


def in_order(stages: Sequence[Stage], *, until: Iterable[str] | None = None) -> list[Stage]:
    """The stages that are needed for some of them, each after those it needs.

    Args:
        stages: of the experiment; of those that do not need each other, the first come first.
        until: names of the stages that are wanted; all by default.

    Raises:
        ValueError: for a name that comes twice, a need that is no stage, or needs in a circle.
    """
    by_name = {stage.name: stage for stage in stages}
    if len(by_name) < len(stages):
        raise ValueError(f"two stages have one name: {[stage.name for stage in stages]}.")
    ordered: dict[str, Stage] = {}

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in ordered:
            return
        if name not in by_name:
            raise ValueError(f"stage {path[-1] if path else ''!r} needs {name!r}, which is no stage.")
        if name in path:
            raise ValueError(f"stages need each other in a circle: {' -> '.join([*path, name])}.")
        for need in by_name[name].needs:
            visit(need, (*path, name))
        ordered[name] = by_name[name]

    for name in by_name if until is None else until:
        visit(name, ())
    return list(ordered.values())


def inherited(stage: Stage, stages: Sequence[Stage]) -> list[Stage]:
    """The stage and all that it needs, directly or not."""
    return in_order(stages, until=[stage.name])


def values_of(config: Table, dependencies: Iterable[Dependencies]) -> dict[str, Any]:
    """The values of all keys that are named, by "table.key", as JSON holds them."""
    tables = config.model_dump(mode="json")
    return {
        f"{table}.{key}": tables[table][key]
        for each in dependencies
        for table, keys in each.items()
        for key in keys or tables[table]
    }
