"""An ensemble at stations against observations there and against fields: the same scores, by xarray's interpolation."""

import numpy as np
import pytest
import xarray as xr

from subgrid.data.fields import DataError
from subgrid.downscaling.verifying import field_sets

from .test_verify import LAT, LON, TIMES, draws, ensemble_of, quiet, reference_of, value

NAMES = np.array(["Porto", "Evora", "Faro", "Beja", "Braga"])
AT_LAT = np.array([40.25, 38.6, 37.1, 38.2, 40.7])
AT_LON = np.array([-8.6, -7.7, -8.0, -7.2, -8.3])
N_TIMES = 60


def at(fields, rule="interpolated"):
    """Values at the stations, by xarray's own linear interpolation or nearest cell."""
    lat, lon = xr.DataArray(AT_LAT, dims="point"), xr.DataArray(AT_LON, dims="point")
    near = fields.tas.sel(lat=lat, lon=lon, method="nearest").drop_vars(["lat", "lon"])
    found = fields.tas.interp(lat=lat, lon=lon) if rule == "interpolated" else near
    found = found.assign_attrs(fields.tas.attrs, at_points=rule).astype(np.float32).drop_encoding()
    return found.assign_coords(lat=lat, lon=lon, name=("point", NAMES)).to_dataset()


@pytest.fixture(scope="module")
def pair():
    """Fields of an ensemble and its truth."""
    members, truth = draws(n_times=N_TIMES)
    return ensemble_of(members, TIMES[:N_TIMES]), reference_of(truth, TIMES[:N_TIMES])


def scores_of(found):
    return [row.value for row in found.rows]


@pytest.mark.parametrize("rule", ["interpolated", "nearest"])
def test_fields_are_taken_at_the_stations_as_the_ensemble_was(pair, rule):
    """Weights are float32: values of 280 K, whose spread is 1, differ by 3e-5."""
    ensemble, fields = pair
    stations = at(ensemble, rule)
    wanted = quiet(stations, at(fields, rule))
    turned = fields.isel(lat=slice(None, None, -1)).assign_coords(lon=LON % 360).transpose("lon", "time", "lat")
    for reference in (fields, turned):
        found = quiet(stations, reference)
        assert found.n_pairs == N_TIMES
        assert scores_of(found) == pytest.approx(scores_of(wanted), rel=1e-3, abs=1e-4)
        said = "interpolated to the stations" if rule == "interpolated" else "nearest cell of each station"
        assert any(said in note for note in found.notes)
    assert not {row.metric for row in found.rows} & {"MELRu", "MELRw"}  # a list of places has no spectrum
    other = "nearest" if rule == "interpolated" else "interpolated"
    # The mean of four cells scatters less than one cell: the other rule has another score.
    assert abs(value(quiet(stations, at(fields, other)), "CRPS") / value(wanted, "CRPS") - 1) > 0.1


def test_the_fields_of_a_curvilinear_grid_are_taken_too(pair):
    ensemble, fields = pair
    stations = at(ensemble)
    lat, lon = np.meshgrid(LAT, LON, indexing="ij")
    # A grid whose rows bend by a hundredth of a degree: values move by that share of the step of 1°.
    bent = fields.rename(lat="y", lon="x").drop_vars(["x", "y"])
    bent = bent.assign_coords(lat=(("y", "x"), lat + 0.01 * np.sin(lon)), lon=(("y", "x"), lon))
    found, wanted = quiet(stations, bent), quiet(stations, at(fields))
    assert value(found, "CRPS") == pytest.approx(value(wanted, "CRPS"), rel=0.02)


def test_cells_without_values_have_no_weight_and_values_that_lack_are_not_scored(pair):
    ensemble, fields = pair
    sea = np.zeros((LAT.size, LON.size), bool)
    sea[LAT.tolist().index(40.0), 0] = True  # a corner of Porto's and Braga's four cells
    stations = at(ensemble.where(~xr.DataArray(sea, dims=("lat", "lon"))))
    gap = fields.copy(deep=True)
    gap.tas[7] = np.nan
    found = quiet(stations.fillna(280.0), gap.where(~xr.DataArray(sea, dims=("lat", "lon"))))
    assert np.isfinite(scores_of(found)).all()
    assert any("5 of 5 cells" in note for note in found.notes)


