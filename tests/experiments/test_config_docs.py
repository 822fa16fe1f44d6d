"""The configuration pages name every key of every kind of experiment, with its true default, and no other."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from subgrid.experiments import KINDS
from subgrid.runs.config import Configuration, validate

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
    for kind in (kind for kind in KINDS if PAGES[kind] == page):
        config = example(kind)
        for name in type(config).model_fields:
            if name == "run" and page not in NAMES_ITS_RUN:
                continue
            for key, field in _model(type(config), name).items():
                assert f"{name}.{key}" not in values, f"two kinds on {page} have a key {name}.{key}"
                values[f"{name}.{key}"] = None if field.is_required() else getattr(getattr(config, name), key)
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}


def test_every_kind_of_experiment_has_a_page():
    assert set(PAGES) == set(KINDS)


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
        if PAGES[kind] == page
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
