"""Sheets of maps: the numbers that are drawn, and the scales they share."""

import numpy as np
import pytest
from matplotlib.collections import QuadMesh

from subgrid.experiments.climate.figures.maps import readable_limit
from subgrid.experiments.climate.figures.sheets import change_sheet, distance_sheet, stamp_sheet, statistic_sheet
from subgrid.report import style

from .synthetic import FRAME, MASK, land


def meshes(figure):
    """The maps of a figure by title, its colour bars left out."""
    return {
        panel.get_title(loc="left"): child.get_array().reshape(MASK.shape)
        for panel in figure.axes
        for child in panel.get_children()
        if isinstance(child, QuadMesh) and panel.get_title(loc="left")
    }


def test_a_map_of_differences_holds_the_differences():
    reference = land(np.arange(48.0).reshape(6, 8))
    maps = {"reference": reference, "raw": reference + 1, "generated": reference - 0.25, "floor": reference + 0.5}
    with style.context():
        figure = statistic_sheet(FRAME, maps, label="mean", units="K", precipitation=False)
    drawn = meshes(figure)
    for title, value in (("raw", 1), ("generated", -0.25), ("noise floor", 0.5)):
        np.testing.assert_allclose(drawn[f"{title} − reference"].compressed(), value)
    np.testing.assert_array_equal(drawn["generated"].compressed(), (reference - 0.25)[MASK])
    np.testing.assert_array_equal(drawn["raw"].mask, ~MASK)
    labels = [panel.get_xlabel() for panel in figure.axes]
    assert "mean [K]" in labels and "difference [K]" in labels


def test_raw_fields_may_exceed_the_common_scale_and_an_arrow_says_so():
    near, far = np.full((6, 8), 0.2), np.full((6, 8), 5.0)
    # 1.5 times the 98 % quantile of what is not raw; the largest value where that is less; one where all is zero.
    assert readable_limit({"raw": far, "generated": near}) == pytest.approx(0.3)
    assert readable_limit({"raw": 0.25 * np.ones(4), "generated": near}) == pytest.approx(0.25)
    assert readable_limit({"raw": np.zeros(3), "generated": np.zeros(3)}) == 1.0
    with style.context():
        figure = distance_sheet(FRAME, {"raw": land(far), "generated": land(near)}, label="W1", units="K")
    (bar,) = [panel for panel in figure.axes if panel.get_xlabel() == "W1 [K]"]
    assert bar._colorbar.extend == "max"
    assert bar._colorbar.norm.vmax == pytest.approx(0.3)


def test_stamps_share_a_scale_and_the_spread_has_its_own():
    day = {"truth": land(np.full((6, 8), 2.0)), "member 1": land(np.full((6, 8), -3.0))}
    with style.context():
        figure = stamp_sheet(FRAME, day, land(np.full((6, 8), 0.5)), label="tas", units="K", precipitation=False)
    found = {panel.get_title(loc="left"): panel.collections[0].get_clim() for panel in figure.axes if panel.collections}
    assert found["truth"] == found["member 1"] == (-3, 3)
    assert found["spread"] == (0, 0.5)


def test_the_change_is_drawn_beside_what_was_asked_for():
    given, found = land(np.full((6, 8), 3.0)), land(np.full((6, 8), 3.5))
    with style.context():
        drawn = meshes(change_sheet(FRAME, given, found, units="K", precipitation=False))
    np.testing.assert_allclose(drawn["output − input"].compressed(), 0.5)
    np.testing.assert_allclose(drawn["input"].compressed(), 3)