def test_observations_are_found_by_place_name_or_order(pair, tmp_path):
    ensemble, fields = pair
    stations, observed = at(ensemble), at(fields)
    wanted = scores_of(quiet(stations, observed))
    order = [3, 0, 4, 1, 2]
    moved = observed.isel(point=order).rename(point="station")
    named = moved.drop_vars(["lat", "lon"]).rename(name="station_name")
    assert scores_of(quiet(stations, moved)) == pytest.approx(wanted)
    assert scores_of(quiet(stations, named)) == pytest.approx(wanted)
    assert scores_of(quiet(stations.isel(point=order), observed.drop_vars(["lat", "lon", "name"]))) != wanted
    plain = quiet(stations, observed.drop_vars(["lat", "lon", "name"]))
    assert scores_of(plain) == pytest.approx(wanted) and any("in their order" in note for note in plain.notes)
    few = quiet(stations.isel(point=[4, 1]), moved)
    assert any("cut to the 2 stations" in note for note in few.notes)
    stations.to_netcdf(tmp_path / "ensemble.nc")
    fields.to_netcdf(tmp_path / "fine.nc")
    found = quiet(tmp_path / "ensemble.nc", tmp_path / "fine.nc")
    assert scores_of(found) == pytest.approx(wanted, rel=1e-3, abs=1e-4)


def test_two_stations_at_one_place_keep_their_order(pair):
    ensemble, fields = pair
    twice = [0, 0, 2]
    found = quiet(at(ensemble).isel(point=twice), at(fields).isel(point=twice))
    assert found.n_pairs == N_TIMES
    with pytest.raises(DataError, match="several stations of the ensemble are at Porto"):
        quiet(at(ensemble).isel(point=twice), at(fields))


def test_what_has_no_values_at_the_stations_is_named(pair):
    ensemble, fields = pair
    stations, observed = at(ensemble), at(fields)
    with pytest.raises(DataError, match=r"no station at Evora \(lat = 38.6, lon = -7.7\); the nearest is"):
        quiet(stations, observed.isel(point=[0, 2, 3, 4]))
    with pytest.raises(DataError, match=r"by 'name', Porto, .* are not all among Lugo"):
        quiet(stations, observed.drop_vars(["lat", "lon"]).assign_coords(name=("point", ["Lugo", "b", "c", "d", "e"])))
    with pytest.raises(DataError, match=r"Porto .* lies outside of its grid"):
        quiet(stations, fields.sel(lat=slice(36, 40)))
    with pytest.raises(DataError, match="no latitudes and longitudes along two"):
        quiet(stations, fields.rename(lat="b", lon="a"))


def test_an_ensemble_that_does_not_say_its_rule_is_said_to_be_interpolated(pair):
    ensemble, fields = pair
    stations = at(ensemble)
    del stations.tas.attrs["at_points"]
    found = quiet(stations, fields)
    assert any("does not say by 'at_points'" in note for note in found.notes)


def test_few_places_do_not_bring_whole_archives_into_memory(pair, monkeypatch):
    """Blocks of seven times of the fields give the same; none is larger."""
    ensemble, fields = pair
    stations = at(ensemble)
    wanted = scores_of(quiet(stations, fields))
    monkeypatch.setattr(field_sets, "BLOCK_BYTES", 7 * 4 * 4 * 3)  # the box around the stations is 4 × 3 cells or so
    largest = []
    read = field_sets.FieldSet._read_run

    def counted(self, outer, inner):
        largest.append(len(inner) if self.at is not None else 0)
        return read(self, outer, inner)

    monkeypatch.setattr(field_sets.FieldSet, "_read_run", counted)
    assert scores_of(quiet(stations, fields)) == pytest.approx(wanted)
    assert 0 < max(largest) <= 7
