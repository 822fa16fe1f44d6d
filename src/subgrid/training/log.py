"""Where training writes its numbers: JSON lines always, TensorBoard if wanted."""

import json
import time
from collections.abc import Callable
from pathlib import Path

Report = Callable[[int, dict[str, float]], None]


def json_lines(path: str | Path) -> Report:
    """Appends {"step", "seconds", **metrics} a line; `seconds` since this call. Survives a crash line by line."""
    started = time.monotonic()
    target = Path(path)

    def write(step: int, metrics: dict[str, float]) -> None:
        row = {"step": step, "seconds": round(time.monotonic() - started, 3), **metrics}
        with target.open("a") as file:
            file.write(json.dumps(row) + "\n")

    return write


def tensorboard(folder: str | Path) -> Report:
    """Scalars for TensorBoard, through the optional package tensorboardX (`pip install subgrid[tensorboard]`)."""
    from tensorboardX import SummaryWriter

    writer = SummaryWriter(str(folder), flush_secs=1)  # flush() below does not wait for the writer's queue

    def write(step: int, metrics: dict[str, float]) -> None:
        for name, value in metrics.items():
            writer.add_scalar(name, value, step)
        writer.flush()

    return write


def all_of(*reports: Report) -> Report:
    """One report that hands its numbers to each."""

    def write(step: int, metrics: dict[str, float]) -> None:
        for report in reports:
            report(step, metrics)

    return write
