"""Models of plain arrays through fit, load and downscale: what comes back is named, located and constrained."""

import io
import shutil
from contextlib import redirect_stderr
from dataclasses import fields, replace

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import xarray as xr
from scipy import sparse
from scipy.sparse import csr_array

import subgrid
from subgrid.data.fields import DataError, samples_of
from subgrid.data.store import OutputExists
from subgrid.downscaling.conditional.model import ConditionalModel
from subgrid.downscaling.debiasing.series import Fieldwise
from subgrid.downscaling.debiasing.static import NoDebiasing
from subgrid.downscaling.model import large
from subgrid.downscaling.model.model import Model
from subgrid.downscaling.model.networks import NetworkFit
from subgrid.downscaling.model.plain import open_plain_pair, plain_sides
from subgrid.downscaling.model.settings import FitSettings
from subgrid.downscaling.prior.model import Prior
from subgrid.execution.runners import run
from subgrid.functional.function_diffusion import FunctionDiffusion
from subgrid.numerics.operators import BlockMean, SparseCoarsening, Subsample

from ...cases import few
from ...diffusion.gaussian_fields import matrix_of, posterior, ring
from ..plain_waves import waves
from .gaussian_models import network_model

FINE, FACTOR = 32, 4
TINY = {
    "channels": (8,), "n_blocks": 1, "patch": 2, "n_steps": 10, "steps_per_dispatch": 10, "batch_size": 8,
    "progress": False,
}  # fmt: skip
QUICK = {**TINY, "channels": [8], "debias": "none"}  # a list, as JSON and people write one
PLANE = {**QUICK, "prior": "conditional-flow"}  # of all priors the one that is compiled most quickly


def surfaces(shape: tuple[int, int], n: int, seed: int, *, middles: bool = False) -> xr.DataArray:
    """Fields that fall towards one corner of the unit square, which do not wrap around; values at points or middles."""
    draw, half = np.random.default_rng(seed), 0.5 if middles else 0.0
    y, x = ((np.arange(m) + half) / m for m in shape)
    slopes, noise = draw.normal(3, 0.3, (2, n, 1, 1)), 0.02 * draw.normal(size=(n, *shape))
    values = slopes[0] * y[:, None] + slopes[1] * x + noise
    return xr.DataArray(values.astype(np.float32), {"y": y, "x": x}, ("sample", "y", "x"), "h", {"units": "km"})


@pytest.fixture(scope="module")
def fine():
    return waves(FINE, 8, 6, seed=0, noise=0.2)


