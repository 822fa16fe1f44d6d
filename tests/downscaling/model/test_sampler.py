"""Fine fields for debiased targets: the mask, bounds and changes on the way back, in memory and from a folder."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import xarray as xr

from subgrid.data.fields import DataError
from subgrid.data.store import write_zarr
from subgrid.downscaling.model.draws import SamplingSettings
from subgrid.downscaling.model.model import Model
from subgrid.downscaling.model.sampler import Sampler, sample_targets
from subgrid.downscaling.preparation.climatology import ChangeSignal, fit_change_signal
from subgrid.downscaling.stored.part import load_part, save_part

from ..climate_pair import FINE, temperature, with_sea

SETTINGS = SamplingSettings(n_levels=4)
PHASE = np.linspace(0, 0.08, 20)


@pytest.fixture(scope="module")
def wet(dated_model) -> Model:
    """Of temperature and rain, without a network."""
    return dated_model


def targets_of(model: Model, n: int) -> np.ndarray:
    """Of days that it was fitted on."""
    source = model.coarse.debiaser.adjust(model.coarse.debiaser.source[:n])  # pyright: ignore[reportAttributeAccessIssue]
    return np.asarray(source)


def warmer_and_wetter() -> ChangeSignal:
    """3 K, and half as much again, everywhere."""
    first = np.full((30, 2, 12, 14), 4.0, np.float32)
    first[:, 0] = np.random.default_rng(0).normal(285, 1, (30, 12, 14))
    second = np.stack([first[:, 0] + 3, 1.5 * (first[:, 1] + 0.01) - 0.01], axis=1)  # of a ratio .01 mm/day is added
    phase = np.linspace(0, 0.08, 30)
    return fit_change_signal(first, phase, second, phase, kinds=["additive", "multiplicative"])


def test_rain_is_never_negative_and_the_sea_holds_nothing(wet):
    sampler = Sampler(wet.fine, wet.draws(SETTINGS))
    drawn = sampler(targets_of(wet, 20), PHASE, keys=jr.split(jr.key(5), (20, 2)))
    assert drawn.shape == (20, 2, 2, 12, 14)
    land = with_sea(temperature(FINE, seed=1)).tas.notnull().values[0]
    np.testing.assert_array_equal(np.isnan(drawn), np.broadcast_to(~land, drawn.shape))
    amount = drawn[:, :, 1, land]
    assert amount.min() == 0
    assert amount[amount > 0].min() >= 0.1  # dry, or at least the threshold of the transform


def test_a_change_is_put_back_where_it_was_taken(wet):
    draws, changed = wet.draws(SETTINGS), wet.fine.with_change(warmer_and_wetter())
    targets, keys = targets_of(wet, 3), jr.split(jr.key(6), (3, 2))
    now, later = (Sampler(fine, draws)(targets, PHASE[:3], keys=keys) for fine in (wet.fine, changed))
    land = wet.fine.mask
    np.testing.assert_allclose((later - now)[:, :, 0, land], 3, atol=1e-3)  # rounding at 285 K
    np.testing.assert_allclose(later[:, :, 1, land], 1.5 * now[:, :, 1, land], rtol=1e-3, atol=1e-6)


def test_a_change_knows_no_bounds_and_the_output_does(wet):
    """Rain of which 30 mm a day are taken away by an additive signal is none."""
    first = np.full((30, 2, 12, 14), 285.0, np.float32)
    phase = np.linspace(0, 0.08, 30)
    signal = fit_change_signal(first, phase, first - 30, phase, kinds=["additive", "additive"])
    drawn = wet.fine.with_change(signal).restore(np.zeros((3, 2, 12, 14), np.float32), PHASE[:3])
    assert (drawn[:, 1, wet.fine.mask] == 0).all()
    plain = wet.fine.restore(np.zeros((3, 2, 12, 14), np.float32), PHASE[:3])
    np.testing.assert_allclose((drawn - plain)[:, 0, wet.fine.mask], -30, atol=1e-3)


def test_a_fine_side_comes_back_from_disk_to_the_same_bits(wet, tmp_path):
    inner = np.random.default_rng(1).normal(size=(2, 2, 12, 14)).astype(np.float32)
    for side in (wet.fine, wet.fine.with_change(warmer_and_wetter())):
        save_part(tmp_path / "fine.zarr", side)
        found = load_part(tmp_path / "fine.zarr")
        assert found.names == ("tas", "pr")
        np.testing.assert_array_equal(found.mask, side.mask)
        given = jnp.asarray(inner[0])
        np.testing.assert_array_equal(found.operator(given), side.operator(given))
        np.testing.assert_array_equal(found.restore(inner, PHASE[:2]), side.restore(inner, PHASE[:2]))


def test_the_sampler_of_a_folder_is_that_of_its_model(wet, tmp_path):
    """By the model's own way back, and by another that lies beside the targets."""
    targets, keys = targets_of(wet, 5), jr.split(jr.key(7), (2, 3))
    changed = wet.fine.with_change(warmer_and_wetter())
    save_part(tmp_path / "fine.zarr", changed)
    stored = xr.Dataset({"target": (("sample", "channel", "kept"), targets), "phase": ("sample", PHASE[:5])})
    write_zarr(stored.assign_coords(time=("sample", np.arange(5))), tmp_path / "targets.zarr")
    for path, fine in ((None, wet.fine), (str(tmp_path / "fine.zarr"), changed)):
        draw = sample_targets(
            folder=str(wet.folder), targets=str(tmp_path / "targets.zarr"), fine=path, sampling={"n_levels": 4}
        )
        found, told = draw(np.array([1, 4]), np.arange(3), keys=keys)
        assert told == {}  # by a refined Gaussian
        assert found.shape == (2, 3, 2, 12, 14) and found.dtype == np.float32
        expected = Sampler(fine, wet.draws(SETTINGS))(targets[[1, 4]], PHASE[[1, 4]], keys=keys)
        np.testing.assert_array_equal(found, expected)
        again, _ = draw(np.array([4]), np.arange(1, 3), keys=keys[1:, 1:])
        # The same draws; only the way back from anomalies sees another number of days.
        np.testing.assert_allclose(again[0], found[1, 1:], rtol=1e-6)


def test_targets_that_are_no_numbers_are_placed(wet, tmp_path):
    targets = targets_of(wet, 2).copy()
    targets[1] = np.nan
    stored = xr.Dataset({"target": (("sample", "channel", "kept"), targets), "phase": ("sample", PHASE[:2])})
    write_zarr(stored.assign_coords(time=("sample", np.arange(2))), tmp_path / "targets.zarr")
    draw = sample_targets(folder=str(wet.folder), targets=str(tmp_path / "targets.zarr"))
    with pytest.raises(DataError, match=r"the sampled tas is no number \(nan\) at time = 1, lat = "):
        draw(np.arange(2), np.arange(1), keys=jr.split(jr.key(0), (2, 1)))
