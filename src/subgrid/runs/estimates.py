"""What a stage will take, from what was recorded: in its own folder, or in another run of the same kind."""

import json
from dataclasses import dataclass
from pathlib import Path

from subgrid.runs.record import Record, records_of
from subgrid.runs.run import Run
from subgrid.runs.runner import Planned


@dataclass(frozen=True)
class Estimate:
    """What a stage will take, and where that was recorded.

    Args:
        seconds: that are left; None where nothing is known.
        memory: bytes; None where nothing is known.
        source: name of the run folder that it is from, "" without one.
    """

    seconds: float | None = None
    memory: int | None = None
    source: str = ""


def estimates(run: Run, planned: list[Planned]) -> dict[str, Estimate]:
    """What the stages that are to be made will take.

    Time is that of the same stage in this folder, or else in the newest run of the same kind beside it, in proportion
    to the work. Of a stage that goes on, what is spent already is not counted. Memory is the largest that was resident
    when that stage ended, or what sizes say if that is more.

    Args:
        run: that is planned.
        planned: its stages.

    Returns:
        An estimate for every stage that is not kept, by name.
    """
    others = _others(run)
    return {each.stage.name: _estimate(each, run.folder, others) for each in planned if each.action != "keep"}


def _estimate(planned: Planned, folder: Path, others: dict[str, tuple[Path, Record]]) -> Estimate:
    stage, least = planned.stage, planned.stage.memory or None
    own = records_of(folder).get(stage.name)
    source, known = (folder, own) if own is not None and own.finished else others.get(stage.name, (folder, None))
    if known is None or not known.work:
        return Estimate(None, least)
    seconds = known.seconds * stage.work / known.work
    if planned.action == "go on":
        seconds = max(seconds - planned.record.seconds, 0.0)
    return Estimate(seconds, max(known.peak_memory, stage.memory), source.name)


def _others(run: Run) -> dict[str, tuple[Path, Record]]:
    """Finished records of other runs of this kind beside the folder, by stage; the newest of each."""
    found: dict[str, tuple[float, Path, Record]] = {}
    parent = run.folder.absolute().parent
    for config in sorted(parent.glob("*/config.toml")):
        folder = config.parent
        if folder == run.folder.absolute() or not _is_alike(folder, run):
            continue
        age = config.stat().st_mtime
        for name, record in records_of(folder).items():
            if record.finished and (name not in found or age > found[name][0]):
                found[name] = age, folder, record
    return {name: (folder, record) for name, (_, folder, record) in found.items()}


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
