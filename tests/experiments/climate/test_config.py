"""The configuration of a climate run: what does not go together."""

import pytest

from subgrid.experiments.climate import EXPERIMENT
from subgrid.runs.config import ConfigError
from subgrid.runs.experiment import load_config

from ...tiny import called

FILES = ["climate.fine=fine.nc", "climate.coarse=coarse.nc"]


def test_urls_are_not_joined_to_the_folder_of_the_file(tmp_path):
    (tmp_path / "my.toml").write_text(
        '[climate]\nfine = "s3://bucket/eobs.zarr"\ncoarse = ["gs://b/cmip/*.nc", "near.nc", "file:///far/away.nc"]\n'
        'variables = ["tas"]\n'
    )
    table = EXPERIMENT.resolve(load_config(EXPERIMENT, tmp_path / "my.toml"), tmp_path).climate
    assert table.fine == "s3://bucket/eobs.zarr"
    assert table.coarse == ("gs://b/cmip/*.nc", str(tmp_path / "near.nc"), "/far/away.nc")


def test_paths_are_shown_without_going_up(tmp_path, monkeypatch):
    (tmp_path / "runs").mkdir()
    file = tmp_path / "runs" / "my.toml"
    file.write_text('[climate]\nfine = "../fine.nc"\ncoarse = ["../gcm/../cmip/*.nc"]\nvariables = ["tas"]\n')
    table = EXPERIMENT.resolve(load_config(EXPERIMENT, file), file.parent).climate
    assert (table.fine, table.coarse) == (str(tmp_path / "fine.nc"), (str(tmp_path / "cmip" / "*.nc"),))
    monkeypatch.chdir(tmp_path)
    refused = called("run", "runs/my.toml", "-o", tmp_path / "out")
    assert refused.code == 2
    assert str(tmp_path / "fine.nc") in refused.complaint


def test_a_variable_comes_once():
    with pytest.raises(ConfigError, match=r"climate\.variables = \['tas', 'pr', 'tas'\]: each variable may come once"):
        load_config(EXPERIMENT, None, [*FILES, 'climate.variables=["tas", "pr", "tas"]'])
    config = load_config(EXPERIMENT, None, [*FILES, 'climate.variables=["tas", "pr"]'])
    assert config.climate.variables == ("tas", "pr")
