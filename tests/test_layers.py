"""What import-linter checks is listed in pyproject.toml: nothing may be left out of the lists."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "subgrid"
LINTER = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
CONTRACTS = {contract["name"]: contract for contract in LINTER["contracts"]}


def folders(room: str) -> list[str]:
    return sorted(path.parent.name for path in (SOURCE / room).glob("*/__init__.py"))


def imported(path: Path) -> Iterator[str]:
    """The packages that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
        yield from (name.partition(".")[0] for name in names)


def test_no_experiment_knows_another_and_none_is_left_out():
    listed = CONTRACTS["No experiment knows another"]["modules"]
    missing = {f"subgrid.experiments.{name}" for name in folders("experiments")} - {*listed}
    assert not missing, f'add {missing} to the list "No experiment knows another" of pyproject.toml'


def test_no_folder_is_outside_the_layers():
    layers = {
        name.strip(" ()") for layer in CONTRACTS["Imports point downwards"]["layers"] for name in layer.split("|")
    }
    assert {path.parent.name for path in SOURCE.glob("*/__init__.py")} <= layers


def test_a_folder_of_downscaling_that_sees_arrays_only_says_so():
    contract = CONTRACTS["The mathematics sees arrays only"]
    for name in folders("downscaling"):
        files = (SOURCE / "downscaling" / name).rglob("*.py")
        if f"subgrid.downscaling.{name}" not in contract["source_modules"]:
            seen = {package for path in files for package in imported(path)} & {*contract["forbidden_modules"]}
            assert seen, f'add subgrid.downscaling.{name} to "The mathematics sees arrays only" of pyproject.toml'
