"""Preconditioned networks: exact for Gaussian data before any training, one operator on every finer grid."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.functional.operators import gaussian_operator, noisy_variances
from subgrid.functional.preconditioning import BandNetwork, ModewiseOperator, PointwiseOperator, seen
from subgrid.networks.mlp import MLP

from .small import ROUGH, SMOOTH, Multiplier, Nothing

BOX = ROUGH.box


EXACT = gaussian_operator(SMOOTH, ROUGH)


def draw(field, n, seed=0):
    return jnp.asarray(
        np.fft.irfft(
            np.sqrt(field.mode_variances((n,)) / 2)
            * (np.random.default_rng(seed).normal(size=(n // 2 + 1, 2)) @ [1, 1j]),
            n,
            norm="forward",
        ),
        jnp.float32,
    )[None]


def learned(network, n, known=None, **options):
    """What a network adds to the Gaussian's operator at s = .1, from a rough field on n points: its modes."""
    operator = ModewiseOperator(BandNetwork(network, BOX, (9,), sees_answer=True, **options), SMOOTH, ROUGH)
    added = jax.jit(lambda v: operator(v, 0.1, known) - EXACT(v, 0.1))(draw(ROUGH, n))
    return np.fft.rfft(added[0], norm="forward")


@pytest.mark.parametrize("n", [16, 33])
def test_an_untrained_network_is_the_exact_operator_of_a_gaussian_on_every_grid(n):
    operator = ModewiseOperator(BandNetwork(Nothing(), BOX, (16,), sees_answer=True), SMOOTH, ROUGH)
    ours, exact = jax.jit(lambda v: (operator(v, 0.01), EXACT(v, 0.01)))(draw(SMOOTH, n))
    np.testing.assert_allclose(ours, exact, atol=1e-7)


def test_input_and_target_of_the_network_have_unit_variance_at_every_level():
    # A network that gives back its input: what is learned then has the variance of the posterior in every mode, if and
    # only if input and output are scaled so, and at a point the input has unit variance.
    shape, operator = (16,), ModewiseOperator(BandNetwork(Echo(), BOX, (16,), sees_answer=True), SMOOTH, ROUGH)

    @jax.jit
    def modes(key, s):
        white = jax.vmap(lambda k: BOX.white_modes(shape, key=k))(jr.split(key, 1000))
        v = BOX.from_modes(jnp.sqrt(noisy_variances(SMOOTH, ROUGH, shape, s)) * white, shape)[:, None]
        return BOX.to_modes(jax.vmap(lambda v: operator(v, s) - EXACT(v, s))(v)[:, 0])

    first, second = SMOOTH.mode_variances(shape)[:8], ROUGH.mode_variances(shape)[:8]
    for s in (jnp.asarray(1e-3), jnp.asarray(1.0)):
        found = np.mean(np.abs(modes(jr.key(0), s)[:, :8]) ** 2, 0)
        np.testing.assert_allclose(found, first * s * second / (first + s * second), rtol=4 * np.sqrt(2 / 1000))


def test_the_network_sees_white_modes_and_the_answer_of_a_gaussian_each_of_unit_variance():
    first, total = SMOOTH.mode_variances((16,)), SMOOTH.mode_variances((16,)) + 0.1 * ROUGH.mode_variances((16,))
    with jax.enable_x64(True):
        white, answer = seen(jnp.sqrt(total)[None], jnp.asarray(first), jnp.asarray(total), BOX.weights((16,)))
    for modes in (white, answer):
        assert np.sum(BOX.weights((16,)) * np.abs(modes) ** 2) == pytest.approx(1, rel=1e-12)
    np.testing.assert_allclose(white[:8], white[0], rtol=1e-12)
    np.testing.assert_allclose(answer[:8] / answer[0], np.sqrt(first**2 / total)[:8] / (first / np.sqrt(total))[0])


def test_what_was_trained_without_the_answer_is_as_it_was():
    network = BandNetwork(Echo(), BOX, (16,))
    first, total = jnp.ones(9), jnp.full(9, 4.0).at[8].set(0.0)
    modes = jnp.arange(9.0, dtype=jnp.complex64)[None].at[0, 8].set(0.0)
    np.testing.assert_allclose(network(modes, (16,), jnp.zeros(()), first=first, total=total), modes / 2, atol=1e-6)


def test_any_network_is_one_operator_on_all_grids_that_hold_the_band():
    # A multilayer perceptron knows one grid only.
    network = MLP((2, 9), (1, 9), hidden=(8,), key=jr.key(0))
    network = eqx.tree_at(lambda net: net.layers[-1].weight, network, replace_fn=lambda w: w + 0.5)
    fine = learned(network, 33)
    operator = ModewiseOperator(BandNetwork(network, BOX, (9,), sees_answer=True), SMOOTH, ROUGH)
    cut = jnp.asarray(np.fft.irfft(np.fft.rfft(draw(ROUGH, 33), norm="forward")[:, :5], 9, norm="forward"), jnp.float32)
    coarse = np.fft.rfft(jax.jit(lambda v: operator(v, 0.1) - EXACT(v, 0.1))(cut)[0], norm="forward")
    np.testing.assert_allclose(fine[:5], coarse, atol=1e-6)
    assert np.abs(coarse).max() > 1e-3  # it does something


def test_beyond_the_band_the_operator_is_that_of_the_gaussian():
    modes = np.abs(learned(Multiplier(2, 1, key=jr.key(0)), 33))
    assert modes[:5].max() > 1e-4  # it does something
    np.testing.assert_allclose(modes[5:], 0, atol=1e-8)


def test_on_the_given_grid_harmonics_are_kept():
    modes = np.abs(learned(Multiplier(2, 1, gain=3.0, key=jr.key(0)), 33, on_given_grid=True))
    assert modes[5:].max() > 1e-5


def test_known_fields_of_any_grid_are_channels():
    network = Multiplier(3, 1, key=jr.key(0))
    one, other = (learned(network, 33, known) for known in (draw(SMOOTH, 13, 1), -draw(SMOOTH, 13, 1)))
    assert np.abs(one - other).max() > 1e-5


def test_the_pointwise_operator_is_that_of_white_data_in_white_noise():
    operator, v = PointwiseOperator(Nothing(), 4.0, 1.0, BOX), draw(ROUGH, 16)
    np.testing.assert_allclose(operator(v, 2.0), 4 / 6 * v, rtol=1e-6)


class Echo(eqx.Module):
    def __call__(self, x, t):
        return x[:1]
