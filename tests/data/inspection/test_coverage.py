"""How much of a fine region a rotated grid covers: known about its own pole, where both grids are regular."""

import numpy as np
import pytest
import xarray as xr

from subgrid.data.canonical import open_climate
from subgrid.data.grids.positions import true_place
from subgrid.data.inspection.coverage import coverage
from subgrid.data.inspection.together import covered, misfits, summarise_grid

from ..climate_files import archive

POLE = {"grid_north_pole_latitude": 40.0, "grid_north_pole_longitude": -170.0}


def on_pole(rlat, rlon, pole=POLE) -> xr.Dataset:
    phi, lam = np.meshgrid(np.radians(rlat), np.radians(rlon), indexing="ij")
    lat, lon = true_place(phi, lam, pole)
    values = np.full((3, *lat.shape), 280.0, np.float32)
    return xr.Dataset(
        {"tas": (("time", "y", "x"), values, {"units": "K"})},
        {
            "time": xr.date_range("2000-01-01", periods=3),
            "lat": (("y", "x"), lat, {"units": "degrees_north"}),
            "lon": (("y", "x"), lon, {"units": "degrees_east"}),
        },
    )


COARSE = open_climate(on_pole(np.arange(-9.0, 10.0, 2.0), np.arange(-9.0, 10.0, 2.0)))


@pytest.mark.parametrize(
    ("rlon", "expected"),
    [(np.arange(-4.75, 5.0, 0.5), 1.0), (np.arange(0.25, 20.0, 0.5), 0.5), (np.arange(15.25, 20.0, 0.5), 0.0)],
)
def test_the_share_inside_is_that_about_the_rotated_pole(rlon, expected):
    # The coarse cells end at 10 degrees. Centres weigh by the cosine of their true latitude, which changes by a few per
    # cent along 20 degrees of longitude about the pole, so that one half is .5 to .02.
    found = coverage(COARSE, open_climate(on_pole(np.arange(-4.75, 5.0, 0.5), rlon)))
    assert found is not None
    assert found.share == pytest.approx(expected, abs=0.02)
    assert ("cells between" in found.outside) == (expected < 1)


def test_the_corners_of_its_box_are_no_part_of_a_rotated_grid():
    box = summarise_grid(COARSE)
    lat, lon = np.arange(box.south, box.north - 0.5, 0.5) + 0.25, np.arange(box.west, box.east - 0.5, 0.5) + 0.25
    assert 0.5 < covered(COARSE, open_climate(archive(lat=lat, lon=lon))).share < 0.9


def test_a_region_across_the_date_line_is_found_on_a_grid_there():
    pole = {"grid_north_pole_latitude": 40.0, "grid_north_pole_longitude": 0.0}
    coarse = open_climate(on_pole(np.arange(-9.0, 10.0, 2.0), np.arange(-9.0, 10.0, 2.0), pole))
    fine = open_climate(archive(lat=np.arange(48.0, 52.0), lon=np.arange(176.0, 184.0)))
    assert covered(coarse, fine).share == 1.0


def test_a_grid_whose_cells_cannot_be_is_named_before_anything_is_fitted():
    broken = COARSE.copy(deep=True)
    broken["lat"][:, 4:7], broken["lon"][:, 4:7] = broken.lat[:, 3:4].values, broken.lon[:, 3:4].values
    assert any("coarse: the cell at y" in each and "has no area" in each for each in misfits(broken, COARSE))
