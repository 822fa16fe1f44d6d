"""Upsamplers of conditional models in physical units, against Gaussian posteriors."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.data.normalise import Standardiser
from subgrid.diffusion.gaussian_conditional import condition
from subgrid.diffusion.gaussian_steps import GaussianODE
from subgrid.downscaling.conditional.model import ConditionalModel, ConditionalSettings
from subgrid.downscaling.conditional.upsample import (
    DIFFUSION_LEVELS,
    FLOW_STEPS,
    conditional_upsampler,
)
from subgrid.downscaling.prior.model import PriorSettings
from subgrid.downscaling.upsampling.guided import sample_ensemble

from ...cases import few
from .gaussian_truth import CASES, as_prior, covariance_of, matrix_of, noisy, posterior, silent

MEAN, STD = (7.0, -40.0), (3.0, 0.5)
KINDS = ("diffusion", "flow")


def model_of(name, kind, *, jitter=0.0, network=None) -> ConditionalModel:
    """Of Gaussian fields, untrained; `jitter` in normalised units."""
    operator, n_channels = CASES[name]
    prior = as_prior(covariance_of(operator.fine_shape, n_channels), (n_channels, *operator.fine_shape))
    conditional = condition(prior, operator, (n_channels, *operator.coarse_shape), noise_variance=jitter**2)
    settings = ConditionalSettings(kind, PriorSettings(n_channels, operator.fine_shape, sigma_min=3e-3, sigma_max=10.0))
    standardiser = Standardiser(jnp.asarray(MEAN[:n_channels]), jnp.asarray(STD[:n_channels]))
    network = network or silent(operator.fine_shape, n_channels)
    return ConditionalModel(settings, network, standardiser, conditional, conditional.spread)


def physical(name):
    """Mean and standard deviation of every value, flattened, and one coarse field."""
    operator, n = CASES[name]
    lift = lambda numbers, shape: np.repeat(numbers[:n], np.prod(shape)).astype(float)  # noqa: E731
    y = np.random.default_rng(7).normal(size=(n, *operator.coarse_shape)).astype(np.float32)
    y = y * np.reshape(STD[:n], (n, *(1,) * (y.ndim - 1))) + np.reshape(MEAN[:n], (n, *(1,) * (y.ndim - 1)))
    return lift(MEAN, operator.fine_shape), lift(STD, operator.fine_shape), lift(STD, operator.coarse_shape), y


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("jitter", [0.0, 0.3])
@pytest.mark.parametrize("name", few(CASES, 2))
def test_an_untrained_model_draws_the_gaussian_posterior_in_physical_units(name, kind, jitter):
    mean, std, coarse_std, y = physical(name)
    model, n = model_of(name, kind, jitter=jitter), 4000
    upsample = conditional_upsampler(model, n_evaluations=3)
    draws = np.float64(sample_ensemble(upsample, y[None].astype(np.float32), n, chunk=n, key=jr.key(0))).reshape(n, -1)
    matrix = matrix_of(model.conditional.operator, len(y))
    innovation = (y.ravel() - matrix @ mean) / coarse_std  # in normalised units
    expected_mean, spread = posterior(covariance_of(CASES[name][0].fine_shape, len(y)), matrix, innovation, jitter**2)
    normalised = (draws - mean) / std
    # Three standard errors: √(tr P/n) of the mean, √(((tr P)² + ‖P‖²)/n) of the covariance.
    trace, norm = np.trace(spread), np.linalg.norm(spread)
    assert np.linalg.norm(normalised.mean(0) - expected_mean) < 3 * np.sqrt(trace / n)
    assert np.linalg.norm(np.cov(normalised.T) - spread) < 3 * np.sqrt((trace**2 + norm**2) / n)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", few(CASES))  # means: test_flow.py, test_refinement.py
def test_draws_keep_to_y_for_any_weights(name, kind):
    operator, n_channels = CASES[name]
    *_, y = physical(name)
    model = model_of(name, kind, network=noisy(silent(operator.fine_shape, n_channels)))
    draws = sample_ensemble(
        conditional_upsampler(model, n_evaluations=4), y[None].astype(np.float32), 16, key=jr.key(0)
    )
    off = np.asarray(operator(jnp.asarray(draws[0]))) - y
    # float32 beside |y| up to 43.
    np.testing.assert_allclose(off, 0, atol=2e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_with_jitter_draws_keep_to_y_within_it(kind):
    name, jitter = "subsample, 1-D", 0.3
    operator, _ = CASES[name]
    *_, coarse_std, y = physical(name)
    upsample = conditional_upsampler(model_of(name, kind, jitter=jitter), n_evaluations=3)
    draws = sample_ensemble(upsample, y[None].astype(np.float32), 2000, chunk=2000, key=jr.key(0))
    off = (np.asarray(operator(jnp.asarray(draws[0])), np.float64) - y).reshape(2000, -1) / coarse_std
    # Four points of variance 1, known up to noise: what is left of each is below jitter², and not much where the
    # field says little of its neighbours.
    assert 0.5 * jitter**2 < off.var(0).min() and off.var(0).max() < 1.1 * jitter**2


def test_evaluations_by_default_and_as_asked():
    diffusion, flow = (model_of("subsample, 1-D", kind) for kind in KINDS)
    assert len(conditional_upsampler(diffusion).noise_levels) + 1 == DIFFUSION_LEVELS
    assert conditional_upsampler(flow).n_steps == FLOW_STEPS
    assert conditional_upsampler(flow, n_evaluations=1).n_steps == 1
    levels = conditional_upsampler(diffusion, n_evaluations=3).noise_levels
    np.testing.assert_allclose(levels, [10.0, 3e-3], rtol=1e-6)
    for n in (1, 2):
        with pytest.raises(ValueError, match=f"needs 3 evaluations, .*, got {n}"):
            conditional_upsampler(diffusion, n_evaluations=n)
    for model in (diffusion, flow):
        with pytest.raises(ValueError, match="got 0"):
            conditional_upsampler(model, n_evaluations=0)


class Counting(eqx.Module):
    """Says nothing, and that it was asked."""

    asked: Callable = eqx.field(static=True)

    def __call__(self, features, coordinate):
        jax.debug.callback(self.asked)
        return jnp.zeros_like(features[:1])


def test_the_number_of_evaluations_is_that_of_calls_of_the_network():
    calls = []
    *_, y = physical("subsample, 1-D")
    for kind, n in (("diffusion", 5), ("flow", 4)):
        calls.clear()
        upsample = conditional_upsampler(model_of("subsample, 1-D", kind), n_evaluations=n)
        where = (lambda u: u.denoiser.network) if kind == "diffusion" else (lambda u: u.flow.network)
        counted = eqx.tree_at(where, upsample, Counting(lambda: calls.append(1)))
        eqx.filter_jit(counted)(jnp.asarray(y, jnp.float32), key=jr.key(0)).block_until_ready()
        jax.effects_barrier()
        assert len(calls) == n


@pytest.mark.slow
def test_the_ode_draws_are_the_gaussian_ones_too():
    """Deterministic given its start, which is the Gaussian part's: the draw is m_y + Σ_y^½ ξ to rounding."""
    model = model_of("subsample, 1-D", "diffusion")
    *_, y = physical("subsample, 1-D")
    draws = sample_ensemble(
        conditional_upsampler(model, n_evaluations=3, method=GaussianODE), y[None].astype(np.float32), 2, key=jr.key(0)
    )
    more = sample_ensemble(
        conditional_upsampler(model, n_evaluations=9, method=GaussianODE), y[None].astype(np.float32), 2, key=jr.key(0)
    )
    np.testing.assert_allclose(draws, more, atol=1e-3)  # the same start, whatever the steps
