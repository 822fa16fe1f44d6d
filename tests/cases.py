"""Which cases of a test are quick: those that hold all of the code once. What all workers share is made once."""

import os
from collections.abc import Iterable
from pathlib import Path

import pytest
from filelock import FileLock


def few(cases: Iterable, n: int = 1) -> list:
    """The first n cases as they are, the others slow: they hold the same code at other values. Tuples are unpacked."""
    values = [case if isinstance(case, tuple) else (case,) for case in cases]
    return [pytest.param(*value, marks=pytest.mark.slow if i >= n else ()) for i, value in enumerate(values)]


def shared_folder(factory: pytest.TempPathFactory) -> tuple[Path, FileLock]:
    """A folder of this run of all tests, and the lock to hold while something is made there for all workers."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    folder.mkdir(exist_ok=True)
    return folder, FileLock(folder / "lock")
