"""How other files of a model's variables are opened: as what the model took them to be, whatever they say."""

from dataclasses import replace
from typing import TYPE_CHECKING

from subgrid.data.fields import DataError
from subgrid.data.variables.wanted import Variable, Variables, wanted_variables

if TYPE_CHECKING:
    from subgrid.downscaling.model.sides import Reading


def opening(reading: "Reading", variables: Variables | None = None) -> dict[str, Variable]:
    """What `open_climate` is told of the variables of a model.

    Args:
        reading: of the model.
        variables: what is said of some of them in other files: names, units and missing values; None for what was said
            when the model was fitted.

    Returns:
        A `Variable` a channel.

    Raises:
        DataError: for a variable that the model does not have.

    Examples:
        >>> open_climate("new.nc", opening(model.coarse.reading))
    """
    own = wanted_variables(variables) or {}
    if unknown := [name for name in own if name not in reading.names]:
        raise DataError(f"variables: the model has no {unknown[0]!r}, only {', '.join(reading.names)}.")
    given = (own.get(name) or reading.wanted.get(name, Variable()) for name in reading.names)
    return {
        name: replace(each, quantity=described.quantity, bounds=described.bounds)
        for name, each, described in zip(reading.names, given, reading.descriptions, strict=True)
    }
