"""The moist-turbulence experiment at a tiny size: every part, resumed, and refused where settings changed."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import xarray as xr
from subgrid.cli.config import ConfigError
from subgrid.cli.reporting import publish
from subgrid.cli.turbulence_config import Turbulence, load_turbulence_config
from subgrid.cli.turbulence_data import Fields, contexts, load_archives, read_fields
from subgrid.cli.turbulence_scoring import (
    increments,
    quality,
    quantities,
    resampled_distances,
    similarity,
    spectral_error,
    without_pattern,
)

from subgrid.cli import turbulence_fits, turbulence_stages
from subgrid.data.store import write_zarr
from subgrid.simulate.moist_turbulence import MoistTurbulence, context, to_modes
from subgrid.training.checkpoint import CheckpointMismatch

pytestmark = pytest.mark.slow

TINY = """
[turbulence]
n_fine = 64
n_points_spin_up = 32
wavenumbers = [1, 4]
n_spin_up = 2
n_settle = 1
n_training_runs = 1
n_held_out_runs = 2
n_frames = 3

[normalisation]
normal_scores = ["c"]

[network]
channels = [8]
patch = 8

[training]
n_steps = 20

[bridge]
n_steps = 40
n_iterations = 3
n_pairs = 8

[evaluation]
methods = ["diffusion-bridge", "flow-matching", "dsbm-imf"]
n_cases = 2
n_sampling_steps = 2
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("turbulence")
    (folder / "tiny.toml").write_text(TINY)
    run = turbulence_stages.open_run(folder / "tiny.toml", [], folder / "run")
    turbulence_stages.run_all(run)
    return folder


def test_every_part_is_there_and_the_table_has_every_method(finished):
    run = finished / "run"
    metrics = json.loads((run / "metrics.json").read_text())
    row = next(row for row in metrics["table"] if row["metric"] == "KS")
    assert {"upsampled", "random pairing", "diffusion-bridge", "flow-matching", "dsbm-imf", "floor"} <= set(row)
    page = (run / "report.html").read_text()
    assert "https://" not in page and page.count("<figure") == 9
    with xr.open_zarr(run / "downscaled" / "dsbm-imf.zarr", chunks=None) as stored:
        assert stored.zeta.shape == (4, 1, 64, 64) and sorted(set(stored.wavenumber.values)) == [1, 4]


def test_what_is_published_is_what_was_scored(finished, subgrid):
    folder = finished / "published"
    assert subgrid("publish", finished / "run", folder).code == 0
    table = (folder / "table.md").read_text()
    assert "| dsbm-imf |" in table.splitlines()[0] + " |" and table.count("\n") > 10
    assert (folder / "metrics.json").read_bytes() == (finished / "run" / "metrics.json").read_bytes()
    assert {"examples.png", "spectrum-vorticity.svg"} <= {path.name for path in folder.iterdir()}


def test_the_upsampled_field_is_most_like_its_source_and_random_pairing_is_not(finished):
    curves = json.loads((finished / "run" / "metrics.json").read_text())["similarity"]
    assert np.max(curves["upsampled"]) < 1e-3
    assert np.min(curves["random pairing"]) > 0.5  # √2 in the mean; the smallest of few


