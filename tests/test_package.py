"""The package's front door: light to import, complete in what it offers."""

import subprocess
import sys

import pytest

import subgrid

HEAVY = {"jax", "numpy", "scipy", "pandas", "xarray", "zarr", "dask", "matplotlib", "equinox", "optax"}
"""What takes a tenth of a second or more to import: this, and not the noise of a clock, is what keeps a start short."""


def heavy_after(code: str) -> str:
    """Which of them a process has imported that ran some code."""
    code += f"; import sys; print(sorted({HEAVY} & set(sys.modules)), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stderr.strip()


def test_import_loads_nothing_heavy():
    assert heavy_after("import subgrid") == "[]"
    assert heavy_after("import subgrid; dir(subgrid); subgrid.__all__") == "[]"


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["fit", "--help"], ["downscale", "--help"]])
def test_help_loads_nothing_heavy(arguments):
    assert heavy_after(f"import sys; sys.argv[1:] = {arguments}; from subgrid.cli.main import run; run()") == "[]"


@pytest.mark.parametrize("name", subgrid.__all__)
def test_every_exported_name_exists_and_is_listed(name):
    assert callable(getattr(subgrid, name)) or name == "plot"
    assert name in dir(subgrid)


def test_an_unknown_name_is_answered_with_those_that_exist():
    with pytest.raises(AttributeError, match=r"'upscale'.*downscale"):
        _ = subgrid.upscale
