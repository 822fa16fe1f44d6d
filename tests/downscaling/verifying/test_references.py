"""The reference of `verify` is read as `fit` reads its archives: quirks give the scores of the plain file, or words."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from tests.downscaling.verifying.test_verify import LAT, TIMES, draws, ensemble_of, reference_of, value

from subgrid.data.fields import DataError
from subgrid.downscaling.verifying.verify import verify

N = 20
DAYS = TIMES[:N]
pytestmark = pytest.mark.usefixtures("pairs_alone")


@pytest.fixture
def pairs_alone(monkeypatch):
    """Without the scores of distributions, which know no pairs and take as long as all others."""
    monkeypatch.setattr("subgrid.downscaling.verifying.verify.set_rows", lambda *_, **__: ([], ()))


@pytest.fixture(scope="module")
def fields():
    """An ensemble as Subgrid writes it, and its truth in K."""
    members, truth = draws(n_times=N, n_members=4)
    return ensemble_of(members, DAYS, subgrid_quantity="temperature"), reference_of(truth, DAYS)


def crps(ensemble, reference, **settings):
    return value(verify(ensemble, reference, progress=False, paired=True, **settings), "CRPS")


def of(reference, change, **attrs):
    """The reference with other values and attributes."""
    return reference.assign(tas=change(reference.tas).assign_attrs({"units": "K", **attrs}))


def saved(dataset, path):
    for name in dataset.data_vars:
        dataset[name].encoding["_FillValue"] = None
    dataset.time.encoding["units"] = "days since 2001-01-01"  # bounds are in those of their axis
    dataset.to_netcdf(path)
    return path


def test_fill_values_that_nothing_declares_are_refused_and_the_advice_works(fields, tmp_path):
    ensemble, truth = fields
    filled = of(truth, lambda tas: tas.where(tas.lat > LAT[2], -9999.0))
    for source in (filled, saved(filled, tmp_path / "fill.nc")):
        with pytest.raises(DataError, match=r"-9999 in the file .*50 % of the cells.*missing = -9999"):
            crps(ensemble, source)
        told = {"tas": {"missing": -9999}}
        assert crps(ensemble, source, variables=told) == pytest.approx(crps(ensemble, truth.where(truth.lat > LAT[2])))


def test_one_fill_value_between_the_times_that_are_looked_at_is_found(fields):
    ensemble, truth = fields
    values = truth.tas.values.copy()
    values[5, 2, 2] = 1e20
    with pytest.raises(DataError, match=r"1e\+20 .*2001-01-06"):
        crps(ensemble, truth.assign(tas=truth.tas.copy(data=values)))


def test_what_its_range_does_not_call_valid_is_missing(fields, tmp_path):
    ensemble, truth = fields
    ranged = of(
        truth,
        lambda tas: (tas.astype(float) - 273.15).where(tas.lat > LAT[2], -99.9),
        units="degC",
        valid_range=np.array([-90.0, 60.0]),
    )
    wanted = crps(ensemble, truth.where(truth.lat > LAT[2]))
    assert crps(ensemble, ranged) == pytest.approx(wanted, rel=1e-4)  # 280 K in 32 bits
    assert crps(ensemble, saved(ranged, tmp_path / "range.nc")) == pytest.approx(wanted, rel=1e-4)


def test_days_stamped_at_their_ends_are_paired_with_their_own_days(fields, tmp_path):
    ensemble, truth = fields
    ends = DAYS + pd.Timedelta("1D")
    stamped = truth.assign_coords(time=("time", ends, {"bounds": "time_bnds"}))
    stamped["time_bnds"] = (("time", "nv"), np.stack([DAYS.values, ends.values], 1))
    for source in (stamped, saved(stamped, tmp_path / "bnds.nc")):
        found = verify(ensemble, source, progress=False, paired=True)
        assert found.n_pairs == N and value(found, "CRPS") == pytest.approx(crps(ensemble, truth))


def test_dates_written_as_numbers_are_read_in_a_dataset_too(fields):
    ensemble, truth = fields
    numbers = [int(f"{day:%Y%m%d}") for day in DAYS]
    dated = truth.assign_coords(time=("time", numbers, {"units": "day as %Y%m%d.%f"}))
    assert crps(ensemble, dated) == pytest.approx(crps(ensemble, truth))


def test_units_that_the_values_contradict_are_refused(fields):
    ensemble, truth = fields
    for units in ("K", ""):  # without units they are compared as they are, in those of the ensemble
        with pytest.raises(DataError, match="the values look like degC"):
            crps(ensemble, of(truth, lambda tas: tas - 273.15, units=units))


def test_an_anomaly_is_no_reference_for_temperatures(fields):
    ensemble, truth = fields
    anomaly = of(truth, lambda tas: tas - 280, long_name="temperature anomaly")
    both = r"a temperature in 'K' in the ensemble \(the attribute that Subgrid wrote\), and a temperature difference.*"
    with pytest.raises(DataError, match=both + "quantity = 'temperature'"):
        crps(ensemble, anomaly)


def test_two_experiment_versions_are_merged(fields):
    ensemble, truth = fields
    parts = [truth.where(truth.time < DAYS[12]), truth.where(truth.time >= DAYS[12])]
    both = xr.concat(parts, "expver").assign_coords(expver=[1, 5])
    assert crps(ensemble, both) == pytest.approx(crps(ensemble, truth))


def test_what_the_ensemble_is_the_reference_is_too(fields):
    """A name that says nothing: °C by the quantity of the ensemble, not by a name."""
    ensemble, truth = fields
    renamed = of(truth, lambda tas: tas.astype(float) - 273.15, units="degC").rename(tas="field")
    assert crps(ensemble, renamed) == pytest.approx(crps(ensemble, truth), rel=1e-4)


def test_observations_at_stations_are_read_so_too(fields):
    ensemble, truth = fields
    points = {"lat": xr.DataArray(LAT[1:4], dims="point"), "lon": xr.DataArray([-7.0, -5.0, -3.0], dims="point")}
    ensemble, observed = ensemble.sel(points), truth.sel(points)
    wanted = crps(ensemble, observed)
    celsius = of(observed, lambda tas: tas.astype(float) - 273.15, units="degC")
    assert crps(ensemble, celsius) == pytest.approx(wanted, rel=1e-4)
    with pytest.raises(DataError, match=r"-999 in the file .*lat = 37, lon = -7 "):
        crps(ensemble, of(observed, lambda tas: tas.where(tas.point > 0, -999.0)))
    with pytest.raises(DataError, match="the values look like degC"):
        crps(ensemble, of(celsius, lambda tas: tas))
