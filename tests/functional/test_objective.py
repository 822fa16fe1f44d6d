"""Losses and their floors: the table of the specification, and losses of draws against it."""

from functools import partial

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.functional.gaussian_field import GaussianField
from subgrid.functional.objective import operator_loss, square_floor, square_loss, weighted_floor, weighted_loss
from subgrid.functional.operators import gaussian_operator

DATA = GaussianField(2.0, 5.0, variance=1.0)


def with_nyquist_once(floor, noise, n):
    """The specification counts the Nyquist wave once: between a grid of n points, without it, and one of n + 1."""
    with jax.enable_x64(True):
        return float(floor(DATA, noise, (n,), 1.0) + floor(DATA, noise, (n + 1,), 1.0)) / 2


@pytest.mark.parametrize(
    ("alpha", "square", "weighted"),
    [(1.0, [0.4178] * 3, [2.690, 2.746, 2.760]), (1.6, [0.4915] * 3, [8.68, 14.66, 22.74])],
)
def test_floors_of_the_specification(alpha, square, weighted):
    noise = GaussianField(alpha, 5.0, variance=1.0)
    grids = (64, 256, 1024)
    np.testing.assert_allclose([with_nyquist_once(square_floor, noise, n) for n in grids], square, atol=6e-5)
    found = [with_nyquist_once(weighted_floor, noise, n) for n in grids]
    np.testing.assert_allclose(found, weighted, atol=6e-4 if alpha == 1 else 6e-3)
    # What makes the weighted loss useless for noise that is too smooth: it grows with every refinement.
    assert found[2] / found[1] == pytest.approx(1.005 if alpha == 1 else 1.55, abs=5e-3)


def test_the_exact_operator_sits_on_both_floors():
    noise, shape, s = GaussianField(1.0, 5.0, variance=1.0), (16,), 0.3
    exact = gaussian_operator(DATA, noise)

    @jax.jit
    @jax.vmap
    def losses(key):
        first, second = jr.split(key)
        u, eta = DATA.sample(shape, key=first), jnp.sqrt(s) * noise.sample(shape, key=second)
        error = u - exact(u + eta, s)
        return square_loss(error), weighted_loss(error, s, noise)

    drawn = np.asarray(losses(jr.split(jr.key(0), 4000)))
    floors = [float(square_floor(DATA, noise, shape, s)), float(weighted_floor(DATA, noise, shape, s))]
    # 4000 draws of a sum dominated by two modes: 1.6 % a standard error, three of them.
    np.testing.assert_allclose(drawn.mean(1), floors, rtol=0.05)


def without_the_last_mode(operator):
    """It takes the shortest wave of 16 points away."""
    return lambda v, s, known=None: DATA.box.multiply(operator(v, s), jnp.asarray([1.0] * 7 + [0.0, 0.0]))


def test_the_loss_over_its_floor_is_one_at_every_level():
    noise = GaussianField(1.0, 5.0, variance=1.0)
    exact = gaussian_operator(DATA, noise)
    fields = jax.jit(jax.vmap(lambda k: DATA.sample((16,), n_channels=2, key=k)))(jr.split(jr.key(1), 3000))

    @jax.jit
    def losses(key):
        loss = partial(operator_loss, data=DATA, noise=noise, key=key)
        nothing = loss(lambda v, s, k=None: v, fields, levels=(100.0, 50.0))
        of_modes = loss(exact, fields, levels=(100.0, 1e-6), of_modes=1.0)
        blind = loss(without_the_last_mode(exact), fields, levels=(1e-4, 1e-5))
        seen = loss(without_the_last_mode(exact), fields, levels=(1e-4, 1e-5), of_modes=1.0)
        return (
            loss(exact, fields, levels=(100.0, 50.0)),
            loss(exact, fields, levels=(1e-2, 5e-3)),
            nothing,
            of_modes,
            blind,
            seen,
        )

    large, small, nothing, of_modes, blind, seen = (float(each) for each in losses(jr.key(2)))
    assert of_modes == pytest.approx(1.0, rel=0.02)  # the mean of seven modes and two channels: smaller an error
    assert seen - 1 > 10 * abs(blind - 1)  # a mode that is lost is seen by the loss of modes
    assert large == pytest.approx(1.0, rel=0.05) and small == pytest.approx(1.0, rel=0.05)  # as above
    assert nothing > 30  # an operator that does nothing misses the floor by S/λ₁
