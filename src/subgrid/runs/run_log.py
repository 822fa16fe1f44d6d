"""RUN/log.txt: what the terminal said, with times, for all calls that worked in the folder.

    2026-03-01 12:00:03 [4711] subgrid 0.1.0 (1a2b3c4) on node3: subgrid run iberia.toml -o runs/iberia
    2026-03-01 12:00:03 [4711] train: goes on
    2026-03-01 12:00:09 [4711] train: goes on from step 2880 of 20000
    2026-03-01 12:01:09 [4711] train: 3060 of 20000, 1:05 gone, about 1:34:10 left, loss 0.0123

The number is that of the process: the jobs of an array write to one file.
"""

import contextlib
import os
import platform
import shlex
import sys
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from subgrid import __version__
from subgrid.runs.machine import commit
from subgrid.training.interruption import TrainingInterrupted
from subgrid.training.progress import is_first, recording


class RunLog:
    """Lines that are appended to a file from `begin` on; those from before are written then, or never.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path):
        self._path = path
        self._waiting: list[str] | None = [f"subgrid {__version__} ({commit()}) on {platform.node()}: {command()}"]

    def begin(self) -> None:
        """From here on there is a run folder to write into."""
        if self._waiting is not None and is_first():
            waiting, self._waiting = self._waiting, None
            for text in waiting:
                self.write(text)

    def write(self, text: str) -> None:
        """Appends a line, or several in one piece. A log that cannot be written stops nothing."""
        if self._waiting is not None:
            self._waiting.append(text)
            return
        line = f"{time.strftime('%Y-%m-%d %H:%M:%S')} [{os.getpid()}] {text.strip()}\n"
        with contextlib.suppress(OSError):
            # One call of the operating system, which puts it whole behind what other processes append.
            file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                os.write(file, line.encode())
            finally:
                os.close(file)

    def fail(self, error: BaseException) -> None:
        """What stopped the run: of Ctrl-C a sentence, of anything else the traceback too."""
        if isinstance(error, KeyboardInterrupt | TrainingInterrupted):
            self.write(str(error) or "interrupted.")
        else:
            self.write("".join(traceback.format_exception(error)))


def command() -> str:
    """The command line of this process, as one types it."""
    program, *arguments = sys.argv or [""]
    return shlex.join([Path(program).name, *arguments])


@contextmanager
def run_log(path: Path) -> Iterator[RunLog]:
    """Keeps what is said, warned of and complained of while open."""
    log = RunLog(path)
    with recording(log.write), _warnings_to(log):
        try:
            yield log
        except BaseException as error:
            log.fail(error)
            raise


@contextmanager
def _warnings_to(log: RunLog) -> Iterator[None]:
    shown = warnings.showwarning

    def show(message: Any, category: type[Warning], filename: str, lineno: int, *rest: Any) -> None:
        log.write(f"warning: {message} ({category.__name__}, {Path(filename).name}:{lineno})")
        shown(message, category, filename, lineno, *rest)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = shown
