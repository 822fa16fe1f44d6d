"""Which variables are wanted of an archive: where each may be in its files, and what it is where they do not say."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, TypeAlias

from subgrid.data.fields import DataError
from subgrid.data.variables.quantities import Bounds, require_quantity

INTERNAL = ("because", "cell_methods")
"""Fields of a `Variable` that users do not give."""


@dataclass(frozen=True)
class Variable:
    """One variable that is wanted; what is None is taken from the file.

    Args:
        names: of it in files, tried in this order before its own name, so that one list serves archives that call it
            differently.
        quantity: what it is, a key of `QUANTITIES` such as "precipitation".
        bounds: its lowest and highest possible value in canonical units, None for an open end.
        units: of the values in the files, in place of their attribute.
        missing: values in the files that stand for none, where no attribute says so; texts where the files hold text,
            and "none" if nothing is missing that no attribute declares, so that no value is taken for a fill value.
        because: what told its quantity, where it is taken from another archive and not given; not for users.
        cell_methods: how values of a day become one, where another archive says it; not for users.

    Raises:
        ValueError: for a quantity that does not exist.

    Examples:
        >>> open_climate("cru.nc", {"pr": Variable(("pre",), quantity="precipitation")})
    """

    names: tuple[str, ...] = ()
    quantity: str | None = None
    bounds: Bounds | None = None
    units: str | None = None
    missing: tuple[float | str, ...] = ()
    because: str | None = field(default=None, compare=False)
    cell_methods: str | None = field(default=None, compare=False)

    def __post_init__(self):
        if self.quantity is not None:
            require_quantity(self.quantity)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; those that say nothing are left out."""
        return {key: value for key, value in asdict(self).items() if value not in (None, ()) and key not in INTERNAL}


Given: TypeAlias = str | Sequence[str] | Variable | Mapping[str, Any]
Variables: TypeAlias = str | Sequence[str] | Mapping[str, Given]
"""A name; several; or a mapping of names to what is said of each: its name or names in files, or a `Variable`."""


def wanted_variables(variables: Variables | None) -> dict[str, Variable] | None:
    """What is wanted, by name; None for everything that lies on a grid.

    Args:
        variables: a name, names, or a mapping of names to their names in files, to a `Variable` or to its fields.

    Returns:
        A `Variable` a name, in the order given.

    Raises:
        DataError: for a field that `Variable` does not have, and values that it refuses.

    Examples:
        >>> wanted_variables({"tas": "tg", "hum": {"quantity": "relative humidity"}})["tas"].names
        ('tg',)
    """
    match variables:
        case None:
            return None
        case str():
            return {variables: Variable()}
        case Mapping():
            return {name: _variable(name, given) for name, given in variables.items()}
        case _:
            return {name: Variable() for name in variables}


def name_in(held: Sequence[str], name: str, wanted: Variable) -> str | None:
    """The first of the names of a wanted variable that a file holds; None if it holds none of them."""
    return next((candidate for candidate in (*wanted.names, name) if candidate in held), None)


def _variable(name: str, given: Given) -> Variable:
    match given:
        case Variable():
            return replace(_from_fields(name, given.as_dict()), because=given.because, cell_methods=given.cell_methods)
        case str():
            return Variable((given,))
        case Mapping():
            return _from_fields(name, dict(given))
        case _:
            return Variable(tuple(given))


def _from_fields(name: str, given: dict[str, Any]) -> Variable:
    known = [each.name for each in fields(Variable) if each.name not in INTERNAL]
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            meant = f"; did you mean {near[0]!r}?" if near else ""
            raise DataError(f"variables.{name}: there is no {key!r}, only {', '.join(known)}{meant}")
    names, bounds = given.get("names", ()), given.get("bounds")
    given["names"] = (names,) if isinstance(names, str) else tuple(names)
    given["missing"] = _numbers(name, given.get("missing", ()))
    if bounds is not None:
        given["bounds"] = _bounds(name, bounds)
    try:
        return Variable(**given)
    except ValueError as error:
        raise DataError(f"variables.{name}: {error}") from error


def _numbers(name: str, given: Any) -> tuple[float | str, ...]:
    """A number or several; texts that are no numbers stay texts."""
    try:
        return tuple(_number(each) for each in (given if isinstance(given, list | tuple) else [given]))
    except (TypeError, ValueError):
        raise DataError(
            f"variables.{name}.missing = {given!r}: it is a number or a list of numbers, such as -9999."
        ) from None


def _number(given: Any) -> float | str:
    try:
        return float(given)
    except ValueError:
        if isinstance(given, str):
            return given
        raise


def _bounds(name: str, given: Any) -> Bounds:
    """Two edges; TOML has no null, so an open end is "none" there."""
    try:
        low, high = (None if edge in (None, "none") else float(edge) for edge in given)
    except (TypeError, ValueError):
        raise DataError(
            f"variables.{name}.bounds = {given!r}: bounds are two numbers that ascend, or 'none' for an open end, such "
            "as [0, 'none']."
        ) from None
    if low is not None and high is not None and not low < high:
        raise DataError(f"variables.{name}.bounds: bounds must ascend, got {low:g} and {high:g}.")
    return low, high
