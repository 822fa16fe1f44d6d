"""One map: its shape, and the coasts on it."""

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from subgrid.experiments.climate.figures import maps
from subgrid.experiments.climate.figures.maps import Frame, draw_map
from subgrid.report import style

from .synthetic import FRAME, LAT, LON, MASK


def test_maps_are_stretched_by_latitude_and_cover_the_mask():
    axes = Figure().add_subplot()
    draw_map(axes, np.zeros((6, 8)), Frame(LAT + 60 - 38.5, LON, MASK), cmap="cividis", norm=style.symmetric(1))
    # Cells reach from 57.5 to 62.5 degrees: 1/cos 60° = 2.
    assert axes.get_aspect() == pytest.approx(2)
    assert axes.get_xlim() == (-8.5, -4)


def test_coasts_replace_the_outline_of_the_mask_where_there_are_any(monkeypatch):
    outline = Figure().add_subplot()
    draw_map(outline, np.zeros((6, 8)), FRAME, cmap="cividis", norm=style.symmetric(1))
    assert len(outline.collections) == 2
    coast = np.array([[-8.0, 36.0], [-6.0, 39.0]])
    monkeypatch.setattr(maps, "coastlines", lambda: (coast,))
    axes = Figure().add_subplot()
    draw_map(axes, np.zeros((6, 8)), FRAME, cmap="cividis", norm=style.symmetric(1))
    (lines,) = [child for child in axes.collections if isinstance(child, LineCollection)]
    np.testing.assert_array_equal(lines.get_segments()[0], coast)
    assert len(axes.collections) == 2
