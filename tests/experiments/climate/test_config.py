"""The configuration of a climate run: what does not go together."""

import pytest

from subgrid.experiments.climate import EXPERIMENT
from subgrid.runs.config import ConfigError
from subgrid.runs.experiment import load_config

FILES = ["climate.fine=fine.nc", "climate.coarse=coarse.nc"]


def test_a_variable_comes_once():
    with pytest.raises(ConfigError, match=r"climate\.variables = \['tas', 'pr', 'tas'\]: each variable may come once"):
        load_config(EXPERIMENT, None, [*FILES, 'climate.variables=["tas", "pr", "tas"]'])
    config = load_config(EXPERIMENT, None, [*FILES, 'climate.variables=["tas", "pr"]'])
    assert config.climate.variables == ("tas", "pr")