def test_runs_held_out_are_not_trained_on_and_coarse_fields_lie_on_the_fine_grid(finished):
    config = load_turbulence_config(finished / "tiny.toml")
    archives = load_archives(
        config.turbulence, config.normalisation, finished / "run" / "fine.zarr", finished / "run" / "coarse.zarr"
    )
    sets = [archives.fine, archives.reference, archives.independent]
    assert [len(fields.values) for fields in sets] == [6, 6, 6]
    assert not any(np.array_equal(a.values[0], b.values[0]) for a, b in [sets[:2], sets[1:], sets[::2]])
    np.testing.assert_allclose(archives.fine.values.mean((0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(archives.fine.values.std((0, 2, 3)), 1, rtol=1e-4)
    with xr.open_zarr(finished / "run" / "coarse.zarr", chunks=None) as coarse:
        first = np.stack([coarse.zeta.values[0, 0], coarse.c.values[0, 0]])
    np.testing.assert_allclose(archives.restore(archives.coarse.values)[0, :, ::2, ::2], first, atol=1e-4)
    # c is a normal score, ζ no more than divided: kurtosis of a normal law is 3.
    assert np.mean(archives.fine.values[:, 1] ** 4) == pytest.approx(3, abs=0.1)


def test_spun_up_runs_go_on_from_their_state_under_forcings_of_their_own(finished):
    with xr.open_zarr(finished / "run" / "fine.zarr", chunks=None) as fine:
        zeta = fine.zeta.values[:, 0]
    # Two frames after a common state of ζ, whatever the context; other runs have nothing in common.
    correlation = np.corrcoef(zeta.reshape(len(zeta), -1))
    assert 0.3 < correlation[0, 3] < 1 - 1e-3
    assert abs(correlation[0, 1]) < 0.3


def test_a_finished_run_is_left_as_it_is_and_a_lost_method_is_made_again_alike(finished, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished / "run", folder)
    before = read_fields(folder / "downscaled" / "dsbm-imf.zarr")[0]
    shutil.rmtree(folder / "downscaled" / "dsbm-imf.zarr")
    turbulence_stages.downscale(turbulence_stages.open_run(finished / "tiny.toml", [], folder))
    after = read_fields(folder / "downscaled" / "dsbm-imf.zarr")[0]
    np.testing.assert_array_equal(after, before)


def test_other_settings_are_refused_where_something_was_made_with_them(finished):
    refused = r"models/dsbm-imf was made with bridge.variance = 0.3, not 0.5; remove models/dsbm-imf to make it anew"
    with pytest.raises(ValueError, match=refused):
        turbulence_stages.open_run(finished / "tiny.toml", ["bridge.variance=0.5"], finished / "run")
    turbulence_stages.open_run(finished / "tiny.toml", ['evaluation.methods=["dsbm-imf"]'], finished / "run")


def test_settings_of_the_bridges_are_nothing_to_the_flows(finished, tmp_path):
    shutil.copytree(finished / "run", tmp_path / "run")
    for part in ("models", "downscaled"):
        for bridge in (tmp_path / "run" / part).glob("dsbm-*"):
            shutil.rmtree(bridge)
    run = turbulence_stages.open_run(finished / "tiny.toml", ["bridge.variance=0.5"], tmp_path / "run")
    assert run.config.bridge.variance == 0.5
    with pytest.raises(ValueError, match=r"models/fine-denoiser was made with training.n_steps = 20, not 60"):
        turbulence_stages.open_run(finished / "tiny.toml", ["training.n_steps=60"], tmp_path / "run")


def test_a_fit_does_not_go_on_from_one_of_other_fields(finished, tmp_path):
    run = turbulence_stages.open_run(finished / "tiny.toml", [], finished / "run")
    key = run.key("fits", "flow-matching")
    shutil.copytree(finished / "run" / "models" / "flow-matching", tmp_path / "model")
    fine = run.archives.fine
    others = replace(run.archives, fine=fine.with_values(fine.values[::-1].copy()))
    with pytest.raises(CheckpointMismatch, match="was begun with data = "):
        turbulence_fits.fit_model(
            "flow-matching", run.config, others, tmp_path / "model", report=lambda *_: None, key=key
        )


def test_a_default_of_today_is_not_taken_for_what_an_older_folder_was_made_with(finished, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished / "run", folder)
    written = (folder / "config.toml").read_text()
    (folder / "config.toml").write_text(written.replace('[normalisation]\nnormal_scores = ["c"]\n', ""))
    with pytest.raises(ValueError, match="models/dsbm-imf was made by an earlier version; remove models/dsbm-imf to"):
        turbulence_stages.open_run(finished / "tiny.toml", [], folder)
    with pytest.raises(ConfigError, match=r"has no normalisation\.normal_scores; it was written by an earlier version"):
        publish(folder, tmp_path / "published", overwrite=False)


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("turbulence.n_fine=48", r"n_fine = 48: viscosity is known for 32, 64"),
        ("turbulence.n_coarse=64", "n_coarse must be below n_fine"),
        ("turbulence.wavenumbers=[32]", "wavenumbers names 32; 64 points resolve 21"),
        ("network.patch=5", "not divisible by patch"),
        ("diffusion.cut_off=11", "hold waves up to 10 only"),
        ("evaluation.n_cases=99", "only 12 are held out"),
        ("bridge.n_iterations=4", "n_iterations = 4 must be odd"),
        ("bridge.n_refreshes=3", "must be a multiple of 20 bridge.n_refreshes"),
        ("bridge.varience=1.0", "did you mean 'variance'"),
    ],
)
def test_bad_settings(finished, override, complaint):
    with pytest.raises(ConfigError, match=complaint):
        load_turbulence_config(finished / "tiny.toml", [override])


def test_transport_pairs_stay_within_their_context_and_are_closer(finished):
    config = load_turbulence_config(finished / "tiny.toml")
    archives = load_archives(
        config.turbulence, config.normalisation, finished / "run" / "fine.zarr", finished / "run" / "coarse.zarr"
    )
    key = jr.key(0)
    at_random = turbulence_fits._orders(archives, transport=False, key=key, n_orders=4)
    paired = turbulence_fits._orders(archives, transport=True, key=key, n_orders=4)
    fine, coarse = archives.fine.values, archives.coarse.values
    cost = lambda orders: np.sum((coarse[orders] - fine) ** 2)  # noqa: E731
    assert cost(paired) < cost(at_random)
    for k in (1, 4):  # the same partners, in another order
        which = archives.fine.wavenumbers == k
        np.testing.assert_array_equal(np.sort(paired[:, which]), np.sort(at_random[:, which]))


def test_scores_of_sets_whose_difference_is_known():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(6, 32, 32)).astype(np.float32)
    assert spectral_error(np.exp(0.7) * values, values) == pytest.approx(1.4, rel=1e-4)  # 2|ln a| in energy
    fields = np.stack([values, values], 1)
    reference = Fields(fields, np.repeat([1, 4], 3), np.tile(np.arange(3), 2))
    same = quality(reference, reference)
    assert all(score == pytest.approx(1.0 if "ratio" in metric else 0.0) for (_, metric), score in same.items())
    moved = quality(reference.with_values(fields + 0.5), reference)
    assert moved["vorticity", "W1 of means"] == pytest.approx(0.5, rel=1e-4)
    # N(½, 1) against N(0, 1): the gap is 2Φ(¼) − 1 = .197, known to 1/√n of 3072 values.
    assert moved["vorticity", "KS"] == pytest.approx(0.197, abs=3 / np.sqrt(3072))
    assert quantities(fields)["condensation rate"].min() == 0
    assert similarity(reference, reference, [2, 5]).max() < 1e-3


