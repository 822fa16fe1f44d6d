"""How long something has gone on, how fast it goes lately, and what that leaves."""

from collections import deque

WINDOW = 60.0
"""Seconds that the rate is taken over: long enough to be steady, short enough to forget how it began."""
LEAST = 2.0
"""Seconds that a rate must rest on: what is there already is skipped at once, which tells nothing of the rest."""


class Pace:
    """Counts what is done, and estimates what is left from the rate of the last `WINDOW` seconds.

    Neither compilation nor what an earlier call has done counts: the rate begins with the first count.

    Args:
        started: when, in seconds of any clock.
    """

    def __init__(self, started: float):
        self.started = started
        self.done, self.total = 0, 0
        self._marks: deque[tuple[float, int]] = deque()
        self._last = 1

    def begin_at(self, done: int, total: int) -> None:
        """What was done before, of how much; it is no part of the rate."""
        self.done, self.total = done, total

    def move(self, now: float, done: int, total: int) -> None:
        """So much is done now; another total, or less done than before, begins a rate of its own."""
        if total != self.total or done < self.done:
            self._marks.clear()
        self._last = max(done - self.done, 1) if self._marks else self._last
        self.done, self.total = done, total
        if len(self._marks) > 1 and self._marks[-1][0] - self._marks[-2][0] < WINDOW / 60:
            self._marks.pop()  # a mark a second is enough
        self._marks.append((now, done))
        while len(self._marks) > 2 and self._marks[1][0] < now - WINDOW:
            self._marks.popleft()

    def gone(self, now: float) -> float:
        """Seconds since the start of this call."""
        return now - self.started

    def left(self, now: float) -> float | None:
        """Seconds that are left, or None where nothing tells.

        It counts down between two counts, never below what comes after the next one; a count that is overdue makes the
        rate slower.
        """
        if not self._marks:
            return None
        (first, before), (last, done) = self._marks[0], self._marks[-1]
        if last - first < LEAST or done <= before or done >= self.total:
            return None
        rest, waited = self.total - done, now - last
        each = max((last - first) / (done - before), (now - first) / (done - before + self._last))
        return max(each * rest - waited, each * (rest - self._last), 0.0)


def clock(seconds: float | int) -> str:
    """3:04, 1:03:04, or days from two on.

    >>> clock(184), clock(3784)
    ('3:04', '1:03:04')
    """
    whole = int(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    if hours >= 48:
        return f"{hours // 24} days {hours % 24} h"
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"
