"""What a table says of its own numbers: which candidate is best beyond the noise, and which score fails its test."""

import math
import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any

TESTS: dict[str, Callable[[float, float], bool]] = {">": operator.gt, "<": operator.lt}
"""Targets that begin so are bounds; others are best possible values."""
FAILS, BEST = "fails", "best"
MARKS = (
    "“best”: nearest to the best possible value, and nearer than the next candidate by more than the noise. The noise "
    "is how far the noise floor itself lies from the best possible value (0, or 1 for ratios and shares), and scores "
    "nearer than the floor count as the floor. The CRPS, whose floor is no noise but the score of a reliable ensemble "
    "of the same spread, must differ by two standard errors of the difference; scores with ± by two of their "
    "deviations, taken together. Where no noise is known, or all lies within it, nothing is marked. “fails”: the score "
    "misses the bound that stands below its name."
)
"""Under a table."""


def fails(value: float | int | None, target: str) -> bool:
    """Whether a score misses its bound.

    Args:
        value: the score, or None where there is none.
        target: a bound such as ">.05", or a best possible value, which nothing fails.

    Returns:
        True where it misses it, as NaN does.

    Examples:
        >>> fails(1.5e-16, ">.05"), fails(0.2, ">.05"), fails(7.0, "0")
        (True, False, False)
    """
    test = TESTS.get(target[:1])
    return test is not None and value is not None and not test(value, float(target[1:]))


def best_candidate(row: Mapping[str, Any], candidates: Iterable[str]) -> str | None:
    """The candidate whose score is nearest to the best possible value, if it is so beyond the noise.

    Let d be the distance of a score from the target and f that of the noise floor. Scores with d < f are luck and count
    as f. The best is nearer than the next by more than f: as much as such distances change by where the reference is
    exchanged for an independent one. A row may give the noise of its differences itself, as "noise", or standard
    deviations of its scores, as "deviations"; then the difference must exceed the one, or two of the others together.

    Args:
        row: of a score table.
        candidates: its columns that compete: not the floor.

    Returns:
        The column; None without a second one, without a known noise, and where the target is no number.

    Examples:
        >>> best_candidate({"a": 0.1, "b": 0.5, "floor": 0.2, "target": "0"}, ("a", "b"))
        'a'
    """
    target, floor = row.get("target", "0"), row.get("floor")
    if target not in ("0", "1"):
        return None
    distances = {name: abs(row[name] - float(target)) for name in candidates if row.get(name) is not None}
    distances = {name: distance for name, distance in distances.items() if math.isfinite(distance)}
    if len(distances) < 2:
        return None
    given, noise = row.get("noise"), None if floor is None else abs(floor - float(target))
    if given is None and noise is not None:
        distances = {name: max(distance, noise) for name, distance in distances.items()}
    first, second = sorted(distances, key=distances.__getitem__)[:2]
    known = [each for each in (noise if given is None else given, _deviation(row, first, second)) if each is not None]
    return first if known and distances[second] - distances[first] > max(known) else None


def _deviation(row: Mapping[str, Any], first: str, second: str) -> float | None:
    """Two standard deviations of a difference, where both of its scores have one."""
    deviations = row.get("deviations", {})
    both = [deviations.get(name) for name in (first, second)]
    return None if None in both else 2 * math.hypot(*both)
