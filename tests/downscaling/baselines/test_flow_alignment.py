"""Aligned flows: the Knothe–Rosenblatt map in closed form, weights of losses, and a training of the same bits."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array

from subgrid.data.fields import DataError
from subgrid.downscaling.baselines import (
    FlowAlignmentSettings,
    align,
    load_cycle_gan,
    load_flow_alignment,
    train_flow_alignment,
)
from subgrid.downscaling.baselines.flow_alignment import Flows, critics_loss, flows_loss
from subgrid.networks.cycle_gan import CriticSettings
from subgrid.networks.glow import GlowSettings, log_density
from subgrid.numerics.operators import Subsample
from subgrid.numerics.symmetries import shifts
from subgrid.training import TrainingDiverged, TrainingInterrupted
from subgrid.training.checkpoint import CheckpointMismatch

KEY = jr.key(0)
SOURCE = np.array([[1.0, 0.6], [0.6, 1.0]])
TARGET = np.array([[2.0, -0.5], [-0.5, 0.5]])
OPERATOR = Subsample((16,), 4)
TINY = FlowAlignmentSettings(
    GlowSettings(n_levels=1, n_steps=1, filters=4, patch=4),
    CriticSettings(channels=4, patch=4, n_levels=0),
    n_steps=6,
    batch_size=4,
    steps_per_dispatch=2,
    checkpoint_every=2,
)
COARSE = np.random.default_rng(0).normal(20, 3, (32, 1, 4)).astype(np.float32)
FINE = np.random.default_rng(1).normal(10, 2, (32, 1, 16)).astype(np.float32)


class Triangular(eqx.Module):
    """z = L⁻¹ x on fields of one channel and two points: the flow that is fitted by a Cholesky factor."""

    factor: jax.Array

    def forward(self, x):
        z = solve_triangular(self.factor, x.reshape(-1), lower=True)
        return z, -jnp.sum(jnp.log(jnp.abs(jnp.diagonal(self.factor))))

    def inverse(self, z):
        return (jnp.tril(self.factor) @ z)[None]


def of_covariance(covariance, n=4096, seed=0):
    """Samples whose second moments are those of the Gaussian to rounding."""
    z = np.random.default_rng(seed).normal(size=(n, 2))
    z = z @ np.linalg.inv(np.linalg.cholesky(z.T @ z / n)).T
    return jnp.asarray((z @ np.linalg.cholesky(covariance).T)[:, None], jnp.float32)


def cholesky(covariance) -> Triangular:
    return Triangular(jax.device_put(np.float32(np.linalg.cholesky(covariance))))


@pytest.fixture(scope="module")
def ends():
    return of_covariance(SOURCE), of_covariance(TARGET, seed=1)


FITTED = Flows(cholesky(SOURCE), cholesky(TARGET))
BY_LIKELIHOOD = FlowAlignmentSettings(adversarial_weight=0.0)


def test_cholesky_factors_are_the_maximum_of_the_likelihood(ends):
    loss = lambda flows: flows_loss(flows, None, *ends, settings=BY_LIKELIHOOD)  # noqa: E731
    value, gradient = jax.jit(jax.value_and_grad(loss))(FITTED)
    for each in (gradient.coarse, gradient.fine):
        np.testing.assert_allclose(np.tril(each.factor), 0, atol=1e-5)  # of float32
    entropies = [0.5 * np.linalg.slogdet(2 * np.pi * np.e * c)[1] for c in (SOURCE, TARGET)]
    assert float(value) == pytest.approx(sum(entropies) / 2, abs=1e-5)  # nats a value, of two values


def test_triangular_flows_give_the_knothe_rosenblatt_map(ends):
    y, _ = ends
    run = jax.jit(lambda one: align(FITTED.fine, FITTED.coarse, one))
    matrix = np.stack([np.asarray(run(unit[None]))[0] for unit in np.eye(2, dtype=np.float32)], 1)
    np.testing.assert_allclose(matrix, [[1.4142, 0], [-0.8128, 0.7655]], atol=1e-4)
    x, y = np.asarray(jax.jit(jax.vmap(run))(y)), np.asarray(y)
    np.testing.assert_allclose(x[:, 0].T @ x[:, 0] / len(x), TARGET, atol=1e-4)
    assert np.mean(np.sum((x - y) ** 2, (1, 2))) == pytest.approx(1.116, abs=1e-3)  # transport costs .875
    back = jax.jit(lambda one: align(FITTED.coarse, FITTED.fine, one))(x[0])
    np.testing.assert_allclose(back, y[0], atol=1e-5)


def test_other_factors_of_the_same_covariance_give_another_map(ends):
    """Both reach the target: the loss does not say which."""
    turned = Triangular(jnp.asarray(np.linalg.cholesky(TARGET[::-1, ::-1]), jnp.float32))
    x = np.asarray(jax.jit(jax.vmap(lambda y: align(turned, FITTED.coarse, y)[:, ::-1]))(ends[0]))
    np.testing.assert_allclose(x[:, 0].T @ x[:, 0] / len(x), TARGET, atol=1e-4)
    cost = np.mean(np.sum((x - np.asarray(ends[0])) ** 2, (1, 2)))
    assert abs(cost - 1.116) > 0.1


@pytest.mark.parametrize("kind", ["wasserstein", "least-squares"])
def test_losses_of_aligned_distributions(ends, kind):
    """T(y) has the moments of x: a critic of second moments cannot tell them, and no critic that says one number."""
    y, x = ends
    settings = dataclasses.replace(BY_LIKELIHOOD, adversarial_weight=2.0, critic_kind=kind)
    half = lambda field: 0.5 + 0 * jnp.sum(field)  # noqa: E731
    constant = Flows(half, half)
    slope = Flows(*(lambda field: jnp.sum(field**2),) * 2)

    @jax.jit
    def losses(y, x):
        likelihood = flows_loss(FITTED, None, y, x, settings=settings)
        added = flows_loss(FITTED, constant, y, x, settings=settings) - likelihood
        return added, *(critics_loss(FITTED, each, y, x, settings=settings, key=KEY) for each in (constant, slope))

    added, of_critics, only_penalty = losses(y, x)
    moved = (
        jax.vmap(lambda one: align(FITTED.fine, FITTED.coarse, one))(y),
        jax.vmap(lambda one: align(FITTED.coarse, FITTED.fine, one))(x),
    )
    beyond = sum(np.mean(np.log1p(np.maximum(np.abs(np.asarray(each)) - 5.0, 0.0))) for each in moved)
    expected = 2 * (2 * 0.25 if kind == "least-squares" else -2 * 0.5) + 2 * beyond
    assert float(added) == pytest.approx(expected, abs=1e-5)
    # Without a slope the penalty is 10 for each critic, but for the 1e-6 of its root.
    assert float(of_critics) == pytest.approx(2 * 0.25 if kind == "least-squares" else 20, abs=1e-4)
    if kind == "wasserstein":
        scores = [np.mean(np.sum(np.asarray(each) ** 2, (1, 2))) for each in (x, y)]
        assert scores == pytest.approx([2.5, 2.0], abs=1e-4)
        assert float(only_penalty) > 0  # the difference of scores is 0


class Exploding(eqx.Module):
    """Undoes itself 1e15 times too large, as couplings do that were not trained on such latents."""

    def forward(self, x):
        return (x,), jnp.zeros(())

    def inverse(self, latents):
        return 1e15 * latents[0]


class Scaled(eqx.Module):
    """Its inverse multiplies by s."""

    s: Array

    def forward(self, x):
        return (x,), jnp.zeros(())

    def inverse(self, latents):
        return self.s * latents[0]


@pytest.mark.parametrize("kind", ["least-squares", "wasserstein"])
def test_critics_pay_nothing_for_fields_that_explode(ends, kind):
    settings = dataclasses.replace(BY_LIKELIHOOD, adversarial_weight=1.0, critic_kind=kind)
    flows, sums = Flows(Exploding(), Exploding()), Flows(*(lambda field: jnp.sum(field),) * 2)

    @jax.jit
    def losses(y, x):
        of_flows = (flows_loss(flows, critics, y, x, settings=settings) for critics in (sums, None))
        return *of_flows, critics_loss(flows, sums, y, x, settings=settings, key=KEY)

    with_critics, without, of_critics = losses(*ends)
    # Of two values a field, each of 5 standard deviations at most; and ln 1e15 of each archive for being beyond.
    added, beyond = float(with_critics - without), 2 * np.log(1e15)
    assert abs(added - beyond) <= 2 * (2 * 5.0 + 1) ** 2
    assert abs(float(of_critics)) < 1000


@pytest.mark.parametrize(("scale", "slope"), [(1.0, 0.0), (1e8, 1 / 1e8)])
def test_what_critics_do_not_see_is_pulled_back(ends, scale, slope):
    """A critic that has no opinion: what is left of the slope in a factor s of T⁻¹(x) is 1/s, of ln s; x < 5."""
    y, x = (each / 2 for each in ends)
    settings = dataclasses.replace(BY_LIKELIHOOD, adversarial_weight=1.0, critic_kind="least-squares")
    critics = Flows(*(lambda field: 0.5 + 0 * jnp.sum(field),) * 2)

    def added(s):
        flows = Flows(Scaled(s), Scaled(jnp.ones(())))
        return flows_loss(flows, critics, y, x, settings=settings) - flows_loss(flows, None, y, x, settings=settings)

    assert float(jax.grad(added)(jnp.asarray(scale))) == pytest.approx(slope, rel=1e-2)


def test_without_critics_their_loss_is_zero(ends):
    assert float(critics_loss(FITTED, FITTED, *ends, settings=BY_LIKELIHOOD, key=KEY)) == 0


def train(folder, settings=TINY, seed=0, **options):
    return train_flow_alignment(COARSE, FINE, OPERATOR, settings, folder=folder, key=jr.key(seed), **options)


def stop_at(step):
    def report(done, metrics):
        if done == step:
            raise KeyboardInterrupt

    return report


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("flows")
    return folder, train(folder, symmetries=shifts((4,)))


@eqx.filter_jit
def upsampled(upsample, y, key=None):
    return upsample(y, key=key)


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(*map(jax.tree.leaves, (a, b)), strict=True))


@pytest.mark.slow  # a second training; that of the cycleGAN goes the same way
def test_a_stopped_training_ends_with_the_same_bits(trained, tmp_path):
    with pytest.raises((KeyboardInterrupt, TrainingInterrupted)):
        train(tmp_path, symmetries=shifts((4,)), report=stop_at(4))
    assert same(train(tmp_path, symmetries=shifts((4,))), trained[1])
    with pytest.raises(CheckpointMismatch, match="dequantisation"):
        train(tmp_path, dataclasses.replace(TINY, dequantisation=0.2), symmetries=shifts((4,)))


def test_what_is_loaded_is_what_was_trained(trained):
    folder, upsample = trained
    loaded, y = load_flow_alignment(folder, OPERATOR), jnp.asarray(COARSE[0])
    assert same(loaded, upsample)
    assert loaded.noise == TINY.dequantisation
    x = upsampled(loaded, y, KEY)
    np.testing.assert_array_equal(x, upsampled(upsample, y, KEY))
    assert np.abs(x - upsampled(loaded, y, jr.key(1))).max() > 1e-2
    with pytest.raises(ValueError, match="needs a key"):
        loaded(y)
    as_it_is = load_flow_alignment(folder, OPERATOR, noise=0.0)
    np.testing.assert_array_equal(upsampled(as_it_is, y), upsampled(as_it_is, y, KEY))
    with pytest.raises(CheckpointMismatch, match="not a cycleGAN"):
        load_cycle_gan(folder, OPERATOR)
    with pytest.raises(DataError, match="another C'"):
        load_flow_alignment(folder, Subsample((16,), 2))


def test_the_map_is_a_bijection_on_the_fine_grid(trained):
    _, upsample = trained
    lifted = upsample.grid.lifted(jnp.asarray(COARSE[0]))
    one, other = upsample.fine, upsample.coarse
    back = eqx.filter_jit(lambda one, other, x: align(other, one, align(one, other, x)))(one, other, lifted)
    np.testing.assert_allclose(back, lifted, atol=1e-4)


@pytest.mark.slow
def test_training_by_likelihood_comes_near_to_the_entropy(tmp_path):
    """White fields: no density has a higher likelihood than their own, −½ ln 2πe a value of normalised ones."""
    settings = dataclasses.replace(TINY, adversarial_weight=0.0, n_steps=200, learning_rate=3e-3, batch_size=64)
    fine = np.random.default_rng(1).normal(10, 2, (4096, 1, 16)).astype(np.float32)
    coarse = np.random.default_rng(0).normal(20, 3, (4096, 1, 4)).astype(np.float32)
    model = train_flow_alignment(coarse, fine, OPERATOR, settings, folder=tmp_path, key=KEY)
    new = jr.normal(jr.key(7), (2000, 1, 16))
    found = float(jnp.mean(jax.vmap(lambda x: log_density(model.fine, x))(new))) / 16
    own = float(jnp.mean(-0.5 * new**2)) - 0.5 * np.log(2 * np.pi)
    assert own - 0.03 < found <= own + 1e-3


@pytest.mark.slow  # a second training; the game of test_adversarial.py is stopped by the same code
def test_a_training_that_diverges_is_stopped_and_named(tmp_path):
    with pytest.raises(TrainingDiverged, match="became"):
        train(tmp_path, dataclasses.replace(TINY, learning_rate=1e30))


def test_settings_that_mean_nothing_are_refused():
    with pytest.raises(ValueError, match="no density without noise"):
        FlowAlignmentSettings(dequantisation=0.0)
    with pytest.raises(ValueError, match="adversarial_weight must be at least 0"):
        FlowAlignmentSettings(adversarial_weight=-1.0)
