"""The configuration page names every key of the configuration, with its true default, and no other."""

import re
import tomllib
from pathlib import Path

from subgrid.cli.config import Config

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "configuration.md"
ROW = re.compile(r"^\| `(\w+\.\w+)` \| (?:`([^`]*)`|–) \| \S", re.MULTILINE)


def documented() -> dict[str, object]:
    rows = ROW.findall(PAGE.read_text(encoding="utf-8"))
    return {key: tomllib.loads(f"value = {default}")["value"] if default else None for key, default in rows}


def configured() -> dict[str, object]:
    config = Config()
    tables = {name: getattr(config, name) for name in Config.model_fields}
    values = {
        f"{name}.{key}": getattr(table, key) for name, table in tables.items() for key in type(table).model_fields
    }
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}


def test_every_key_is_documented_and_every_documented_key_exists():
    assert set(documented()) == set(configured())


def test_documented_defaults_are_the_defaults():
    assert documented() == configured()
