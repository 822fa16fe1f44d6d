"""Conditional models: better than the Gaussian where fields are not, and a folder that is itself or refused."""

import dataclasses
import json

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import xarray as xr

from subgrid.data.fields import DataError
from subgrid.data.stream import StreamedFields
from subgrid.diffusion.objective import log_uniform_levels
from subgrid.downscaling.conditional import model as module
from subgrid.downscaling.conditional.flow import flow_loss
from subgrid.downscaling.conditional.model import (
    FORMAT,
    ConditionalSettings,
    fingerprint,
    identity,
    is_conditional,
    load_conditional,
    require_own_operator,
    train_conditional,
)
from subgrid.downscaling.conditional.refinement import n_features, refinement_loss
from subgrid.downscaling.conditional.upsample import conditional_upsampler
from subgrid.downscaling.prior.model import PriorSettings, build_network
from subgrid.downscaling.prior.training import TrainingSettings
from subgrid.downscaling.upsampling.guided import sample_ensemble
from subgrid.numerics.operators import BlockMean, SparseCoarsening, Subsample
from subgrid.training.checkpoint import CheckpointMismatch
from subgrid.verification.ensembles import fair_crps

from ...cases import few

N, NOISE = 16, 0.3
OPERATOR = Subsample((N,), 2)
NETWORK = PriorSettings(1, (N,), channels=(16,), n_blocks=1, patch=2, sigma_min=3e-3, sigma_max=10.0)
TRAINING = TrainingSettings(n_steps=300, batch_size=64, learning_rate=1e-2, warmup=20, ema_decay=0.98)
SHORT = dataclasses.replace(TRAINING, n_steps=60, checkpoint_every=20)
KINDS = ("diffusion", "flow")


def pairs(n: int, seed: int) -> np.ndarray:
    """20 + 3 (a, (a² − 1)/√2 + noise): the second of each pair is a function of the first, uncorrelated with it.

    Every second point is observed. Of the others the Gaussian knows nothing, and a network almost all.
    """
    rng = np.random.default_rng(seed)
    fields = rng.normal(size=(n, 1, N))
    first = fields[..., ::2]
    fields[..., 1::2] = (first**2 - 1) / np.sqrt(2) + NOISE * fields[..., 1::2]
    return (20 + 3 * fields).astype(np.float32)


FIELDS, NEW = pairs(1024, 0), pairs(1000, 1)


def train(folder, kind, training=SHORT, operator=OPERATOR, fields=FIELDS, jitter=0.0, **options):
    settings = ConditionalSettings(kind, NETWORK, jitter)
    return train_conditional(fields, operator, settings, training, folder=folder, **{"key": jr.key(0), **options})


