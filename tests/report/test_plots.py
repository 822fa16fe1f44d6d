"""What the pictures of an ensemble draw, against numbers that are known."""

import matplotlib
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib import pyplot
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from subgrid.data.fields import DataError
from subgrid.report import plots

matplotlib.use("Agg")
TIMES, LAT, LON = pd.date_range("2003-06-01", periods=80), np.linspace(36, 40, 5), np.linspace(-9, -3, 7)
SHAPE = (TIMES.size, 9, LAT.size, LON.size)


@pytest.fixture(autouse=True)
def _no_figures_left():
    yield
    pyplot.close("all")


def pair(spread=1.0, bias=0.0):
    """An ensemble of 8 (realization, time, lat, lon), and a truth that is one more draw, moved against the members."""
    drawn = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    land = np.ones(SHAPE[2:], bool)
    land[0, :3] = False
    drawn[..., ~land] = np.nan
    members = np.swapaxes(spread * drawn[:, 1:], 0, 1) + bias
    place = {"time": TIMES, "lat": LAT, "lon": LON}
    attributes = {"units": "K", "subgrid_quantity": "temperature difference"}  # about 0
    ensemble = xr.Dataset({"tas": (("realization", "time", "lat", "lon"), members, attributes)}, place)
    return ensemble, xr.Dataset({"tas": (("time", "lat", "lon"), drawn[:, 0], attributes)}, place)


def mesh_of(axes):
    return next(c for c in axes.collections if hasattr(c, "get_coordinates"))


def test_members_mean_and_spread_are_those_of_the_date_on_common_colours():
    ensemble, _ = pair()
    panels = plots.members(ensemble, sample="2003-06-11", n_members=2)
    day = ensemble.tas.isel(time=10)
    wanted = [day[0], day[1], day.mean("realization"), day.std("realization", ddof=1)]
    for panel, field in zip(panels, wanted, strict=True):
        np.testing.assert_allclose(np.ma.filled(mesh_of(panel).get_array(), np.nan), field, rtol=1e-5, atol=1e-6)
    assert len({mesh_of(panel).get_clim() for panel in panels[:3]}) == 1
    assert mesh_of(panels[3]).get_clim()[0] == 0
    assert "2003-06-11" in panels[0].get_title(loc="left") and "8 members" in panels[2].get_title(loc="left")
    labels = [a.get_xlabel() for a in panels[0].figure.axes]
    assert "tas [K]" in labels and "standard deviation [K]" in labels


def test_a_map_of_the_bias_shows_the_bias_with_its_unit():
    ensemble, reference = pair(bias=2.0)
    axes = plots.score_map(ensemble, reference, score="bias")
    wanted = (ensemble.tas.mean("realization") - reference.tas).mean("time")
    np.testing.assert_allclose(np.ma.filled(mesh_of(axes).get_array(), np.nan), wanted, rtol=1e-4)
    low, high = mesh_of(axes).get_clim()
    assert low == -high  # white is no bias
    # The three cells of the sea lie in a corner: three edges above them and one beside.
    (outline,) = [c for c in axes.collections if isinstance(c, LineCollection)]
    assert len(outline.get_segments()) == 4
    assert [a.get_xlabel() for a in axes.figure.axes][-1] == "bias of tas [K]"
    assert "80 samples" in axes.get_title(loc="left")


def test_a_map_of_spread_over_skill_is_one_where_the_ensemble_is_reliable():
    ensemble, reference = pair()
    values = np.ma.compressed(mesh_of(plots.score_map(ensemble, reference, score="spread/skill")).get_array())
    # 80 samples a cell: 1/sqrt(160) = 8 % each, 32 cells.
    assert values.size == 32 and values.mean() == pytest.approx(1, abs=0.04)


def test_ranks_are_counted_for_all_cells_and_are_shown_with_their_test():
    ensemble, reference = pair()
    axes = plots.reliability(ensemble, reference, axes=Figure().subplots())
    heights = [bar.get_height() for bar in axes.patches if hasattr(bar, "get_height") and bar.get_width() < 0.9]
    assert len(heights) == 9 and sum(heights) == pytest.approx(80 * 32, abs=9)  # each rounded
    assert "p = " in axes.get_title(loc="left")
    biased = plots.reliability(*pair(bias=-1.0))
    assert "p < .001" in biased.get_title(loc="left")


