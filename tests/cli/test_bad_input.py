"""Bad input: one clear sentence, the right exit code, no traceback, nothing written half."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

from ..tiny import left_behind, refuses, waves

NETWORK = [f"--set={each}" for each in ("channels=[8]", "n_blocks=1", "n_steps=10", "steps_per_dispatch=10")]
QUICK = [*NETWORK, "--set=batch_size=8", "--set=debias=none"]
"""A fit that is over in seconds, if it is not refused."""
FEW = ["--members", "2", "--set=n_levels=4"]


def test_missing_file(subgrid, archives, model, tmp_path):
    absent, out = tmp_path / "absent.nc", tmp_path / "out"
    for pair in ((absent, archives / "coarse.nc"), (archives / "fine.nc", absent)):
        refuses(subgrid("fit", *pair, "-o", out, *QUICK), 2, "absent.nc", "no such file")
    refuses(subgrid("downscale", absent, "-m", model, "-o", out), 2, "absent.nc", "no such file")
    refuses(subgrid("verify", absent, "-r", archives / "fine.nc", "-o", out), 2, "absent.nc", "no such file")
    refuses(subgrid("verify", archives / "fine.nc", "-r", absent, "-o", out), 2, "absent.nc", "no such file")
    assert left_behind(tmp_path) == []


def test_verify_names_the_ensemble_that_is_not_there_before_an_output_that_is(subgrid, archives, tmp_path):
    (tmp_path / "metrics.json").write_text("{}")
    outcome = subgrid("verify", tmp_path / "gone.zarr", "-r", archives / "fine.nc", "-o", tmp_path / "metrics.json")
    assert outcome.code == 2 and "gone.zarr: no such file or store" in outcome.err


def test_missing_variable_lists_what_is_there(subgrid, archives, tmp_path):
    arguments = ("-o", tmp_path / "m", *QUICK, "--variable", "tas")
    outcome = subgrid("fit", archives / "fine.nc", archives / "coarse.nc", *arguments)
    refuses(outcome, 2, "no variable 'tas'", "it holds u")
    outcome = subgrid("fit", archives / "fine.nc", archives / "coarse.nc", *arguments, "--variable", "x={bounds=[0}")
    refuses(outcome, 2, "x={bounds=[0}: cannot be read as a table")
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize(
    ("text", "said"), [("not a NetCDF file", "is text"), ("time,x\n", "a table of text ('time,x')")]
)
def test_file_that_is_not_netcdf(subgrid, archives, model, tmp_path, text, said):
    (tmp_path / "text.nc").write_text(text)
    fit = ("fit", archives / "fine.nc", tmp_path / "text.nc", "-o", tmp_path / "m", *QUICK)
    refuses(subgrid(*fit), 2, "text.nc", said)
    refuses(subgrid("downscale", tmp_path / "text.nc", "-m", model, "-o", tmp_path / "e.nc"), 2, "text.nc", said)
    assert left_behind(tmp_path) == ["text.nc"]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_value_that_is_not_finite_is_named_with_time_and_place(subgrid, archives, model, tmp_path, value):
    fine, coarse = waves(16, 32, seed=2), waves(16, 8, seed=2)
    for fields, name in ((fine, "fine"), (coarse, "coarse")):
        fields.u[3, 5] = value
        fields.to_netcdf(tmp_path / f"{name}.nc")
    said = (f"u is {value}", "time = 1.5", "1 such value")
    fit = ("fit", tmp_path / "fine.nc", archives / "coarse.nc", "-o", tmp_path / "model", *QUICK)
    refuses(subgrid(*fit), 2, "fine.nc", f"x = {fine.x.values[5]}", *said)
    downscale = ("downscale", tmp_path / "coarse.nc", "-m", model, "-o", tmp_path / "e.nc")
    refuses(subgrid(*downscale), 2, "coarse.nc", f"x = {coarse.x.values[5]}", *said)
    assert left_behind(tmp_path) == ["coarse.nc", "fine.nc"]


def test_grids_that_coarsening_cannot_connect(subgrid, archives, model, tmp_path):
    waves(16, 12, seed=2).to_netcdf(tmp_path / "twelve.nc")
    outcome = subgrid("downscale", tmp_path / "twelve.nc", "-m", model, "-o", tmp_path / "out.zarr")
    refuses(outcome, 2, "twelve.nc: fields have the grid (12,)", "the model was trained with (8,)")
    fine, coarse, to = archives / "fine.nc", archives / "coarse.nc", ("-o", tmp_path / "m", *QUICK)
    refuses(subgrid("fit", fine, tmp_path / "twelve.nc", *to), 2, "(32,), is no multiple of the coarse one, (12,)")
    refuses(subgrid("fit", fine, coarse, *to, "--operator", 3), 2, "operator = 3 is no C′")
    refuses(subgrid("fit", coarse, fine, *to), 2, "are the two archives swapped?")
    assert left_behind(tmp_path) == ["twelve.nc"]


def test_variables_and_units_that_differ(subgrid, archives, model, tmp_path):
    two = waves(16, 8, seed=2).assign(v=lambda d: d.u)
    two[["u"]].rename(u="v").to_netcdf(tmp_path / "v.nc")
    two[["u"]].assign(u=two.u.assign_attrs(units="K")).to_netcdf(tmp_path / "kelvin.nc")
    two.u.expand_dims(channel=2).rename("u").to_netcdf(tmp_path / "channels.nc")
    fit = ("fit", archives / "fine.nc")
    for name, said in {
        "v": "no variable 'u'; it holds v",
        "kelvin": "u is in 'K', and the model in 'm s-1'",
        "channels": "no variable 'u'; it holds u_0, u_1",
    }.items():
        file = tmp_path / f"{name}.nc"
        refuses(subgrid(*fit, file, "-o", tmp_path / "m", *QUICK), 2, said)
        refuses(subgrid("downscale", file, "-m", model, "-o", tmp_path / "e.nc"), 2, said)
    assert left_behind(tmp_path) == ["channels.nc", "kelvin.nc", "v.nc"]


def test_a_prior_that_there_is_not_is_answered_with_those_that_are(subgrid, archives, tmp_path):
    arguments = ("fit", archives / "fine.nc", archives / "coarse.nc", "-o", tmp_path / "m")
    refuses(subgrid(*arguments, "--set=prior=copula"), 2, "prior = 'copula'", "'network', 'conditional-diffusion'")
    assert left_behind(tmp_path) == []


def test_too_few_samples(subgrid, archives, tmp_path):
    waves(1, 32, seed=3).to_netcdf(tmp_path / "fine.nc")
    waves(4, 8, seed=3).to_netcdf(tmp_path / "coarse.nc")
    to = ("-o", tmp_path / "m", *NETWORK)
    outcome = subgrid("fit", tmp_path / "fine.nc", archives / "coarse.nc", *to)
    refuses(outcome, 2, "fine.nc: holds 1 sample", "at least 2")
    quantiles = ("--set=debias=quantile-mapping", "--set=debias_options.n_quantiles=10")
    outcome = subgrid("fit", archives / "fine.nc", tmp_path / "coarse.nc", *to, *quantiles)
    refuses(outcome, 2, "10 quantiles need as many samples", "4 coarse")
    assert left_behind(tmp_path) == ["coarse.nc", "fine.nc"]


def test_settings_that_there_are_not_or_of_another_type(subgrid, archives, model, tmp_path):
    fit = ("fit", archives / "fine.nc", archives / "coarse.nc", "-o", tmp_path / "m")
    for given, *said in (
        ("batchsize=4", "fit has no setting 'batchsize'", "did you mean 'batch_size'?"),
        ("n_steps=many", "n_steps = 'many': it should be a valid integer."),
        ("channels=8", "channels = 8: it should be a valid tuple"),
        ("n_steps", "--set n_steps: write it as NAME=VALUE"),
        ("seed=3", "fit has no setting 'seed'"),
        ("channels=[]", "channels must be at least 1, got ()"),
        ("batch_size=0", "batch_size must be at least 1, got 0"),
        ("n_steps=15", "n_steps must be a multiple of steps_per_dispatch = 20, got 15"),
        ("learning_rate=-1", "learning_rate must be positive"),
        ("sigma_min=90", "sigma_min must be positive and below sigma_max, got 90.0 and 10.0"),
        ("minimum_valid=7", "minimum_valid must be a share from 0 to 1, got 7.0"),
        ("key=3", "key is no setting but an option of the command: --seed."),
        ("debias_options.n_quantile=4", "'n_quantile'; did you mean 'n_quantiles'?"),
    ):
        refuses(subgrid(*fit, f"--set={given}"), 2, *said)
    downscale = ("downscale", archives / "coarse.nc", "-m", model, "-o", tmp_path / "e.nc")
    for given, *said in (
        ("n_level=4", "downscale has no setting 'n_level'", "did you mean 'n_levels'?"),
        ("n_levels=few", "n_levels = 'few': it should be a valid integer."),
        ("n_members=4", "n_members is no setting but an option of the command: --members."),
        ("n_levels=0", "n_levels must be at least 1, got 0"),
        ("guidance=strong", "strong"),
        ("method=euler", "euler"),
    ):
        refuses(subgrid(*downscale, f"--set={given}"), 2, *said)
    refuses(subgrid(*downscale, "--members", "0"), 2, "n_members must be at least 1, got 0")
    refuses(subgrid(*downscale, "--scheduler", "slurm"), 2, "scheduler 'slurm' is not known")
    particles = ("--set=n_particles=2", "--set=method=heun")
    refuses(subgrid(*downscale, *particles), 2, 'n_particles = 2 needs method = "gaussian-sde"')
    refuses(subgrid(*downscale, "--change", "preserve"), 2, "knows no dates")
    assert left_behind(tmp_path) == []


def test_settings_that_cannot_be_read(subgrid, archives, tmp_path):
    fit = ("fit", archives / "fine.nc", archives / "coarse.nc", "-o", tmp_path / "m", "--config")
    refuses(subgrid(*fit, tmp_path / "absent.toml"), 2, "absent.toml: cannot be read (No such file or directory)")
    refuses(subgrid(*fit, tmp_path), 2, "cannot be read (Is a directory)")
    (tmp_path / "bad.toml").write_text("n_steps = = 3\n")
    refuses(subgrid(*fit, tmp_path / "bad.toml"), 2, "bad.toml: is no TOML")
    (tmp_path / "other.toml").write_text("[training]\nn_steps = 3\n")
    refuses(subgrid(*fit, tmp_path / "other.toml"), 2, "fit has no setting 'training'")
    assert left_behind(tmp_path) == ["bad.toml", "other.toml"]


def downscale_with(subgrid, archives, folder, out):
    return subgrid("downscale", archives / "coarse.nc", "-m", folder, "-o", out, *FEW)


def test_checkpoint_of_another_model(subgrid, archives, model, tmp_path):
    mixed = tmp_path / "mixed"
    shutil.copytree(model, mixed)
    settings = mixed / "model" / "settings.json"
    settings.write_text(settings.read_text().replace("16", "32"))
    refuses(downscale_with(subgrid, archives, mixed, tmp_path / "e.nc"), 2, "holds another model", "has shape")
    assert left_behind(tmp_path) == ["mixed"]


def test_folder_without_a_model_or_with_an_unfinished_or_earlier_one(subgrid, archives, model, tmp_path):
    out = tmp_path / "out.zarr"
    refuses(downscale_with(subgrid, archives, tmp_path / "absent", out), 2, "there is no such folder", "`subgrid fit`")
    refuses(downscale_with(subgrid, archives, tmp_path, out), 2, "holds no model", "`subgrid fit`")
    shutil.copytree(model, tmp_path / "m")
    (tmp_path / "m" / "model" / "settings.json").unlink()
    refuses(downscale_with(subgrid, archives, tmp_path / "m", out), 2, "its model is not finished")
    shutil.copytree(model, tmp_path / "old")
    shutil.rmtree(tmp_path / "old" / "preparation.zarr")
    refuses(downscale_with(subgrid, archives, tmp_path / "old", out), 2, "of an earlier version", "fit it anew")
    assert left_behind(tmp_path) == ["m", "old"]


def test_output_that_exists_is_not_touched(subgrid, archives, model, tmp_path):
    (tmp_path / "out.zarr").mkdir()
    (tmp_path / "out.zarr" / "mine").write_text("precious")
    (tmp_path / "out.nc").write_text("precious")
    waves(4, 8, seed=3).to_zarr(tmp_path / "mine.zarr")
    for name, *said in (
        ("out.zarr", "is a folder, and no Zarr store"),
        ("out.nc", "exists already", "remove it first"),
        ("mine.zarr", "is not a store of `subgrid`"),
        ("out.nc/e.nc", "cannot be written", "is a file, not a folder"),
        ("e.grib", "Subgrid writes NetCDF (.nc) and Zarr (.zarr), and no .grib"),
    ):
        code = 1 if "cannot be written" in said or name == "e.grib" else 2
        refuses(downscale_with(subgrid, archives, model, tmp_path / name), code, name.split("/")[0], *said)
    assert (tmp_path / "out.zarr" / "mine").read_text() == (tmp_path / "out.nc").read_text() == "precious"
    assert xr.open_zarr(tmp_path / "mine.zarr").u.shape == (4, 8)
    assert left_behind(tmp_path) == ["mine.zarr", "out.nc", "out.zarr"]


def test_a_finished_model_and_folders_of_something_else_are_left_alone(subgrid, archives, model, tmp_path):
    fit = ("fit", archives / "fine.nc", archives / "coarse.nc", *QUICK, "-o")
    refuses(subgrid(*fit, model), 2, "holds a finished model already")
    shutil.copytree(model, tmp_path / "m")
    (tmp_path / "m" / "model" / "settings.json").unlink()
    refuses(subgrid(*fit, tmp_path / "m"), 2, "holds a model in training")
    waves(4, 8, seed=3).to_zarr(tmp_path / "mine.zarr")
    refuses(subgrid(*fit, tmp_path / "mine.zarr"), 2, "exists and is not a model folder")
    (tmp_path / "mine").write_text("precious")
    refuses(subgrid(*fit, tmp_path / "mine"), 2, "is a file")
    assert left_behind(tmp_path) == ["m", "mine", "mine.zarr"]
    assert left_behind(tmp_path / "mine.zarr") == ["time", "u", "x", "zarr.json"]


def test_transport_that_does_not_converge_is_a_failure(subgrid, archives, tmp_path):
    few = ("--set=debias=entropic-ot", "--set=debias_options.epsilon=1e-4", "--set=debias_options.max_iterations=20")
    outcome = subgrid("fit", archives / "fine.nc", archives / "coarse.nc", "-o", tmp_path / "m", *NETWORK, *few)
    refuses(outcome, 1, "Sinkhorn reached a marginal error", "raise epsilon or max_iterations")
    assert left_behind(tmp_path) == []


@pytest.mark.slow
def test_full_disk(subgrid, archives, model, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = (
        os.geteuid() == 0 and subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", disk]).returncode == 0
    )
    if not mounted:
        pytest.skip("a full disk needs the right to mount a small tmpfs")
    try:
        for name in ("out.nc", "out.zarr"):
            refuses(downscale_with(subgrid, archives, model, disk / name), 1, "no space left on the disk")
            assert left_behind(disk) == []
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)  # the NetCDF library keeps what it failed to write open


def test_debug_shows_the_traceback(monkeypatch, tmp_path):
    from subgrid.cli.main import run
    from subgrid.data.fields import DataError

    absent = str(tmp_path / "absent.nc")
    monkeypatch.setattr(sys, "argv", ["subgrid", "fit", absent, absent, "-o", str(tmp_path / "m"), "--debug"])
    with pytest.raises(DataError, match=r"absent\.nc"):
        run()


def test_unknown_options_and_commands_that_are_gone_are_usage_errors(subgrid):
    for arguments, named in (
        (("demo", "--quik"), "--quik"),
        (("train", "fine.nc"), "train"),
        (("fit",), "Missing argument"),
    ):
        outcome = subgrid(*arguments)
        assert outcome.code == 2
        assert named in outcome.err
        assert "Traceback" not in outcome.err


def test_several_variables_name_both_ways_to_choose_one(subgrid, archives, tmp_path):
    waves(16, 32, seed=2).assign(v=lambda d: d.u + 1).to_netcdf(tmp_path / "fine.nc")
    outcome = subgrid("fit", tmp_path / "fine.nc", archives / "coarse.nc", "-o", tmp_path / "model", *QUICK)
    refuses(outcome, 2, "holds the variables u, v", "--variable", "variables=[…]")


@pytest.mark.parametrize("output", ["coarse.zarr", ".", "coarse.zarr/out.zarr"])
def test_output_that_is_or_holds_or_lies_in_the_input(subgrid, archives, model, tmp_path, output):
    data = tmp_path / "data"
    waves(4, 8, seed=3).to_zarr(data / "coarse.zarr")
    refuses(subgrid("downscale", data / "coarse.zarr", "-m", model, "-o", data / output), 2, "is the input")
    fit = ("fit", archives / "fine.nc", data / "coarse.zarr", *QUICK, "-o", data / output)
    refuses(subgrid(*fit), 2, "is the input" if output.endswith("out.zarr") else "not a model folder")
    assert xr.open_zarr(data / "coarse.zarr").u.shape == (4, 8)
    assert left_behind(data) == ["coarse.zarr"]


def test_metrics_are_not_written_over_the_reference(subgrid, tmp_path):
    waves(4, 32, seed=3).to_netcdf(tmp_path / "fine.nc")
    waves(4, 32, seed=4).rename(u="ensemble").to_netcdf(tmp_path / "e.nc")
    before = (tmp_path / "fine.nc").read_bytes()
    arguments = (tmp_path / "e.nc", "-r", tmp_path / "fine.nc", "-o", tmp_path / "fine.nc", "--overwrite")
    refuses(subgrid("verify", *arguments), 2, "is the input")
    assert (tmp_path / "fine.nc").read_bytes() == before


def test_field_that_does_not_fit_the_network_is_found_before_anything_is_written(subgrid, archives, tmp_path):
    fit = ("fit", archives / "fine.nc", archives / "coarse.nc", "-o", tmp_path / "m", *QUICK, "--set=patch=5")
    for prior in ("network", "conditional-diffusion"):
        refuses(subgrid(*fit, f"--set=prior={prior}"), 2, "not divisible by patch")
    assert left_behind(tmp_path) == []


def test_version(subgrid):
    from importlib.metadata import version

    outcome = subgrid("--version")
    assert (outcome.code, outcome.out) == (0, f"subgrid {version('subgrid')}\n")
