"""What is said of many files, each sentence once."""

import re
from collections.abc import Iterable


def said_once(notes: Iterable[str]) -> tuple[str, ...]:
    """Sentences without those that differ from an earlier one in what stands in brackets, such as an example."""
    found: dict[str, str] = {}
    for note in notes:
        found.setdefault(without_examples(note), note)
    return tuple(found.values())


def without_examples(note: str) -> str:
    """A sentence without what stands in brackets."""
    return re.sub(r" \([^()]*\)", "", note)
