"""One decision on what a variable is, for all archives that are used together: the one that knows best decides.

A standard name outweighs a name, and a name what is not known at all. What an archive is taken for must be possible for
the others; where two know equally well and differ, or one speaks of differences, nobody but the user can tell.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from subgrid.data.fields import DataError
from subgrid.data.variables.quantities import QUANTITIES, Described
from subgrid.data.variables.wanted import Variable

TEMPERATURES = frozenset({"temperature", "temperature difference", "temperature range"})
"""What has the units of each other and yet another zero: none is taken for another."""


@dataclass(frozen=True)
class Reading:
    """What one file takes a variable to be.

    Args:
        archive: that it belongs to, as messages call it.
        described: by the file's own metadata.
        units: in the file, or as they are given.
        file: its name, where the archive has another one.
    """

    archive: str
    described: Described
    units: str
    file: str = ""

    @property
    def certainty(self) -> int:
        """How well it is known: 3 as Subgrid wrote it, 2 by a standard name, 1 by a name with units, 0 not at all."""
        because, unknown = self.described.because, self.described.quantity == "other"
        if because.startswith("standard_name"):
            return 2
        if unknown:
            return 0
        return 3 if because.startswith("as ") else 1


def deciding(name: str, readings: Sequence[Reading], given: Variable | None = None) -> Reading | None:
    """The reading that holds for all.

    Args:
        name: of the variable.
        readings: of all files of all archives.
        given: what is said of the variable, for messages.

    Returns:
        It; None where all agree already.

    Raises:
        DataError: with both readings and how to say what is meant, where none outweighs the others.

    Examples:
        >>> deciding("pr", [of_fine, of_coarse]).described.quantity
        'precipitation'
    """
    if len({each.described.quantity for each in readings}) < 2:
        return None
    best = max(readings, key=lambda each: each.certainty)
    for each in readings:
        if each.described.quantity != best.described.quantity and not _gives_way(each, best):
            raise DataError(conflict(name, best, each, given.names if given is not None else ()))
    return best


def _gives_way(reading: Reading, best: Reading) -> bool:
    """Whether a file's variable can be what another one says that it is."""
    from subgrid.data.variables.unit_spellings import is_unit
    from subgrid.data.variables.units import can_be

    quantities = reading.described.quantity, best.described.quantity
    if reading.certainty >= best.certainty or TEMPERATURES.issuperset(quantities) or quantities[1] == "other":
        return False
    if not is_unit(reading.units) or best.described.kind.about in reading.described.because:
        return True  # a name that says the same: it is the units that are refused, where they are read
    return can_be(reading.units, quantities[1])


def conflict(name: str, first: Reading, second: Reading, names: Sequence[str] = ()) -> str:
    """Both readings, and how to say which one is meant.

    Args:
        name: of the variable.
        first: of one archive.
        second: of another.
        names: in files, under which the variable is looked for.

    Returns:
        The sentences.
    """
    best, other = sorted((first, second), key=lambda each: -each.certainty)
    both = f"{name} is {_in_words(best)}, and {_in_words(other)}"
    possible = [each for each in (best, other) if _can_both_be(best, other, each.described.quantity)]
    if not possible:
        return (
            f"{both}: neither can be the other, by its units. Choose other files, say which of their variables is "
            f"meant by its name, as in variables = {{{name} = '…'}}, or correct the units."
        )
    said = f"quantity = {possible[0].described.quantity!r}"
    if names:
        said = f"names = {list(names)}, {said}"
    text = said.replace("'", '"')
    return (
        f"{both}: archives of one model hold the same. If these do, say what it is: variables = {{{name} = "
        f"{{{said}}}}}, on the command line --variable '{name}={{{text}}}'; quantity is one of "
        f"{', '.join(QUANTITIES)}. If not, choose other files, or say which of their variables is meant by its name."
    )


def _can_both_be(first: Reading, second: Reading, quantity: str) -> bool:
    """Whether two readings could be of a quantity, by their units; units that are none are refused where they are read.

    "other" is what nobody would say of a variable that one of them knows.
    """
    from subgrid.data.variables.unit_spellings import is_unit
    from subgrid.data.variables.units import can_be

    units = [each.units for each in (first, second) if is_unit(each.units)]
    return quantity != "other" and all(can_be(each, quantity) for each in units)


def _in_words(reading: Reading) -> str:
    """What, where, in which units and why."""
    units = f" in {reading.units!r}" if reading.units else ""
    file = "" if reading.file in reading.archive else f" ({reading.file})"
    return f"{reading.described.kind.about}{units} in {reading.archive}{file} ({_reason(reading)})"


def _reason(reading: Reading) -> str:
    because = reading.described.because
    return {"as Subgrid wrote it": "the attribute that Subgrid wrote"}.get(because, because)


def settled(name: str, readings: Sequence[Reading], given: Variable) -> tuple[Variable, str | None]:
    """A variable as all archives take it.

    Args:
        name: of the variable.
        readings: of all files of all archives.
        given: what is said of it.

    Returns:
        The same with the quantity and why, and a sentence on whom that changes; as it is, and None, where all agree.

    Raises:
        DataError: as `deciding`.
    """
    best = deciding(name, readings, given)
    if best is None:
        return given, None
    others = [each for each in readings if each.described.quantity != best.described.quantity]
    because = f"as in {best.archive}, by {_reason(best)}"
    where = " and ".join(dict.fromkeys(each.archive for each in others))
    own = others[0].described
    return replace(given, quantity=best.described.quantity, because=because), (
        f"{name}: taken for {best.described.kind.about} in {where} too, {because}; what {where} itself says of it "
        f"would make it {own.kind.about} ({own.because})"
    )
