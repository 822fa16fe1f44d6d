"""Ctrl-C within an outer iteration of a bridge: what is done of it is saved, and the same fit goes on from there."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from subgrid.training.checkpoint import Checkpoints
from subgrid.training.interruption import WITHOUT_SAVING, TrainingInterrupted, answered, deferred_interrupt

Carried = TypeVar("Carried")
FOLDER = "partial"
"""Beside the checkpoints of whole iterations; a checkpoint is numbered by all steps before it."""


class PartialIteration:
    """The outer iteration that a fit was stopped in.

    Args:
        folder: of the fit; None to save nothing.
        n_steps: of an iteration.
        asked: whether Ctrl-C has arrived.
    """

    def __init__(self, folder: Path | None, n_steps: int, asked: Callable[[], bool]):
        self.folder, self.n_steps, self.asked = folder, n_steps, asked
        self.checkpoints = None if folder is None else Checkpoints(folder / FOLDER, keep=1)

    def resumed(self, k: int, fresh: Carried) -> tuple[int, Carried]:
        """Steps that are done of iteration k, and what it carries on; none and `fresh` where it was not stopped in."""
        total = None if self.checkpoints is None else self.checkpoints.latest()
        if total is None or total // self.n_steps != k:
            return 0, fresh
        return total % self.n_steps, self.checkpoints.restore(like=fresh)[1]  # pyright: ignore[reportOptionalMemberAccess]

    def stop_if_asked(self, k: int, done: int, carried: object) -> None:
        """Saves and stops after some steps of iteration k; a whole one is first simulated.

        Raises:
            TrainingInterrupted: if Ctrl-C has arrived.
        """
        if done == self.n_steps or not self.asked():
            return
        total = k * self.n_steps + done
        if self.checkpoints is not None:
            self.checkpoints.save(total, carried)
        raise TrainingInterrupted(total, self.folder)

    def stop_after(self, k: int, *, last: bool) -> None:
        """Stops after iteration k; a last one that is not saved is returned.

        Raises:
            TrainingInterrupted: if Ctrl-C has arrived.
        """
        if self.asked() and not (last and self.checkpoints is None):
            raise TrainingInterrupted((k + 1) * self.n_steps, self.folder)


@contextmanager
def stopping_between_steps(folder: Path | None, n_steps: int) -> Iterator[PartialIteration]:
    """Holds Ctrl-C back until the running steps are done, and says so at once.

    Args:
        folder: of the fit; None to save nothing.
        n_steps: of an iteration.

    Yields:
        The iteration that the fit was stopped in.
    """
    stopping = "stopping after these steps" + ("" if folder is None else ", and saving")
    with deferred_interrupt() as asked, answered(stopping, second=WITHOUT_SAVING):
        yield PartialIteration(folder, n_steps, asked)


def steps_done(folder: Path, n_steps: int) -> int:
    """Training steps that are saved of a fit: where it goes on.

    Args:
        folder: of the fit.
        n_steps: of an iteration.

    Returns:
        Steps of whole iterations, and of one that was stopped; 0 where nothing is saved.
    """
    return max(n_steps * (Checkpoints(folder).latest() or 0), Checkpoints(folder / FOLDER, keep=1).latest() or 0)
