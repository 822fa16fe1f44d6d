"""Walks of the gallery, on drifts with known paths."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.experiments.gallery import paths as gallery_paths
from subgrid.experiments.gallery.paths import SIGMA_MAX, SIGMA_MIN, SUBSTEPS, ProbabilityFlow


def test_the_denoising_picture_of_a_unit_gaussian_stands_still():
    """x_σ = x₀ √(1 + σ²) along the probability flow of N(0, I): the picture x_σ/√(1 + σ²) does not move."""
    angles = jnp.linspace(jnp.arctan(SIGMA_MAX), jnp.arctan(SIGMA_MIN), 40 * SUBSTEPS + 1)
    x, levels = jr.normal(jr.key(0), (5, 2)), jnp.tan(angles)
    flow = ProbabilityFlow(lambda z, sigma: z / (1 + sigma**2))
    paths = gallery_paths._walk(flow, jnp.sqrt(1 + SIGMA_MAX**2) * x, levels)
    picture = np.asarray(paths) / np.sqrt(1 + np.asarray(levels)[::SUBSTEPS, None, None] ** 2)
    assert picture.shape == (41, 5, 2)
    # Heun's steps in σ, the first from 40 to 18, where the flow is nearly linear in σ: a few thousandths.
    np.testing.assert_allclose(picture, np.tile(x, (41, 1, 1)), rtol=1e-2)


def test_without_a_drift_points_wander_as_far_as_sigma_says():
    still = lambda x, t, context=None: jnp.zeros_like(x)  # noqa: E731
    paths = gallery_paths._wander(still, jnp.zeros((2000, 2)), 0.5, 8, jr.key(0))
    assert paths.shape == (1 + 8 // SUBSTEPS, 2000, 2)
    # Half of the time: half of the variance; 4000 squares are known to 2.2 %, three times that.
    assert float(paths[1].var()) == pytest.approx(0.25 / 2, rel=0.07)
