"""Settings of the library by their names: of a TOML file and of the options `--set`, their values checked."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from subgrid.data.fields import DataError


def read_settings(
    config: Path | None, given: list[str] | None, *, options: Mapping[str, str], classes: Iterable[type]
) -> dict[str, Any]:
    """Settings, as keyword arguments of the library; names that do not exist are left for it to refuse.

    Args:
        config: TOML file of settings by their names.
        given: "NAME=VALUE", the value as in TOML, a bare word a text; they override the file.
        options: what the command has options of its own for, with their names.
        classes: dataclasses that say of which type a setting is.

    Returns:
        The settings, lists as tuples.

    Raises:
        DataError: for a file or a value that cannot be read, or is of another type.
    """
    settings = {} if config is None else _of_file(config)
    for text in given or ():
        name, equals, value = text.partition("=")
        if not equals:
            raise DataError(f"--set {text}: write it as NAME=VALUE, such as --set n_steps=4000.")
        table, _, key = name.strip().rpartition(".")
        place = settings.setdefault(table, {}) if table else settings
        if not isinstance(place, dict):
            raise DataError(f"--set {text}: {table} is {place!r}, which has no {key}.")
        place[key] = _value(value.strip())
    settings = _with_tuples(settings)
    for name, option in options.items():
        if name in settings:
            raise DataError(f"{name} is no setting but an option of the command: {option}.")
    return settings | _checked(settings, classes)


def _of_file(config: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(config.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{config}: cannot be read ({error.strerror}).") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{config}: is no TOML ({error}).") from error


def _value(text: str) -> Any:
    """As in TOML; a bare word is a text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _with_tuples(value: Any) -> Any:
    """As a caller in Python would write it: settings are compared and hashed."""
    if isinstance(value, dict):
        return {name: _with_tuples(each) for name, each in value.items()}
    return tuple(map(_with_tuples, value)) if isinstance(value, list) else value


def _checked(settings: Mapping[str, Any], classes: Iterable[type]) -> dict[str, Any]:
    """The settings that the classes have, each of its type: 1 where a number with decimals is meant is 1.0."""
    from pydantic import ConfigDict, TypeAdapter, ValidationError

    form = ConfigDict(strict=True, arbitrary_types_allowed=True)
    types: dict[str, Any] = {each.name: each.type for one in classes for each in fields(one)}
    found: dict[str, Any] = {}
    for name in settings.keys() & types.keys():
        try:
            found[name] = TypeAdapter(types[name], config=form).validate_python(settings[name])
        except ValidationError as error:
            wanted = error.errors()[0]["msg"].removeprefix("Input ")
            raise DataError(f"{name} = {settings[name]!r}: it {wanted}.") from error
    return found
