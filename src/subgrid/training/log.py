"""Where training writes its numbers: JSON lines always, TensorBoard if wanted."""

import contextlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

MetricsReport = Callable[[int, dict[str, float]], None]
"""Called with the step and its numbers."""


def json_lines(path: str | Path, *, from_step: int | None = None) -> MetricsReport:
    """A report that appends {"step", "seconds", **metrics} to a file, one line a call.

    `seconds` counts from this call on. The log survives a crash line by line.

    Args:
        path: of the log; its folder is there already.
        from_step: the step that training resumes from. Lines of later steps, which a killed run left and this one
            writes again, are cut; None keeps all. A torn last line is cut in any case.

    Returns:
        A function report(step, metrics).

    Examples:
        >>> report = json_lines("training.jsonl", from_step=1000)
        >>> report(1020, {"loss": 0.1})
    """
    started = time.monotonic()
    target = Path(path)
    kept = [row for row in read_json_lines(target) if from_step is None or row["step"] <= from_step]
    if target.exists():
        partial = target.with_name(f".{target.name}.partial-{os.getpid()}")
        partial.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")
        os.replace(partial, target)

    def write(step: int, metrics: dict[str, float]) -> None:
        row = {"step": step, "seconds": round(time.monotonic() - started, 3), **metrics}
        with target.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    return write


def read_json_lines(path: str | Path) -> list[dict[str, Any]]:
    """The rows of a log, without what a kill left of the last line.

    Args:
        path: of the log.

    Returns:
        One dictionary a line; none where there is no file.

    Examples:
        >>> [row["loss"] for row in read_json_lines("training.jsonl")]
    """
    path, rows = Path(path), []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        with contextlib.suppress(json.JSONDecodeError):
            rows.append(json.loads(line))
    return rows


def tensorboard(folder: str | Path) -> MetricsReport:
    """A report that writes scalars for TensorBoard.

    Args:
        folder: of the event files.

    Returns:
        A function report(step, metrics).

    Raises:
        ModuleNotFoundError: without the optional package tensorboardX (`pip install subgrid[tensorboard]`).

    Examples:
        >>> report = tensorboard("runs/prior")
    """
    from tensorboardX import SummaryWriter

    writer = SummaryWriter(str(folder), flush_secs=1)  # flush() below does not wait for the writer's queue

    def write(step: int, metrics: dict[str, float]) -> None:
        for name, value in metrics.items():
            writer.add_scalar(name, value, step)
        writer.flush()

    return write


def all_of(*reports: MetricsReport) -> MetricsReport:
    """One report that hands its numbers to each of several.

    Args:
        reports: called in this order.

    Returns:
        A function report(step, metrics).

    Examples:
        >>> report = all_of(json_lines("training.jsonl"), tensorboard("runs/prior"))
    """

    def write(step: int, metrics: dict[str, float]) -> None:
        for report in reports:
            report(step, metrics)

    return write
