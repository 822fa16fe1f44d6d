"""Makes the stages of a run: which are finished, which go on, which are refused; in order, timed, one process each."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

from filelock import FileLock, Timeout

from subgrid import __version__
from subgrid.data.store import OutputExists, remove
from subgrid.runs.machine import commit, peak_memory
from subgrid.runs.record import (
    Record,
    fingerprints,
    read_record,
    record_path,
    spent,
    write_record,
)
from subgrid.runs.run import Run
from subgrid.runs.stage import Stage, Update, in_order, inherited, values_of

Bar: TypeAlias = Callable[[str], AbstractContextManager[Update]]
"""Opens a progress bar of a name."""
Say: TypeAlias = Callable[[str], None]
Action: TypeAlias = Literal["keep", "make", "go on", "remake"]


class Unfinished(Exception):
    """A stage that others go on with: the message says what is still to do, and how."""


@dataclass(frozen=True)
class Planned:
    """What will happen to a stage, and its record as it would be.

    Args:
        stage: of the run.
        action: "keep" what is finished, "make" what is not there, "go on" with what was begun or may grow, or "remake"
            what was made from other values.
        record: that the stage would have when it begins.
    """

    stage: Stage
    action: Action
    record: Record


def plan(run: Run, stages: Sequence[Stage], *, until: Sequence[str] | None = None) -> list[Planned]:
    """What a call would do, stage by stage, in order; nothing is written.

    Args:
        run: with its folder, which need not exist.
        stages: of its experiment.
        until: names of the stages that are wanted; all by default.

    Returns:
        The stages that are wanted or needed, each with its action.

    Raises:
        OutputExists: naming the part, the key and both values, if a finished part was made from other ones and is not
            to be remade; if a part has no record; if a record cannot be read.
    """
    planned: dict[str, Planned] = {}
    for stage in in_order(stages, until=until):
        chain = inherited(stage, stages)
        values = values_of(run.config, (each.depends_on for each in chain))
        grown = values_of(run.config, (each.grows_with for each in chain))
        inputs = fingerprints({key: paths for each in chain for key, paths in each.inputs.items()})
        needs = {name: planned[name].record.id for name in stage.needs}
        fresh = Record(
            stage.name, values | grown, inputs, needs=needs, version=__version__, commit=commit(), work=stage.work
        )
        planned[stage.name] = _planned(run, stage, fresh, set(values), planned)
    return list(planned.values())


def _planned(run: Run, stage: Stage, fresh: Record, decisive: set[str], before: dict[str, Planned]) -> Planned:
    """The action for one stage; `decisive` are the keys that it depends on, the others let it grow."""
    folder = run.folder
    kept = [part for part in (*stage.parts, *stage.state) if (folder / part).exists()]
    there = [part for part in stage.parts if part in kept]
    record = read_record(folder, stage.name)
    if record is None:
        if kept and stage.if_changed == "refuse":
            them = "it" if len(kept) == 1 else "them"
            raise OutputExists(
                f"{folder}: {kept[0]} has no record of what it was made from (an earlier version made it, or it was "
                f"copied here); remove {' and '.join(kept)} to make {them} anew, or choose another output folder."
            )
        return Planned(stage, "remake" if there else "make", fresh)
    found = record.difference({key: fresh.values[key] for key in fresh.values if key in decisive}, fresh.inputs)
    if found is not None:
        removed = record.finished and stage.parts[0] not in kept  # what is left beside it is made anew with it
        if stage.if_changed == "remake" or not kept or removed:
            return Planned(stage, "remake", fresh)
        raise OutputExists(
            f"{folder}: {kept[0]} was made {found}; remove {kept[0]} to make it anew, or choose another output folder."
        )
    same = replace(record, values=fresh.values, work=fresh.work)
    if not record.finished:
        return Planned(stage, "go on", same)
    if len(there) < len(stage.parts) or not stage.whole(run):
        return Planned(stage, "make", fresh)
    if stage.if_changed == "remake" and (record.needs != fresh.needs or _made_now(stage, before)):
        return Planned(stage, "remake", fresh)
    return Planned(stage, "keep" if record.values == fresh.values else "go on", same)


def _made_now(stage: Stage, before: dict[str, Planned]) -> bool:
    return any(before[name].action != "keep" for name in stage.needs)


def make_stages(
    run: Run,
    stages: Sequence[Stage],
    *,
    until: Sequence[str] | None = None,
    bar: Bar,
    say: Say = lambda _: None,
) -> str | None:
    """Makes what is wanted and not there yet; the same call goes on where one was stopped.

    Args:
        run: with its folder, which holds its configuration already.
        stages: of its experiment.
        until: names of the stages that are wanted; all by default.
        bar: opens a progress bar.
        say: called with sentences about what was made.

    Returns:
        None when all is made, or else a sentence on what others have still to do.

    Raises:
        OutputExists: as `plan`; and if another process is making one of the stages.
    """
    plan(run, stages, until=until)  # refuses before anything is made
    for stage in in_order(stages, until=until):
        left = stage.left(run)
        if left is not None and plan(run, stages, until=[stage.name])[-1].action != "keep":
            return left
        with _alone(run.folder, stage):
            # Planned again when it is its turn: other processes work in the folder too.
            mine = plan(run, stages, until=[stage.name])[-1]
            if mine.action == "keep":
                continue
            try:
                _make(run, mine, bar)
            except Unfinished as others:
                return str(others)
            for sentence in stage.told(run):
                say(sentence)
    return None


def _make(run: Run, planned: Planned, bar: Bar) -> None:
    """Makes one stage, its record before and after it."""
    stage, record = planned.stage, planned.record
    if planned.action == "remake" and stage.if_changed == "refuse":
        for part in (*stage.parts, *stage.state):
            remove(run.path(part))
    record = replace(record, finished=False)
    write_record(run.folder, record)
    started, finished = time.monotonic(), False
    try:
        with bar(stage.name) as update:
            stage.make(run, update)
        missing = [part for part in stage.parts if not run.path(part).exists()]
        if missing:
            raise RuntimeError(f"stage {stage.name!r} ended without {', '.join(missing)}.")
        finished = True
    finally:
        seconds = time.monotonic() - started
        write_record(run.folder, spent(record, seconds, finished=finished, peak_memory=peak_memory()))


@contextmanager
def _alone(folder: Path, stage: Stage) -> Iterator[None]:
    """One process a stage, unless it is shared. A killed process leaves nothing locked."""
    if stage.shared:
        yield
        return
    path = record_path(folder, stage.name).with_suffix(".lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise OutputExists(
            f"{folder}: another process is making {stage.name!r} there; wait until it ends, or choose another output "
            "folder."
        ) from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def no_bar(name: str) -> Iterator[Update]:
    """Shows nothing."""

    def update(done: int, total: int, note: str = "") -> None: ...

    yield update
