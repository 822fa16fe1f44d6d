"""The low-rank Gaussian prior against dense linear algebra, and the choice of its rank where the answer is known."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.diffusion.denoiser import gaussian_denoiser
from subgrid.diffusion.gaussian_prior import choose_n_components, fit_gaussian_prior
from subgrid.diffusion.refinement import residual_scale

SHAPE, D = (1, 3, 4), 12


def low_rank_samples(n, rank, *, noise=0.3, seed=0):
    rng = np.random.default_rng(seed)
    components = np.linalg.qr(rng.normal(size=(D, D)))[0][:rank]
    scores = rng.normal(size=(n, rank)) * np.linspace(4, 2, rank)
    return (1.0 + scores @ components + noise * rng.normal(size=(n, D))).astype(np.float32)


def dense(prior):
    columns = jax.vmap(lambda e: prior.apply(lambda v: v, e).ravel())(jnp.eye(D).reshape(D, *SHAPE))
    return np.asarray(columns, np.float64)


@pytest.fixture(scope="module")
def prior():
    return fit_gaussian_prior(low_rank_samples(400, 3).reshape(-1, *SHAPE), 3)


def test_covariance_is_the_samples_own_on_the_leading_components(prior):
    values = low_rank_samples(400, 3)
    sample = np.cov(values.T, bias=True)
    V = np.asarray(prior.directions).reshape(3, D)
    np.testing.assert_allclose(V @ dense(prior) @ V.T, V @ sample @ V.T, rtol=1e-4, atol=1e-4)
    assert np.trace(dense(prior)) == pytest.approx(np.trace(sample), rel=1e-4)  # the remainder keeps the total


@pytest.mark.parametrize("sigma", [0.05, 1.0, 20.0])
def test_denoiser_and_posterior_covariance_are_the_dense_ones(prior, sigma):
    x = jr.normal(jr.key(0), SHAPE) * 3
    exact = gaussian_denoiser(prior.mean.ravel(), jnp.asarray(dense(prior), jnp.float32))(x, sigma)
    np.testing.assert_allclose(prior(x, jnp.asarray(sigma)), exact, atol=2e-4)
    jacobian = jax.jacobian(lambda z: prior(z.reshape(SHAPE), jnp.asarray(sigma)).ravel())(x.ravel())
    moved = prior.posterior_covariance(x, jnp.asarray(sigma)).ravel()  # σ² ∂D/∂x, Tweedie's second formula
    np.testing.assert_allclose(moved, sigma**2 * jacobian @ x.ravel(), rtol=2e-3, atol=1e-3)
    scale = residual_scale(prior, jnp.asarray(sigma))
    assert scale == pytest.approx(np.sqrt(sigma**2 * np.trace(np.asarray(jacobian)) / D), rel=1e-3)


def test_samples_have_the_distribution(prior):
    drawn = np.asarray(jax.vmap(lambda k: prior.sample(key=k))(jr.split(jr.key(1), 20_000))).reshape(-1, D)
    # 20,000 draws: the covariance to some √(2/20000) = 1 % of its norm.
    assert np.linalg.norm(np.cov(drawn.T) - dense(prior)) < 0.03 * np.linalg.norm(dense(prior))
    np.testing.assert_allclose(drawn.mean(0), np.asarray(prior.mean).ravel(), atol=0.1)


def test_nothing_lives_outside_the_support():
    support = np.ones(SHAPE)
    support[..., -1] = 0
    fields = low_rank_samples(200, 2).reshape(-1, *SHAPE) * support
    masked = fit_gaussian_prior(fields, 2, support=support)
    outside = support == 0
    assert (np.asarray(masked(jnp.ones(SHAPE) * 7, jnp.asarray(1.0)))[outside] == 0).all()
    assert (np.asarray(masked.sample(key=jr.key(0)))[outside] == 0).all()


def test_left_out_groups_find_the_rank():
    values, groups = low_rank_samples(300, 3), np.arange(300) // 20
    best, scores = choose_n_components(values, groups, candidates=(1, 2, 3, 5, 8))
    assert best == 3
    assert scores[3] > scores[1]


def test_complaints():
    with pytest.raises(ValueError, match="support 1 to 11 components, got 12"):
        fit_gaussian_prior(np.ones((20, *SHAPE), np.float32), 12)
    with pytest.raises(ValueError, match="at least two groups"):
        choose_n_components(np.ones((5, 4)), np.zeros(5), candidates=(1,))
    with pytest.raises(ValueError, match="no candidate"):
        choose_n_components(np.random.default_rng(0).normal(size=(6, 4)), np.arange(6), candidates=(9,))
