"""Configurations: flat TOML files, checked strictly, with the nearest valid name in every complaint.

A configuration is a pydantic model whose fields are tables, and whose tables' fields are keys. The docstring below a
key is what documents it, on the command line (`subgrid explain`) as in the editor.
"""

import difflib
import json
import re
import tomllib
from collections.abc import Sequence
from functools import reduce
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

Positive = Annotated[int, Field(gt=0)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
PositiveFloat = Annotated[float, Field(gt=0)]
AsTuple = BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)
"""Strict checking takes no list for a tuple, and TOML has arrays only."""


def _distinct(values: Any) -> Any:
    """As given, unless it is an array that names something twice: two stages would have one name, two rows one line."""
    twice = [each for each in values if values.count(each) > 1] if isinstance(values, tuple) else []
    if twice:
        raise ValueError(f"names {toml_value(twice[0])} twice; leave one of them out")
    return values


Distinct = AfterValidator(_distinct)
"""Of arrays of what is made or compared one by one."""
Widths = Annotated[tuple[Positive, ...], AsTuple, Field(min_length=1)]
"""Of the hidden layers of a network."""
Steps = Annotated[int, Field(ge=100, multiple_of=100)]
"""Of a training, whose compiled calls take 100 steps each."""


class ConfigError(ValueError):
    """A configuration that cannot be used; the message names the key, the value and the nearest valid one."""


class Table(BaseModel):
    """One table of a configuration, or the whole: unknown keys are refused, values are not converted."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


Tables = TypeVar("Tables", bound=Table)


class RunTable(Table):
    """What every kind of experiment has."""

    name: str = "run"
    """Of the run, in titles."""
    seed: int = 0
    """Of all random streams."""


class Configuration(Table):
    """A whole configuration: a field a table.

    Args:
        run: name and seed of the run.
    """

    run: RunTable = RunTable()

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, tables: Any) -> Any:
        """A table that is given in part has its other keys from the default of the whole: its name, for `run`."""
        if not isinstance(tables, dict):
            return tables
        given = dict(tables)
        for name, field in cls.model_fields.items():
            default: Any = field.default
            if isinstance(default, Table) and isinstance(given.get(name), dict):
                given[name] = {key: getattr(default, key) for key in default.model_fields_set} | given[name]
        return given

    def as_toml(self) -> str:
        """The resolved configuration, every key written out; absent ones left out."""
        return _to_toml(self.model_dump(exclude_none=True))


def read_tables(path: str | Path | None, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """The tables of a TOML file, with `table.key=value` overrides applied, not yet checked.

    Args:
        path: of the file; None for overrides alone.
        overrides: "table.key=value", the value as in TOML or a bare word.

    Returns:
        Tables by name, keys by name.

    Raises:
        ConfigError: for what cannot be read.

    Examples:
        >>> read_tables("iberia.toml", ["run.seed=1"])
    """
    tables = _read(Path(path)) if path is not None else {}
    for override in overrides:
        _apply(tables, override)
    return tables


def origin_of(path: str | Path | None, overrides: Sequence[str] = ()) -> str:
    """What complaints name: the file, and that there were overrides, which may be what is wrong."""
    file = "configuration" if path is None else str(path)
    return f"{file} with --set" if overrides else file


def absolute(path: str | Path, base: Path) -> str:
    """A path from a folder on, without "..": messages show it, and users copy it.

    Args:
        path: relative to `base`, or absolute; a pattern too.
        base: an absolute folder.

    Returns:
        The path; what a link leads to is looked up only where ".." follows it.

    Examples:
        >>> absolute("../tas.nc", Path("/data/runs"))
        '/data/tas.nc'
    """
    return str(reduce(lambda at, part: at.resolve().parent if part == ".." else at / part, Path(path).parts, base))


def validate(model: type[Tables], tables: dict[str, Any], *, origin: str) -> Tables:
    """Tables as a checked `model`; `origin` names them in complaints.

    Raises:
        ConfigError: one sentence a fault.
    """
    try:
        return model.model_validate(tables)
    except ValidationError as error:
        raise ConfigError("\n".join(f"{origin}: {_explain(fault, model)}" for fault in error.errors())) from error


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise ConfigError(f"{path}: no such configuration file.")
    if path.is_dir():
        raise ConfigError(f"{path}: is a folder; name a TOML file, in a run folder its config.toml.")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}).") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}.") from error


def _apply(tables: dict[str, Any], override: str) -> None:
    name, equals, text = override.partition("=")
    table, dot, key = name.strip().partition(".")
    if not (equals and dot and table and key):
        raise ConfigError(f"--set {override}: must read table.key=value, for example --set training.n_steps=8000.")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()  # a bare word is a string
    if not isinstance(tables.setdefault(table, {}), dict):
        raise ConfigError(f"--set {override}: the file has {table} = {tables[table]!r}, where [{table}] is a table.")
    tables[table][key] = value


def _explain(fault: Any, whole: type[Table]) -> str:
    where = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "missing":
        return f"{where} is missing; it has no default."
    if fault["type"] == "model_type":
        return f"{where} = {fault['input']!r}: must be a table, [{where}]."
    if fault["type"] == "literal_error" and isinstance(fault["input"], str):
        near = _nearest(fault["input"], re.findall("'([^']*)'", fault["ctx"]["expected"]))
        meant = f"did you mean {near!r}? " if near else ""
        return f"{where} = {fault['input']!r}: {meant}{_wording(fault)}."
    if fault["type"] == "tuple_type" and isinstance(fault["input"], str):
        return f"{where} = {fault['input']!r}: {_wording(fault)}, as [{json.dumps(fault['input'])}]."
    if fault["type"] != "extra_forbidden":
        return f"{where} = {fault['input']!r}: {_wording(fault)}."
    model: Any = whole if len(fault["loc"]) == 1 else whole.model_fields[str(fault["loc"][0])].annotation
    valid = list(model.model_fields)
    kind = "table" if len(fault["loc"]) == 1 else "key"
    return f"unknown {kind} {where!r}{suggestion(str(fault['loc'][-1]), valid)}"


def suggestion(name: str, valid: Sequence[str]) -> str:
    """What was meant, or what there is, as the end of a sentence.

    Args:
        name: that does not exist.
        valid: names that do.

    Returns:
        "; did you mean …?" with the nearest name, or "; valid are …." where none is near.

    Examples:
        >>> suggestion("sead", ["seed", "name"])
        "; did you mean 'seed'?"
    """
    near = _nearest(name, valid)
    return f"; did you mean {near!r}?" if near else f"; valid are {', '.join(valid)}."


def _nearest(name: str, valid: Sequence[str]) -> str | None:
    return next(iter(difflib.get_close_matches(name, valid, n=1, cutoff=0.5)), None)


def _wording(fault: Any) -> str:
    """The checker's own words in the words of TOML, which has arrays and no tuples."""
    message = (
        fault["msg"]
        .removeprefix("Value error, ")
        .replace("valid tuple", "valid array")
        .replace(" after validation", "")
    )
    return message[0].lower() + message[1:]


def _to_toml(tables: dict[str, dict[str, Any]]) -> str:
    lines = []
    for table, entries in tables.items():
        lines += [f"[{table}]", *(f"{key} = {toml_value(value)}" for key, value in entries.items()), ""]
    return "\n".join(lines)


def toml_value(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(toml_value, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml_value(key)} = {toml_value(each)}" for key, each in value.items()) + "}"
    if isinstance(value, str):
        # A TOML string is a JSON string without surrogate pairs, and with DEL escaped.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)
