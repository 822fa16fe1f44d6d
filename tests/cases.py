"""Which cases of a test are quick: those that hold all of the code once."""

from collections.abc import Iterable

import pytest


def few(cases: Iterable, n: int = 1) -> list:
    """The first n cases as they are, the others slow: they hold the same code at other values. Tuples are unpacked."""
    values = [case if isinstance(case, tuple) else (case,) for case in cases]
    return [pytest.param(*value, marks=pytest.mark.slow if i >= n else ()) for i, value in enumerate(values)]