@pytest.fixture(scope="module", params=few(KINDS))
def trained(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    return folder, train(folder, request.param, TRAINING)


@pytest.fixture(scope="module", params=few(KINDS))
def short(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    return folder, request.param, train(folder, request.param)


def silenced(model):
    """The same Gaussian conditional, with a network that adds nothing."""
    network = build_network(NETWORK, n_features(1), key=jr.key(0))
    return dataclasses.replace(model, network=network, left=model.conditional.spread)


def loss_of(model) -> float:
    fields = model.standardiser.normalise(jnp.asarray(NEW), 1)
    if model.settings.kind == "flow":
        return float(eqx.filter_jit(flow_loss)(model.flow, fields, key=jr.key(5)))
    levels = log_uniform_levels(NETWORK.sigma_min, NETWORK.sigma_max)
    return float(eqx.filter_jit(refinement_loss)(model.denoiser, fields, noise_levels=levels, key=jr.key(5)))


def draws_of(model, fields, n_members=8):
    coarse = np.asarray(model.conditional.operator(jnp.asarray(fields)))
    return sample_ensemble(conditional_upsampler(model), coarse, n_members, key=jr.key(3))


def crps_of(model, fields) -> float:
    members = np.moveaxis(draws_of(model, fields), 1, 0)
    return float(jnp.mean(fair_crps(jnp.asarray(members), jnp.asarray(fields))))


def same(a, b):
    arrays = lambda m: jax.tree.leaves(eqx.filter((m.network, m.standardiser, m.conditional, m.left), eqx.is_array))  # noqa: E731
    for x, y in zip(arrays(a), arrays(b), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.slow
def test_training_lowers_the_loss_on_new_fields_below_that_of_the_gaussian(trained):
    _, model = trained
    # 8000 squares of the target; those of (a² − 1)/√2 have the variance 14 where Gaussian ones have 2.
    assert loss_of(silenced(model)) == pytest.approx(1, abs=4 * np.sqrt(14 / 8000))
    assert loss_of(model) < 0.7


@pytest.mark.slow
def test_draws_score_better_than_those_of_the_gaussian_conditional(trained):
    _, model = trained
    few = NEW[:100]
    assert crps_of(model, few) < 0.5 * crps_of(silenced(model), few)


@pytest.mark.slow
def test_draws_follow_the_function_that_the_gaussian_does_not_know(trained):
    _, model = trained
    few = NEW[np.abs(NEW - 20).max((1, 2)) < 7][:100]  # where training has seen something
    draws = (draws_of(model, few)[:, :, 0] - 20) / 3
    first = (few[:, 0, ::2] - 20) / 3
    # .3 is the noise, known to few per cent; what the short training leaves of the function is the rest.
    assert np.sqrt(np.mean((draws.mean(1)[:, 1::2] - (first**2 - 1) / np.sqrt(2)) ** 2)) < 0.3
    assert 0.2 < np.sqrt(draws.var(1, ddof=1)[:, 1::2].mean()) < 0.5


def test_what_is_loaded_draws_the_same_to_the_bit(short):
    folder, _, model = short
    assert is_conditional(folder)
    loaded = load_conditional(folder, Subsample((N,), 2))
    assert loaded.settings == model.settings
    same(loaded, model)
    same(load_conditional(folder, 2), model)
    np.testing.assert_array_equal(draws_of(loaded, NEW[:2]), draws_of(model, NEW[:2]))


class Crash(Exception):
    pass


def crash_at(step):
    def report(done, metrics):
        if done == step:
            raise Crash

    return report


@pytest.mark.slow
def test_an_interrupted_training_resumes_to_the_same_bits(short, tmp_path):
    _, kind, model = short
    with pytest.raises(Crash):
        train(tmp_path, kind, report=crash_at(40))
    assert not is_conditional(tmp_path)
    same(train(tmp_path, kind), model)


def test_a_finished_training_can_be_repeated(short):
    folder, kind, model = short
    same(train(folder, kind), model)


OTHERS = {
    "operator: probe = ": {"operator": BlockMean((N,), 2)},
    "operator: coarse_shape = ": {"operator": Subsample((N,), 4)},
    "jitter = 0.0, not 0.5": {"jitter": 0.5},
    "kind = 'diffusion', not 'flow'": {"kind": "flow"},
    "fields": {"fields": FIELDS + 1},
    "key": {"key": jr.key(1)},
}


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    folder = tmp_path_factory.mktemp("begun")
    with pytest.raises(Crash):
        train(folder, "diffusion", report=crash_at(40))
    return folder


@pytest.mark.parametrize("message", OTHERS)
def test_a_training_resumes_as_itself_or_not_at_all(begun, message):
    with pytest.raises(CheckpointMismatch, match=f"was begun with {message}"):
        train(begun, **{"kind": "diffusion", **OTHERS[message]})


WEIGHTS = np.kron(np.eye(8), np.full((1, 2), 1.0))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (BlockMean((N,), 2), "Subsample of 16 to 8 points, not BlockMean of 16 to 8 points"),
        (Subsample((N,), 4), "Subsample of 16 to 8 points, not Subsample of 16 to 4 points"),
        (Subsample((2 * N,), 4), "Subsample of 16 to 8 points, not Subsample of 32 to 8 points"),
    ],
)
def test_a_model_is_good_for_its_own_coarsening_only(short, other, message):
    with pytest.raises(DataError, match=f"trained for another C', {message}"):
        load_conditional(short[0], other)


def test_an_operator_is_known_by_what_it_does():
    one, other = (SparseCoarsening(w, fine_shape=(N,), coarse_shape=(8,)) for w in (WEIGHTS, 1.01 * WEIGHTS))
    assert fingerprint(one) != fingerprint(other)
    assert fingerprint(SparseCoarsening(WEIGHTS / 2, fine_shape=(N,), coarse_shape=(8,))) == fingerprint(
        BlockMean((N,), 2)
    )
    with pytest.raises(DataError, match="not SparseCoarsening of 16 to 8 points, of other weights"):
        require_own_operator("model", identity(one), other)


def test_folders_without_a_model(short, tmp_path):
    with pytest.raises(DataError, match="holds no trained conditional model"):
        load_conditional(tmp_path, OPERATOR)
    stored = json.loads((short[0] / "conditional.json").read_text())
    described = tmp_path / "conditional.json"
    described.write_text(json.dumps(stored | {"format": FORMAT + 1}))
    with pytest.raises(CheckpointMismatch, match=f"is a model of format {FORMAT + 1}, not {FORMAT}"):
        load_conditional(tmp_path, OPERATOR)
    for broken in ("{", json.dumps({k: v for k, v in stored.items() if k != "network"})):
        described.write_text(broken)
        with pytest.raises(DataError, match=r"conditional\.json: not a model description of this version"):
            load_conditional(tmp_path, OPERATOR)


@pytest.mark.slow
def test_jitter_is_in_the_units_of_the_field(tmp_path):
    model = train(tmp_path, "diffusion", dataclasses.replace(SHORT, n_steps=20), jitter=0.6)
    expected = np.full((1, 8), (0.6 / float(model.standardiser.std[0])) ** 2)
    np.testing.assert_allclose(model.conditional.noise_variance, expected, rtol=1e-6)
    loaded = load_conditional(tmp_path, OPERATOR)
    np.testing.assert_array_equal(loaded.conditional.noise_variance, model.conditional.noise_variance)


@pytest.mark.slow
@pytest.mark.parametrize("jitter", [0.0, 1.0])
def test_what_the_mean_leaves_of_gaussian_fields_is_the_gaussian(tmp_path, jitter):
    """With a silent network x − m_y is left, whose covariance is Σ_y; an exact y determines the rest."""
    rng = np.random.default_rng(2)
    fields = rng.normal(size=(4096, 1, N)).astype(np.float32)
    fields = fields + np.roll(fields, 1, -1) + np.roll(fields, 2, -1)
    model = train(tmp_path, "diffusion", dataclasses.replace(SHORT, n_steps=20), fields=fields, jitter=jitter)
    normalised = model.standardiser.normalise(jnp.asarray(fields), 1)
    left = module._left_by_mean(silenced(model), normalised, key=jr.key(3))
    spread = model.conditional.spread
    determined = np.asarray(spread.variances) < 1e-6
    assert determined.sum() == (0 if jitter else 8)
    np.testing.assert_allclose(left.variances[determined], spread.variances[determined], atol=1e-6)
    # Mean squares of 4096 numbers: √(2/4096) = 2 %; four of those.
    np.testing.assert_allclose(left.variances[~determined], spread.variances[~determined], rtol=0.09)


def shared_number() -> np.ndarray:
    """One number shared by all points, which values with a jitter of 10 hardly tell: a direction of 16 variances."""
    rng = np.random.default_rng(4)
    return (rng.normal(size=(512, 1, 1)) + 0.1 * rng.normal(size=(512, 1, N))).astype(np.float32)


@pytest.mark.slow
def test_levels_reach_to_where_smooth_fields_look_gaussian(tmp_path):
    training = dataclasses.replace(SHORT, n_steps=20)
    model = train(tmp_path, "diffusion", training, fields=shared_number(), jitter=10.0)
    largest = float(model.conditional.spread.variances.max()) ** 0.5
    assert largest > 3.5
    assert model.settings.network.sigma_max == pytest.approx(3 * largest)
    assert load_conditional(tmp_path, OPERATOR).settings == model.settings
    assert conditional_upsampler(model).noise_levels[0] == pytest.approx(3 * largest)
    # What a training is resumed as is what was asked for, not what Σ_y made of it.
    assert json.loads((tmp_path / "training.json").read_text())["network"]["sigma_max"] == NETWORK.sigma_max


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "options"), few([("diffusion", {"keep_levels": True}), ("flow", {})]))
def test_levels_that_were_chosen_or_play_no_part_stay(tmp_path, kind, options):
    training = dataclasses.replace(SHORT, n_steps=20)
    model = train(tmp_path, kind, training, fields=shared_number(), jitter=10.0, **options)
    assert model.settings.network == NETWORK


@pytest.mark.slow
def test_an_archive_on_disk_trains_as_well(tmp_path):
    path = tmp_path / "fine.zarr"
    xr.DataArray(FIELDS[:, 0], dims=("time", "x"), name="u").chunk(time=128).to_zarr(path)
    model = train(tmp_path / "model", "diffusion", fields=StreamedFields(path, "u"))
    assert np.isfinite(draws_of(model, NEW[:2])).all()
    assert model.standardiser.std[0] == pytest.approx(FIELDS.std(), rel=1e-4)
    same(load_conditional(tmp_path / "model", OPERATOR), model)
