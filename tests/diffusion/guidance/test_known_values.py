"""Inpainting: known values are put in; the sampling distribution is tested with `Resampled` in test_samplers.py."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from subgrid.diffusion.driver import sample
from subgrid.diffusion.guidance.known_values import inpainting
from subgrid.diffusion.noise_levels import karras_grid
from subgrid.diffusion.samplers import Ancestral

KNOWN = jax.device_put(np.array([[True, False, False, True]]))
VALUES = jax.device_put(np.float32([[2.0, np.nan, np.nan, -1.0]]))


def denoiser(x, sigma):
    return x / (1 + sigma**2)


def test_known_points_are_given_and_the_others_denoised():
    x = jnp.asarray([[0.3, 4.0, -2.0, 0.1]])
    # Unknown entries of `values` are never read: NaN there must not leak.
    np.testing.assert_allclose(inpainting(denoiser, KNOWN, VALUES)(x, jnp.asarray(1.0)), [[2.0, 2.0, -1.0, -1.0]])


def test_the_known_part_follows_the_noised_values_along_an_ancestral_chain():
    levels, n = karras_grid(48, sigma_min=0.5), 20_000
    guided = inpainting(denoiser, jnp.asarray([True]), jnp.asarray([3.0]))
    # The last call of the denoiser sees x at the level σ_min: hand it out instead of denoising.
    last = lambda x, sigma: jnp.where(sigma == levels[-1], x, guided(x, sigma))  # noqa: E731
    run = jax.vmap(lambda x, key: sample(last, x, levels, method=Ancestral(), key=key))
    x = run(3.0 + 80 * jr.normal(jr.key(0), (n, 1)), jr.split(jr.key(1), n))
    # N(3, σ²) at every level, exactly: four standard errors of mean and standard deviation.
    assert abs(x.mean() - 3.0) < 4 * 0.5 / np.sqrt(n)
    assert abs(x.std() - 0.5) < 4 * 0.5 / np.sqrt(2 * n)


def test_gradient_is_finite_although_unknown_values_are_not():
    gradient = jax.grad(lambda x: jnp.sum(inpainting(denoiser, KNOWN, VALUES)(x, jnp.asarray(1.0)) ** 2))(
        jnp.ones((1, 4))
    )
    np.testing.assert_allclose(gradient, [[0.0, 0.5, 0.5, 0.0]])