@pytest.fixture(scope="module")
def coarse():
    return waves(FINE // FACTOR, 5, 4, seed=1, bias=0.4)


@pytest.fixture(scope="module")
def model(fine, coarse, tmp_path_factory):
    kept = fine.copy(deep=True), coarse.copy(deep=True)
    options = {"debias_options": {"corrections": ()}, "key": jr.key(0), **TINY}
    made = subgrid.fit(fine, coarse, folder=tmp_path_factory.mktemp("plain") / "model", **options)
    for before, after in zip(kept, (fine, coarse), strict=True):
        xr.testing.assert_identical(before, after)
    return made


@pytest.fixture(scope="module")
def ensemble(coarse, model):
    kept = coarse.copy(deep=True)
    result = subgrid.downscale(coarse, model, n_members=3, key=jr.key(2), progress=False)
    xr.testing.assert_identical(coarse, kept)
    return result


@pytest.fixture(scope="module")
def plane(tmp_path_factory):
    """A model of fields that do not wrap around, by coordinates of points, and what its fit said."""
    with redirect_stderr(io.StringIO()) as said:
        options = {**PLANE, "progress": True, "folder": tmp_path_factory.mktemp("plane") / "m", "key": jr.key(0)}
        made = subgrid.fit(surfaces((8, 12), 20, 0), surfaces((4, 6), 20, 1), **options)
    return made, said.getvalue()


def downscaled(coarse, model, **options) -> xr.Dataset:
    return subgrid.downscale(coarse, model, **{"n_members": 2, "progress": False, "key": jr.key(2), **options})


def test_dimensions_are_members_then_samples_then_fine_space(ensemble):
    assert ensemble.u.dims == ("realization", "trajectory", "time", "x")
    assert dict(ensemble.sizes) == {"realization": 3, "trajectory": 5, "time": 4, "x": FINE}


def test_name_attributes_and_coordinates_come_back(ensemble, coarse, fine):
    assert list(ensemble.data_vars) == ["u"]
    assert ensemble.u.attrs == coarse.attrs
    np.testing.assert_array_equal(ensemble.time, coarse.time)
    assert ensemble.time.attrs == {"units": "hours"} and ensemble.height == 2.0
    np.testing.assert_array_equal(ensemble.x, fine.x)
    assert ensemble.x.attrs == {"units": "m"}
    np.testing.assert_array_equal(ensemble.realization, np.arange(3))


def test_coarsened_members_are_the_debiased_fields(ensemble, coarse, model):
    """C′x = T(y), with T applied here one field at a time and C′ by its definition, every fourth point."""
    for number, time in [(0, 0), (4, 3), (2, 1)]:
        y = coarse.transpose("trajectory", "time", "x").values[number, time].astype(np.float32)
        expected = np.asarray(model.coarse.debiaser.debiaser(jnp.asarray(y)[None]))[0]
        members = ensemble.u.isel(trajectory=number, time=time).values
        np.testing.assert_allclose(members[:, ::FACTOR], np.broadcast_to(expected, (3, FINE // FACTOR)), atol=2e-5)
        assert np.ptp(members, axis=0).max() > 1e-3  # and they are draws, not copies


def test_debiasing_removes_the_offset_and_its_epsilon_follows_from_the_fields(coarse, fine, ensemble):
    # The offset of .4 goes; what is left is sampling error: each of 20 fields has mean exactly 3.4, each image about 3.
    kept = ensemble.u.isel(x=slice(None, None, FACTOR))
    assert abs(float(kept.mean() - fine.mean())) < 0.05


def test_perfect_model_needs_no_debiaser(fine, model):
    """Coarsened fine fields downscaled without a debiaser keep the values that they were coarsened from."""
    perfect = replace(model, coarse=replace(model.coarse, debiaser=Fieldwise(NoDebiasing())))
    truth = fine.isel(trajectory=slice(5), time=slice(4))  # as many as of `ensemble`: one program
    drawn = downscaled(truth.isel(x=slice(None, None, FACTOR)), perfect, n_members=3)
    kept = drawn.u.isel(x=slice(None, None, FACTOR))
    # Within float32 rounding of values of order 4 that were normalised and restored; xarray aligns x by value.
    assert float(abs(kept - truth.astype("float32")).max()) < 2e-5
    assert kept.sizes["x"] == FINE // FACTOR


def test_a_model_loaded_again_gives_the_same_bits_from_memory_or_files(model, ensemble, coarse, tmp_path):
    coarse.to_netcdf(tmp_path / "coarse.nc")
    coarse.to_dataset().to_zarr(tmp_path / "coarse.zarr", zarr_format=2)  # whose codecs a store of today refuses
    loaded = subgrid.load(model.folder)
    assert repr(loaded) == repr(model)
    for given in (coarse, coarse.to_dataset(), tmp_path / "coarse.nc", tmp_path / "coarse.zarr"):
        again = downscaled(given, loaded, n_members=3)
        np.testing.assert_array_equal(again.u, ensemble.u)
        xr.testing.assert_equal(again.coords.to_dataset(), ensemble.coords.to_dataset())


def test_a_stopped_fit_goes_on_with_its_debiaser(model, fine, coarse, tmp_path, monkeypatch):
    shutil.copytree(model.folder, tmp_path / "m")
    (tmp_path / "m" / "model" / "conditional.json").unlink()  # stopped before it was whole
    monkeypatch.delattr("subgrid.downscaling.model.plain.fit_debiaser_array")
    options = {"debias_options": {"corrections": ()}, "key": jr.key(0), **TINY}
    again = subgrid.fit(fine, coarse, folder=tmp_path / "m", **options)
    assert again.checkpoint == model.checkpoint
    same = eqx.tree_equal(again.coarse.debiaser, model.coarse.debiaser)
    assert same is True


def test_a_stopped_fit_does_not_go_on_with_another_operator_or_other_coordinates(model, fine, coarse, tmp_path):
    shutil.copytree(model.folder, tmp_path / "m")
    (tmp_path / "m" / "model" / "conditional.json").unlink()
    options = {"debias_options": {"corrections": ()}, "key": jr.key(0), **TINY}
    means = np.kron(np.eye(FINE // FACTOR), np.full((1, FACTOR), 1 / FACTOR))
    others = {
        "an operator": ((fine, coarse), {"operator": csr_array(means)}),
        "coordinates": ((fine.assign_coords(x=fine.x + 1), coarse.assign_coords(x=coarse.x + 1)), {}),
        "attributes": ((fine, coarse.assign_attrs(long_name="speed")), {}),
    }
    for archives, more in others.values():
        with pytest.raises(OutputExists, match="other options or archives"):
            subgrid.fit(*archives, folder=tmp_path / "m", **{**options, **more})


def test_a_finished_folder_and_one_of_other_options_are_left_alone(model, fine, coarse, tmp_path):
    with pytest.raises(OutputExists, match=r"finished model already; use subgrid\.load"):
        subgrid.fit(fine, coarse, folder=model.folder, key=jr.key(0), **TINY)
    shutil.copytree(model.folder, tmp_path / "m")
    (tmp_path / "m" / "model" / "conditional.json").unlink()
    with pytest.raises(OutputExists, match="of other options"):
        subgrid.fit(fine, coarse, folder=tmp_path / "m", key=jr.key(0), **QUICK)
    with pytest.raises(DataError, match="not finished"):
        subgrid.load(tmp_path / "m")


def test_a_store_has_the_bits_of_memory_and_goes_on_after_a_kill(model, coarse, tmp_path, monkeypatch):
    """All samples lie along "time"; killed after its first work item, the same call makes the rest."""
    monkeypatch.setattr("subgrid.execution.ensembles.time_blocks", lambda *_: (5, 5))
    options, out = {"n_members": 3, "out": tmp_path / "e.zarr"}, tmp_path / "e.zarr"
    in_memory = downscaled(coarse, model, n_members=3)

    def stop(done, total):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("subgrid.execution.ensembles.run", lambda *a, **k: run(*a, **{**k, "progress": stop}))
        with pytest.raises(KeyboardInterrupt):
            downscaled(coarse, model, **options)
    assert 0 < np.isfinite(xr.open_zarr(out).u).mean() < 1  # some are there
    stored = downscaled(coarse, model, **options)
    assert stored.u.dims == ("realization", "time", "x")
    np.testing.assert_array_equal(stored.u.values, in_memory.u.values.reshape(3, 20, FINE))
    np.testing.assert_array_equal(stored.trajectory, np.repeat(np.arange(5), 4))
    np.testing.assert_array_equal(stored.time_of_sample, np.tile(coarse.time, 5))
    assert not (tmp_path / ".e.zarr.targets").exists()
    with pytest.raises(OutputExists):
        downscaled(coarse, model, **{**options, "key": jr.key(5)})


@pytest.mark.slow
def test_a_store_of_fields_without_coordinates_of_space_counts_their_points(fine, coarse, tmp_path):
    bare = [field.drop_vars("x") for field in (fine, coarse)]
    model = subgrid.fit(*bare, operator=FACTOR, folder=tmp_path / "model", key=jr.key(0), **QUICK)
    stored = downscaled(bare[1], model, n_members=2, out=tmp_path / "e.zarr")
    np.testing.assert_array_equal(stored.x, np.arange(FINE))
    in_memory = downscaled(bare[1], model, n_members=2)
    np.testing.assert_array_equal(stored.u.values, in_memory.u.values.reshape(stored.u.shape))


def test_a_netcdf_file_holds_the_same(model, ensemble, coarse, tmp_path):
    downscaled(coarse, model, n_members=3, out=tmp_path / "e.nc")
    with xr.open_dataset(tmp_path / "e.nc", decode_times=False) as stored:
        np.testing.assert_array_equal(stored.u, ensemble.u)
        assert stored.u.attrs["units"] == "m s-1"


def test_units_of_a_new_file_are_converted_to_those_of_the_model(model, coarse, ensemble):
    in_km = (coarse * 3.6).assign_attrs(coarse.attrs, units="km h-1")
    drawn = downscaled(in_km, model, n_members=3)
    assert drawn.u.attrs["units"] == "m s-1"
    # 3.6 / 3.6 in float32 moves values by 2e-7 of 4, and the map by some more; .4 m/s is the bias.
    np.testing.assert_allclose(drawn.u, ensemble.u, atol=1e-3)
    with pytest.raises(DataError, match="is in 'K', and the model in 'm s-1'"):
        downscaled(coarse.assign_attrs(units="K"), model)


@pytest.mark.slow
def test_units_of_the_archives_are_brought_together(fine, coarse, tmp_path):
    in_km = (coarse * 3.6).assign_attrs(coarse.attrs, units="km h-1")
    options = {"debias": "gaussian", "prior": "network", "key": jr.key(0)}
    made = [
        subgrid.fit(fine, each, folder=tmp_path / name, **{**TINY, **options})
        for name, each in (("a", coarse), ("b", in_km))
    ]
    values = samples_of(coarse, source="coarse").values
    found = [np.asarray(Fieldwise(each.coarse.debiaser.debiaser).adjust(values)) for each in made]
    np.testing.assert_allclose(*found, atol=1e-4)
    with pytest.raises(DataError, match="is in 'K', and the model in 'm s-1'"):
        subgrid.fit(fine, coarse.assign_attrs(units="K"), folder=tmp_path / "c", key=jr.key(0), **QUICK)
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.isel(x=slice(None, -1)), r"have the grid \(7,\); the model was trained with \(8,\)"),
        (lambda c: c.where(c < 3), "coarse: u is nan at"),
        (lambda c: c.isel(time=0, trajectory=0), "at least one of"),
        (lambda c: c.rename("v"), "no variable 'u'; it holds v"),
    ],
)
def test_bad_fields_get_one_clear_sentence(coarse, model, change, message):
    with pytest.raises(DataError, match=message):
        downscaled(change(coarse), model)


@pytest.mark.parametrize(
    ("change", "options", "error", "message"),
    [
        (lambda c: c.where(c < 3), {}, DataError, "coarse: u is nan at"),
        (lambda c: c.isel(time=slice(1), trajectory=slice(1)), {}, DataError, "holds 1 sample; training needs"),
        (lambda c: c.isel(x=slice(5)), {}, DataError, r"\(32,\), is no multiple of the coarse one, \(5,\)"),
        (lambda c: c.drop_vars("x"), {}, DataError, "no coordinates along x, .* operator = 4 for every 4-th"),
        (lambda c: c.assign_coords(x=c.x + 0.3), {}, DataError, "neither every 4-th of fine nor the middles"),
        (lambda c: c.isel(x=slice(None, None, -1)), {"operator": 4}, DataError, "sort, shift or cut"),
        (lambda c: c, {"operator": 3}, DataError, "coarse: .*3"),
        (lambda c: c, {"operator": Subsample((64,), 8)}, DataError, r"of \(64,\) points to \(8,\), but the fine"),
        (lambda c: c, {"periodic": False, "translation_invariant": True}, ValueError, "needs periodic=True"),
        (lambda c: c, {"n_stepz": 4}, TypeError, "fit has no setting 'n_stepz'; did you mean 'n_steps'"),
        # A TypeError of the tests' own checks.
        (lambda c: c, {"prior": "gaussian"}, (ValueError, TypeError), "prior"),
        (lambda c: c, {"patch": 5}, ValueError, "not divisible by patch"),
        (lambda c: c, {"stream": True}, DataError, "give the path of its file"),
        (lambda c: c, {"join": "node0"}, ValueError, "host:port,i/n"),
    ],
)
def test_what_cannot_be_fitted_is_refused_before_anything_is_written(
    fine, coarse, tmp_path, change, options, error, message
):
    with pytest.raises(error, match=message):
        subgrid.fit(fine, change(coarse), folder=tmp_path / "m", key=jr.key(0), **{**QUICK, **options})
    assert not (tmp_path / "m").exists()


def test_settings_of_downscaling_are_checked_by_name_and_by_model(coarse, model):
    for options, error, message in (
        ({"n_level": 4}, TypeError, "did you mean 'n_levels'"),
        ({"n_members": 0}, ValueError, "at least 1"),
        ({"n_levels": 0}, ValueError, "got 0"),
        ({"guidance": "gaussian-gain"}, ValueError, "guidance does not go with a conditional model"),
        ({"n_particles": 4}, ValueError, "n_particles does not go with a conditional model"),
        ({"change": "preserve"}, DataError, "knows no dates"),
    ):
        with pytest.raises(error, match=message):
            downscaled(coarse, model, **options)


@pytest.mark.slow
def test_evaluations_are_those_asked_for(coarse, model):
    one = coarse.isel(trajectory=slice(1), time=slice(1))
    drawn = {n: downscaled(one, model, **({} if n is None else {"n_levels": n})).u for n in (None, 16, 5)}
    np.testing.assert_array_equal(drawn[None], drawn[16])
    assert float(abs(drawn[None] - drawn[5]).max()) > 1e-5


@pytest.mark.parametrize(
    # Slow are those of `model` and `plane`, of whom others here ask the same.
    "prior",
    few(["function-space", "network", "conditional-flow", "conditional-diffusion"], 2),
)
def test_every_kind_of_prior_is_fitted_found_again_and_keeps_the_constraint(prior, coarse, fine, tmp_path):
    made = subgrid.fit(fine, coarse, folder=tmp_path / "m", key=0, prior=prior, **QUICK)
    kinds = {"network": Prior, "function-space": FunctionDiffusion}
    assert isinstance(made.prior, kinds.get(prior, ConditionalModel))
    one = coarse.isel(trajectory=slice(2), time=slice(2))
    drawn = downscaled(one, made)
    # Guided, to what a network of ten steps allows; a conditional model by construction, but for float32.
    kept = drawn.u.isel(x=slice(None, None, FACTOR)) - one.astype("float32")
    assert float(abs(kept).max()) < (1e-4 if isinstance(made.prior, ConditionalModel) else 1e-2)
    assert float(drawn.u.std("realization").max()) > 1e-3
    again = subgrid.load(tmp_path / "m")
    for found, wanted in zip(arrays_of(again.prior), arrays_of(made.prior), strict=True):
        np.testing.assert_array_equal(found, wanted)
    if isinstance(made.prior, ConditionalModel):  # others would be compiled once more
        np.testing.assert_array_equal(downscaled(one, again).u, drawn.u)


def arrays_of(prior) -> list:
    """All that a prior has learned."""
    parts = prior if isinstance(prior, FunctionDiffusion) else [getattr(prior, each.name) for each in fields(prior)]
    return jax.tree.leaves(eqx.filter(parts, eqx.is_array))


def two_fields(n_points: int, seed: int) -> xr.Dataset:
    """Two variables on one grid: u, and another that is near −2 u."""
    u = waves(n_points, 4, 5, seed).stack(sample=("trajectory", "time")).reset_index("sample", drop=True)
    v = (-2 * u + 0.1).assign_attrs(units="Pa")
    return xr.Dataset({"u": u, "v": v})


@pytest.mark.slow
def test_several_variables_are_channels_and_come_back_each_by_its_name(tmp_path):
    fine, coarse = two_fields(FINE, 0), two_fields(FINE // FACTOR, 1)
    made = subgrid.fit(fine, coarse, ["v", "u"], folder=tmp_path / "m", key=jr.key(0), **QUICK)
    assert made.variables == ("v", "u")
    drawn = downscaled(coarse[["u", "v"]].isel(sample=slice(3)), made)
    assert {name: drawn[name].attrs["units"] for name in drawn.data_vars} == {"v": "Pa", "u": "m s-1"}
    for name in ("u", "v"):
        kept = drawn[name].isel(x=slice(None, None, FACTOR)) - coarse[name].isel(sample=slice(3)).astype("float32")
        assert float(abs(kept).max()) < 1e-4
    with pytest.raises(DataError, match="holds the variables u, v; say which"):
        subgrid.fit(fine, coarse, folder=tmp_path / "n", key=jr.key(0), **QUICK)


@pytest.mark.slow
def test_a_channel_dimension_is_split_into_variables(tmp_path):
    apart = [two_fields(n, seed) for n, seed in ((FINE, 0), (FINE // FACTOR, 1))]
    joined = [xr.concat([each.u, each.v], "channel").assign_coords(channel=["east", "north"]) for each in apart]
    made = subgrid.fit(*joined, folder=tmp_path / "m", key=jr.key(0), **QUICK)
    assert made.variables == ("u_east", "u_north")
    drawn = downscaled(joined[1].isel(sample=slice(2)), made)
    for name, part in (("u_east", "u"), ("u_north", "v")):
        wanted = apart[1][part].isel(sample=slice(2)).astype("float32")
        assert float(abs(drawn[name].isel(x=slice(None, None, FACTOR)) - wanted).max()) < 1e-4


@pytest.mark.parametrize("kind", few(["points", "means", "matrix"]))
def test_two_axes_and_every_way_to_say_c(kind, plane, tmp_path):
    """C′ by coordinates of points, of middles of blocks, and by a sparse matrix without any: 8 × 12 to 4 × 6."""
    fine, coarse = surfaces((8, 12), 20, 0, middles=kind == "means"), surfaces((4, 6), 20, 1, middles=kind == "means")
    given = None
    if kind == "matrix":  # each coarse value a mean of two neighbours along y, of every other column
        rows = np.kron(np.kron(np.eye(4), [[0.5, 0.5]]), np.kron(np.eye(6), [[1.0, 0.0]]))
        given, fine, coarse = sparse.csr_array(rows), fine.drop_vars(["x", "y"]), coarse.drop_vars(["x", "y"])
    options = {"operator": given, "key": jr.key(0), **PLANE}
    made = plane[0] if kind == "points" else subgrid.fit(fine, coarse, folder=tmp_path / "m", **options)
    assert type(made.fine.operator) is {"points": Subsample, "means": BlockMean, "matrix": SparseCoarsening}[kind]
    few = coarse.isel(sample=slice(3))
    drawn = downscaled(few, made).h
    assert drawn.dims == ("realization", "sample", "y", "x") and drawn.shape == (2, 3, 8, 12)
    match kind:
        case "points":
            found = drawn.values[..., ::2, ::2]
        case "means":
            found = drawn.values.reshape(2, 3, 4, 2, 6, 2).mean((3, 5))
        case _:
            found = drawn.values.reshape(2, 3, 4, 2, 12).mean(3)[..., ::2]
    np.testing.assert_allclose(found, np.broadcast_to(few.values, found.shape), atol=2e-4)
    assert float(drawn.std("realization").max()) > 1e-3  # draws, not copies
    again = downscaled(few, made.folder).h
    np.testing.assert_array_equal(again, drawn)


def test_whether_space_wraps_around_is_seen_and_said(model, plane):
    assert model.prior.settings.network.padding == ("periodic",)  # waves
    made, said = plane
    assert made.prior.settings.network.padding == ("reflect",)
    assert "space does not wrap around, as the steps between neighbours look (y: " in said


def test_whether_space_wraps_around_is_taken_as_given(fine, coarse, tmp_path, capsys, monkeypatch):
    seen = []

    def stop(self, *args, **options):
        seen.append(self.network.padding)
        raise KeyboardInterrupt  # before it is trained

    monkeypatch.setattr(NetworkFit, "train", stop)
    with pytest.raises(KeyboardInterrupt):
        subgrid.fit(fine, coarse, folder=tmp_path / "b", key=0, periodic=False, **{**QUICK, "progress": True})
    assert seen == [("reflect",)]
    assert "wrap" not in capsys.readouterr().err


def test_an_archive_too_large_for_memory_is_streamed(fine, coarse, tmp_path, monkeypatch, capsys):
    """With 20 kB of memory, a quarter of which is less than the 6 kB of fine.zarr, and room for 19 fields of it."""
    apart = two_fields(FINE, 0)
    apart.chunk(sample=4).to_zarr(tmp_path / "fine.zarr")
    monkeypatch.setattr(large, "memory", lambda: 20_000)
    seen = []
    fitted = "subgrid.downscaling.model.plain.fit_debiaser_array"

    def remembered(coarse, fine, *args, **options):
        seen.append(fine)
        return NoDebiasing(), {}

    monkeypatch.setattr(fitted, remembered)
    coarse = two_fields(FINE // FACTOR, 1)
    options = {**QUICK, "progress": True, "prior": "network"}
    made = subgrid.fit(tmp_path / "fine.zarr", coarse, ["u", "v"], folder=tmp_path / "m", key=0, **options)
    assert "trained on from the disk; debiasing sees 9 of its 20 fields" in capsys.readouterr().err
    whole = np.stack([apart[name].transpose("sample", "x").values for name in ("u", "v")], 1).astype(np.float32)
    assert all((whole == each).all((1, 2)).any() for each in seen[0])  # fields of the archive, with both channels
    np.testing.assert_allclose(made.prior.standardiser.mean, whole.mean((0, 2)), rtol=1e-5)
    np.testing.assert_allclose(made.prior.standardiser.std, whole.std((0, 2)), rtol=1e-5)
    chosen = {**QUICK, "stream": True, "folder": tmp_path / "n", "key": 0}
    joined = xr.concat([apart.u, apart.v], "channel").rename("w")
    joined.to_dataset().to_zarr(tmp_path / "joined.zarr")
    with pytest.raises(DataError, match="whole variables with their dimensions in one order"):
        subgrid.fit(tmp_path / "joined.zarr", coarse.rename(u="w_0"), ["w_0"], **chosen)


@pytest.mark.slow  # test_draws.py asks all samplers for posteriors
@pytest.mark.parametrize("kind", ["every 3rd", "means of 3"])
def test_the_default_call_is_right_on_a_gaussian_field(kind, tmp_path):
    """Mean and spread of what `downscale` draws, nothing chosen, against dense algebra."""
    exact, n = network_model(), 8000
    operator = Subsample((18,), 3) if kind == "every 3rd" else BlockMean((18,), 3)
    mean, std = float(exact.prior.standardiser.mean[0]), float(exact.prior.standardiser.std[0])
    y = mean + std * np.random.default_rng(0).normal(size=(2, 6))
    coarse = xr.Dataset({"u": (("time", "x"), y, {"units": "m s-1"})})
    fine = xr.Dataset({"u": (("time", "x"), np.zeros((1, 18)), {"units": "m s-1"})})
    model = Model(*plain_sides(fine, coarse, operator, NoDebiasing()), exact.prior, None, tmp_path / "none")
    drawn = exact_draws(model, coarse, n, tmp_path)
    matrix, found = matrix_of(operator, (1, 18)), np.float64(drawn.u.transpose("time", "realization", "x").values)
    variances = []
    for values, given in zip(found, y, strict=True):
        wanted, spread = posterior(np.full(18, mean), std**2 * ring(18), matrix, given, 0.0)
        # Two standard errors of a mean's norm, √(tr P/n); it is a χ of some ten degrees, so two are rarely reached.
        assert np.linalg.norm(values.mean(0) - wanted) < 2 * np.sqrt(np.trace(spread) / n)
        variances.append(values.var(0).sum() / np.trace(spread))
    # Standard error of √(variances): ½√(2 tr P²/(tr P)²/2n), below .003 with (tr P)²/tr P² above 3.5; three, and 1 %.
    assert np.trace(spread) ** 2 / np.trace(spread @ spread) > 3.5
    assert np.sqrt(np.mean(variances)) == pytest.approx(1.0, abs=0.01 + 3 * 0.003)
    np.testing.assert_allclose(found @ matrix.T, np.repeat(y[:, None], n, 1), atol=1e-3)


def exact_draws(model: Model, coarse: xr.Dataset, n: int, folder) -> xr.Dataset:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Model, "checkpoint", "exact")
        return subgrid.downscale(coarse, model, n_members=n, chunk=2048, key=jr.key(0), progress=False)


def plain_pair(fine, coarse, **settings):
    return open_plain_pair(fine, coarse, None, 2, FitSettings(**settings))


def test_fill_values_that_nothing_declares_are_refused_in_either_archive(tmp_path):
    fine, coarse = (surfaces(shape, 6, 0).rename("u") for shape in ((8, 8), (4, 4)))
    for filled, of in ((fine, "fine"), (coarse, "coarse")):
        wrong = filled.copy()
        wrong[:, :2, :2] = -9999.0
        with pytest.raises(DataError, match=rf"{of}.*-9999 .* which looks like a fill value"):
            plain_pair(*(wrong if each is filled else each for each in (fine, coarse)))
    single = fine.copy()
    single[3, 5, 5] = 1e20
    single.to_dataset().to_netcdf(tmp_path / "single.nc", encoding={"u": {"_FillValue": None}})
    for stream in (False, True):
        with pytest.raises(DataError, match=r"single.nc: u is 1e\+20 .*\(2 % of the cells, 1 such values\)"):
            plain_pair(tmp_path / "single.nc", coarse, stream=stream)


def test_units_that_differ_between_plain_archives_are_said_or_refused():
    fine, coarse = (surfaces(shape, 6, 0).rename("u") for shape in ((8, 8), (4, 4)))
    said = plain_pair(fine.assign_attrs(units="m/s"), (3.6 * coarse).assign_attrs(units="km/h"))
    assert "coarse: u: converted from 'km/h' to 'm/s'" in said.notes
    np.testing.assert_allclose(said.coarse_samples.values[:, 0], coarse.astype(np.float32), rtol=1e-6)
    bare = fine.drop_attrs()
    assert any("fine: u: no attribute 'units'" in each for each in plain_pair(bare, coarse).notes)
    with pytest.raises(DataError, match="coarse: u is in 'K', and the model in 'm/s'"):
        plain_pair(fine.assign_attrs(units="m/s"), coarse.assign_attrs(units="K"))
