"""The configuration pages name every key of the configuration, with its true default, and no other."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from subgrid.cli.climate_config import Climate, ClimateConfig
from subgrid.cli.config import Config, Table
from subgrid.cli.toy_config import Gallery, GaussianBridge, SamplerErrors, Toy
from subgrid.cli.turbulence_config import TurbulenceConfig

GUIDE = Path(__file__).parents[2] / "docs" / "guide"
ROW = re.compile(r"^\| `(\w+\.\w+)` \| (?:`([^`]*)`|–|required) \| \S", re.MULTILINE)
CLIMATE = ClimateConfig(climate=Climate(fine="fine.nc", coarse="coarse.nc", variables=("tas",)))


class SmallExperiments(Table):
    """One page tells of all four, each the table of a file of its own."""

    toy: Toy = Toy()
    gaussian_bridge: GaussianBridge = GaussianBridge()
    gallery: Gallery = Gallery()
    sampler_errors: SamplerErrors = SamplerErrors()


PAGES = [
    pytest.param("configuration.md", Config(), (), id="run"),
    pytest.param("climate_configuration.md", CLIMATE, ("run",), id="climate run"),  # its [run] is that of the other
    pytest.param("toy_configuration.md", SmallExperiments(), (), id="small experiments"),
    pytest.param("turbulence_configuration.md", TurbulenceConfig(), (), id="moist turbulence"),
]


def documented(page: str) -> dict[str, object]:
    """Default by key; None where the page says that there is none."""
    rows = ROW.findall((GUIDE / page).read_text(encoding="utf-8"))
    return {key: tomllib.loads(f"value = {default}")["value"] if default else None for key, default in rows}


def configured(config: Any, told_elsewhere: tuple[str, ...]) -> dict[str, object]:
    """Default by key; None also for a key that has to be given."""
    values = {}
    for name in type(config).model_fields.keys() - set(told_elsewhere):
        table = getattr(config, name)
        for key, field in type(table).model_fields.items():
            values[f"{name}.{key}"] = None if field.is_required() else getattr(table, key)
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}


@pytest.mark.parametrize(("page", "config", "told_elsewhere"), PAGES)
def test_every_key_is_documented_and_every_documented_key_exists(page, config, told_elsewhere):
    assert set(documented(page)) == set(configured(config, told_elsewhere))


@pytest.mark.parametrize(("page", "config", "told_elsewhere"), PAGES)
def test_documented_defaults_are_the_defaults(page, config, told_elsewhere):
    assert documented(page) == configured(config, told_elsewhere)


def test_the_climate_page_says_of_the_same_keys_that_they_are_required():
    page = (GUIDE / "climate_configuration.md").read_text(encoding="utf-8")
    required = set(re.findall(r"^\| `climate\.(\w+)` \| required \|", page, re.MULTILINE))
    assert required == {key for key, field in Climate.model_fields.items() if field.is_required()}


def test_both_kinds_of_run_have_the_same_table_run():
    assert CLIMATE.run.model_copy(update={"name": ""}) == Config().run.model_copy(update={"name": ""})
