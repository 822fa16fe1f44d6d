"""What the variables of several archives are, decided once for all of them before any is opened."""

from collections.abc import Mapping
from dataclasses import dataclass

from subgrid.data.canonical import wanted_in
from subgrid.data.sources.sources import Source, SourceFile, read_sources
from subgrid.data.variables.quantities import describe
from subgrid.data.variables.readings import Reading, settled
from subgrid.data.variables.wanted import Variable


@dataclass(frozen=True)
class Agreed:
    """What archives are opened with.

    Args:
        variables: what is said of each; its quantity too, where the archives differ.
        notes: on whom that changes, a sentence for each variable.
    """

    variables: dict[str, Variable]
    notes: tuple[str, ...] = ()


def agreed(given: Mapping[str, Variable], archives: Mapping[str, Source]) -> Agreed:
    """One decision on what each variable is, by the metadata of all archives.

    Args:
        given: the wanted variables; one whose quantity is given is left as it is.
        archives: by the names that messages call them; nothing of their values is read.

    Returns:
        The variables, as `open_climate` takes them.

    Raises:
        DataError: as `deciding`, and for sources that cannot be opened.

    Examples:
        >>> variables = agreed({"pr": Variable()}, {"fine": "obs.nc", "coarse": "gcm.nc"}).variables
    """
    open_ones = {name: each for name, each in given.items() if each.quantity is None}
    if not open_ones:
        return Agreed(dict(given))
    found: dict[str, list[Reading]] = {name: [] for name in open_ones}
    for archive, source in archives.items():
        for file in read_sources(source, name=archive):
            for new, old, each in wanted_in(file, open_ones):
                found[new].append(reading_of(file, old, each, archive=archive))
    decisions = {name: settled(name, found.get(name, []), each) for name, each in given.items()}
    notes = tuple(note for _, note in decisions.values() if note is not None)
    return Agreed({name: each for name, (each, _) in decisions.items()}, notes)


def reading_of(file: SourceFile, name: str, given: Variable, *, archive: str) -> Reading:
    """What a file takes a variable to be."""
    field = file.dataset[name]
    if given.units is not None:
        field = field.assign_attrs({**field.attrs, "units": given.units})
    return Reading(archive, describe(field), str(field.attrs.get("units", "")), file.name)
