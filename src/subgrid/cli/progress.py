"""Progress with the time left, on standard error so that results can be piped: a bar, or in a log a line at times."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from subgrid.runs.stage import Update

console = Console(stderr=True)
EVERY = 30.0
"""Seconds between two lines of a log: few enough to read, and never silent for long."""


def say(sentence: str) -> None:
    """One sentence about what was made."""
    _line(f"  {sentence}")


@contextmanager
def progress_bar(description: str) -> Iterator[Update]:
    """Yields `update(done, total, note="")`; shows count, time spent and time left."""
    if not console.is_terminal and not console.is_jupyter:
        with _log(description) as update:
            yield update
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description:<22}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(description, total=None, note="")

        def update(done: int, total: int, note: str = "") -> None:
            progress.update(task, completed=done, total=total, note=note)

        yield update


@contextmanager
def _log(description: str) -> Iterator[Update]:
    """A line at most every `EVERY` seconds, and one at the end of what took longer than a second."""
    started = printed = time.monotonic()
    first: tuple[float, int, int] | None = None

    def update(done: int, total: int, note: str = "") -> None:
        nonlocal printed, first
        now = time.monotonic()
        if first is None or first[2] != total or done < first[1]:  # what goes on does not begin at 0
            first = now, done, total
        if now - printed < EVERY:
            return
        printed = now
        since, before, _ = first
        left = f", {_minutes((now - since) * (total - done) / (done - before))} left" if done > before else ""
        _line(f"{description}: {done}/{total} after {_minutes(now - started)}{left} {note}")

    yield update
    if (seconds := time.monotonic() - started) > 1:
        _line(f"{description}: done in {_minutes(seconds)}")


def _line(text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def _minutes(seconds: float) -> str:
    return f"{int(seconds // 60)}:{int(seconds % 60):02d}"
