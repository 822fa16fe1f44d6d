"""What is said of many files, each sentence once."""

import re
from collections.abc import Iterable
from typing import Any


def said_once(notes: Iterable[str]) -> tuple[str, ...]:
    """Sentences without those that differ from an earlier one in what stands in brackets, such as an example."""
    found: dict[str, str] = {}
    for note in notes:
        found.setdefault(without_examples(note), note)
    return tuple(found.values())


def without_examples(note: str) -> str:
    """A sentence without what stands in brackets."""
    return re.sub(r" \([^()]*\)", "", note)


def held_twice(files: str, variable: str, time: Any, number: int, member: str | None) -> str:
    """That two files hold the same times, and what to do: that depends on whether they name a member."""
    from subgrid.data.checks.places import show_time  # which knows of pooling

    advice = "cut one of them, or, if they are members, put r1i1p1, r2i1p1, … into their names"
    if member is not None:
        advice = (
            f"both name the member {member}: cut one of them, or, if they are of two models, take each model as an "
            "archive of its own"
        )
    return f"{files} both hold {variable} at time = {show_time(time)} ({number} such times); {advice}."
