"""The guide names every key of every kind of experiment, with its true default, and every name that a key takes."""

import re
import tomllib
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest

from subgrid.downscaling.debiasing.fit import DebiasMethod
from subgrid.downscaling.debiasing.settings import ClimateDebiasMethod
from subgrid.downscaling.model.draws import SamplingSettings
from subgrid.downscaling.upsampling.choices import GuidanceName, MethodName
from subgrid.experiments import KINDS
from subgrid.runs.config import ConfigError, Configuration, toml_value, validate
from subgrid.runs.documentation import documented as documented_by_itself

GUIDE = Path(__file__).parents[2] / "docs" / "guide"
ROW = re.compile(r"^\| `(\w+\.\w+)` \| (?:`([^`]*)`|–|required) \| \S", re.MULTILINE)
PAGES = {
    "data": "configuration.md",
    "climate": "climate_configuration.md",
    "turbulence": "turbulence_configuration.md",
    "toy": "toy_configuration.md",
    "gaussian_bridge": "toy_configuration.md",
    "gallery": "toy_configuration.md",
    "sampler_errors": "toy_configuration.md",
    "functions": "functions_configuration.md",
    "navier_stokes": "navier_stokes_configuration.md",
}
"""Where the keys of a kind are documented, by the table that names it."""
NAMES_ITS_RUN = ("configuration.md", "turbulence_configuration.md")
"""Pages that tell of the table [run] too: others refer to the first, which has the same keys."""


def page_of(kind: str) -> str:
    """Where a kind is documented."""
    assert kind in PAGES, f'name the page of "{kind}" in PAGES of tests/experiments/test_config_docs.py'
    return PAGES[kind]


def example(kind: str) -> Configuration:
    """A configuration of which only what has to be given is."""
    experiment = KINDS[kind].load()
    given = {
        table: {key: value for key, value in keys.items() if _model(experiment.config, table)[key].is_required()}
        for table, keys in experiment.example.items()
    }
    return validate(experiment.config, {table: keys for table, keys in given.items() if keys}, origin="example")


def _model(config: type[Configuration], table: str) -> dict[str, Any]:
    annotation: Any = config.model_fields[table].annotation
    return annotation.model_fields


def documented(page: str) -> dict[str, object]:
    """Default by key; None where the page says that there is none."""
    rows = ROW.findall((GUIDE / page).read_text(encoding="utf-8"))
    assert len(rows) == len({key for key, _ in rows}), f"{page} names a key twice"
    return {key: tomllib.loads(f"value = {default}")["value"] if default else None for key, default in rows}


def configured(page: str) -> dict[str, object]:
    """Default by key of all kinds that the page tells of; None also for a key that has to be given."""
    values = {}
    for kind in (kind for kind in KINDS if page_of(kind) == page):
        config = example(kind)
        for name in type(config).model_fields:
            if name == "run" and page not in NAMES_ITS_RUN:
                continue
            for key, field in _model(type(config), name).items():
                assert f"{name}.{key}" not in values, f"two kinds on {page} have a key {name}.{key}"
                values[f"{name}.{key}"] = None if field.is_required() else getattr(getattr(config, name), key)
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}


def test_every_kind_of_experiment_has_a_page():
    assert {*map(page_of, KINDS)} == {*PAGES.values()} and {*PAGES} == {*KINDS}


@pytest.mark.parametrize("page", sorted(set(PAGES.values())))
def test_every_key_is_documented_and_every_documented_key_exists(page):
    assert set(documented(page)) == set(configured(page))


@pytest.mark.parametrize("page", sorted(set(PAGES.values())))
def test_documented_defaults_are_the_defaults(page):
    assert documented(page) == configured(page)


@pytest.mark.parametrize("page", sorted(set(PAGES.values())))
def test_a_page_says_of_the_same_keys_that_they_are_required(page):
    text = (GUIDE / page).read_text(encoding="utf-8")
    found = set(re.findall(r"^\| `(\w+\.\w+)` \| required \|", text, re.MULTILINE))
    required = {
        f"{table}.{key}"
        for kind in KINDS
        if page_of(kind) == page
        for table in KINDS[kind].load().config.model_fields
        for key, field in _model(KINDS[kind].load().config, table).items()
        if field.is_required()
    }
    assert found == required
    if page == "climate_configuration.md":
        assert required == {"climate.fine", "climate.coarse", "climate.variables"}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_run_has_the_same_table_run(kind):
    """Their names apart."""
    table, first = example(kind).run, example("data").run
    assert type(table) is type(first)
    assert table.model_copy(update={"name": ""}) == first.model_copy(update={"name": ""})


