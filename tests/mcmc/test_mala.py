"""MALA against closed forms, quadrature and blackjax."""

import blackjax
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from subgrid.mcmc.diagnostics import acceptance_rate
from subgrid.mcmc.driver import run_chain
from subgrid.mcmc.mala import MALA, acceptance_probability

N = 20_000


def log_normal(x):
    return -jnp.sum(x**2) / 2


@jax.jit
def stationary_chains(starts, step_size, key):
    """From exact draws of N(0, I), so that every step is stationary; ten of each chain."""
    kernel = MALA(log_normal, step_size)
    run = lambda x, k: run_chain(kernel, kernel.init(x), 10, key=k)  # noqa: E731
    return jax.vmap(run)(starts, jr.split(key, len(starts)))


def exact_acceptance(step_size, *, with_proposal_ratio=True):
    """E min(1, …) over x ~ N(0, 1) and ξ ~ N(0, 1), on a fine grid."""
    x = np.linspace(-8, 8, 1201)
    y = (1 - step_size) * x[:, None] + np.sqrt(2 * step_size) * x
    factor = step_size / 4 if with_proposal_ratio else 1 / 2
    alpha = np.exp(np.minimum(0, -factor * (y**2 - x[:, None] ** 2)))
    return norm.pdf(x) @ alpha @ norm.pdf(x) * (x[1] - x[0]) ** 2


@pytest.mark.parametrize(("step_size", "acceptance"), [(0.1, 0.9929), (0.5, 0.921), (1.0, 0.783), (1.5, 0.633)])
def test_acceptance_in_one_dimension(step_size, acceptance):
    chains = stationary_chains(jr.normal(jr.key(0), (N, 1)), step_size, jr.key(1))
    rates = np.asarray(chains.info.acceptance_probability.mean(1))
    exact = exact_acceptance(step_size)
    assert exact == pytest.approx(acceptance, abs=7e-4)  # the published figures, cut to three digits
    # E α = 2 P(|x′| < |x|) by symmetry, and x′ − x and x′ + x are Gaussians of correlation τ^(3/2)/√(8 + τ³).
    assert exact == pytest.approx(1 - 2 / np.pi * np.arctan(np.sqrt(step_size**3 / 8)), abs=1e-4)
    # Chains are independent: four standard errors of a mean over them.
    assert rates.mean() == pytest.approx(exact, abs=4 * rates.std() / np.sqrt(N))
    assert acceptance_rate(chains.info).mean() == pytest.approx(exact, abs=4 * 0.5 / np.sqrt(N))
    # Negative control: without the proposal ratio the rate would be another one, by many standard errors.
    assert abs(exact_acceptance(step_size, with_proposal_ratio=False) - exact) > 20 * rates.std() / np.sqrt(N)


def test_the_stationary_distribution_is_kept():
    # At τ = 1.5 the unadjusted chain would have the variance 4.
    x = np.asarray(stationary_chains(jr.normal(jr.key(2), (N, 1)), 1.5, jr.key(3)).positions[:, -1, 0])
    assert abs(x.mean()) < 4 / np.sqrt(N)
    assert x.var() == pytest.approx(1, abs=4 * np.sqrt(2 / N))
    assert (x**4).mean() == pytest.approx(3, abs=4 * np.sqrt(96 / N))  # Var x⁴ = 105 − 9


@pytest.mark.parametrize("target", [0.574, 0.8])
def test_acceptance_in_many_dimensions(target):
    d = 2000
    step_size = (8 / d) ** (1 / 3) * norm.ppf(1 - target / 2) ** (2 / 3)  # 2Φ(−√(dτ³/8)) = target
    chains = stationary_chains(jr.normal(jr.key(4), (50, d)), step_size, jr.key(5))
    rates = np.asarray(chains.info.acceptance_probability.mean(1))
    # Corrections are of relative order τ = .16 and less, of the spread of log α: .01; beside four standard errors.
    assert rates.mean() == pytest.approx(target, abs=0.01 + 4 * rates.std() / np.sqrt(50))


def test_log_ratio_on_a_gaussian_and_its_antisymmetry():
    kernel, tau = MALA(log_normal, 0.7), 0.7
    x, y = (kernel.init(jr.normal(jr.key(k), (3, 4))) for k in (6, 7))
    forward, backward = acceptance_probability(x, y, tau), acceptance_probability(y, x, tau)
    expected = -tau / 4 * (jnp.sum(y.position**2) - jnp.sum(x.position**2))
    assert jnp.log(forward) - jnp.log(backward) == pytest.approx(float(expected), rel=1e-5)
    assert max(float(forward), float(backward)) == 1


