"""What a stored model says of its variables: what each was taken to be, and what is given of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from subgrid.data.variables.quantities import OPEN, Described, describe_name
from subgrid.data.variables.wanted import Variable, wanted_variables

EARLIER = "a model of before quantities were stored"
EARLIER_PRECIPITATION = frozenset({"pr", "prc", "prsn", "rr", "tp", "precip", "precipitation"})
"""Names that models of before quantities were stored took for precipitation; all else they left as it was."""


def written(
    variables: Sequence[str], descriptions: Sequence[Described], wanted: Mapping[str, Variable] | None = None
) -> dict[str, Any]:
    """The attributes of a store that say what its channels are.

    Args:
        variables: names of the channels.
        descriptions: what each is taken to be.
        wanted: what is given of each.

    Returns:
        Plain values, which `descriptions_of` and `wanted_of` read.
    """
    given = {name: variable.as_dict() for name, variable in (wanted or {}).items()}
    return {
        "variables": list(variables),
        "descriptions": json.dumps([each.as_dict() for each in descriptions]),
        "wanted": json.dumps(given),
    }


def descriptions_of(attributes: Mapping[str, Any]) -> tuple[Described, ...]:
    """What the channels of a stored model are taken to be.

    Args:
        attributes: of the store.

    Returns:
        A description a channel; of a model of an earlier version, as that version had it.
    """
    stored = attributes.get("descriptions")
    if stored is None:
        return tuple(_as_earlier(name) for name in attributes["variables"])
    return tuple(Described.from_dict(each) for each in json.loads(stored))


def wanted_of(attributes: Mapping[str, Any]) -> dict[str, Variable]:
    """What is given of the variables of a stored model.

    Args:
        attributes: of the store.

    Returns:
        A `Variable` a channel, in their order.
    """
    given = json.loads(attributes.get("wanted", "{}"))
    return wanted_variables({name: given.get(name, {}) for name in attributes["variables"]}) or {}


def opening(
    descriptions: Sequence[Described], wanted: Mapping[str, Variable], units: Mapping[str, str]
) -> dict[str, Variable]:
    """How other files of the same variables are opened: as what the model took them to be, whatever they say.

    Args:
        descriptions: of the model's channels.
        wanted: what is given of them, by name, in the same order.

    Returns:
        A `Variable` a channel; of a model of an earlier version, which left most variables in their own units, one that
            keeps these.

    Examples:
        >>> open_climate("new.nc", opening(model.coarse.descriptions, model.coarse.wanted, units))
    """
    pairs = zip(wanted.items(), descriptions, strict=True)
    return {name: _as_trained(name, given, each, units.get(name, "")) for (name, given), each in pairs}


def _as_trained(name: str, given: Variable, described: Described, units: str) -> Variable:
    if described.because != EARLIER:
        return replace(given, quantity=described.quantity, bounds=described.bounds)
    return given if describe_name(name).kind.units == units else replace(given, quantity="other")


def _as_earlier(name: str) -> Described:
    if name in EARLIER_PRECIPITATION:
        return Described("precipitation", EARLIER, (0.0, None), "censored root")
    return Described("other", EARLIER, OPEN, "none")