@pytest.mark.parametrize("kind", KINDS)
def test_a_table_that_is_given_in_part_has_its_other_defaults(kind):
    """The name of a run depends on its kind, and stays where a file gives its seed alone."""
    config, experiment = example(kind), KINDS[kind].load()
    required = {
        table: keys.model_dump(exclude_defaults=True)
        for table, keys in config
        if experiment.config.model_fields[table].is_required()
    }
    found = validate(experiment.config, {**required, "run": {"seed": 1}}, origin="example")
    assert found.run == config.run.model_copy(update={"seed": 1})
    assert found.model_copy(update={"run": config.run}) == config


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_has_a_sentence(kind):
    """`subgrid explain` says it, and the file that `subgrid init` writes."""
    silent = [each.key for each in documented_by_itself(KINDS[kind].load()) if not each.about]
    assert not silent, f"write a sentence below the fields {silent}"


MAY_REPEAT = ("channels", "noising_channels", "hidden", "variables")
"""Widths of layers; and the variables of a climate, whose check has words of its own."""


@pytest.mark.parametrize("kind", KINDS)
def test_no_array_names_anything_twice(kind):
    config = KINDS[kind].load().config
    for table in config.model_fields:
        for key, field in _model(config, table).items():
            if "tuple[" not in str(field.annotation) or key in MAY_REPEAT:
                continue
            first = field.default[0] if isinstance(field.default, tuple) and field.default else an_example_of(field)
            given = {**KINDS[kind].load().example.get(table, {}), key: [first, first]}
            with pytest.raises(ConfigError, match=rf"{table}\.{key}.*: names {re.escape(toml_value(first))} twice"):
                validate(config, {table: given}, origin="example")


def an_example_of(field: Any) -> Any:
    """A value of an array that is empty, or text, by default."""
    names = sorted(names_in(field.annotation))
    return names[0] if names else ("tas" if "str" in str(field.annotation) else 4)


# Names --------------------------------------------------------------------------------------------------------------


def names_in(annotation: Any) -> set[str]:
    """What the Literals of a type allow, wherever they stand in it."""
    if get_origin(annotation) is Literal:
        return {name for name in get_args(annotation) if isinstance(name, str)}
    return {name for part in get_args(annotation) for name in names_in(part)}


def told(key: str, page: str) -> str:
    """What is said of a key: its row, and those of the keys that the row refers to, on its page or on the first."""
    text = guide(page)
    (row,) = re.findall(rf"^\| `{re.escape(key)}` \|.*", text, re.MULTILINE)
    texts = text + guide("configuration.md")
    others = re.findall(r"`(\w+\.\w+)`", row.removeprefix(f"| `{key}`"))
    return row + "".join(re.findall(rf"^\| `(?:{'|'.join(map(re.escape, others)) or '-'})` \|.*", texts, re.MULTILINE))


@pytest.mark.parametrize("kind", KINDS)
def test_every_name_that_a_key_takes_stands_in_its_row(kind):
    config = KINDS[kind].load().config
    for table in config.model_fields:
        for name, field in _model(config, table).items():
            if names := names_in(field.annotation):
                said = told(f"{table}.{name}", page_of(kind))
                left_out = [each for each in names if f'"{each}"' not in said]
                assert not left_out, f"docs/guide/{page_of(kind)}: the row of {table}.{name} leaves out {left_out}"


def guide(page: str) -> str:
    return (GUIDE / page).read_text(encoding="utf-8")


def test_every_debiaser_has_a_row_in_the_guide():
    """Of plain fields and of climate fields."""
    parts = guide("debiasing.md").split("\n## Climate fields")
    for names, text in zip((DebiasMethod, ClimateDebiasMethod), parts, strict=True):
        first_cells = "\n".join(re.findall(r'^\| (`".*?) \|', text, re.MULTILINE))
        left_out = [name for name in get_args(names) if f'`"{name}"`' not in first_cells]
        assert not left_out, f"docs/guide/debiasing.md has no row of {left_out}"


def test_every_guidance_and_every_sampler_is_told_of():
    (row,) = re.findall(r"^\| `guidance` \|.*", guide("downscaling.md"), re.MULTILINE)
    told = {"docs/guide/guidance.md": guide("guidance.md"), "its row in docs/guide/downscaling.md": row}
    for where, text in {**told, "the docstring of SamplingSettings": SamplingSettings.__doc__}.items():
        left_out = [name for name in get_args(GuidanceName) if f'"{name}"' not in text]
        assert not left_out, f"{where} does not name the guidance {left_out}"
    left_out = [name for name in get_args(MethodName) if f"`{name}`" not in guide("guidance.md")]
    assert not left_out, f"docs/guide/guidance.md does not name the sampler {left_out}"
