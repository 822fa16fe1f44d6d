"""The prior of climate fields: kept, found, resumed to the same bits, and refused when it is something else."""

import json
import signal

import equinox as eqx
import jax
import jax.random as jr
import numpy as np
import pytest

from subgrid.data.fields import DataError
from subgrid.downscaling.climate_prior import (
    RefinementSettings,
    is_trained,
    load_climate_prior,
    pad,
    padded_shape,
    train_climate_prior,
)
from subgrid.training.checkpoint import CheckpointMismatch
from subgrid.training.fit import TrainingInterrupted
from subgrid.training.log import read_json_lines

SETTINGS = RefinementSettings(channels=(8,), n_steps=40, batch_size=16)
MASK = np.ones((6, 7), np.float32)
MASK[0, :3] = 0
GROUPS = np.repeat(np.arange(5), 40)


def low_rank_fields(n_directions: int = 3) -> np.ndarray:
    """Two channels of a Gaussian law with three strong directions, on 12 K and .5 mm/day, and a little white noise."""
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(n_directions, 2, 6, 7))
    fields = np.einsum("nr,rcij->ncij", rng.normal(size=(200, n_directions)), directions)
    fields += 0.1 * rng.normal(size=fields.shape)
    return (fields * np.array([12.0, 0.5])[:, None, None] * MASK).astype(np.float32)


FIELDS = low_rank_fields()


def train(folder, **options):
    given = {"mask": MASK, "settings": SETTINGS, "directions": (1, 3, 20), "folder": folder, "key": jr.key(0)}
    return train_climate_prior(FIELDS, GROUPS, **given | options)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("climate") / "model"
    return folder, train(folder)


def same(a, b) -> None:
    for x, y in zip(*(jax.tree.leaves(eqx.filter(p.denoiser, eqx.is_array)) for p in (a, b)), strict=True):
        np.testing.assert_array_equal(x, y)


def test_the_number_of_directions_is_the_true_one(trained):
    _, prior = trained
    assert max(prior.log_likelihoods, key=prior.log_likelihoods.__getitem__) == 3
    assert len(prior.denoiser.base.variances) == 3


def test_every_channel_has_its_own_scale(trained):
    _, prior = trained
    inside = FIELDS[:, :, MASK > 0].astype(np.float64)
    np.testing.assert_allclose(prior.scale, np.sqrt((inside**2).mean((0, 2))), rtol=1e-6)  # float32


def test_what_is_loaded_is_what_was_trained(trained):
    folder, prior = trained
    assert is_trained(folder)
    loaded = load_climate_prior(folder)
    same(loaded, prior)
    np.testing.assert_array_equal(loaded.scale, prior.scale)
    assert (loaded.settings, loaded.refined, loaded.log_likelihoods) == (SETTINGS, prior.refined, prior.log_likelihoods)


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


def test_the_network_is_left_out_where_it_does_not_help(tmp_path):
    """A network that is torn about cannot better the exact denoiser of a Gaussian law."""
    settings = RefinementSettings(channels=(8,), n_steps=20, batch_size=4, learning_rate=0.5)
    prior = train(tmp_path / "model", settings=settings)
    assert not prior.refined
    description = json.loads((tmp_path / "model" / "settings.json").read_text())
    errors = description["left_out_error"]
    assert errors["gaussian"] <= errors["refined"]


def test_no_steps_leave_the_gaussian_law_alone(tmp_path):
    prior = train(tmp_path / "model", settings=RefinementSettings(channels=(8,), n_steps=0))
    assert not prior.refined and not (tmp_path / "model" / "training.jsonl").exists()
    same(load_climate_prior(tmp_path / "model"), prior)


