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