def test_anomalies_know_nothing_of_the_pattern_and_keep_all_else():
    values = np.random.default_rng(0).normal(size=(4, 2, 32, 32)).astype(np.float32)
    fields = Fields(values, np.array([1, 1, 4, 4]), np.array([0, 1, 0, 1]))
    patterns = np.stack([np.asarray(context(32, k)) for k in fields.wavenumbers.tolist()])
    moved = fields.with_values(values + np.array([0.0, 3.0], np.float32)[:, None, None] * patterns[:, None])
    np.testing.assert_allclose(without_pattern(moved).values, without_pattern(fields).values, atol=1e-5)
    assert np.abs(without_pattern(fields).values - values).max() < 0.2  # a mean of 2048 values of noise
    # What differs from its source by the pattern alone is at no distance from it, and has twice its amplitude.
    assert similarity(without_pattern(moved), without_pattern(fields), [2, 6]).max() < 1e-3
    twice = fields.with_values(2 * moved.values)
    assert quality(twice, moved)["supersaturation", "pattern ratio"] == pytest.approx(2, rel=1e-4)


def test_runs_are_drawn_alike_in_all_contexts_and_for_all_methods():
    values = np.random.default_rng(0).normal(size=(12, 2, 16, 16)).astype(np.float32)
    reference = Fields(values, np.repeat([1, 4], 6), np.tile(np.repeat([5, 6, 7], 2), 2))
    moved = reference.with_values(values + np.float32(0.7))
    near, far = (resampled_distances(fields, reference)["vorticity"] for fields in (reference, moved))
    assert near.shape == (200,) and far.std() > 0
    np.testing.assert_array_equal(far, resampled_distances(moved, reference)["vorticity"])
    assert (far > near).all()  # 2Φ(.35) − 1 = .27 above noise of .03


def test_scales_are_those_of_training_runs_alone(finished, tmp_path):
    config = load_turbulence_config(finished / "tiny.toml")
    shutil.copytree(finished / "run" / "fine.zarr", tmp_path / "fine.zarr")
    plain = load_archives(
        config.turbulence, config.normalisation, tmp_path / "fine.zarr", finished / "run" / "coarse.zarr"
    )
    with xr.open_zarr(tmp_path / "fine.zarr", chunks=None) as fine:
        changed = fine.load()
    held_out = np.arange(changed.sizes["run"]) % 3 > 0  # one training run and two held out of each context
    changed["c"][held_out] *= 5
    shutil.rmtree(tmp_path / "fine.zarr")
    write_zarr(changed, tmp_path / "fine.zarr")
    other = load_archives(
        config.turbulence, config.normalisation, tmp_path / "fine.zarr", finished / "run" / "coarse.zarr"
    )
    assert eqx.tree_equal(plain.scales.transforms, other.scales.transforms)
    assert eqx.tree_equal(plain.scales.standardiser, other.scales.standardiser)
    assert not np.array_equal(plain.reference.values, other.reference.values)


def test_contexts_are_channels_of_the_saturation_pattern():
    known, group = contexts(32, np.array([4, 0]), [0, 1, 4])
    assert known.shape == (2, 1, 32, 32) and not known[1].any() and group.tolist() == [2, 0]
    modes = np.abs(np.asarray(to_modes(jnp.asarray(known[0, 0]))))
    assert modes[4, 4] == pytest.approx(0.25, rel=1e-5)  # sin sin: four modes of ¼
    assert Turbulence().wavenumbers == (1, 2, 4, 8, 16)
    assert MoistTurbulence(32, wavenumber=4).wavenumber == 4


def test_increments_are_those_between_neighbours_and_wrap_around():
    field = np.arange(6.0).reshape(1, 2, 3)
    along_y, along_x = increments(field)
    assert along_y.tolist() == [[[3, 3, 3], [-3, -3, -3]]] and along_x.tolist() == [[[1, 1, -2], [1, 1, -2]]]
