"""RUN/timings.json: seconds by stage, of this call and of those before it."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from subgrid.data.store import write_json


def timings_of(folder: Path) -> dict[str, float]:
    """Seconds by stage."""
    file = folder / "timings.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


@contextmanager
def timed(folder: Path, stage: str, *, resumed: bool = False) -> Iterator[None]:
    """Keeps the seconds of a stage, also if it is interrupted.

    They replace those of an earlier attempt, unless the stage is `resumed`, that is goes on where that one ended.

        with timed(folder, "train", resumed=(folder / "checkpoints").exists()):
            fit(...)
    """
    started, timings = time.monotonic(), timings_of(folder)
    before = timings.get(stage, 0.0) if resumed else 0.0
    try:
        yield
    finally:
        write_json(folder / "timings.json", {**timings, stage: round(before + time.monotonic() - started, 1)})
