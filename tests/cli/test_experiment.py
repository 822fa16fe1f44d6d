"""What a run folder accepts when its configuration changes."""

import pytest

from subgrid.cli.config import load_config
from subgrid.cli.experiment import MADE_FROM, open_experiment
from subgrid.data.store import OutputExists


def test_later_stages_may_change_while_earlier_parts_stay(tmp_path):
    first = open_experiment(load_config(None), tmp_path)
    for part in ("fine.zarr", "coarse.zarr", "model", "debiased.zarr"):
        first.path(part).mkdir()
    changed = load_config(None, ["sampling.n_levels=64", "run.name=again"])
    assert open_experiment(changed, tmp_path).config.sampling.n_levels == 64
    assert load_config(tmp_path / "config.toml") == changed
    first.path("ensemble.zarr").mkdir()
    with pytest.raises(OutputExists, match=r"ensemble.zarr was made with sampling.n_levels = 64, not 8; remove"):
        open_experiment(load_config(None, ["sampling.n_levels=8"]), tmp_path)
    assert load_config(tmp_path / "config.toml") == changed


@pytest.mark.parametrize("part", MADE_FROM)
def test_every_part_depends_on_the_seed(part, tmp_path):
    open_experiment(load_config(None), tmp_path).path(part).mkdir()
    with pytest.raises(OutputExists, match=f"{part} was made with run.seed = 0, not 1"):
        open_experiment(load_config(None, ["run.seed=1"]), tmp_path)
