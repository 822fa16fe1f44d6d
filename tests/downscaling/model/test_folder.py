"""What `load` finds in folders of every kind: a model that draws the same bits, or one sentence with the fix."""

import json
import shutil
from dataclasses import replace as dataclasses_replace
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import xarray as xr

import subgrid
from subgrid.data.fields import DataError
from subgrid.data.normalise import Standardiser
from subgrid.data.store import write_zarr
from subgrid.data.variables import quantities
from subgrid.data.variables.quantities import Described
from subgrid.diffusion.gaussian_conditional import condition
from subgrid.diffusion.gaussian_prior import fit_gaussian_prior
from subgrid.downscaling.conditional.model import ConditionalModel, ConditionalSettings, save_conditional
from subgrid.downscaling.conditional.refinement import n_features
from subgrid.downscaling.debiasing.series import Fieldwise
from subgrid.downscaling.debiasing.static import NoDebiasing
from subgrid.downscaling.model.folder import PREPARATION, checkpoint_id, is_finished, save_preparation
from subgrid.downscaling.model.sides import CoarseSide, FineSide, Reading
from subgrid.downscaling.preparation.chain import Chain
from subgrid.downscaling.preparation.steps import Bounded, Transformed
from subgrid.downscaling.prior.model import Prior, PriorSettings, build_denoiser, build_network, save_prior
from subgrid.numerics.operators import Subsample

from ...cases import few
from ..climate_pair import COARSE, rain, temperature
from ..dated import downscale

N = 16
NETWORK = PriorSettings(1, (N,), channels=(4,), n_blocks=1, patch=2)
NEW = temperature(COARSE, seed=9, first=1995).merge(rain(COARSE, seed=9, first=1995)).isel(time=slice(3))


def complaint(folder: Path) -> str:
    with pytest.raises(DataError) as caught:
        subgrid.load(folder)
    said = str(caught.value)
    assert said.startswith(str(folder)) and "\n" not in said and said.endswith(".")
    return said


def plain_sides(folder: Path) -> None:
    described = Described("other", "plain fields", (None, None), "none")
    grid = xr.Dataset({"u": ((), np.float32(0))}, attrs={"space": ["x"]})
    reading = Reading(("u",), (described,), ("m",), dated=False)
    coarse = CoarseSide(reading, grid.drop_vars("u"), Chain(), Fieldwise(NoDebiasing()))
    save_preparation(folder, coarse, FineSide(grid, Chain(), Subsample((N,), 4)))


def parts(seed: int = 0):
    """A standardiser and a Gaussian of some fields."""
    fields = np.random.default_rng(seed).normal(size=(40, 1, N)).astype(np.float32)
    return Standardiser(jnp.asarray([0.5]), jnp.asarray([2.0])), fit_gaussian_prior(fields, 3)


def nonzero(network, seed: int):
    """Weights that are not the zeros that last layers begin with."""
    arrays, static = eqx.partition(network, eqx.is_inexact_array)
    leaves, tree = jax.tree.flatten(arrays)
    draw = np.random.default_rng(seed)
    drawn = jax.device_put([0.1 * draw.normal(size=x.shape).astype(x.dtype) for x in leaves])
    return eqx.combine(jax.tree.unflatten(tree, drawn), static)


def guided(folder: Path, seed: int = 0) -> None:
    standardiser, gaussian = parts(seed)
    denoiser = nonzero(build_denoiser(NETWORK, key=jr.key(seed)), seed)
    plain_sides(folder)
    save_prior(folder / "model", Prior(NETWORK, denoiser, standardiser, gaussian))


