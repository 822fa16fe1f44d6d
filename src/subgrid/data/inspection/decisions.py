"""What the variables of two archives are, decided for both together as `fit` does, before they are looked at."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TypeAlias

from subgrid.data.fields import DataError, space_dims
from subgrid.data.inspection.fit import files_in_words
from subgrid.data.sources.sources import SourceFile
from subgrid.data.times.stamps import has_dates
from subgrid.data.variables.readings import Reading, settled
from subgrid.data.variables.wanted import Variable
from subgrid.data.variables_of_archives import reading_of

Part: TypeAlias = tuple[SourceFile, str, str, Variable]
"""A file, the name of a variable, its name in the file, and what is said of it."""


def with_decisions(items: Sequence[list[Part]]) -> tuple[list[list[Part]], tuple[str, ...]]:
    """Variables as what both archives take them for; where neither knows better, the fit tells.

    Args:
        items: the variables of each file.

    Returns:
        The same, with the quantity where the other archive decides; and a sentence on each decision.
    """
    parts = [part for item in items for part in item if part[3].quantity is None]
    files: dict[tuple[int, ...], list[str]] = {}
    for part in (parts := [part for part in parts if has_dates(part[0].dataset, part[2])]):
        files.setdefault(space_of(part), []).append(part[0].name)
    archives = {space: files_in_words(list(dict.fromkeys(each))) for space, each in files.items()}
    if len(archives) != 2:
        return list(items), ()
    readings: dict[str, list[Reading]] = {}
    for part in parts:
        file, name, old, given = part
        readings.setdefault(name, []).append(reading_of(file, old, given, archive=archives[space_of(part)]))
    decisions, notes = dict[str, Variable](), list[str]()
    for name, own in readings.items():
        with suppress(DataError):  # what nobody can decide, the fit tells
            decisions[name], note = settled(name, own, Variable())
            notes += [note] if note is not None else []
    return [[_decided(part, decisions.get(part[1])) for part in item] for item in items], tuple(notes)


def space_of(part: Part) -> tuple[int, ...]:
    """The shape of the grid of a variable."""
    field = part[0].dataset[part[2]]
    return tuple(sorted(field.sizes[dim] for dim in space_dims(field)))


def _decided(part: Part, decision: Variable | None) -> Part:
    """A variable as it was decided; its own reasons stay where they say the same."""
    file, name, old, given = part
    if decision is None or decision.quantity is None or given.quantity is not None:
        return part
    if reading_of(file, old, given, archive=file.name).described.quantity == decision.quantity:
        return part
    return file, name, old, replace(given, quantity=decision.quantity, because=decision.because)
