"""CycleGAN: a loss that does not determine its answer, and a training that ends with the same bits."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy.linalg import sqrtm

from subgrid.data.fields import DataError
from subgrid.downscaling.baselines import CycleGANSettings, load_cycle_gan, train_cycle_gan
from subgrid.downscaling.baselines.adversarial_losses import critic_loss, generator_loss, gradient_penalty
from subgrid.downscaling.baselines.bcsd import whole_factors
from subgrid.downscaling.baselines.cycle_gan import Critics, Translations, critics_loss, translation_loss
from subgrid.networks.cycle_gan import CriticSettings, TranslationSettings
from subgrid.numerics.operators import BlockMean, SparseCoarsening, Subsample
from subgrid.numerics.symmetries import shifts
from subgrid.training import TrainingDiverged, TrainingInterrupted
from subgrid.training.checkpoint import CheckpointMismatch

KEY = jr.key(0)
OPERATOR = Subsample((16,), 4)
TINY = CycleGANSettings(
    TranslationSettings(channels=4, n_blocks=1, patch=4),
    CriticSettings(channels=4, patch=4, n_levels=0),
    n_steps=6,
    batch_size=4,
    steps_per_dispatch=2,
    checkpoint_every=2,
)
COARSE = np.random.default_rng(0).normal(20, 3, (32, 1, 4)).astype(np.float32)
FINE = np.random.default_rng(1).normal(10, 2, (32, 1, 16)).astype(np.float32)

SOURCE = np.array([[1.0, 0.6], [0.6, 1.0]])
TARGET = np.array([[2.0, -0.5], [-0.5, 0.5]])


class Matrix(eqx.Module):
    """A linear map of fields of one channel and two points."""

    matrix: jax.Array

    def __call__(self, x):
        return x @ self.matrix.T


class Score(eqx.Module):
    """Any critic."""

    weight: jax.Array

    def __call__(self, x):
        return jnp.tanh(x @ self.weight)[..., 0] + 0.3 * jnp.sum(x**2)


def rotation(angle):
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def linear(orthogonal) -> Translations:
    """G = Σ₁^½ Q Σ₀^{−½} and F = G⁻¹."""
    there = sqrtm(TARGET) @ orthogonal @ np.linalg.inv(sqrtm(SOURCE))
    return Translations(*(Matrix(jnp.asarray(m, jnp.float32)) for m in (there, np.linalg.inv(there))))


@pytest.fixture(scope="module")
def ends():
    """Samples of both Gaussians in which every quarter turn is exact: of each latent its four images are there."""
    latents = np.random.default_rng(0).normal(size=(64, 2))
    latents = np.concatenate([latents @ rotation(np.pi / 2 * i).T for i in range(4)])
    fields = (latents @ sqrtm(SOURCE), latents @ sqrtm(TARGET))
    return tuple(jnp.asarray(each[:, None], jnp.float32) for each in fields)


QUARTER, HALF = rotation(np.pi / 2), rotation(np.pi)


@pytest.mark.parametrize("orthogonal", [np.eye(2), QUARTER, HALF])
def test_every_orthogonal_map_has_the_same_least_loss(ends, orthogonal):
    y, x = ends
    critics = Critics(*(Score(jr.normal(key, (2, 1))) for key in jr.split(KEY)))
    generators, weights = linear(orthogonal), {"cycle_weight": 10.0, "identity_weight": 0.0}
    # What is generated is the data in another order: any critic's loss is that of the data against themselves.
    of_data = critic_loss("least-squares", critics.fine, x, x, key=KEY)
    of_data += critic_loss("least-squares", critics.coarse, y, y, key=KEY)
    assert float(critics_loss(generators, critics, y, x, key=KEY)) == pytest.approx(float(of_data), rel=1e-5)
    adversarial = generator_loss("least-squares", critics.fine, x) + generator_loss("least-squares", critics.coarse, y)
    with_cycle = translation_loss(generators, critics, y, x, **weights)
    # A cycle leaves the rounding of float32, weighted by 10.
    assert float(with_cycle) == pytest.approx(float(adversarial), rel=1e-5, abs=1e-5)


def test_the_best_critic_of_equal_distributions_says_one_half(ends):
    y, x = ends
    half = lambda field: jnp.asarray(0.5)  # noqa: E731
    critics, generators = Critics(half, half), linear(QUARTER)
    assert float(critics_loss(generators, critics, y, x, key=KEY)) == pytest.approx(2 * 0.25)
    loss = translation_loss(generators, critics, y, x, cycle_weight=10.0, identity_weight=0.0)
    assert float(loss) == pytest.approx(2 * 0.25, abs=1e-5)


def test_maps_of_the_same_loss_send_a_field_to_different_places(ends):
    y, _ = ends
    one, other = (np.asarray(linear(q).to_fine(y))[:, 0] for q in (np.eye(2), QUARTER))
    for images in (one, other):
        np.testing.assert_allclose(
            images.T @ images, np.asarray(ends[1])[:, 0].T @ np.asarray(ends[1])[:, 0], rtol=1e-4
        )
    # E‖(G − G′)y‖² = E‖Σ₁^½(I − Q)z‖² with Σ(latents)/n = v I.
    v = np.mean(np.sum((np.asarray(y)[:, 0] @ np.linalg.inv(sqrtm(SOURCE))) ** 2, 1)) / 2
    expected = v * np.trace(TARGET @ (np.eye(2) - QUARTER) @ (np.eye(2) - QUARTER).T)
    assert np.mean(np.sum((one - other) ** 2, 1)) == pytest.approx(expected, rel=1e-4)
    assert expected > 4


def test_a_cycle_that_does_not_close_and_a_changed_target_cost(ends):
    y, x = ends
    half = lambda field: jnp.asarray(0.5)  # noqa: E731
    twice, same = Translations(Matrix(2 * jnp.eye(2)), Matrix(jnp.eye(2))), {"cycle_weight": 10.0}
    size = float(jnp.mean(jnp.abs(x)) + jnp.mean(jnp.abs(y)))  # of F G y − y and of G F x − x
    open_cycle = translation_loss(twice, Critics(half, half), y, x, identity_weight=0.0, **same)
    assert float(open_cycle) == pytest.approx(0.5 + 10 * size, rel=1e-5)
    with_identity = translation_loss(twice, Critics(half, half), y, x, identity_weight=0.5, **same)
    assert float(with_identity) == pytest.approx(float(open_cycle) + 5 * float(jnp.mean(jnp.abs(x))), rel=1e-5)


def test_the_penalty_is_zero_where_a_critic_changes_by_one_in_root_mean_square():
    x = jr.normal(KEY, (8, 1, 9))
    mean = lambda field: 3 * jnp.mean(field)  # noqa: E731
    # ∇ = 3/9 each, √9·‖∇‖ = 3; a third of it has the slope 1.
    assert float(gradient_penalty(lambda f: mean(f) / 3, x, -x, key=KEY)) == pytest.approx(0, abs=1e-6)
    assert float(gradient_penalty(mean, x, -x, key=KEY)) == pytest.approx(4, rel=1e-5)
    of_wasserstein = critic_loss("wasserstein", lambda f: mean(f) / 3, x + 2, x, key=KEY)
    assert float(of_wasserstein) == pytest.approx(2, abs=1e-5)  # what the mean moved by


def train(folder, settings=TINY, seed=0, **options):
    return train_cycle_gan(COARSE, FINE, OPERATOR, settings, folder=folder, key=jr.key(seed), **options)


def stop_at(step):
    def report(done, metrics):
        if done == step:
            raise KeyboardInterrupt

    return report


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gan")
    return folder, train(folder, symmetries=shifts((4,)))


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(*map(jax.tree.leaves, (a, b)), strict=True))


def test_a_stopped_training_ends_with_the_same_bits(trained, tmp_path):
    with pytest.raises((KeyboardInterrupt, TrainingInterrupted)):
        train(tmp_path, symmetries=shifts((4,)), report=stop_at(4))
    assert same(train(tmp_path, symmetries=shifts((4,))), trained[1])
    with pytest.raises(CheckpointMismatch, match="key"):
        train(tmp_path, symmetries=shifts((4,)), seed=1)
    with pytest.raises(CheckpointMismatch, match="symmetries"):
        train(tmp_path)


@pytest.mark.slow  # a training more, of the same code
def test_another_seed_gives_another_map(trained, tmp_path):
    other = train(tmp_path, symmetries=shifts((4,)), seed=1)
    y = jnp.asarray(COARSE[0])
    assert np.abs(other(y) - trained[1](y)).max() > 0.1


def test_what_is_loaded_is_what_was_trained(trained):
    folder, upsample = trained
    loaded = load_cycle_gan(folder, OPERATOR)
    assert same(loaded, upsample)
    x = loaded(jnp.asarray(COARSE[0]), key=KEY)
    np.testing.assert_array_equal(x, upsample(jnp.asarray(COARSE[0])))
    assert x.shape == (1, 16)
    with pytest.raises(DataError, match="another C'"):
        load_cycle_gan(folder, BlockMean((16,), 4))
    with pytest.raises(DataError, match=r"no model\.json"):
        load_cycle_gan(folder / "none", OPERATOR)


def test_fields_are_normalised_by_the_moments_of_their_archive(trained):
    _, upsample = trained
    lifted = np.stack([upsample.grid.lifted(jnp.asarray(y)) for y in COARSE])
    np.testing.assert_allclose([lifted.mean(), lifted.std()], [0, 1], atol=1e-5)
    np.testing.assert_array_equal(lifted[:, :, ::4], lifted[:, :, 3::4])
    restored = np.asarray(upsample.grid.restored(jnp.zeros((1, 16))))
    np.testing.assert_allclose(restored, FINE.mean(), rtol=1e-5)


@pytest.mark.slow  # a third training; the game of test_adversarial.py is stopped by the same code
def test_a_training_that_diverges_is_stopped_and_named(tmp_path):
    with pytest.raises(TrainingDiverged, match="became"):
        train(tmp_path, dataclasses.replace(TINY, learning_rate=1e30))


def test_archives_on_other_grids_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"coarse fields have \(16,\) points"):
        train_cycle_gan(FINE, FINE, OPERATOR, TINY, folder=tmp_path, key=KEY)
    with pytest.raises(ValueError, match="no multiple"):
        whole_factors(SparseCoarsening(np.ones((3, 16)) / 16, fine_shape=(16,), coarse_shape=(3,)))
