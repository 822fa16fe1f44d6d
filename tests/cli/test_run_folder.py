"""What a run folder was made with: refused where it is another value, and nowhere else."""

import tomllib
from pathlib import Path
from typing import get_args

import pytest

from subgrid.cli.config import Config, Debias, Downscaling, Run, Table, load_config
from subgrid.cli.experiment import made_from
from subgrid.cli.run_folder import check_own_folder, keep_config, kept_config, open_folder, require_same_values
from subgrid.cli.toy_config import CONFIGURATIONS, ToyConfig
from subgrid.data.store import OutputExists

EXPERIMENTS = sorted((Path(__file__).parents[2] / "experiments").glob("*.toml"))


class Small(Table):
    run: Run = Run()
    debias: Debias = Debias()


def with_epsilon(epsilon: float) -> Small:
    return Small(debias=Debias(epsilon=epsilon))


def test_a_finished_part_is_refused_for_the_keys_that_it_reads(tmp_path):
    check = lambda made, later=(): require_same_values(  # noqa: E731
        tmp_path, with_epsilon(0.1), with_epsilon(0.2), {"d*.zarr": made}, later=later
    )
    check({"debias": ()})  # nothing was made
    (tmp_path / "d1.zarr").mkdir()
    check({"run": (), "debias": ("method", "n_samples")})
    with pytest.raises(OutputExists, match=r"d\*.zarr was made with debias.epsilon = 0.1, not 0.2; remove d\*.zarr to"):
        check({"run": (), "debias": ()})
    with pytest.raises(OutputExists, match=r"d\*.zarr was made by an earlier version"):
        check({"debias": ("method",)}, later={("debias", "method")})


def test_a_folder_of_another_experiment_is_named_as_such(tmp_path):
    assert kept_config(load_config, tmp_path) is None
    keep_config(ToyConfig(), tmp_path / "config.toml")
    with pytest.raises(OutputExists, match=r"holds the run of another experiment.*choose another output folder"):
        kept_config(load_config, tmp_path)
    check_own_folder(tmp_path, kind="run")


def test_keys_that_may_change_are_free_and_others_only_while_nothing_is_made(tmp_path):
    (tmp_path / "toy.toml").write_text("[toy]\n")
    opened = lambda *values: open_folder(  # noqa: E731
        ToyConfig, tmp_path / "toy.toml", values, tmp_path / "run", parts="cells/*.json", may_change=("n_seeds",)
    )
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.toml").write_text("[data]\nn_snapshots = 7\n")
    with pytest.raises(OutputExists, match="holds the run of another experiment"):
        opened()
    (tmp_path / "run" / "config.toml").unlink()
    opened()
    assert opened("toy.n_steps=100").toy.n_steps == 100
    (tmp_path / "run" / "cells").mkdir()
    (tmp_path / "run" / "cells" / "a.json").touch()
    opened("toy.n_steps=100", "toy.n_seeds=1", "run.name=other")
    with pytest.raises(OutputExists, match=r"toy.n_steps = 100, not 200"):
        opened("toy.n_steps=200")


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_every_experiment_is_of_a_known_kind(path):
    tables = tomllib.loads(path.read_text(encoding="utf-8")).keys()
    kinds = tables & {"climate", "turbulence", *CONFIGURATIONS}
    assert len(kinds) == 1 or (not kinds and load_config(path))


def test_all_that_a_part_is_made_from_exists():
    tables = [{"method": method} for method in get_args(Downscaling.model_fields["method"].annotation)]
    for table in [*tables, {"jitter": "debiaser"}]:
        config = Config.model_validate({"downscaling": table})
        for reads in made_from(config).values():
            for table, keys in reads.items():
                assert set(keys) <= config.model_dump()[table].keys()
