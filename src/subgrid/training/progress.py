"""Progress of what takes long, shown in one way by the library, the runs and the command line.

    with progress("fit"), progress("train") as update:
        for step in range(1, 101):
            update(step, 100, f"loss {loss:.4f}")

On standard error, so that results can be piped: a bar on a terminal and in a notebook, plain lines elsewhere. What is
over within `QUICK` seconds leaves nothing behind: a run has many such stages, and a library that is called in a loop
must not fill the screen. A bar is there from `PATIENCE` seconds on, since somebody waits; a line only after `QUICK`,
since it stays.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from functools import cache, partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

from subgrid.training.log import MetricsReport
from subgrid.training.pace import Pace, clock

if TYPE_CHECKING:
    from rich.console import Console

Write: TypeAlias = Callable[[str], None]
PATIENCE = 0.5
"""Seconds before a bar is drawn: what is over by then would only flicker."""
QUICK = 5.0
"""Seconds before the first line, and of what is too short to be told of when it is done."""
MOST_SILENT = 60.0
"""Seconds between two lines, once it has gone on for so long; before, as many as have gone: 5, 10, 20, 40, 80, 140."""
LOGGED = (60.0, 1800.0)
"""The same of lines that are recorded: a day in some sixty lines."""


@runtime_checkable
class Update(Protocol):
    """Moves a progress bar: update(done, total, "what is being done")."""

    def __call__(self, done: int, total: int, note: str = "") -> None: ...


@contextmanager
def progress(name: str, *, enabled: bool = True, resumed: bool = False) -> Iterator[Update]:
    """Shows how far something is: count, time gone, time left, and a note.

    The time left is estimated from the rate of the last minute. Within another one, lines are about the inner one. Of
    several processes that train together, the first one shows it.

    Args:
        name: of what is done.
        enabled: whether it is shown, as by default, and what is within it in the same thread; what `recording` keeps is
            kept in any case.
        resumed: whether it goes on where it was stopped, which is said.

    Yields:
        The function update(done, total, note), an `Update`.

    Examples:
        >>> with progress("train") as update:
        ...     update(1, 100, "loss 0.5")
    """
    outer = _innermost.get()
    task = _Task(name, _is_shown(enabled) and is_first(), resumed)
    token = _innermost.set(task)
    task.record("goes on" if resumed else "begins")
    try:
        with (
            _within(outer if task.enabled else None),
            _bar(task) if task.enabled and _draws() else nullcontext(),
            _ticking(task),
        ):
            yield task.update
    except BaseException:
        task.record(f"stopped after {clock(task.pace.gone(time.monotonic()))}{task.at()}")
        raise
    finally:
        _innermost.reset(token)
    seconds = task.pace.gone(time.monotonic())
    say(f"{name}: done in {clock(seconds)}", enabled=task.enabled and seconds >= QUICK)


def starts_at(done: int, total: int, *, unit: str = "step", parts: bool = False) -> None:
    """Tells the innermost `progress` where it begins, before the first count: the total, and what was done before.

    What was done before is said, and is no part of the rate. Without an open `progress` nothing happens.

    Args:
        done: by earlier calls.
        total: of all.
        unit: what is counted, "step" by default.
        parts: whether it is done in parts whose own beginnings are not told, default False.

    Examples:
        >>> with progress("train") as update:
        ...     starts_at(2880, 20_000)
        train: goes on from step 2880 of 20000
    """
    if (task := _innermost.get()) is not None:
        task.begin_at(done, total, unit, parts)


@contextmanager
def training_progress(n_steps: int, *, begun: int | None = None) -> Iterator[MetricsReport]:
    """Shows a training: its steps, the time, the loss.

    Args:
        n_steps: of all.
        begun: steps of earlier calls, of a training in several parts; default None: `fit` tells them.

    Yields:
        The function report(step, metrics), which `fit` takes.

    Examples:
        >>> with training_progress(20_000) as report:
        ...     fit(network, loss, data, batch, TrainingSchedule(20_000), report=report, key=key)
    """
    with progress("train the network") as update:
        if begun is not None:
            starts_at(begun, n_steps, parts=True)
        yield lambda step, metrics: update(step, n_steps, f"loss {metrics['loss']:.4f}")


def say(sentence: str, *, enabled: bool = True) -> None:
    """One line on standard error, above a bar that is shown, and in what is recorded.

    Args:
        sentence: plain text.
        enabled: whether it is printed, as by default, but within a `progress` that is not shown; it is recorded in any
            case.
    """
    if _is_shown(enabled):
        _print(sentence)
    _record(sentence)


@contextmanager
def recording(write: Write) -> Iterator[None]:
    """Hands on what is said, what begins and ends, and at times how far it is, as to a log file.

    Args:
        write: called with one sentence; it may be called by other threads, and must not fail.

    Yields:
        Nothing.

    Examples:
        >>> with recording(lines.append), progress("train", enabled=False):
        ...     pass
    """
    _recorders.append(write)
    try:
        yield
    finally:
        _recorders.remove(write)


_recorders: list[Write] = []


def _record(sentence: str) -> None:
    for write in list(_recorders):
        write(sentence)


class _Task:
    """What is in progress, and the lines about it; several threads may ask."""

    def __init__(self, name: str, enabled: bool, resumed: bool):
        self.name, self.enabled, self.resumed = name, enabled, resumed
        self.pace, self.note = Pace(time.monotonic()), ""
        self.inner = 0
        self._counted = self._parts = False
        self._lock = threading.RLock()
        self._lines = [_Lines(_record, *LOGGED)]
        if enabled and not _draws():
            self._lines.append(_Lines(_print, QUICK, MOST_SILENT))

    def update(self, done: int, total: int, note: str = "") -> None:
        with self._lock:
            if self.resumed and not self._counted:
                say(f"{self.name}: goes on with what was done before", enabled=self.enabled)
            self._counted = True
            self.pace.move(time.monotonic(), done, total)
            self.note = note
            self.tick()

    def begin_at(self, done: int, total: int, unit: str, parts: bool) -> None:
        with self._lock:
            if self._parts:  # the parts of a whole that has been begun
                return
            if done:
                say(f"{self.name}: goes on from {unit} {done} of {total}", enabled=self.enabled)
            if not self._counted:  # else it is a part of something that counts otherwise
                self.pace.begin_at(done, total)
            self._counted, self._parts = True, parts

    def tick(self) -> None:
        """Writes the lines that are due, where nothing within it writes its own."""
        if self.inner:
            return
        with self._lock:
            for lines in self._lines:
                lines.write_if_due(self)

    def record(self, what: str) -> None:
        _record(f"{self.name}: {what}")

    def at(self) -> str:
        return f", at {self.pace.done} of {self.pace.total}" if self.pace.total else ""

    def words(self) -> tuple[str, str]:
        """The count, and the times with the note; "" for a count that is not known."""
        now = time.monotonic()
        left = self.pace.left(now)
        times = [f"{clock(self.pace.gone(now))} gone"]
        times += [f"about {clock(left)} left"] if left is not None and left >= 1 else []
        count = f"{self.pace.done} of {self.pace.total}" if self.pace.total else ""
        return count, ", ".join([*times, self.note.strip()] if self.note.strip() else times)


class _Lines:
    """Lines about a task: the first after `first` seconds, the next after as long again, at most `most` apart."""

    def __init__(self, write: Write, first: float, most: float):
        self._write, self._due, self._most = write, first, most

    def write_if_due(self, task: _Task) -> None:
        gone = task.pace.gone(time.monotonic())
        if gone >= self._due:
            self._write(f"{task.name}: {', '.join(filter(None, task.words()))}")
            self._due = gone + min(gone, self._most)


_innermost: ContextVar[_Task | None] = ContextVar("_innermost", default=None)


def _is_shown(enabled: bool) -> bool:
    """Whether it is wanted, and what it is a part of is shown."""
    outer = _innermost.get()
    return enabled and (outer is None or outer.enabled)


@contextmanager
def _within(outer: _Task | None) -> Iterator[None]:
    """Has the outer one write no lines meanwhile."""
    if outer is None:
        yield
        return
    outer.inner += 1
    try:
        yield
    finally:
        outer.inner -= 1


@contextmanager
def _ticking(task: _Task) -> Iterator[None]:
    """Writes lines that are due while nothing is counted, as during a long compilation."""
    over = threading.Event()

    def tick() -> None:
        while not over.wait(1.0):
            task.tick()

    thread = threading.Thread(target=tick, name="subgrid-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def _bar(task: _Task) -> Iterator[None]:
    """One line that is drawn again and again, and is gone at the end."""
    from rich.live import Live

    at, results_apart = console(), not sys.stdout.isatty()
    draw = partial(_drawn, task, at)
    options = {"transient": True, "refresh_per_second": 4, "redirect_stdout": not results_apart}
    with Live(get_renderable=draw, console=at, **options):
        yield


def _drawn(task: _Task, at: "Console") -> Any:
    """Name, bar, count, times, note; on a narrow terminal without the bar."""
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    if task.pace.gone(time.monotonic()) < PATIENCE:
        return Text("")
    count, times = task.words()
    width = min(at.width - 1, 120) - len(task.name) - len(count) - len(times) - 4
    if width < 8:
        return Text(f"{task.name}: {', '.join(filter(None, [count, times]))}", no_wrap=True, overflow="ellipsis")
    total = task.pace.total or None
    line = Table.grid(padding=(0, 1))
    line.add_row(task.name, ProgressBar(total, task.pace.done, width=min(width, 40), pulse=total is None), count, times)
    return line


@cache
def console() -> "Console":
    """Of standard error; one, so that what is said stands above a bar."""
    from rich.console import Console

    return Console(stderr=True)


def _draws() -> bool:
    """Whether a line can be drawn again: on a terminal, and in notebooks that have ipywidgets.

    Where colours are forced into a file, rich takes it for a terminal.
    """
    at = console()
    if at.is_jupyter:
        return find_spec("ipywidgets") is not None
    return at.is_terminal and not at.is_dumb_terminal and at.file.isatty()


def _print(sentence: str) -> None:
    from rich.text import Text

    console().print(Text(sentence), soft_wrap=True)


def is_first() -> bool:
    """As `is_first_process`, which starts JAX, where it has not been imported."""
    jax = sys.modules.get("jax")
    return jax is None or not jax.distributed.is_initialized() or jax.process_index() == 0
