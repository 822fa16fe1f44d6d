"""The package's front door: light to import, complete in what it offers."""

import subprocess
import sys

import pytest

import subgrid


def test_import_loads_neither_jax_nor_xarray():
    code = "import sys, subgrid; print([m for m in ('jax', 'xarray', 'matplotlib', 'equinox') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", subgrid.__all__)
def test_every_exported_name_exists_and_is_listed(name):
    assert callable(getattr(subgrid, name)) or name == "plot"
    assert name in dir(subgrid)


def test_an_unknown_name_is_answered_with_those_that_exist():
    with pytest.raises(AttributeError, match=r"'upscale'.*downscale"):
        _ = subgrid.upscale
