"""The two sides of a model: what they refuse, what they find, and where a change of climate is put back."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from subgrid.data.fields import DataError
from subgrid.data.variables.quantities import describe_name
from subgrid.downscaling.debiasing.series import Fieldwise
from subgrid.downscaling.debiasing.static import NoDebiasing
from subgrid.downscaling.model.sides import CoarseClimate, CoarseSide, FineSide, Reading, grid_of_fields, place_of_cell
from subgrid.downscaling.preparation.chain import Chain
from subgrid.downscaling.preparation.climatology import ChangeSignal, Climatology, fit_climatology
from subgrid.downscaling.preparation.pairing import fit_member_climates
from subgrid.downscaling.preparation.series import Series
from subgrid.downscaling.preparation.steps import Anomaly, Bounded, Cells, Masked, Transformed
from subgrid.downscaling.preparation.transforms import CensoredRoot, ChannelTransforms, Unchanged
from subgrid.numerics.operators import Subsample

SPACE = (2, 3)
MASK = np.array([[True, True, False], [True, True, True]])
PHASE = np.array([0.0, 0.25, 0.6])
TRANSFORMS = ChannelTransforms((Unchanged(), CensoredRoot()))
GRID = xr.Dataset(
    {name: ((), np.float32(0)) for name in ("tas", "pr")},
    {"lat": [40.0, 40.5], "lon": [1.0, 1.5, 2.0]},
    {"space": ["lat", "lon"]},
)


def constant(*values: float) -> Climatology:
    """The same all year and everywhere, a value a channel."""
    return Climatology(jnp.broadcast_to(jnp.asarray([values], jnp.float32)[..., None, None], (1, len(values), *SPACE)))


def fine_side() -> FineSide:
    bounds = Bounded(np.float32([-np.inf, 0]), np.float32([300, np.inf]))
    steps = bounds, Transformed(TRANSFORMS), Anomaly(constant(280.0, 1.5)), Masked(MASK)
    return FineSide(GRID, Chain(steps), Subsample(SPACE, 1))


def test_a_change_is_put_back_on_fields_as_files_have_them_before_bounds_are_kept():
    """x = min(z + 280 + 4, 300) for temperature, x = r (z + 1.5)² for rain, r = (6 + .01)/(3 + .01), dry stays dry."""
    side = fine_side().with_change(ChangeSignal(constant(0, 3.0), constant(4, 6.0), ("additive", "multiplicative")))
    z = np.zeros((3, 2, *SPACE), np.float32)
    z[:, 0] = np.float32([1.0, -7.0, 30.0])[:, None, None]
    z[:, 1] = np.float32([0.5, -1.4, 2.5])[:, None, None]
    found = side.restore(z, PHASE)
    assert np.isnan(found[:, :, ~MASK]).all()
    np.testing.assert_allclose(found[:, 0, 0, 0], [285.0, 277.0, 300.0], rtol=1e-6)
    np.testing.assert_allclose(found[:, 1, 0, 0], np.array([4.0, 0.0, 16.0]) * 6.01 / 3.01, rtol=1e-5)


def test_a_side_without_the_change_is_what_it_was():
    side, z = fine_side(), np.ones((3, 2, *SPACE), np.float32)
    changed = side.with_change(ChangeSignal(constant(0, 1), constant(9, 2), ("additive", "multiplicative")))
    np.testing.assert_allclose(side.restore(z, PHASE)[:, 0, 0, 0], 281.0)
    np.testing.assert_allclose(changed.restore(z, PHASE)[:, 0, 0, 0], 290.0)
    assert changed.mask is side.mask and changed.operator is side.operator


def test_a_change_on_its_way_in_and_out_is_none():
    signal = ChangeSignal(constant(270, 3.0), constant(274, 6.0), ("additive", "multiplicative"))
    side = fine_side().with_change(signal)
    x = np.full((3, 2, *SPACE), np.float32(1), np.float32) * np.float32([285, 4])[:, None, None]
    np.testing.assert_allclose(side.restore(side.chain.forward(x, PHASE), PHASE), np.where(MASK, x, np.nan), rtol=1e-5)


def test_what_is_known_of_a_fine_side():
    side = fine_side()
    assert side.names == ("tas", "pr") and side.space == SPACE
    np.testing.assert_array_equal(side.mask, MASK)
    assert replace(side, chain=Chain()).mask.all()


def coarse_side(values: np.ndarray, *, members: Series | None = None) -> CoarseSide:
    """Of cells of the mask, without debiasing; its climate is that of some values."""
    reading = Reading(("tas", "pr"), (describe_name("tas"), describe_name("pr")))
    phase = np.linspace(0, 0.99, len(values))
    climate = CoarseClimate(
        fit_climatology(values, phase, n_harmonics=1),
        None if members is None else fit_member_climates(members, n_harmonics=1),
    )
    return CoarseSide(reading, GRID, Chain((Cells(MASK),)), Fieldwise(NoDebiasing()), climate)


def series(values: np.ndarray, member: np.ndarray | None = None, labels: tuple[str, ...] | None = None) -> Series:
    n = len(values)
    phase = np.linspace(0, 0.99, n)
    return Series(values, phase, np.full(n, 2000), np.arange(n), np.zeros(n, int) if member is None else member, labels)


def level(*values: float, n: int = 40) -> np.ndarray:
    return np.broadcast_to(np.float32(values)[:, None, None], (n, len(values), *SPACE)).copy()


def test_targets_are_of_the_cells_that_the_model_was_trained_with():
    values = np.random.default_rng(0).normal(size=(4, 2, *SPACE)).astype(np.float32)
    np.testing.assert_array_equal(coarse_side(values).targets(series(values)), values[:, :, MASK])


def test_cells_without_a_value_are_named():
    side, values = coarse_side(level(280, 2)), level(280, 2, n=3)
    values[:, :, ~MASK] = np.nan  # which does not matter
    side.targets(series(values))
    values[1, 1, 1, 2] = np.nan
    with pytest.raises(DataError, match=r"coarse: 1 of the 5 cells .* hold no value, the first at lat = 40.5, lon = 2"):
        side.targets(series(values))


def test_the_change_is_the_difference_of_temperatures_and_the_ratio_of_rain():
    found = coarse_side(level(280, 2)).change_to(series(level(283, 3)))
    assert found.kinds == ("additive", "multiplicative")
    np.testing.assert_allclose(found.difference(jnp.asarray([0.3]))[0, 0], 3.0, atol=1e-4)
    np.testing.assert_allclose(found.ratio(jnp.asarray([0.3]))[0, 1], 3.01 / 2.01, rtol=1e-5)


def test_a_change_is_that_of_the_members_that_both_have():
    """Member b is 10 K warmer than a in both periods; the scenario has b alone, a degree warmer than before."""
    both, member = np.concatenate([level(280, 2), level(290, 2)]), np.repeat([0, 1], 40)
    side = coarse_side(both, members=series(both, member, ("a", "b")))
    later = series(level(291, 2), labels=("b",))
    np.testing.assert_allclose(side.change_to(later).difference(jnp.asarray([0.5]))[0, 0], 1.0, atol=1e-3)
    assert "of the member b in both periods; a of the history has no partner" in (side.pairing_to(later) or "")
    unknown = series(level(291, 2), labels=("c",))
    # Without a partner between the means of all; over the phases of the history its climate has its mean, 285 K.
    change = side.change_to(unknown).difference(jnp.linspace(0, 0.99, 80)).mean(0)
    np.testing.assert_allclose(change[0], 6.0, atol=1e-3)


def test_fields_without_dates_have_no_change():
    side = replace(coarse_side(level(280, 2)), climate=None)
    with pytest.raises(DataError, match="knows no dates"):
        side.change_to(series(level(281, 2)))
    assert side.pairing_to(series(level(281, 2))) is None


def test_places_of_cells():
    curvilinear = xr.Dataset(
        coords={"lat": (("y", "x"), [[1.0, 2.0], [3.0, 4.0]]), "lon": (("y", "x"), [[5.0, 6.0], [7.0, 8.25]])},
        attrs={"space": ["y", "x"]},
    )
    assert place_of_cell(GRID, (1, 2)) == "lat = 40.5, lon = 2"
    assert place_of_cell(curvilinear, (1, 1)) == "lat = 4, lon = 8.25"
    assert place_of_cell(xr.Dataset(coords={"x": [0.0, 0.5]}, attrs={"space": ["x"]}), (1,)) == "x = 0.5"
    assert place_of_cell(xr.Dataset(attrs={"space": ["y", "x"]}), np.array([1, 0])) == "position [1, 0]"


def test_the_grid_of_fields_is_theirs_without_samples():
    fields = xr.Dataset(
        {"u": (("realization", "time", "x"), np.zeros((2, 3, 4)), {"units": "m"})},
        {"x": ("x", np.arange(4.0), {"units": "km"}), "time": np.arange(3), "realization": [0, 1], "z": 2.0},
        {"title": "waves"},
    )
    grid = grid_of_fields(fields, ("u",))
    assert set(grid.coords) == {"x", "z"} and grid.attrs == {"title": "waves", "space": ["x"]}
    assert grid["u"].attrs == {"units": "m"} and grid["u"].ndim == 0 and grid["x"].attrs == {"units": "km"}


def test_the_grid_of_fields_names_no_bounds_that_it_lacks():
    fields = xr.Dataset(
        {"u": (("time", "lat"), np.zeros((2, 2)))}, {"lat": ("lat", [40.0, 41.0], {"bounds": "lat_bnds"})}
    ).assign_coords(lat_bnds=(("lat", "bnds"), np.array([[39.5, 40.5], [40.5, 41.5]])))
    assert "bounds" not in grid_of_fields(fields, ("u",)).lat.attrs
    assert fields.lat.attrs["bounds"] == "lat_bnds"  # that of the archive stays as it is