def conditional(folder: Path) -> None:
    standardiser, gaussian = parts()
    network = nonzero(build_network(NETWORK, n_features(1), key=jr.key(0)), 0)
    under = condition(gaussian, Subsample((N,), 4), (1, N // 4))
    plain_sides(folder)
    settings = ConditionalSettings("diffusion", NETWORK)
    save_conditional(folder / "model", ConditionalModel(settings, network, standardiser, under, under.spread))


def test_no_folder(tmp_path):
    assert "there is no such folder; make a model with `subgrid fit`" in complaint(tmp_path / "model")


def test_an_empty_folder(tmp_path):
    assert f"holds no model ({PREPARATION} is not there)" in complaint(tmp_path)


def test_a_file_in_place_of_a_folder(tmp_path):
    (tmp_path / "model.zarr").write_text("none", encoding="utf-8")
    assert "holds no model" in complaint(tmp_path / "model.zarr")


def old_climate(folder: Path) -> None:
    write_zarr(xr.Dataset(), folder / "domain.zarr")
    (folder / "model").mkdir()


def old_plain(folder: Path) -> None:
    (folder / "settings.json").write_text(json.dumps({"format": 3, "n_channels": 1}), encoding="utf-8")


def old_run(folder: Path) -> None:
    (folder / "model").mkdir()
    (folder / "model" / "settings.json").write_text(json.dumps({"format": 3}), encoding="utf-8")


def old_bridge(folder: Path) -> None:
    (folder / "model").mkdir()
    (folder / "model" / "bridge.json").write_text("{}", encoding="utf-8")


@pytest.mark.parametrize("make", [old_climate, old_plain, old_run, old_bridge])
def test_a_model_of_an_earlier_version(make, tmp_path):
    make(tmp_path)
    said = complaint(tmp_path)
    assert "holds a model of an earlier version" in said and "fit it anew with `subgrid fit` or `subgrid run`" in said


def test_an_unfinished_model(tmp_path):
    plain_sides(tmp_path)
    assert "its model is not finished; the call or command that began it goes on with it" in complaint(tmp_path)
    assert not is_finished(tmp_path)
    with pytest.raises(DataError, match="not finished"):
        checkpoint_id(tmp_path)


@pytest.mark.slow
def test_a_refined_prior_without_its_post_processing_is_unfinished(dated_model, tmp_path):
    shutil.copytree(dated_model.folder, tmp_path / "model")
    assert is_finished(tmp_path / "model")
    shutil.rmtree(tmp_path / "model" / "model" / "post_processing.zarr")
    assert "its model is not finished" in complaint(tmp_path / "model")


@pytest.mark.parametrize("make", few([conditional, guided]))
def test_a_model_of_plain_fields_draws_the_same_bits_after_it_was_found(make, tmp_path):
    make(tmp_path / "one")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    coarse = xr.DataArray(np.random.default_rng(1).normal(size=(3, N // 4)), dims=("time", "x"), name="u")
    options = {"n_members": 2, "n_levels": 8, "progress": False, "key": jr.key(0)}
    first, second = (subgrid.downscale(coarse, tmp_path / name, **options) for name in ("one", "two"))
    np.testing.assert_array_equal(first.u, second.u)
    assert np.isfinite(first.u).all() and first.attrs["checkpoint"] == second.attrs["checkpoint"]


def test_the_checkpoint_is_that_of_the_data_and_the_key_too(tmp_path):
    for seed, name in enumerate("abc"):
        guided(tmp_path / name)
        (tmp_path / name / "model" / "training.json").write_text(json.dumps({"key": seed // 2}), encoding="utf-8")
    ids = [checkpoint_id(tmp_path / name) for name in "abc"]
    assert ids[0] == ids[1] != ids[2] and all(len(each) == 16 for each in ids)


@pytest.mark.slow
def test_nothing_is_guessed_again_from_the_name_of_a_variable(dated_model, monkeypatch):
    """A table that has come to say otherwise changes no model: transforms and bounds are the model's own."""
    before = downscale(NEW, dated_model.folder)
    for name in ("temperature", "precipitation"):
        other = dataclasses_replace(quantities.QUANTITIES[name], transform="root", bounds=(0.0, 290.0))
        monkeypatch.setitem(quantities.QUANTITIES, name, other)
    found = subgrid.load(dated_model.folder)
    transforms, bounds = found.fine.chain.find(Transformed), found.fine.chain.find(Bounded)
    assert [type(each).__name__ for each in transforms.transforms.parts] == ["Unchanged", "CensoredRoot"]
    np.testing.assert_array_equal(bounds.highest, [np.inf, np.inf])
    assert found.coarse.debiaser.options["marginals"] is True  # which was not asked for: a default, kept
    after = downscale(NEW, found)
    for name in ("tas", "pr"):
        np.testing.assert_array_equal(after[name], before[name])
