"""Settings of the moist-turbulence experiment that do not go together."""

import pytest

from subgrid.experiments.moist_turbulence import EXPERIMENT
from subgrid.runs.config import ConfigError
from subgrid.runs.experiment import load_config


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("turbulence.n_fine=48", r"n_fine = 48: viscosity is known for 32, 64"),
        ("turbulence.n_coarse=64", "n_coarse must be below n_fine"),
        ("turbulence.wavenumbers=[32]", "wavenumbers names 32; 64 points resolve 21"),
        ("network.patch=5", "not divisible by patch"),
        ("diffusion.cut_off=11", "hold waves up to 10 only"),
        ("evaluation.n_cases=99", "only 12 are held out"),
        ("bridge.n_iterations=4", "n_iterations = 4 must be odd"),
        ("bridge.n_refreshes=3", "must be a multiple of 20 bridge.n_refreshes"),
        ("bridge.varience=1.0", "did you mean 'variance'"),
    ],
)
def test_bad_settings(tiny, override, complaint):
    with pytest.raises(ConfigError, match=complaint):
        load_config(EXPERIMENT, tiny, [override])
