"""Ctrl-C: answered at once, also while a compiled call of many seconds runs, which Python cannot break off."""

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from subgrid.training.progress import say

INTERRUPTED = 130
"""The shell's code for Ctrl-C."""
WITHOUT_SAVING = "Ctrl-C again stops now, without saving"


class TrainingInterrupted(Exception):
    """Ctrl-C arrived; the state after `step` steps is saved, and the same call resumes from it.

    Args:
        step: steps taken.
        folder: of the checkpoints; None where there are none, and nothing is saved.
    """

    def __init__(self, step: int, folder: Path | None):
        self.step, self.folder = step, folder
        saved = f"saved in {folder}; the same call goes on from there" if folder else "nothing was saved"
        super().__init__(f"training interrupted after {step} steps, {saved}.")


_leaves_at_second = False
_wakened: set[int] = set()


@contextmanager
def answered(sentence: str, *, second: str = "", leave: bool = False) -> Iterator[None]:
    """Says a sentence at the moment of the first Ctrl-C; what it then does is left to Python's own handler.

    Python runs that handler when the running compiled call is over. Until then a thread answers, which the operating
    system's handler wakes. In other threads than the main one nothing happens.

    Args:
        sentence: said at the first Ctrl-C.
        second: added where a second Ctrl-C leaves the process.
        leave: whether a second Ctrl-C leaves the process on the spot, here and in what is called: for a command line.
            A notebook or a caller's program stays, and is interrupted by it as by any other.

    Yields:
        Nothing.

    Examples:
        >>> with answered("stopping after this step"):
        ...     train()
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    global _leaves_at_second
    before, _leaves_at_second = _leaves_at_second, leave or _leaves_at_second
    text = f"{sentence}; {second}" if second and _leaves_at_second else sentence
    awake, wake = socket.socketpair()  # Windows takes no pipe
    wake.setblocking(False)
    previous = signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    _wakened.add(wake.fileno())
    passed_on = -1 if previous in _wakened else previous
    thread = threading.Thread(target=_answer, args=(awake, text, passed_on), name="subgrid-interrupts", daemon=True)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(previous)
        _wakened.discard(wake.fileno())
        wake.close()
        thread.join()
        awake.close()
        _leaves_at_second = before


def _answer(awake: socket.socket, text: str, passed_on: int) -> None:
    """Reads numbers of signals until the other end is closed; an event loop that had asked for them gets them too."""
    n = 0
    while received := awake.recv(64):
        if passed_on != -1:
            with contextlib.suppress(OSError):
                os.write(passed_on, received)
        n += (new := received.count(signal.SIGINT))
        if new and n == 1:
            say(text)
        elif new and _leaves_at_second:
            say("stopped at once; what was not saved is made again.")
            os._exit(INTERRUPTED)


@contextmanager
def deferred_interrupt() -> Iterator[Callable[[], bool]]:
    """Holds SIGINT back until the running dispatch is done; a second one interrupts at once.

    In other threads than the main one nothing is held back.

    Yields:
        A function that says whether one has arrived.
    """
    received = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield received.is_set
        return

    def remember(signum, frame):
        received.set()
        signal.signal(signal.SIGINT, previous)

    previous = signal.signal(signal.SIGINT, remember)
    try:
        yield received.is_set
    finally:
        signal.signal(signal.SIGINT, previous)
