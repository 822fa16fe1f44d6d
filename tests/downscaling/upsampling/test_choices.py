"""Samplers, noise levels and guidance by name: what is made, and names that there are not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from subgrid.diffusion.gaussian_prior import GaussianPrior
from subgrid.diffusion.process import VariancePreserving
from subgrid.downscaling.upsampling import choices
from subgrid.downscaling.upsampling.choices import noising_process

RANGE = (2e-3, 80.0)
PARTS = np.zeros((1, 8)), np.eye(8)[:3, None], np.ones(3), np.ones(()), np.ones((1, 8))
WHITE = GaussianPrior(*jax.device_put([part.astype(np.float32) for part in PARTS]))


def test_the_cut_schedule_is_the_usual_one_at_another_pace():
    usual = VariancePreserving()
    cut = noising_process("variance-preserving", (2e-3, 80.0))
    last = usual.time_of(jnp.asarray(80.0))
    for time in jnp.linspace(0.05, 1.0, 9):
        np.testing.assert_allclose(cut.noise_level(time), usual.noise_level(last * time), rtol=1e-4)


@pytest.mark.parametrize("name", ["variance-exploding", "variance-preserving", "cosine"])
def test_every_process_reaches_the_ends_of_the_range(name):
    process = noising_process(name, RANGE)
    levels = [float(process.noise_level(process.time_of(jnp.asarray(sigma)))) for sigma in RANGE]
    # Some rounding of float32 through exponentials and their inverses.
    np.testing.assert_allclose(levels, RANGE, rtol=2e-3)
    assert float(process.noise_level(jnp.asarray(1.0))) == pytest.approx(RANGE[1], rel=2e-3)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: choices.sampling_method("nonsense"), "method 'nonsense': there are gaussian-sde, gaussian-ode, "),
        (lambda: noising_process("linear", RANGE), "process 'linear': there are variance-exploding, "),
        (lambda: choices.noise_grid("even", 8, RANGE), "grid 'even': there are karras, exponential, central, "),
        (
            lambda: choices.training_levels("even", RANGE, process="cosine"),
            "noise levels 'even': there are log-uniform",
        ),
        (
            lambda: choices.guidance("none", WHITE, n_iterations=2, strength=None),
            "guidance 'none': there are moment-matching, ",
        ),
    ],
)
def test_an_unknown_name_is_refused_with_the_known_ones(make, complaint):
    with pytest.raises(ValueError, match=complaint):
        make()
