"""Plain fields with a mask: what C′ makes of it, and that a model keeps to it."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import xarray as xr

import subgrid
from subgrid.data.fields import DataError
from subgrid.downscaling.model import masks
from subgrid.downscaling.model.masks import masked_coarsening, rows_of, without_mask
from subgrid.numerics.operators import BlockMean, Subsample

from ...cases import few

FINE, COARSE = (8, 8), (4, 4)
LAND = np.ones(FINE, bool)
LAND[:3, :4] = False
TINY = {"channels": (8,), "n_blocks": 1, "patch": 2, "n_steps": 20, "steps_per_dispatch": 20, "batch_size": 8}


def fields(n: int, seed: int, bias: float = 0.0) -> np.ndarray:
    draw = np.random.default_rng(seed)
    y, x = np.meshgrid(*(np.arange(size) / size for size in FINE), indexing="ij")
    a, b = draw.normal(size=(2, n, 1, 1))
    return 280 + bias + a * np.cos(2 * np.pi * x) + b * np.sin(2 * np.pi * y) + 0.1 * draw.normal(size=(n, *FINE))


def array(values: np.ndarray) -> xr.DataArray:
    return xr.DataArray(values, dims=("time", "y", "x"), name="t", attrs={"units": "K"})


def test_block_means_are_those_of_the_points_with_values():
    operator, kept = masked_coarsening(BlockMean(FINE, 2), LAND, None, minimum_valid=0.5)
    x = fields(1, 0)[0]
    blocks = np.where(LAND, x, np.nan).reshape(4, 2, 4, 2)
    share = LAND.reshape(4, 2, 4, 2).mean((1, 3))
    np.testing.assert_array_equal(kept, share >= 0.5)
    np.testing.assert_allclose(
        operator(jnp.asarray(np.where(LAND, x, 1e3))), np.nanmean(blocks, (1, 3))[kept], rtol=1e-5
    )


def test_of_points_those_with_values_on_both_grids_are_kept():
    coarse = np.ones(COARSE, bool)
    coarse[3, 3] = False
    operator, kept = masked_coarsening(Subsample(FINE, 2), LAND, coarse, minimum_valid=0.5)
    np.testing.assert_array_equal(kept, LAND[::2, ::2] & coarse)
    x = np.arange(64.0).reshape(FINE)
    np.testing.assert_allclose(operator(jnp.asarray(x)), x[::2, ::2][kept])


@pytest.mark.parametrize("block", [2**22, 150])
def test_rows_are_those_of_the_operator_and_hold_nothing_but_them(block, monkeypatch):
    monkeypatch.setattr(masks, "VALUES_AT_ONCE", block)
    for operator in (BlockMean(FINE, 2), Subsample(FINE, 2)):
        rows = rows_of(operator)
        x = np.random.default_rng(0).normal(size=FINE)
        np.testing.assert_allclose(rows @ x.ravel(), np.ravel(operator(jnp.asarray(x))), atol=1e-6)
        assert rows.nnz == (64 if isinstance(operator, BlockMean) else 16)
    masked, _ = masked_coarsening(BlockMean(FINE, 2), LAND, None, minimum_valid=0.5)
    assert masked.matrix.nse == sum(n for n in LAND.reshape(4, 2, 4, 2).sum((1, 3)).ravel() if n >= 2)


def test_a_mask_is_the_same_at_all_times_or_none():
    values = np.where(LAND, fields(5, 0), np.nan)
    found = without_mask(array(values).expand_dims("channel"))
    np.testing.assert_array_equal(found.mask, LAND)
    assert np.isfinite(found.field.values).all()
    np.testing.assert_allclose(found.fill, np.nanmean(values), rtol=1e-6)
    values[2, 5, 5] = np.nan
    assert without_mask(array(values).expand_dims("channel")).mask is None


@pytest.mark.parametrize("prior", few(["conditional-flow", "conditional-diffusion", "network"]))
def test_members_have_the_mask_and_keep_to_the_debiased_field(tmp_path, prior):
    fine = array(np.where(LAND, fields(40, 1), np.nan))
    raw = fields(30, 2, bias=2.0).reshape(30, 4, 2, 4, 2).mean((2, 4))
    coarse = array(np.where(LAND.reshape(4, 2, 4, 2).any((1, 3)), raw, np.nan))
    options = {"operator": BlockMean(FINE, 2), "periodic": False, "prior": prior, "progress": False, "key": jr.key(0)}
    debias = {"debias": "quantile-mapping", "debias_options": {"n_quantiles": 20}}
    model = subgrid.fit(fine, coarse, folder=tmp_path / "m", **options, **debias, **TINY)
    ensemble = subgrid.downscale(coarse, model, n_members=2, progress=False, key=jr.key(1))
    np.testing.assert_array_equal(ensemble.t.notnull().all(("realization", "time")), LAND)
    np.testing.assert_array_equal(ensemble.t.notnull().any(("realization", "time")), LAND)
    kept = model.coarse.kept
    blocks = ensemble.t.values.reshape(2, 30, 4, 2, 4, 2)
    means = np.nanmean(np.where(kept[:, None, :, None], blocks, 0.0), (3, 5))[:, :, kept]
    wanted = model.coarse.debiaser.adjust(coarse.values[:, None][..., kept].astype(np.float32))[:, 0]
    np.testing.assert_allclose(means, np.broadcast_to(wanted, means.shape), atol=2e-3)  # float32 near 280
    assert abs(float(ensemble.t.mean()) - float(fine.mean())) < 0.2  # the bias of 2 is gone


@pytest.mark.slow
def test_a_point_that_the_model_needs_must_hold_a_value(tmp_path):
    fine, coarse = array(np.where(LAND, fields(40, 1), np.nan)), array(fields(30, 2)[:, ::2, ::2])
    settings = {"debias": "none", "prior": "network", "periodic": False, "progress": False, **TINY}
    model = subgrid.fit(fine, coarse, operator=2, folder=tmp_path / "m", key=jr.key(0), **settings)
    lost = coarse.copy()
    lost[:, 3, 3] = np.nan
    with pytest.raises(DataError, match=r"1 of the 12 cells .* position \[3, 3\]"):
        subgrid.downscale(lost, model, progress=False, key=jr.key(1))
