"""Makes the stages of a run: which are finished, which go on, which are refused; in order, timed, one process each."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
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
    identity,
    read_record,
    record_path,
    spent,
    write_record,
)
from subgrid.runs.run import Run
from subgrid.runs.stage import Stage, in_order, inherited, values_of
from subgrid.training.progress import progress as shown, say

Action: TypeAlias = Literal["keep", "make", "go on", "remake"]


class Unfinished(Exception):
    """A stage that others go on with: the message says what is still to do, and how."""


class Busy(OutputExists):
    """Another process is making a stage."""


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
        stage.check(run)
        chain = inherited(stage, stages)
        values = values_of(run.config, (each.depends_on for each in chain))
        grown = values_of(run.config, (each.grows_with for each in chain))
        inputs = fingerprints({key: paths for each in chain for key, paths in each.inputs.items()})
        needs = {name: planned[name].record.id for name in stage.needs}
        fresh = Record(
            stage.name, values | grown, inputs, needs=needs, version=__version__, commit=commit(), work=stage.work
        )
        decisive = set(values) | (set(grown) if stage.if_changed == "remake" else set())
        fresh = replace(fresh, id=identity(fresh, decisive))
        planned[stage.name] = _planned(run, stage, fresh, decisive)
    return list(planned.values())


def _planned(run: Run, stage: Stage, fresh: Record, decisive: set[str]) -> Planned:
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
    found = found or _other_needs(record, fresh, stage)
    if found is not None:
        removed = record.finished and stage.parts[0] not in kept  # what is left beside it is made anew with it
        if stage.if_changed == "remake" or not kept or removed:
            return Planned(stage, "remake", fresh)
        raise OutputExists(_refusal(folder, kept, found, finished=record.finished))
    on = replace(fresh, id=record.id, seconds=record.seconds, peak_memory=record.peak_memory)
    if not record.finished:
        begun = any(_holds_something(folder / part) for part in kept)
        return Planned(stage, "remake" if stage.if_changed == "remake" else "go on" if begun else "make", on)
    same, all_there = record.has_values_of(fresh), len(there) == len(stage.parts)
    if not all_there or (same and not stage.whole(run)):  # what is not whole yet has grown, and what was made stays
        return Planned(stage, "make", fresh)
    if stage.if_changed == "remake" and record.needs != fresh.needs:
        return Planned(stage, "remake", fresh)
    return Planned(stage, "keep", record) if same else Planned(stage, "go on", on)


def _holds_something(path: Path) -> bool:
    """Whether there is anything to go on with."""
    try:
        return not path.is_dir() or any(path.iterdir())
    except FileNotFoundError:  # another process has moved it to its place
        return True


def _other_needs(record: Record, fresh: Record, stage: Stage) -> str | None:
    """How a stage that is not remade was made, if from another making of one that it needs."""
    changed = [name for name, made in fresh.needs.items() if record.needs.get(name, made) != made]
    if stage.if_changed == "remake" or not changed:
        return None
    return f"from {changed[0]!r} as it was before, which has been made anew since by another version"


def _refusal(folder: Path, kept: list[str], found: str, *, finished: bool) -> str:
    """What is in the way, why, and what to remove."""
    if not finished:
        them = "it" if len(kept) == 1 else "them"
        rest = f"remove {' and '.join(kept)} to make {them} anew, or choose another output folder."
        return f"{folder}: {kept[0]} was made {found}; {rest}"
    first, *others = kept
    beside = f" What was made with it goes too: {', '.join(others)}." if others else ""
    text = f"{folder}: {first} was made {found}; remove {first} to make it anew, or choose another output folder."
    return text + beside


def make_stages(
    run: Run,
    stages: Sequence[Stage],
    *,
    until: Sequence[str] | None = None,
    progress: bool = True,
    start: Callable[[Run], None] = lambda run: None,
) -> str | None:
    """Makes what is wanted and not there yet; the same call goes on where one was stopped.

    Args:
        run: with its folder, which need not exist.
        stages: of its experiment.
        until: names of the stages that are wanted; all by default.
        progress: whether progress, and sentences about what was made, are shown.
        start: called before a stage is made, when no other process can make it: nothing is written before.

    Returns:
        None when all is made, or else a sentence on what others have still to do.

    Raises:
        OutputExists: as `plan`; and if another process is making one of the stages.
    """
    plan(run, stages, until=until)  # refuses before anything is made
    shared = any(stage.shared for stage in stages)
    for stage in in_order(stages, until=until):
        if plan(run, stages, until=[stage.name])[-1].action == "keep":
            continue
        if (left := stage.left(run)) is not None:
            return left
        try:
            with _alone(run.folder, stage):
                # Planned again when it is its turn: other processes work in the folder too.
                mine = plan(run, stages, until=[stage.name])[-1]
                if mine.action != "keep":
                    start(run)
                    _make(run, mine, progress)
        except Unfinished as others:
            return str(others)
        except Busy:
            if shared and stage.if_changed == "remake":  # scores of what several processes have sampled
                return f"{stage.name!r} is left to another process, which is making it in {run.folder}."
            raise
        for sentence in stage.sentences(run):
            say(f"  {sentence}", enabled=progress)
    return None


def _make(run: Run, planned: Planned, progress: bool) -> None:
    """Makes one stage, its record before and after it."""
    stage, record = planned.stage, planned.record
    if planned.action == "remake" and stage.if_changed == "refuse":
        for part in (*stage.parts, *stage.state):
            remove(run.path(part))
    if stage.shared and (begun := read_record(run.folder, stage.name)) is not None and planned.action != "remake":
        record = replace(record, id=begun.id)  # by another process, between the plan and now
    record = replace(record, finished=False)
    write_record(run.folder, record)
    started, finished = time.monotonic(), False
    try:
        with shown(stage.name, enabled=progress, resumed=planned.action == "go on") as update:
            stage.make(run, update)
        missing = [part for part in stage.parts if not run.path(part).exists()]
        if missing:
            raise RuntimeError(f"stage {stage.name!r} ended without {', '.join(missing)}.")
        finished = True
    finally:
        seconds = time.monotonic() - started
        # Of a shared stage other processes may have done the rest by now.
        finished = finished or (stage.shared and all(run.path(p).exists() for p in stage.parts) and stage.whole(run))
        write_record(run.folder, spent(record, seconds, finished=finished, peak_memory=peak_memory()))


@contextmanager
def _alone(folder: Path, stage: Stage) -> Iterator[None]:
    """One process a stage, unless it is shared. A killed process leaves nothing locked."""
    if stage.shared:
        yield
        return
    lock = _lock(folder, stage)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise Busy(
            f"{folder}: another process is making {stage.name!r} there; wait until it ends, or choose another output "
            "folder."
        ) from None
    try:
        yield
    finally:
        lock.release()


def _lock(folder: Path, stage: Stage) -> FileLock:
    path = record_path(folder, stage.name).with_suffix(".lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path)
