"""Settings that are given flat, by their names, and belong to several classes."""

import difflib
from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Any

import numpy as np

from subgrid.numerics.symmetries import SymmetryGroup, shifts
from subgrid.types import Spatial


def require_at_least(least: int, settings: Any, *names: str) -> None:
    """Passes if settings are no less than a number, every one of a tuple.

    Args:
        least: the number.
        settings: a dataclass.
        *names: of its fields, numbers or tuples of numbers.

    Raises:
        ValueError: naming the first that is less, or a tuple of none.
    """
    for name in names:
        value = getattr(settings, name)
        each = value if isinstance(value, tuple | list) else (value,)
        if not each or not min(each) >= least:
            raise ValueError(f"{name} must be at least {least}, got {value!r}.")


def as_tuples(value: Any) -> Any:
    """A setting whose lists are tuples, however deep: what JAX compiles for is told apart by values that do not change.

    Args:
        value: of a setting; lists, arrays of one axis and mappings are looked into.

    Returns:
        The same values.

    Examples:
        >>> as_tuples({"channels": [8, 16]})
        {'channels': (8, 16)}
    """
    match value:
        case np.ndarray() if value.ndim == 1:
            return tuple(value.tolist())
        case list() | tuple():
            return tuple(map(as_tuples, value))
        case dict():
            return {name: as_tuples(each) for name, each in value.items()}
    return value


def require_levels(settings: Any) -> None:
    """Passes if noise levels are a range.

    Args:
        settings: with `sigma_min` and `sigma_max`.

    Raises:
        ValueError: if they do not rise, or from 0.
    """
    if not 0 < settings.sigma_min < settings.sigma_max:
        raise ValueError(
            f"sigma_min must be positive and below sigma_max, got {settings.sigma_min} and {settings.sigma_max}."
        )


def require_one_group(settings: Any) -> None:
    """Passes unless settings name symmetries twice.

    Args:
        settings: with `translation_invariant`, all shifts, and `symmetries`, another group or none.

    Raises:
        ValueError: if both are set.
    """
    if settings.translation_invariant and settings.symmetries is not None:
        raise ValueError("translation_invariant means all shifts, symmetries another group; set one of them.")


def symmetries_of(settings: Any, space: Spatial) -> SymmetryGroup | None:
    """Whose random images are further samples.

    Args:
        settings: with `translation_invariant` and `symmetries`, of which one may be set.
        space: points along the axes of the fields.

    Returns:
        The group, or none.
    """
    return shifts(tuple(space)) if settings.translation_invariant else settings.symmetries


class UnknownSetting(TypeError):
    """A setting that does not exist; the message names the nearest that does."""


def sort_settings(
    caller: str, settings: Mapping[str, Any], *classes: type, without: Collection[str] = ()
) -> list[dict[str, Any]]:
    """Flat settings, sorted by the dataclass that has a field of that name.

    Args:
        caller: the function that they were given to, for the message.
        settings: by name.
        *classes: dataclasses without a common field.
        without: fields that are not for the caller of `caller` to set.

    Returns:
        Of each class the settings that are its own, lists as tuples.

    Raises:
        UnknownSetting: for a setting that no class has; it names the nearest that exists.
    """
    names = [{each.name for each in fields(one)} - set(without) for one in classes]
    known = set().union(*names)
    for name in settings:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(known))}."
            raise UnknownSetting(f"{caller} has no setting {name!r}; {hint}")
    return [{name: as_tuples(value) for name, value in settings.items() if name in own} for own in names]