def log_banana(x):
    """x₀ ~ N(0, 1), x₁ | x₀ ~ N(x₀², ½): E x₁ = 1, Var x₁ = 2.5, E (x₁ − x₀²)² = ½."""
    return -(x[0] ** 2) / 2 - (x[1] - x[0] ** 2) ** 2


def test_acceptance_has_the_densities_of_both_proposals():
    # min(1, p(x′)q(x|x′)/p(x)q(x′|x)) with q written out: on the banana both means count, unlike on a Gaussian.
    tau, init = 0.3, jax.jit(lambda x: MALA(log_banana, 0.3).init(x))
    for k in range(5):
        x, y = (init(z) for z in jr.normal(jr.key(20 + k), (2, 2)))
        means = [np.asarray(state.position + tau * state.score, np.float64) for state in (x, y)]
        forward = multivariate_normal.logpdf(y.position, means[0], 2 * tau * np.eye(2))
        backward = multivariate_normal.logpdf(x.position, means[1], 2 * tau * np.eye(2))
        expected = min(1.0, np.exp(float(log_banana(y.position) - log_banana(x.position)) + backward - forward))
        assert acceptance_probability(x, y, tau) == pytest.approx(expected, rel=1e-4)


@pytest.fixture(scope="module")
def bananas():
    """Positions and acceptance on the banana, ours and blackjax's, from the same exact draws."""
    kernel, theirs, n_chains, n_steps = MALA(log_banana, 0.3), blackjax.mala(log_banana, 0.3), 2000, 50
    first, second = jr.normal(jr.key(8), (2, n_chains))
    starts = jnp.stack([first, first**2 + jnp.sqrt(0.5) * second], axis=1)

    def of_blackjax(x, key):
        def body(state, k):
            state, info = theirs.step(k, state)
            return state, (state.position, info.acceptance_rate)

        return jax.lax.scan(body, theirs.init(x), jr.split(key, n_steps))[1]

    def of_ours(x, key):
        chain = run_chain(kernel, kernel.init(x), n_steps, key=key)
        return chain.positions, chain.info.acceptance_probability

    both = enumerate([of_ours, of_blackjax])
    return [jax.jit(jax.vmap(f))(starts, jr.split(jr.key(9 + i), n_chains)) for i, f in both]


def test_acceptance_agrees_with_blackjax(bananas):
    (_, ours), (_, theirs) = bananas
    ours, theirs = np.asarray(ours).mean(1), np.asarray(theirs).mean(1)  # one number a chain; chains are independent
    error = float(np.sqrt((ours.var() + theirs.var()) / len(ours)))
    assert ours.mean() == pytest.approx(theirs.mean(), abs=4 * error)
    assert error < 0.01  # of an acceptance of two thirds


def test_moments_of_a_banana_agree_with_the_truth_and_with_blackjax(bananas):
    for positions, _ in bananas:
        x, y = np.moveaxis(np.asarray(positions, np.float64), -1, 0)
        for quantity, truth in ((x, 0), (x**2, 1), (y, 1), ((y - x**2) ** 2, 0.5), ((y - 1) ** 2, 2.5)):
            of_chains = quantity.mean(1)
            assert of_chains.mean() == pytest.approx(truth, abs=4 * of_chains.std() / np.sqrt(len(of_chains)))


def test_proposals_outside_the_support_are_refused():
    kernel = MALA(lambda x: jnp.sum(jnp.log(x) - x), 4.0)  # Gamma(2), zero where x < 0, NaN log there
    chain = jax.jit(lambda x, k: run_chain(kernel, kernel.init(x), 2000, key=k))(jnp.ones(1), jr.key(11))
    assert (chain.positions > 0).all()
    assert not chain.info.accepted.all() and chain.info.accepted.any()
    assert (jnp.isfinite(chain.info.acceptance_probability)).all()


def test_fields_of_any_shape_and_the_key_decides():
    kernel = MALA(log_normal, 0.5)
    for shape in ((2, 2), (2, 3, 4)):  # below and above where one more number decides
        run = jax.jit(lambda x, k: run_chain(kernel, kernel.init(x), 3, key=k).positions)
        runs = [run(jnp.ones(shape), jr.key(k)) for k in (0, 0, 1)]
        assert runs[0].shape == (3, *shape)
        np.testing.assert_array_equal(runs[0], runs[1])
        assert (runs[0] != runs[2]).any()
