"""The refined Gaussian: kept, found, resumed to the same bits, and refused when it is something else."""

import importlib
import json
import signal
from contextlib import nullcontext

import equinox as eqx
import jax
import jax.random as jr
import numpy as np
import pytest
from scipy.sparse import csr_array

from subgrid.data.fields import DataError
from subgrid.downscaling.climate.baselines import gaussian_crps
from subgrid.downscaling.preparation.transforms import ChannelTransforms, Unchanged
from subgrid.downscaling.refined.conditions import Conditions, TrainingAnomalies
from subgrid.downscaling.refined.prior import (
    is_trained,
    load_refined_prior,
    train_refined_prior,
)
from subgrid.downscaling.refined.prior_choice import taper_of
from subgrid.downscaling.refined.refinement import RefinementSettings, pad, padded_shape, require_whole_calls
from subgrid.numerics.operators import SparseCoarsening
from subgrid.training.checkpoint import CheckpointMismatch
from subgrid.training.fitting import TrainingInterrupted
from subgrid.training.log import read_json_lines

module = importlib.import_module("subgrid.downscaling.refined.prior")
SETTINGS = RefinementSettings(channels=(8,), n_steps=40, batch_size=16)
MASK = np.ones((6, 7), np.float32)
MASK[0, :3] = 0
GROUPS = np.repeat(np.arange(5), 40)


def low_rank_fields(n_components: int = 3) -> np.ndarray:
    """Two Gaussian channels with three strong principal components, on 12 K and .5 mm/day, and a little white noise."""
    rng = np.random.default_rng(0)
    components = rng.normal(size=(n_components, 2, 6, 7))
    fields = np.einsum("nr,rcij->ncij", rng.normal(size=(200, n_components)), components)
    fields += 0.1 * rng.normal(size=fields.shape)
    return (fields * np.array([12.0, 0.5])[:, None, None] * MASK).astype(np.float32)


FIELDS = low_rank_fields()


