"""How other files of a model's variables are opened: as what the model took them to be, whatever they say."""

from dataclasses import replace
from typing import TYPE_CHECKING

from subgrid.data.variables.wanted import Variable

if TYPE_CHECKING:
    from subgrid.downscaling.model.sides import Reading


def opening(reading: "Reading") -> dict[str, Variable]:
    """What `open_climate` is told of the variables of a model.

    Args:
        reading: of the model.

    Returns:
        A `Variable` a channel.

    Examples:
        >>> open_climate("new.nc", opening(model.coarse.reading))
    """
    given = (reading.wanted.get(name, Variable()) for name in reading.names)
    return {
        name: replace(each, quantity=described.quantity, bounds=described.bounds)
        for name, each, described in zip(reading.names, given, reading.descriptions, strict=True)
    }
