"""Whether two archives fit: boxes worked out by hand."""

import numpy as np
import pytest
import xarray as xr

from subgrid.data.canonical import open_climate
from subgrid.data.fields import DataError
from subgrid.data.inspection.together import check_together, misfits, overlap, summarise_grid

from ..climate_files import archive, rotated_archive


def on(lat, lon, variable="tas", **options) -> xr.Dataset:
    return open_climate(archive(variable, lat=np.asarray(lat, float), lon=np.asarray(lon, float), **options))


COARSE = on([30, 32, 34, 36], [0, 2, 4, 6])
FINE = on(np.arange(31, 35, 0.5), np.arange(1, 5, 0.5))


def test_what_fits():
    check_together(COARSE, FINE)
    assert misfits(COARSE, FINE) == []


def test_summary_of_a_regular_grid():
    grid = summarise_grid(COARSE)
    assert (grid.kind, grid.shape) == ("regular", (4, 4))
    assert (grid.south, grid.north, grid.west, grid.east) == (29, 37, -1, 7)
    np.testing.assert_allclose(grid.spacing, (2.0, 2.0))
    # Two degrees along a meridian and along the parallels of 30 to 36 degrees, on a sphere of 6371 km.
    arc = np.deg2rad(2) * 6371
    assert grid.spacing_km == pytest.approx(arc * np.sqrt(np.cos(np.deg2rad([30, 32, 34, 36])).mean()), rel=1e-4)
    assert grid.resolution == "2 degrees"


def test_summary_of_a_rotated_grid():
    grid = summarise_grid(open_climate(rotated_archive()))
    assert (grid.kind, grid.shape) == ("rotated", (5, 7))
    # Near the equator of the rotated pole both steps are half a degree of a great circle.
    np.testing.assert_allclose(grid.spacing, (0.5, 0.5), rtol=1e-3)


@pytest.mark.parametrize(
    ("lon", "expected"),
    [
        (np.arange(1, 5, 0.5), 1.0),
        (np.arange(6.0, 8.0, 0.5), 1.25 / 2),  # cells from 5.75 to 7.75, of which 1.25 degrees inside 7
        (np.arange(10, 12, 0.5), 0.0),
    ],
)
def test_overlap_of_boxes(lon, expected):
    assert overlap(summarise_grid(COARSE), summarise_grid(on([32, 32.5, 33], lon))) == pytest.approx(expected)


def test_overlap_across_the_date_line():
    world = on(np.arange(-80, 81, 20), np.arange(0, 360, 20))
    pacific = on(np.arange(0, 10, 1), np.arange(175, 186, 1))
    assert overlap(summarise_grid(world), summarise_grid(pacific)) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("coarse", "fine", "message"),
    [
        (COARSE, on([60, 60.5, 61], [1, 1.5, 2]), "c.nc covers 29.0 to 37.0 N.*they do not overlap; choose"),
        (FINE, COARSE, r"c\.nc \(0\.5 degrees\) is finer than f\.nc \(2 degrees\); swap the two"),
        (COARSE, FINE.rename(tas="tg"), "c.nc holds tas and f.nc tg: no variable has the same name.*tas = 'tg'"),
        (COARSE, FINE.isel(time=[2, 3]), "c.nc covers DJF?|c.nc covers .* some have no fine reference"),
    ],
)
def test_what_does_not_fit(coarse, fine, message):
    with pytest.raises(DataError, match=message):
        check_together(coarse, fine, coarse_name="c.nc", fine_name="f.nc")


def test_the_names_of_an_example_are_those_of_the_files():
    wet, dry = (on([31, 32, 33], [0, 2, 4], "pr").rename(pr=name) for name in ("pr", "tp"))
    (said,) = misfits(wet, dry, coarse_name="c.nc", fine_name="f.nc")
    assert "variables = {pr = 'tp'}" in said and "--variable pr=tp" in said
    # Of several, those that are taken for the same thing.
    both = wet.assign(tas=on([31, 32, 33], [0, 2, 4]).tas)
    assert "{pr = 'tp'}" in misfits(both, dry)[0] and "{tas = 'tg'}" in misfits(both, COARSE.rename(tas="tg"))[-1]
    # Temperature is no other name of rain.
    assert "choose files of one variable" in misfits(COARSE, dry)[-1] and " = '" not in misfits(COARSE, dry)[-1]


def test_units_that_differ():
    humid = [COARSE.rename(tas="hurs"), FINE.rename(tas="hurs")]
    for dataset, unit in zip(humid, ("%", "1"), strict=True):
        dataset["hurs"] = dataset.hurs.assign_attrs(units=unit)
    assert misfits(*humid) == [
        "hurs is in '%' in coarse and in '1' in fine; convert one and set its attribute 'units'."
    ]
