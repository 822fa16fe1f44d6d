"""Units as a reader expects them."""

import pytest

from subgrid.report import style


@pytest.mark.parametrize(("units", "text"), [("K", "K"), ("mm day-1", "mm day⁻¹"), ("m2 s-2", "m² s⁻²"), ("1", "1")])
def test_exponents_are_raised(units, text):
    assert style.raised(units) == text


def test_variances_have_squared_units():
    assert style.with_units("power", style.squared("K")) == "power [K²]"
    assert style.with_units("power", style.squared("mm day-1")) == "power [(mm day⁻¹)²]"
    assert style.with_units("share", "1") == "share"


@pytest.mark.parametrize("columns", [2, 3])
def test_a_legend_of_long_names_stays_in_the_figure(columns):
    with style.context():
        figure = style.tile(3.2)
        axes = figure.subplots()
        for i in range(12):
            axes.plot([0, 1], [1, 10 + i], label=f"a method with a name as long as others {i}")
        axes.set(ylabel="energy")
        style.legend_above(axes, columns=columns)
        figure.canvas.draw()
        assert axes.get_legend().get_window_extent().x1 <= figure.bbox.x1
