"""Configurations and run folders that cannot be used: one clear sentence, exit code 2, nothing written half."""

from ..tiny import TINY, left_behind, refuses


def empty_config(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text("")
    return path


def test_archives_that_are_swapped(subgrid, archives, tmp_path):
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
        "--set=coarsening.factor=4",
        "--set=data.source=files",
        *files,
        *dynamic,
    )
    refuses(outcome, 2, "7 levels need a coarse grid divisible by 64, not of", "name at most")
    assert not (tmp_path / "run" / "model").exists()


def test_a_value_of_the_command_line_is_not_blamed_on_the_file_alone(subgrid, tmp_path):
    outcome = subgrid("run", empty_config(tmp_path), "-o", tmp_path / "run", "--set=prior.sigma_min=100")
    refuses(outcome, 2, "with --set: prior.sigma_min must be below prior.sigma_max")


def test_paths_of_a_configuration_are_named_with_their_key(subgrid, archives, tmp_path):
    files = ["--set=data.source=files", "--set=data.fine=gone/fine.nc", f"--set=data.coarse={archives}/coarse.nc"]
    outcome = subgrid("run", empty_config(tmp_path), "-o", tmp_path / "run", *TINY, *files)
    refuses(outcome, 2, "data.fine = 'gone/fine.nc'", "paths are taken from")


def test_a_run_needs_three_members_to_score(subgrid, tmp_path):
    outcome = subgrid("run", empty_config(tmp_path), "-o", tmp_path / "run", "--set=sampling.n_members=2")
    refuses(outcome, 2, "sampling.n_members = 2", "takes 3")
    assert not (tmp_path / "run" / "fine.zarr").exists()


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


def test_variable_of_the_configuration_is_the_one_that_is_read(subgrid, archives, tmp_path):
    files = [f"--set=data.fine={archives}/fine.nc", f"--set=data.coarse={archives}/coarse.nc"]
    outcome = subgrid(
        "run", empty_config(tmp_path), "-o", tmp_path / "run", *TINY, "--set=data.source=files", *files,
        "--set=data.variable=tas",
    )  # fmt: skip
    refuses(outcome, 2, "no variable 'tas'")


def test_configuration_that_is_a_folder(subgrid, tmp_path):
    refuses(subgrid("run", tmp_path), 2, "is a folder; name a TOML file")


def test_nothing_to_simulate(subgrid, tmp_path):
    files = ["--set=data.source=files", "--set=data.fine=a.nc", "--set=data.coarse=b.nc"]
    refuses(subgrid("simulate", "-o", tmp_path / "ks", *files), 2, "there is nothing to simulate")
    assert left_behind(tmp_path) == []
