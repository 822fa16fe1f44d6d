"""What a climate run says while it prepares: on the terminal and in log.txt alike."""

import xarray as xr

from subgrid import load
from subgrid.experiments import KINDS
from subgrid.runs.launch import launch

from ...downscaling.climate_pair import write_configuration, write_pair

QUICK = ("debias.method=quantile-mapping", "debias.strength=1.0", "climate.training=all")


def labelled(path, *names: str) -> None:
    """A file with one member of each name, which differ in nothing else."""
    with xr.open_dataset(path) as opened:
        one = opened.load()
    xr.concat([one] * len(names), "member").assign_coords(member=list(names)).to_netcdf(path)


def test_what_was_read_and_who_has_no_partner_is_said_and_logged(tmp_path, capsys):
    pair = write_pair(tmp_path)
    labelled(pair / "coarse.nc", "r1i1p1f1", "r2i1p1f1")
    labelled(pair / "scenario.nc", "r2i1p1f1")
    with xr.open_dataset(pair / "fine.nc") as fine:
        celsius = (fine.load() - 273.15).assign_attrs(fine.attrs)
    celsius["tas"].attrs = {"units": "degC", "valid_range": [-90.0, 50.0], "standard_name": "air_temperature"}
    celsius.to_netcdf(pair / "fine.nc")
    launch(KINDS["climate"].load(), write_configuration(pair), tmp_path / "run", QUICK, until="prepare")
    said, logged = capsys.readouterr().err, (tmp_path / "run" / "log.txt").read_text(encoding="utf-8")
    for sentence in ("r1i1p1f1 of the history has no partner", "fine: tas: "):
        assert " ".join(said.split()).count(sentence) == 1 and logged.count(sentence) == 1


def test_the_orography_of_a_model_is_that_of_its_training_and_not_of_its_preparation(tmp_path):
    pair, climate, folder = write_pair(tmp_path), KINDS["climate"].load(), tmp_path / "run"
    with xr.open_dataset(pair / "fine.nc") as fine:
        height = (fine.tas.isel(time=0, drop=True).load() - 200).rename("orog")
    height.attrs = {"units": "m", "standard_name": "surface_altitude"}
    for name, stage in (("one", "prepare"), ("other", "train")):
        height.to_netcdf(pair / f"{name}.nc")
        given = (*QUICK, "prior.n_steps=0", f"climate.orography={pair / name}.nc")
        launch(climate, write_configuration(pair), folder, given, until=stage)
    assert "other.nc" in load(folder).facts()["orography"]
