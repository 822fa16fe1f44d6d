"""What a run folder accepts when its configuration changes."""

import os

import pytest

from subgrid.cli.config import load_config
from subgrid.cli.experiment import made_from, open_experiment
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


@pytest.mark.parametrize("part", made_from(load_config(None)))
def test_every_part_depends_on_the_seed(part, tmp_path):
    open_experiment(load_config(None), tmp_path).path(part).mkdir()
    with pytest.raises(OutputExists, match=f"{part} was made with run.seed = 0, not 1"):
        open_experiment(load_config(None, ["run.seed=1"]), tmp_path)


def test_a_prior_knows_nothing_of_the_coarse_grid_and_a_bridge_is_fitted_to_it(tmp_path):
    others = ["coarsening.factor=4", "downscaling.sigma=0.5"]
    for method in ("diffusion", "bridge"):
        open_experiment(load_config(None, [f"downscaling.method={method}"]), tmp_path / method).path("model").mkdir()
    changed = load_config(None, ["downscaling.method=diffusion", "training.tensorboard=true", *others])
    open_experiment(changed, tmp_path / "diffusion")
    for other in others:
        with pytest.raises(OutputExists, match=f"model was made with {other.split('=')[0]} = "):
            open_experiment(load_config(None, ["downscaling.method=bridge", other]), tmp_path / "bridge")


def test_a_conditional_model_is_of_one_coarsening_and_of_its_debiaser_where_the_jitter_is(tmp_path):
    given, measured = ["downscaling.jitter=0.1"], ["downscaling.jitter=debiaser"]
    for name, jitter in {"given": given, "measured": measured}.items():
        open_experiment(load_config(None, jitter), tmp_path / name).path("model").mkdir()
    open_experiment(load_config(None, ["debias.method=gaussian", *given]), tmp_path / "given")
    for other in ("coarsening.factor=4", "downscaling.jitter=0.2", "downscaling.method=conditional-flow"):
        with pytest.raises(OutputExists, match=f"model was made with {other.split('=')[0]} = "):
            open_experiment(load_config(None, [*given, other]), tmp_path / "given")
    with pytest.raises(OutputExists, match=r"model was made with debias\.method = "):
        open_experiment(load_config(None, [*measured, "debias.method=gaussian"]), tmp_path / "measured")


def test_a_folder_with_the_rest_of_a_killed_write_is_free(tmp_path):
    (tmp_path / ".config.toml.partial-123").write_text("[run")
    assert open_experiment(load_config(None), tmp_path).path("config.toml").exists()


@pytest.mark.parametrize("name", ["thesis.txt", ".hidden"])
def test_a_folder_with_anything_else_is_not(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(OutputExists, match="exists and is not a run folder"):
        open_experiment(load_config(None), tmp_path)


def test_a_file_in_place_of_the_folder(tmp_path):
    (tmp_path / "run").write_text("mine")
    with pytest.raises(OutputExists, match="is a file"):
        open_experiment(load_config(None), tmp_path / "run")


def test_newest_means_newer_than_configuration_and_inputs(tmp_path):
    experiment = open_experiment(load_config(None), tmp_path)
    for age, name in enumerate(("metrics.json", "debiased.zarr", "coarse.zarr", "fine.zarr", "config.toml")):
        path = experiment.path(name)
        path.touch()
        os.utime(path, ns=(10**18 - age, 10**18 - age))
    newest = lambda: experiment.is_newest("metrics.json", ["debiased.zarr"])  # noqa: E731
    assert newest()
    assert not experiment.is_newest("report.html", [])
    open_experiment(load_config(None), tmp_path)  # the same configuration is not written again
    assert newest()
    os.utime(experiment.path("debiased.zarr"), ns=(10**18 + 1, 10**18 + 1))
    assert not newest()
