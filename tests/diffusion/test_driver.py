"""The driver of samplers: what it asks, what it traces and what it passes through."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.diffusion.denoiser import gaussian_denoiser
from subgrid.diffusion.driver import draw, draw_path, evaluations_of_step, sample
from subgrid.diffusion.noise_levels import exponential_grid, karras_grid
from subgrid.diffusion.resampling import Resampled
from subgrid.diffusion.samplers import (
    Ancestral,
    AncestralMultistep,
    Corrected,
    EulerMaruyama,
    ExponentialMultistep,
    Heun,
)


def unit_gaussian(x, sigma):
    return x / (1 + sigma**2)


def test_traces_once_whatever_the_number_of_steps():
    calls = []

    def counting(x, sigma):
        calls.append(1)
        return unit_gaussian(x, sigma)

    run = jax.jit(lambda x, levels: sample(counting, x, levels, method=ExponentialMultistep(), key=jr.key(0)))
    run(jnp.ones(3), karras_grid(64))
    once = len(calls)
    run(jnp.zeros(3), exponential_grid(64))
    assert len(calls) == once <= 3  # the body of the scan (which JAX may trace twice) and the last denoising


@pytest.mark.parametrize(
    ("method", "n"),
    [
        (Heun(), 2),
        (Ancestral(), 1),
        (ExponentialMultistep(), 1),
        (Corrected(Ancestral(), n_corrections=3), 4),
        (Corrected(Heun()), 3),
        (Resampled(AncestralMultistep(), n_resamples=5), 5),
    ],
    ids=lambda value: type(value).__name__,
)
def test_evaluations_of_a_step_are_counted(method, n):
    assert evaluations_of_step(method) == n


def test_a_path_ends_with_the_sample_and_passes_all_levels():
    mean, covariance = jnp.array([1.0, -2.0]), jnp.array([[1.0, 0.3], [0.3, 0.5]])
    denoiser, levels = gaussian_denoiser(mean, covariance), exponential_grid(8)
    options = {"method": EulerMaruyama(), "key": jr.key(5)}
    path = draw_path(denoiser, (2,), levels, **options)
    assert path.shape == (8, 2)
    np.testing.assert_allclose(path[-1], draw(denoiser, (2,), levels, **options), rtol=1e-5)
    assert float(jnp.abs(path[0]).max()) > 5  # still noise of the second level, some 20