def conditions(n: int = len(FIELDS)) -> Conditions:
    """Means of three stripes of the grid, and distances between its cells."""
    y, x = np.indices(MASK.shape)
    rows = np.stack([(y // 2 == i) * MASK for i in range(3)]).reshape(3, -1)
    rows /= rows.sum(1, keepdims=True)
    inside = MASK.ravel() > 0
    places = np.stack([y.ravel(), x.ravel()], 1)[inside].astype(float)
    distances = np.linalg.norm(places[:, None] - places[None], axis=-1)
    operator = SparseCoarsening(csr_array(rows), fine_shape=MASK.shape, coarse_shape=(3,))
    climatology = np.zeros((n, 2, *MASK.shape), np.float32)
    return Conditions(operator, rows[:, inside], distances, climatology, ChannelTransforms((Unchanged(), Unchanged())))


def train(folder, fields=FIELDS, groups=GROUPS, predictors=None, report=None, **options):
    """The prior; `report` is called where progress would be shown."""
    given = {"settings": SETTINGS, "n_components": (1, 3, 20), "folder": folder, "key": jr.key(0)}
    anomalies = TrainingAnomalies(fields, groups, MASK, predictors)
    with pytest.MonkeyPatch.context() as patch:
        if report is not None:
            patch.setattr(module, "training_progress", lambda n_steps, begun: nullcontext(report))
        return train_refined_prior(anomalies, conditions(len(fields)), **given | options)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("climate") / "model"
    return folder, train(folder)


def same(a, b) -> None:
    for x, y in zip(*(jax.tree.leaves(eqx.filter(p.denoiser, eqx.is_array)) for p in (a, b)), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.slow
def test_the_number_of_components_is_the_true_one(trained):
    _, prior = trained
    likelihoods = prior.choice.log_likelihoods
    assert max(likelihoods, key=likelihoods.__getitem__) == prior.choice.n_components == 3
    assert len(prior.denoiser.base.variances) == 3


@pytest.mark.slow
def test_components_that_span_the_grid_are_not_tapered(trained):
    """Random patterns of the whole grid have as much covariance far as near: to damp it costs CRPS."""
    _, prior = trained
    crps = prior.choice.crps
    assert prior.choice.support is None and min(crps, key=crps.__getitem__) is None
    assert crps[0.5] > 2 * crps[None]


def test_every_channel_has_its_own_scale(trained):
    _, prior = trained
    inside = FIELDS[:, :, MASK > 0].astype(np.float64)
    np.testing.assert_allclose(prior.scale, np.sqrt((inside**2).mean((0, 2))), rtol=1e-6)  # float32


def test_what_is_loaded_is_what_was_trained(trained):
    folder, prior = trained
    assert is_trained(folder)
    loaded = load_refined_prior(folder)
    same(loaded, prior)
    np.testing.assert_array_equal(loaded.scale, prior.scale)
    assert (loaded.settings, loaded.choice, loaded.gain) == (SETTINGS, prior.choice, prior.gain)


@pytest.mark.parametrize("how", [pytest.param("ctrl-c", marks=pytest.mark.slow), "killed"])
def test_an_interrupted_training_resumes_to_the_same_bits(trained, tmp_path, how):
    def stop(step, metrics):
        if step == 20:
            if how == "killed":
                raise KeyboardInterrupt  # nothing is saved: the training begins again
            signal.raise_signal(signal.SIGINT)

    with pytest.raises((TrainingInterrupted, KeyboardInterrupt)):
        train(tmp_path / "model", report=stop)
    assert not is_trained(tmp_path / "model")
    assert (tmp_path / "model" / "checkpoints").exists() == (how == "ctrl-c")
    steps = []
    prior = train(tmp_path / "model", report=lambda step, _: steps.append(step))
    assert steps == ([40] if how == "ctrl-c" else [20, 40])
    same(prior, trained[1])
    logged = read_json_lines(tmp_path / "model" / "training.jsonl")
    assert [row["step"] for row in logged] == [20, 40]  # and not twice what the killed run had written


@pytest.mark.slow
def test_the_network_is_left_out_where_it_does_not_help(tmp_path):
    """A network that is torn about cannot better the exact conditional draws of a Gaussian."""
    settings = RefinementSettings(channels=(8,), n_steps=20, batch_size=4, learning_rate=0.5)
    prior = train(tmp_path / "model", settings=settings)
    assert not prior.refined and prior.gain is not None
    stored = json.loads((tmp_path / "model" / "settings.json").read_text())["gain"]
    assert stored["network"] >= stored["gaussian"] - 2 * stored["uncertainty"]
    assert "network not used" in prior.gain.sentence()
    seconds = json.loads((tmp_path / "model" / "cost.json").read_text())
    assert 0 < seconds["gaussian"] < seconds["network"]


@pytest.mark.slow
def test_a_training_that_brings_nothing_ends_after_a_third_of_its_steps(tmp_path):
    settings = RefinementSettings(channels=(8,), n_steps=60, batch_size=4, learning_rate=0.5)
    steps = []
    train(tmp_path / "model", settings=settings, report=lambda step, _: steps.append(step))
    assert steps == [20]


def test_steps_that_do_not_fill_a_compiled_call_are_refused_with_those_that_do():
    with pytest.raises(ValueError, match=r"n_steps = 33 is no multiple of 20, .* take 40\."):
        require_whole_calls(RefinementSettings(n_steps=33))


def test_no_steps_leave_the_gaussian_law_alone(tmp_path):
    prior = train(tmp_path / "model", settings=RefinementSettings(channels=(8,), n_steps=0))
    assert not prior.refined and not (tmp_path / "model" / "training.jsonl").exists()
    same(load_refined_prior(tmp_path / "model"), prior)


@pytest.mark.slow
def test_another_training_does_not_go_on_from_its_checkpoints(tmp_path):
    class Stop(Exception):
        pass

    def stop(step, metrics):
        raise Stop

    few = RefinementSettings(channels=(8,), n_steps=20, batch_size=4)
    given = {"settings": few, "n_components": (3,), "folder": tmp_path}
    train(**given)
    (tmp_path / "settings.json").unlink()  # killed just before it was written
    with pytest.raises(CheckpointMismatch, match="was begun with fields"):
        train(fields=1.5 * FIELDS + 2 * MASK, **given)
    with pytest.raises(CheckpointMismatch, match="was begun with key"):
        train(**given, key=jr.key(1))
    train(**given, report=stop)  # there is nothing left to do


def test_two_season_years_leave_none_to_evaluate_a_network_on(tmp_path):
    prior = train(tmp_path / "model", groups=GROUPS // 3, n_components=(3,))
    assert not prior.refined and not (tmp_path / "model" / "training.jsonl").exists()
    assert prior.gain is None


@pytest.mark.slow
def test_the_gaussian_that_a_network_is_compared_with_has_not_seen_the_years_either(tmp_path):
    """40 fields and 20 components: a Gaussian that has seen them conditions on three values far better than one that
    has not, and the CRPS of draws must be the latter's."""
    few = RefinementSettings(channels=(8,), n_steps=20, batch_size=4)
    prior = train(tmp_path / "model", FIELDS[::5], GROUPS[::5], n_components=(20,), settings=few)
    assert prior.gain is not None and prior.gain.n_fields == 8
    seen, unseen = (_crps_of_left_out(prior.choice, mine) for mine in (True, False))
    assert abs(np.log(prior.gain.gaussian / unseen)) < abs(np.log(prior.gain.gaussian / seen))


def _crps_of_left_out(choice, seen: bool) -> float:
    """Of the third of five years, exactly: by a Gaussian of all years, or of the four others."""
    inside = MASK > 0
    values = (FIELDS / np.sqrt((FIELDS[::5][:, :, inside].astype(float) ** 2).mean((0, 2)))[:, None, None])[::5]
    x, left_out = values[:, :, inside].reshape(40, -1).astype(float), GROUPS[::5] == 2
    kept = x if seen else x[~left_out]
    covariance = np.cov(kept.T, bias=True) + 1e-4 * np.eye(x.shape[1])
    if choice.support is not None:
        distances = conditions().distances
        covariance *= np.tile(taper_of(distances, choice.support), (2, 2))
    rows = np.kron(np.eye(2), conditions().rows)
    gain = np.linalg.solve(rows @ covariance @ rows.T, rows @ covariance)
    away = x[left_out] - kept.mean(0)
    error, variance = away - (away @ rows.T) @ gain, np.diag(covariance) - np.sum(gain * (rows @ covariance), 0)
    width = np.sqrt(np.maximum(variance, 1e-4))
    return float(gaussian_crps(error, width * np.sqrt(np.mean(error**2) / np.mean(width**2))).mean())


@pytest.mark.slow
def test_predictors_are_standardised_and_kept(tmp_path):
    height = np.linspace(0, 2000, 42).reshape(1, 6, 7).astype(np.float32)
    prior = train(tmp_path / "model", predictors=height)
    seen = np.asarray(prior.denoiser.predictors)
    assert seen.shape == (2, *padded_shape((6, 7), SETTINGS))
    assert seen[1][:6, :7][MASK > 0].mean() == pytest.approx(0, abs=1e-6)
    assert seen[1][:6, :7][MASK > 0].std() == pytest.approx(1, abs=1e-6)
    assert not seen[1][:6, :7][MASK == 0].any()
    same(load_refined_prior(tmp_path / "model"), prior)


def test_padding_is_the_least_that_the_network_needs():
    assert padded_shape((19, 29), RefinementSettings(channels=(32, 64), patch=2)) == (20, 32)
    assert pad(np.ones((2, 19, 29)), (20, 32)).sum() == 2 * 19 * 29


@pytest.mark.parametrize(("key", "value"), [("format", 99), ("n_directions", None)])
def test_a_model_of_another_format_is_refused(trained, tmp_path, key, value):
    description = json.loads((trained[0] / "settings.json").read_text())
    description |= {key: value}
    description = {k: v for k, v in description.items() if v is not None}
    (tmp_path / "settings.json").write_text(json.dumps(description))
    with pytest.raises(DataError, match="not a refined Gaussian of format 2; train it anew"):
        load_refined_prior(tmp_path)


def test_a_damaged_or_absent_model_is_named(tmp_path):
    with pytest.raises(DataError, match="holds no refined Gaussian"):
        load_refined_prior(tmp_path)
    (tmp_path / "settings.json").write_text("{ half")
    with pytest.raises(DataError, match=r"settings\.json: cannot be read"):
        load_refined_prior(tmp_path)


def test_one_season_year_is_too_few(tmp_path):
    with pytest.raises(ValueError, match="at least two groups"):
        train(tmp_path / "m", groups=np.zeros(200, int))