def test_spread_against_error_lies_as_far_above_the_diagonal_as_the_spread_is_too_small():
    ensemble, reference = pair(spread=0.5)
    axes = plots.reliability(ensemble, reference, kind="spread")
    (curve,) = [line for line in axes.get_lines() if line.get_label() == "ensemble"]
    spread, error = np.asarray(curve.get_data())
    # The signal is 0: the error of the mean of 8 is sqrt(1 + 1/32), whatever the spread; 256 entries a bin.
    np.testing.assert_allclose(error, np.sqrt(1 + 1 / 32), atol=4 / np.sqrt(2 * 256))
    assert np.sqrt(np.mean(spread**2)) == pytest.approx(0.5 * np.sqrt(9 / 8), rel=0.03)
    assert np.all(np.diff(spread) > 0)


def test_fields_on_a_line_are_lines():
    ensemble, reference = pair()
    line, truth = (each.tas.isel(lat=2, drop=True) for each in (ensemble, reference))
    axes, below = plots.members(line.drop_vars("lon"), sample=3, n_members=2)
    spread = line.isel(time=3).std("realization", ddof=1)
    np.testing.assert_allclose(below.get_lines()[0].get_ydata(), spread, rtol=1e-5)
    (mean,) = [each for each in axes.get_lines() if str(each.get_label()).startswith("mean of 8")]
    np.testing.assert_allclose(mean.get_ydata(), line.isel(time=3).mean("realization"), rtol=1e-5)
    assert axes.get_ylabel() == "tas [K]"
    curve = plots.score_map(line, truth, score="MAE").get_lines()[0]
    wanted = np.abs(line.mean("realization") - truth).mean("time")
    np.testing.assert_allclose(curve.get_ydata(), wanted, rtol=1e-4)


def test_axes_that_are_given_are_drawn_on():
    ensemble, reference = pair()
    figure = Figure()
    given = list(figure.subplots(1, 3))
    assert plots.members(ensemble, axes=given) == given
    with pytest.raises(ValueError, match="needs 3 axes, got 2"):
        plots.members(ensemble, axes=given[:2])
    own = Figure().subplots()
    assert plots.score_map(ensemble, reference, axes=own) is own


def test_a_curvilinear_grid_and_turned_axes_keep_north_up():
    ensemble, _ = pair()
    turned = ensemble.transpose("realization", "time", "lon", "lat")
    for panel, wanted in zip(plots.members(turned), plots.members(ensemble), strict=True):
        np.testing.assert_allclose(
            np.ma.filled(mesh_of(panel).get_array(), 9), np.ma.filled(mesh_of(wanted).get_array(), 9)
        )
    lat, lon = np.meshgrid(LAT, LON, indexing="ij")
    rotated = xr.Dataset(
        {"tas": (("realization", "time", "y", "x"), ensemble.tas.values, {"units": "K"})},
        {"time": TIMES, "lat": (("y", "x"), lat + 0.1 * lon), "lon": (("y", "x"), lon - 0.1 * lat)},
    )
    corners = mesh_of(plots.members(rotated)[0]).get_coordinates()
    middle = corners[:-1, :-1] + corners[1:, 1:] + corners[:-1, 1:] + corners[1:, :-1]
    np.testing.assert_allclose(middle[..., 1] / 4, lat + 0.1 * lon, atol=1e-9)


def test_what_cannot_be_drawn_is_said():
    ensemble, reference = pair()
    with pytest.raises(DataError, match=r"no sample of '2050'; it has dates from 2003-06-01 to 2003-08-19"):
        plots.members(ensemble, sample="2050")
    other = reference.assign_coords(time=TIMES + pd.Timedelta(days=4000))
    with pytest.raises(DataError, match="share no samples"):
        plots.score_map(ensemble, other)
