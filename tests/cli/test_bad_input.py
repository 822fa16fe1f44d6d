"""Bad input: one clear sentence, the right exit code, no traceback, nothing written half."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

from ..tiny import TINY, waves

FACTOR = "--set=coarsening.factor=4"


def left_behind(folder) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def refuses(outcome, code: int, *fragments: str) -> None:
    assert outcome.code == code, outcome.err
    assert "Traceback" not in outcome.err
    assert len(outcome.complaint.splitlines()) == 1, outcome.err
    for fragment in fragments:
        assert fragment in outcome.complaint


def test_missing_file(subgrid, tmp_path):
    outcome = subgrid("train", tmp_path / "absent.nc", "-o", tmp_path / "model", *TINY)
    refuses(outcome, 2, "absent.nc", "no such file")
    assert left_behind(tmp_path) == []


def test_missing_variable_lists_what_is_there(subgrid, archives, tmp_path):
    outcome = subgrid("train", archives / "fine.nc", "--variable", "tas", "-o", tmp_path / "model", *TINY)
    refuses(outcome, 2, "no variable 'tas'", "it holds u")
    assert left_behind(tmp_path) == []


def test_file_that_is_not_netcdf(subgrid, tmp_path):
    (tmp_path / "fine.nc").write_text("not a NetCDF file")
    refuses(
        subgrid("train", tmp_path / "fine.nc", "-o", tmp_path / "m", *TINY), 2, "is text", "neither NetCDF nor Zarr"
    )


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_value_that_is_not_finite_is_named_with_time_and_place(subgrid, tmp_path, value):
    fields = waves(16, 32, seed=2)
    fields.u[3, 5] = value
    fields.to_netcdf(tmp_path / "fine.nc")
    outcome = subgrid("train", tmp_path / "fine.nc", "-o", tmp_path / "model", *TINY)
    refuses(outcome, 2, "fine.nc", f"u is {value}", "time = 1.5", f"x = {fields.x.values[5]}", "1 such value")
    assert left_behind(tmp_path) == ["fine.nc"]


def empty_config(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text("")
    return path


def test_grids_that_coarsening_cannot_connect(subgrid, archives, model, tmp_path):
    outcome = subgrid("downscale", archives / "coarse.nc", "-m", model, "-o", tmp_path / "out.zarr", *TINY)
    refuses(outcome, 2, "coarse.nc: fields have the grid", "cannot connect them", "coarsening.factor = 4 would")
    assert left_behind(tmp_path) == []
    swapped = [
        "--set=data.source=files",
        f"--set=data.fine={archives}/coarse.nc",
        f"--set=data.coarse={archives}/fine.nc",
    ]
    outcome = subgrid("run", empty_config(tmp_path), "-o", tmp_path / "run", *TINY, *swapped)
    refuses(outcome, 2, "are the two archives swapped?")


def test_levels_that_the_coarse_grid_cannot_be_halved_for_are_refused_before_anything_runs(subgrid, archives, tmp_path):
    files = [
        "--set=data.source=files",
        f"--set=data.fine={archives}/fine.nc",
        f"--set=data.coarse={archives}/coarse.nc",
    ]
    dynamic = ["--set=debias.method=rectified-flow", "--set=debias.channels=[4, 4, 4, 4, 4, 4, 4]"]
    outcome = subgrid(
        "run",
        empty_config(tmp_path),
        "-o",
        tmp_path / "run",
        *TINY,
        FACTOR,
        "--set=data.source=files",
        *files,
        *dynamic,
    )
    refuses(outcome, 2, "7 levels need a coarse grid divisible by 64, not of", "name at most")
    assert not (tmp_path / "run" / "model").exists()


def test_a_bridge_is_not_trained_on_one_archive(subgrid, archives, tmp_path):
    outcome = subgrid("train", archives / "fine.nc", "-o", tmp_path / "m", *TINY, "--set=downscaling.method=bridge")
    refuses(outcome, 2, "`subgrid run` fits a bridge, to both archives", 'set it to "diffusion"')


def test_a_value_of_the_command_line_is_not_blamed_on_the_file_alone(subgrid, tmp_path):
    outcome = subgrid("run", empty_config(tmp_path), "-o", tmp_path / "run", "--set=prior.sigma_min=100")
    refuses(outcome, 2, "with --set: prior.sigma_min must be below prior.sigma_max")


def test_paths_of_a_configuration_are_named_with_their_key(subgrid, archives, tmp_path):
    files = ["--set=data.source=files", "--set=data.fine=gone/fine.nc", f"--set=data.coarse={archives}/coarse.nc"]
    outcome = subgrid("run", empty_config(tmp_path), "-o", tmp_path / "run", *TINY, *files)
    refuses(outcome, 2, "data.fine = 'gone/fine.nc'", "paths are taken from")


def test_a_text_file_is_no_netcdf(subgrid, tmp_path):
    (tmp_path / "fine.nc").write_text("time,x\n")
    refuses(subgrid("train", tmp_path / "fine.nc", "-o", tmp_path / "m", *TINY), 2, "a table of text ('time,x')")


def test_a_run_needs_three_members_to_score(subgrid, tmp_path):
    outcome = subgrid("run", empty_config(tmp_path), "-o", tmp_path / "run", "--set=sampling.n_members=2")
    refuses(outcome, 2, "sampling.n_members = 2", "takes 3")
    assert not (tmp_path / "run" / "fine.zarr").exists()


def test_too_few_samples(subgrid, archives, model, tmp_path):
    waves(1, 32, seed=3).to_netcdf(tmp_path / "fine.nc")
    refuses(subgrid("train", tmp_path / "fine.nc", "-o", tmp_path / "m", *TINY), 2, "holds 1 sample", "at least 2")
    waves(4, 8, seed=3).to_netcdf(tmp_path / "coarse.nc")
    outcome = subgrid(
        "downscale", tmp_path / "coarse.nc", "-m", model, "-o", tmp_path / "out.zarr", "--reference",
        archives / "fine.nc", *TINY, FACTOR, "--set=debias.method=quantile-mapping",
    )  # fmt: skip
    refuses(outcome, 2, "10 quantiles need as many samples", "4 coarse")
    assert left_behind(tmp_path) == ["coarse.nc", "fine.nc"]


def test_configuration_typo(subgrid, archives, tmp_path):
    outcome = subgrid("train", archives / "fine.nc", "-o", tmp_path / "m", "--set=training.batchsize=4")
    refuses(outcome, 2, "unknown key 'training.batchsize'", "did you mean 'batch_size'?")


def test_checkpoint_of_another_model(subgrid, archives, model, tmp_path):
    mixed = tmp_path / "mixed"
    shutil.copytree(model, mixed)
    settings = mixed / "settings.json"
    settings.write_text(settings.read_text().replace("16", "32"))
    outcome = subgrid(
        "downscale",
        archives / "coarse.nc",
        "-m",
        mixed,
        "-o",
        tmp_path / "out.zarr",
        *TINY,
        "--set=coarsening.factor=4",
    )
    refuses(outcome, 2, "holds another model", "has shape")
    assert left_behind(tmp_path) == ["mixed"]


def test_folder_without_a_model(subgrid, archives, tmp_path):
    outcome = subgrid("downscale", archives / "coarse.nc", "-m", tmp_path, "-o", tmp_path / "out.zarr", *TINY)
    refuses(outcome, 2, "holds no trained model", "subgrid train")


def test_output_that_exists_is_not_touched(subgrid, archives, model, tmp_path):
    (tmp_path / "out.zarr").mkdir()
    (tmp_path / "out.zarr" / "mine").write_text("precious")
    arguments = (
        "downscale",
        archives / "coarse.nc",
        "-m",
        model,
        "-o",
        tmp_path / "out.zarr",
        *TINY,
        "--set=coarsening.factor=4",
    )
    refuses(subgrid(*arguments), 2, "out.zarr", "exists already", "--overwrite")
    assert (tmp_path / "out.zarr" / "mine").read_text() == "precious"
    refuses(subgrid("train", archives / "fine.nc", "-o", model, *TINY), 2, "trained model already")


def test_run_folder_of_another_configuration(subgrid, tmp_path):
    run = tmp_path / "run"
    assert subgrid("simulate", "-o", run, "--set=data.n_trajectories=2", "--set=data.n_snapshots=2").code == 0
    before = (run / "config.toml").read_text()
    refuses(
        subgrid("demo", "--quick", "-o", run),
        2,
        "fine.zarr was made with",
        "n_trajectories = 2, not 32",
        "remove fine.zarr to make it anew, or choose another output folder",
    )
    assert (run / "config.toml").read_text() == before


def test_part_of_a_run_folder_that_nothing_is_recorded_of(subgrid, tmp_path):
    (tmp_path / "config.toml").write_text("[data]\nn_snapshots = 7\n")
    (tmp_path / "fine.zarr").mkdir()
    outcome = subgrid("demo", "--quick", "-o", tmp_path)
    refuses(outcome, 2, "fine.zarr has no record of what it was made from", "an earlier version made it", "remove")
    assert (tmp_path / "config.toml").read_text() == "[data]\nn_snapshots = 7\n"
    assert left_behind(tmp_path) == ["config.toml", "fine.zarr"]


def test_transport_that_does_not_converge_is_a_failure(subgrid, archives, model, tmp_path):
    outcome = subgrid(
        "downscale", archives / "coarse.nc", "-m", model, "-o", tmp_path / "out.zarr", "--reference",
        archives / "fine.nc", *TINY, FACTOR, "--set=debias.epsilon=1e-4",
        "--set=debias.max_iterations=20",
    )  # fmt: skip
    refuses(outcome, 1, "Sinkhorn reached a marginal error", "raise epsilon or max_iterations")
    assert left_behind(tmp_path) == []


def test_full_disk(subgrid, archives, model, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = (
        os.geteuid() == 0 and subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", disk]).returncode == 0
    )
    if not mounted:
        pytest.skip("a full disk needs the right to mount a small tmpfs")
    try:
        outcome = subgrid(
            "downscale",
            archives / "coarse.nc",
            "-m",
            model,
            "-o",
            disk / "out.zarr",
            *TINY,
            "--set=coarsening.factor=4",
        )
        refuses(outcome, 1, "no space left on the disk")
        assert left_behind(disk) == []
    finally:
        subprocess.run(["umount", disk], check=True)


def test_debug_shows_the_traceback(monkeypatch, tmp_path):
    from subgrid.cli.main import run
    from subgrid.data.fields import DataError

    monkeypatch.setattr(
        sys, "argv", ["subgrid", "train", str(tmp_path / "absent.nc"), "-o", str(tmp_path / "m"), "--debug"]
    )
    with pytest.raises(DataError, match=r"absent\.nc"):
        run()


def test_unknown_option_is_a_usage_error(subgrid):
    outcome = subgrid("demo", "--quik")
    assert outcome.code == 2
    assert "--quik" in outcome.err
    assert "Traceback" not in outcome.err


def test_input_is_not_changed(subgrid, archives, model, tmp_path):
    before = (archives / "coarse.nc").read_bytes()
    outcome = subgrid(
        "downscale", archives / "coarse.nc", "-m", model, "-o", tmp_path / "out.zarr", "--reference",
        archives / "fine.nc", *TINY, FACTOR,
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert (archives / "coarse.nc").read_bytes() == before
    out = xr.open_zarr(tmp_path / "out.zarr")
    assert dict(out.ensemble.sizes) == {"time": 64, "member": 3, "x": 32}
    # Perfect-model identity: whatever the network learned, every member keeps the debiased coarse field.
    np.testing.assert_allclose(out.ensemble.values[..., ::4], out.target.values[:, None].repeat(3, 1), atol=1e-4)
    assert "[training]" in out.attrs["config"]


def test_several_variables_name_both_ways_to_choose_one(subgrid, tmp_path):
    waves(16, 32, seed=2).assign(v=lambda d: d.u + 1).to_netcdf(tmp_path / "fine.nc")
    outcome = subgrid("train", tmp_path / "fine.nc", "-o", tmp_path / "model", *TINY)
    refuses(outcome, 2, "holds the variables u, v", "--variable", "data.variable")


def test_variable_of_the_configuration_is_the_one_that_is_read(subgrid, archives, model, tmp_path):
    outcome = subgrid("train", archives / "fine.nc", "-o", tmp_path / "m", *TINY, "--set=data.variable=tas")
    refuses(outcome, 2, "no variable 'tas'")
    arguments = ("downscale", archives / "coarse.nc", "-m", model, "-o", tmp_path / "out.zarr", *TINY, FACTOR)
    refuses(subgrid(*arguments, "--set=data.variable=pr"), 2, "no variable 'pr'")
    refuses(subgrid(*arguments, "--set=data.variable=pr", "--variable=psl"), 2, "no variable 'psl'")


def test_configuration_that_is_a_folder(subgrid, tmp_path):
    refuses(subgrid("run", tmp_path), 2, "is a folder; name a TOML file")


def test_nothing_to_simulate(subgrid, tmp_path):
    files = ["--set=data.source=files", "--set=data.fine=a.nc", "--set=data.coarse=b.nc"]
    refuses(subgrid("simulate", "-o", tmp_path / "ks", *files), 2, "there is nothing to simulate")
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize("output", ["coarse.zarr", ".", "coarse.zarr/out.zarr"])
def test_output_that_is_or_holds_or_lies_in_the_input(subgrid, model, tmp_path, output):
    data = tmp_path / "data"
    waves(4, 8, seed=3).to_zarr(data / "coarse.zarr")
    arguments = ("downscale", data / "coarse.zarr", "-m", model, "-o", data / output, *TINY, FACTOR, "--overwrite")
    refuses(subgrid(*arguments), 2, "is the input")
    assert xr.open_zarr(data / "coarse.zarr").u.shape == (4, 8)


def test_metrics_are_not_written_over_the_reference(subgrid, tmp_path):
    waves(4, 32, seed=3).to_netcdf(tmp_path / "fine.nc")
    waves(4, 32, seed=4).rename(u="ensemble").to_netcdf(tmp_path / "e.nc")
    before = (tmp_path / "fine.nc").read_bytes()
    arguments = (tmp_path / "e.nc", "-r", tmp_path / "fine.nc", "-o", tmp_path / "fine.nc", "--overwrite")
    refuses(subgrid("verify", *arguments), 2, "is the input")
    assert (tmp_path / "fine.nc").read_bytes() == before


def test_model_folder_that_is_something_else(subgrid, archives, tmp_path):
    waves(4, 8, seed=3).to_zarr(tmp_path / "mine.zarr")
    refuses(subgrid("train", archives / "fine.nc", "-o", tmp_path / "mine.zarr", *TINY), 2, "is not a model folder")


def test_field_that_does_not_fit_the_network_is_found_before_anything_is_written(subgrid, archives, tmp_path):
    outcome = subgrid("train", archives / "fine.nc", "-o", tmp_path / "m", *TINY, "--set=prior.patch=5")
    refuses(outcome, 2, "not divisible by patch")
    assert left_behind(tmp_path) == []


def test_names_that_the_ensemble_needs_are_refused_before_sampling(subgrid, model, tmp_path):
    waves(4, 8, seed=3).assign_coords(target=1.0).to_netcdf(tmp_path / "coarse.nc")
    outcome = subgrid("downscale", tmp_path / "coarse.nc", "-m", model, "-o", tmp_path / "out.zarr", *TINY, FACTOR)
    refuses(outcome, 2, "has a coordinate 'target'")
    assert outcome.err == outcome.complaint + "\n"  # no progress bar: nothing was sampled


def test_version(subgrid):
    from importlib.metadata import version

    outcome = subgrid("--version")
    assert (outcome.code, outcome.out) == (0, f"subgrid {version('subgrid')}\n")


def test_a_conditional_model_is_good_for_its_own_coarsening_only(subgrid, archives, tmp_path):
    outcome = subgrid("train", archives / "fine.nc", "-o", tmp_path / "m", *TINY, "--set=downscaling.jitter=debiaser")
    refuses(outcome, 2, 'downscaling.jitter = "debiaser"', "`train` sees no coarse archive")
    outcome = subgrid("train", archives / "fine.nc", "-o", tmp_path / "m", *TINY, "--set=coarsening.factor=5")
    refuses(outcome, 2, "coarsening.factor = 5")
    assert left_behind(tmp_path) == []
    outcome = subgrid("train", archives / "fine.nc", "-o", tmp_path / "m", *TINY, FACTOR)
    assert outcome.code == 0, outcome.err
    arguments = ("downscale", archives / "coarse.nc", "-m", tmp_path / "m", "-o", tmp_path / "out.zarr")
    outcome = subgrid(*arguments, *TINY, FACTOR, "--set=coarsening.kind=block-mean")
    refuses(outcome, 2, "trained for another C', Subsample of 32 to 8 points, not BlockMean")
    outcome = subgrid(*arguments, *TINY, FACTOR, "--set=sampling.n_levels=2")
    refuses(outcome, 2, "sampling.n_levels = 2", "needs 3 evaluations")
    outcome = subgrid(*arguments, *TINY, FACTOR, "--set=sampling.particles=2")
    refuses(outcome, 2, "sampling.particles = 2", "needs no guidance")
    assert left_behind(tmp_path) == ["m"]