def test_another_training_does_not_go_on_from_its_checkpoints(tmp_path):
    class Stop(Exception):
        pass

    def stop(step, metrics):
        raise Stop

    few = RefinementSettings(channels=(8,), n_steps=20, batch_size=4)
    given = {"mask": MASK, "settings": few, "directions": (3,), "folder": tmp_path, "key": jr.key(0)}
    train_climate_prior(FIELDS, GROUPS, **given)
    (tmp_path / "settings.json").unlink()  # killed just before it was written
    with pytest.raises(CheckpointMismatch, match="was begun with fields"):
        train_climate_prior(2 + FIELDS, GROUPS, **given)
    with pytest.raises(CheckpointMismatch, match="was begun with key"):
        train_climate_prior(FIELDS, GROUPS, **given | {"key": jr.key(1)})
    train_climate_prior(FIELDS, GROUPS, **given, report=stop)  # there is nothing left to do


def test_two_winters_leave_none_to_judge_a_network_by(tmp_path):
    prior = train_climate_prior(
        FIELDS, GROUPS // 3, mask=MASK, settings=SETTINGS, directions=(3,), folder=tmp_path / "model", key=jr.key(0)
    )
    assert not prior.refined and not (tmp_path / "model" / "training.jsonl").exists()
    assert json.loads((tmp_path / "model" / "settings.json").read_text())["left_out_error"] is None


def test_the_network_is_judged_beside_a_law_that_has_not_seen_the_winters_it_is_judged_on(tmp_path):
    """40 fields, half of the directions that a law may have: one that has seen them all is much the better on each."""
    few = {"mask": MASK, "directions": (20,), "settings": RefinementSettings(channels=(8,), n_steps=20, batch_size=4)}
    train_climate_prior(FIELDS[::5], GROUPS[::5], **few, folder=tmp_path / "model", key=jr.key(0))
    error = json.loads((tmp_path / "model" / "settings.json").read_text())["left_out_error"]["gaussian"]
    assert error > 1.05  # 1 is the error that the law expects of fields of its own


def test_predictors_are_standardised_and_kept(tmp_path):
    height = np.linspace(0, 2000, 42).reshape(1, 6, 7).astype(np.float32)
    prior = train(tmp_path / "model", predictors=height)
    seen = np.asarray(prior.denoiser.predictors)
    assert seen.shape == (2, *padded_shape((6, 7), SETTINGS))
    assert seen[1][:6, :7][MASK > 0].mean() == pytest.approx(0, abs=1e-6)
    assert seen[1][:6, :7][MASK > 0].std() == pytest.approx(1, abs=1e-6)
    assert not seen[1][:6, :7][MASK == 0].any()
    same(load_climate_prior(tmp_path / "model"), prior)


def test_padding_is_the_least_that_the_network_needs():
    assert padded_shape((19, 29), RefinementSettings(channels=(32, 64), patch=2)) == (20, 32)
    assert pad(np.ones((2, 19, 29)), (20, 32)).sum() == 2 * 19 * 29


@pytest.mark.parametrize(("key", "value"), [("format", 99), ("n_directions", None)])
def test_a_model_of_another_format_is_refused(trained, tmp_path, key, value):
    description = json.loads((trained[0] / "settings.json").read_text())
    description |= {key: value}
    description = {k: v for k, v in description.items() if v is not None}
    (tmp_path / "settings.json").write_text(json.dumps(description))
    with pytest.raises(DataError, match="not a climate prior of format 1; train it anew"):
        load_climate_prior(tmp_path)


def test_a_damaged_or_absent_model_is_told(tmp_path):
    with pytest.raises(DataError, match="holds no trained model"):
        load_climate_prior(tmp_path)
    (tmp_path / "settings.json").write_text("{ half")
    with pytest.raises(DataError, match=r"settings\.json: cannot be read"):
        load_climate_prior(tmp_path)


def test_one_winter_is_too_few(tmp_path):
    with pytest.raises(ValueError, match="at least two groups"):
        train_climate_prior(
            FIELDS, np.zeros(200, int), mask=MASK, settings=SETTINGS, folder=tmp_path / "m", key=jr.key(0)
        )
