"""What configurations are documented by: their own models, in words for the terminal and as files to start from."""

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args, get_origin

from pydantic.fields import FieldInfo

from subgrid.runs.config import ConfigError, suggestion, toml_value
from subgrid.runs.experiment import Experiment
from subgrid.runs.kinds import Kind
from subgrid.runs.stage import in_order

WIDTH = 100


@dataclass(frozen=True)
class Documented:
    """A key of a configuration.

    Args:
        key: "table.key".
        kind: the table that names the kind of experiment.
        values: what it may be, in words.
        default: as TOML; None if it has to be given, or is left out.
        required: whether it has to be given.
        about: what it is.
    """

    key: str
    kind: str
    values: str
    default: str | None
    required: bool
    about: str


def documented(experiment: Experiment) -> Iterator[Documented]:
    """All keys of a kind of experiment, table by table."""
    for table, field in experiment.config.model_fields.items():
        for key, each in _model_of(field).model_fields.items():
            default = _default(field, key, each)
            shown = None if default is None or each.is_required() else toml_value(default)
            about = " ".join((each.description or "").split())
            yield Documented(f"{table}.{key}", experiment.table, _values(each), shown, each.is_required(), about)


def explain(key: str, kinds: Mapping[str, Kind]) -> str:
    """What a key is, in every kind of experiment that has it.

    Args:
        key: "table.key", or a table.
        kinds: by the table that names each.

    Returns:
        Text for the terminal: values, default, what it is, and which stages a change concerns.

    Raises:
        ConfigError: if there is no such key.

    Examples:
        >>> print(explain("run.seed", KINDS))
    """
    experiments = [kind.load() for kind in kinds.values()]
    every = [(experiment, each) for experiment in experiments for each in documented(experiment)]
    found = [(experiment, each) for experiment, each in every if key in (each.key, each.key.partition(".")[0])]
    if not found:
        raise ConfigError(f"{key}: there is no such key{suggestion(key, sorted({each.key for _, each in every}))}")
    parts: list[str] = []
    tables: dict[tuple[str, ...], list[str]] = {}
    for experiment, each in found:
        text = (each.key, each.values, each.about, _default_in_words(each), _consequence(experiment, each.key))
        tables.setdefault(text, []).append(f"[{experiment.table}]")
    for (name, values, about, default, consequence), names in tables.items():
        parts.append(f"{name}  {values}, {default}  (configurations with {', '.join(names)})")
        parts += [
            textwrap.fill(line, WIDTH, initial_indent="  ", subsequent_indent="  ")
            for line in (about, consequence)
            if line
        ]
        parts.append("")
    return "\n".join(parts).rstrip()


def commented(kind: Kind) -> str:
    """A configuration to start from: the example's keys with values, all others commented out at their defaults.

    Args:
        kind: of experiment.

    Returns:
        A TOML file as text.
    """
    experiment = kind.load()
    lines = [
        f"# {kind.about}",
        "# `subgrid explain TABLE.KEY` tells more; a key that is left out has its default.",
        "",
    ]
    table = ""
    for each in documented(experiment):
        name, _, key = each.key.partition(".")
        if name != table:
            lines += ["", f"[{name}]"] if table else [f"[{name}]"]
            table = name
        lines += [f"# {line}" for line in textwrap.wrap(each.about, WIDTH)]
        given = experiment.example.get(name, {}).get(key)
        if given is not None:
            lines.append(f"{key} = {toml_value(given)}")
        else:
            lines.append(f"# {key} = {'...' if each.default is None else each.default}  # {each.values}")
    return "\n".join(lines) + "\n"


def _model_of(field: FieldInfo) -> Any:
    return field.annotation


def _default(table: FieldInfo, key: str, field: FieldInfo) -> Any:
    """Of a key, as its table's default has it: experiments name their runs."""
    return field.default if table.is_required() else getattr(table.default, key)


def _default_in_words(each: Documented) -> str:
    if each.required:
        return "required"
    return "left out by default" if each.default is None else f"default {each.default}"


def _values(field: FieldInfo) -> str:
    """The type of a key in words, with its limits."""
    text = _type_in_words(field.annotation)
    limits = {"gt": ">", "ge": ">=", "lt": "<", "le": "<=", "multiple_of": "a multiple of", "min_length": "at least"}
    given = [
        f"{limits[name]} {getattr(limit, name):g}"
        for limit in field.metadata
        for name in limits
        if getattr(limit, name, None) is not None
    ]
    return text + (f" ({', '.join(given)})" if given else "")


def _type_in_words(annotation: Any) -> str:
    arguments = get_args(annotation)
    match getattr(get_origin(annotation), "__name__", str(get_origin(annotation))):
        case "Literal":
            return " | ".join(toml_value(value) for value in arguments)
        case "Union" | "UnionType":
            return " | ".join(_type_in_words(each) for each in arguments if each is not type(None))
        case "tuple":
            return f"array of {_type_in_words(arguments[0])}"
        case "dict":
            return "table"
        case "Annotated":
            return _type_in_words(arguments[0])
    names = {int: "integer", float: "number", str: "string", bool: "true | false"}
    return names.get(annotation, str(annotation))


def _consequence(experiment: Experiment, key: str) -> str:
    """Which stages a change of the key concerns."""
    table, _, name = key.partition(".")
    try:
        config = experiment.config.model_validate(experiment.example)
        stages = in_order(experiment.recipe().stages(config))
    except ValueError:  # an example that is none
        return ""
    concerned = lambda keys: table in keys and name in (keys[table] or [name])  # noqa: E731
    made = [each for each in stages if each.name != "report"]
    own = [each.name for each in made if concerned(each.depends_on) or concerned(each.grows_with) or key in each.inputs]
    return f"A change concerns: {', '.join(own)}, and what is made from them." if own else ""
