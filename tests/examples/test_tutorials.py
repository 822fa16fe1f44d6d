"""The tutorials run from top to bottom, without a display, at a tiny size; their own asserts check what they claim."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize(
    "name",
    [
        "jax_as_accelerated_numpy",
        pytest.param("langevin_dynamics", marks=pytest.mark.slow),  # up to half a minute each, and what they
        pytest.param("diffusion_from_scratch", marks=pytest.mark.slow),  # call has tests of its own
        pytest.param("diffusion_to_transport", marks=pytest.mark.slow),
        pytest.param("schroedinger_bridge", marks=pytest.mark.slow),
        pytest.param("fields_not_vectors", marks=pytest.mark.slow),
    ],
)
def test_tutorial_runs(name, tmp_path):
    # At this size nearly all the time goes into compiling, which fewer optimisations make shorter.
    settings = {"MPLBACKEND": "Agg", "SUBGRID_EXAMPLE_SIZE": "tiny", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    command = [sys.executable, "-W", "error::FutureWarning", str(EXAMPLES / f"{name}.py")]
    done = subprocess.run(command, env={**os.environ, **settings}, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
