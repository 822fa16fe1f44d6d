"""What `pip install .` brings is enough: declared by name, and enough to run without anything that only tests bring."""

import ast
import importlib.metadata as metadata
import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OPTIONAL = {"tensorboardX": "tensorboard", "cartopy": "maps"}
"""Modules that are imported only if asked for, and the extra that brings each."""

WITHOUT = """
import sys
from importlib.machinery import PathFinder
blocked = set(sys.argv.pop(1).split(","))

class Installed:
    find_distributions = PathFinder.find_distributions
    @staticmethod
    def find_spec(name, path=None, target=None):
        return None if name.partition(".")[0] in blocked else PathFinder.find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Installed
from subgrid.cli.main import run
sys.exit(run())
"""
"""Runs the command line where the modules of the first argument do not exist."""


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@cache
def owners() -> dict[str, list[str]]:
    """The distributions that each installed top-level module belongs to."""
    return dict(metadata.packages_distributions())


def names_of(requirements: list[str], extras: tuple[str, ...] = ("",)) -> dict[str, set[str]]:
    """Names of the distributions that are required here, with the extras asked of each."""
    wanted: dict[str, set[str]] = {}
    for requirement in map(Requirement, requirements):
        if requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in extras):
            wanted.setdefault(normal(requirement.name), set()).update(requirement.extras)
    return wanted


def all_brought_by(requirements: list[str]) -> set[str]:
    """The distributions that the requirements bring, with those that they bring in turn."""
    found: dict[str, set[str]] = {}
    waiting = list(names_of(requirements).items())
    while waiting:
        name, extras = waiting.pop()
        if name in found and extras <= found[name]:
            continue
        found[name] = found.get(name, set()) | extras
        try:
            required = metadata.requires(name) or []
        except metadata.PackageNotFoundError:  # on another platform, say
            continue
        waiting += names_of(required, ("", *found[name])).items()
    return set(found)


def imported_modules() -> dict[str, set[str]]:
    """Top-level names that the package imports, anywhere in a file, and the files."""
    found: dict[str, set[str]] = {}
    for file in sorted((ROOT / "src" / "subgrid").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            for name in names:
                found.setdefault(name.partition(".")[0], set()).add(file.name)
    return {name: files for name, files in found.items() if name not in {*sys.stdlib_module_names, "subgrid"}}


def test_every_module_that_is_imported_belongs_to_a_declared_dependency():
    undeclared = []
    for module, files in sorted(imported_modules().items()):
        extra = OPTIONAL.get(module)
        declared = PROJECT["dependencies"] if extra is None else PROJECT["optional-dependencies"][extra]
        distributions = {normal(name) for name in owners().get(module, [module])}  # an extra may not be installed
        if not distributions & set(names_of(declared)):
            undeclared.append(
                f"{', '.join(sorted(files))}: imports {module}, of {sorted(distributions) or 'nothing'}, which "
                f"pyproject.toml does not declare under {extra or 'dependencies'}"
            )
    assert not undeclared


def test_simulate_runs_without_anything_that_only_the_tests_bring(tmp_path):
    brought = all_brought_by(PROJECT["dependencies"])
    blocked = [name for name, of in owners().items() if not {normal(d) for d in of} & {*brought, "subgrid"}]
    assert "pytest" in blocked and "numpy" not in blocked
    sizes = ["--set=data.n_trajectories=2", "--set=data.n_snapshots=2"]
    command = [sys.executable, "-c", WITHOUT, ",".join(blocked), "simulate", "-o", str(tmp_path / "ks"), *sizes]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "ks" / "fine.zarr" / "zarr.json").exists()
