"""What a stage will take, from what was recorded: in its own folder, in another run of the kind, or as published."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from subgrid.report.page import duration
from subgrid.runs.record import Record, records_of
from subgrid.runs.run import Run
from subgrid.runs.runner import Planned


@dataclass(frozen=True)
class Estimate:
    """What a stage will take, and where that was recorded.

    Args:
        seconds: that are left; None where nothing is known.
        memory: bytes; None where nothing is known.
        source: the run folder that it is from, by its name, or the published results; "" without one.
        scaled: whether another amount of work was recorded than there is to do.
    """

    seconds: float | None = None
    memory: int | None = None
    source: str = ""
    scaled: bool = False


SHORT = 30.0
"""Seconds of a stage that are mostly compilation, which does not grow with the work."""
FAR = 3.0
"""Times the work that such a stage is not scaled beyond."""


class Known(NamedTuple):
    """The record of a stage, and the run that it is of."""

    begun: float
    """When its configuration was written."""
    folder: Path
    record: Record


def published_beside(config: Path) -> Path:
    """Where a repository keeps the published results of a configuration file: experiments/ and docs/results/.

    Args:
        config: the TOML file.

    Returns:
        The folder, which need not exist.
    """
    return config.resolve().parent.parent / "docs" / "results" / config.stem


def estimates(run: Run, planned: list[Planned], *, published: Path | None = None) -> dict[str, Estimate]:
    """What the stages that are to be made will take.

    Time is that of the same stage in this folder, or else of the published run, if it was made with the same values, or
    else in the run of the same kind beside it that had most nearly as much work, the newest of several, in proportion
    to the work. Of a stage that goes on, what is spent already is not counted. Memory is the largest that was resident
    when that stage ended, or what sizes say if that is more.

    Args:
        run: that is planned.
        planned: its stages.
        published: folder that `publish` wrote of a run of the same file.

    Returns:
        An estimate for every stage that is not kept, by name.
    """
    others = _others(run)
    told = _Published.read(published)
    own = {name: record for name, record in records_of(run.folder).items() if record.finished}
    found: dict[str, Estimate] = {}
    for each in planned:
        if each.action != "keep":
            name = each.stage.name
            here = [Known(0.0, run.folder, own[name])] if name in own else []
            sources = (_scaled(each, here), told.estimate(each), _scaled(each, others.get(name, [])))
            found[name] = next((source for source in sources if source.seconds is not None), sources[0])
    return found


@dataclass(frozen=True)
class _Published:
    """Seconds of the stages of a published run, and the values that it was made with, by "table.key"."""

    source: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path | None) -> "_Published":
        if folder is None:
            return cls()
        try:
            found = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
            values = {f"{table}.{key}": value for table, keys in found["config"].items() for key, value in keys.items()}
            seconds = dict(found["seconds"])
            return cls(f"{folder.name} (published, on {found['machine']['cores']} cores)", seconds, values)
        except (OSError, ValueError, KeyError, AttributeError, TypeError):
            return cls()

    def _read(self, key: str, paths: Sequence[str]) -> bool:
        """Whether it read files of those names: what is published has no folders of whoever ran it."""
        told = self.values.get(key)
        told = [told] if isinstance(told, str) else told or []
        return [Path(each).name for each in told] == [Path(each).name for each in paths]

    def estimate(self, planned: Planned) -> Estimate:
        stage, least = planned.stage, planned.stage.memory or None
        seconds = self.seconds.get(stage.name)
        same = all(self.values.get(key, value) == value for key, value in planned.record.values.items())
        if seconds is None or not same or not all(self._read(*each) for each in stage.inputs.items()):
            return Estimate(None, least)
        spent = planned.record.seconds if planned.action == "go on" else 0.0
        return Estimate(max(seconds - spent, 0.0), least, self.source)


def _scaled(planned: Planned, known: Sequence[Known]) -> Estimate:
    """From the records of one stage."""
    stage, least = planned.stage, planned.stage.memory or None
    usable = [each for each in known if _tells(each.record, stage.work)]
    if not usable:
        return Estimate(None, least)
    nearest = min(usable, key=lambda each: (abs(math.log(stage.work / each.record.work)), -each.begun))
    record = nearest.record
    seconds = record.seconds * stage.work / record.work
    if planned.action == "go on":
        seconds = max(seconds - planned.record.seconds, 0.0)
    return Estimate(
        seconds, max(record.peak_memory, stage.memory), nearest.folder.name, scaled=record.work != stage.work
    )


def _tells(record: Record, work: float | int) -> bool:
    """Whether its time may be scaled to so much work."""
    return min(record.work, work) > 0 and not (record.seconds < SHORT and work > FAR * record.work)


def _others(run: Run) -> dict[str, list[Known]]:
    """Finished records of other runs of this kind beside the folder, by stage."""
    found: dict[str, list[Known]] = {}
    parent = run.folder.absolute().parent
    for config in sorted(parent.glob("*/config.toml")):
        folder = config.parent
        if folder == run.folder.absolute() or not _is_alike(folder, run):
            continue
        for name, record in records_of(folder).items():
            if record.finished:
                found.setdefault(name, []).append(Known(config.stat().st_mtime, folder, record))
    return found


def _is_alike(folder: Path, run: Run) -> bool:
    """Whether a folder is of a run with the same tables."""
    metrics = folder / "metrics.json"
    if not metrics.exists():
        return False
    try:
        tables = json.loads(metrics.read_text(encoding="utf-8"))["config"]
    except (ValueError, KeyError):
        return False
    return set(tables) == set(type(run.config).model_fields)


def total_in_words(expected: Mapping[str, Estimate]) -> str:
    """How long all stages that are to be made will take, and where that is known from.

    Args:
        expected: from `estimates`.

    Returns:
        A sentence.
    """
    if not expected:
        return "everything is finished."
    known = [each.seconds for each in expected.values() if each.seconds is not None]
    unknown = len(expected) - len(known)
    sources = dict.fromkeys(each.source for each in expected.values() if each.source)
    if not known:
        return f"{len(expected)} stages to make; no time is known: no such run was published or lies beside it."
    how = "scaled from" if any(each.scaled for each in expected.values()) else "as recorded in"
    least = "at least " if unknown else ""
    text = f"{len(expected)} stages to make, in {least}{duration(sum(known))} {how} {', '.join(sources)}"
    return f"{text}; of {unknown} no time is known." if unknown else f"{text}."
