"""Moment matching on Gaussian priors, where it must give the exact posterior without any tuning."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.diffusion.denoiser import gaussian_denoiser
from subgrid.diffusion.driver import sample
from subgrid.diffusion.gaussian_prior import GaussianPrior
from subgrid.diffusion.guidance.gaussian import gaussian_gain, innovations
from subgrid.diffusion.guidance.moments import moment_matching, safeguarded_conjugate_gradient, solve_residual
from subgrid.diffusion.noise_levels import karras_grid
from subgrid.diffusion.samplers import AncestralMultistep, ExponentialMultistep
from subgrid.numerics.operators import BlockMean, SparseCoarsening, Subsample

from ...cases import few
from ..gaussian_fields import as_prior, denoised, denoised_by

N = 32
OPERATORS = {
    "every 4th": Subsample((N,), 4),
    "every 8th": Subsample((N,), 8),
    "means of 4": BlockMean((N,), 4),
    "means of 8": BlockMean((N,), 8),
}


def smooth_covariance():
    distance = abs(np.arange(N)[:, None] - np.arange(N)) / N
    distance = np.minimum(distance, 1 - distance)
    return np.exp(-0.5 * (distance / 0.08) ** 2) + 1e-4 * np.eye(N)


COVARIANCE = smooth_covariance()
GAUSSIAN = as_prior(np.zeros(N), COVARIANCE, (N,))
PRIOR = GAUSSIAN


def matrix_of(operator):
    return np.asarray(jax.vmap(operator, 1, 1)(jnp.eye(N)), np.float64)


def observe(operator, noise_variance):
    rng = np.random.default_rng(0)
    y = matrix_of(operator) @ np.linalg.cholesky(COVARIANCE) @ rng.normal(size=N)
    return y + np.sqrt(noise_variance) * rng.normal(size=y.shape)


def exact_posterior(operator, y, noise_variance, prior=COVARIANCE):
    c = matrix_of(operator)
    gain = prior @ c.T @ np.linalg.inv(c @ prior @ c.T + noise_variance * np.eye(len(c)))
    return gain @ y, prior - gain @ c @ prior


def cubature(scale):
    """64 starts whose mean is 0 and whose covariance is scale²·I: an affine sampler carries both moments exactly."""
    axes = np.linalg.qr(np.random.default_rng(1).normal(size=(N, N)))[0]
    return jnp.asarray(scale * np.sqrt(N) * np.concatenate([axes, -axes]), jnp.float32)


@eqx.filter_jit
def run(operator, y, starts, keys, levels, method, noise_variance):
    guided = moment_matching(PRIOR, operator, y, noise_variance=noise_variance)
    return jax.vmap(lambda x, key: sample(guided, x, levels, method=method, key=key))(starts, keys)


def relative_error(got, exact):
    return np.linalg.norm(got - exact) / np.linalg.norm(exact)


@pytest.mark.parametrize("noise_variance", [0.0, 0.05], ids=["exact", "noisy"])
@pytest.mark.parametrize("name", OPERATORS)
def test_gaussian_posterior_untuned(name, noise_variance):
    operator = OPERATORS[name]
    y = observe(operator, noise_variance)
    mean, covariance = exact_posterior(operator, y, noise_variance)
    levels, target = karras_grid(64), jnp.asarray(y, jnp.float32)
    keys = jr.split(jr.key(0), 2 * N)
    out = np.float64(run(operator, target, cubature(80.0), keys, levels, ExponentialMultistep(), noise_variance))
    # The specification allows 5 %. The start ignores the mean, an error of std/σ_max ≈ 1 %; the steps leave less.
    assert relative_error(out.mean(0), mean) < 0.02
    assert relative_error((out - out.mean(0)).T @ (out - out.mean(0)) / len(out), covariance) < 0.02


@pytest.mark.slow
def test_random_draws_have_the_posterior_too():
    operator, n = OPERATORS["every 8th"], 4000
    y = observe(operator, 0.0)
    mean, covariance = exact_posterior(operator, y, 0.0)
    starts = 80 * jr.normal(jr.key(1), (n, N))
    levels = karras_grid(96)
    draws = run(
        operator, jnp.asarray(y, jnp.float32), starts, jr.split(jr.key(2), n), levels, AncestralMultistep(), 0.0
    )
    draws = np.float64(draws)
    # Three standard errors, √(tr P/n) and √(((tr P)² + ‖P‖²)/n), beside the 5 % of the specification.
    trace, frobenius = np.trace(covariance), np.linalg.norm(covariance)
    assert np.linalg.norm(draws.mean(0) - mean) < 3 * np.sqrt(trace / n) + 0.05 * np.linalg.norm(mean)
    sampling = 3 * np.sqrt((trace**2 + frobenius**2) / n)
    assert np.linalg.norm(np.cov(draws.T) - covariance) < sampling + 0.05 * frobenius


@pytest.mark.parametrize("sigma", [0.01, 1.0, 30.0])
@pytest.mark.parametrize("noise_variance", [0.0, 0.2], ids=["exact", "noisy"])
def test_denoiser_is_the_posterior_mean(sigma, noise_variance):
    # E[x₀ | x₀ + σε = x, C′x₀ + √Σ_y ξ = y] by stacking the two observations.
    operator = OPERATORS["means of 4"]
    c, x = matrix_of(operator), np.random.default_rng(2).normal(size=N)
    y = observe(operator, noise_variance)
    stacked = np.concatenate([np.eye(N), c])
    noise = np.concatenate([np.full(N, sigma**2), np.full(len(c), noise_variance)])
    exact = (
        COVARIANCE
        @ stacked.T
        @ np.linalg.solve(stacked @ COVARIANCE @ stacked.T + np.diag(noise), np.concatenate([x, y]))
    )
    target = jnp.asarray(y, jnp.float32)
    # As many iterations as observations: conjugate gradients are then exact up to rounding.
    options = {"noise_variance": noise_variance, "n_iterations": 8}
    start, level = jnp.asarray(x, jnp.float32), jnp.asarray(sigma)
    got = denoised_by(moment_matching, PRIOR, operator, target, start, level, **options)
    np.testing.assert_allclose(got, exact, atol=2e-3 * np.abs(exact).max())  # float32; κ(A) ≲ 10³ at σ = .01


@pytest.mark.parametrize("sigma", few([0.01, 1.0, 30.0]))
@pytest.mark.parametrize("noise", [0.0, 0.2, "its own"])
@pytest.mark.parametrize("name", OPERATORS)
def test_one_iteration_is_enough_when_the_gaussian_preconditions(name, noise, sigma):
    operator, rng = OPERATORS[name], np.random.default_rng(2)
    x, y = rng.normal(size=N), observe(operator, 0.0)
    noise = rng.uniform(0.05, 0.3, y.shape) if noise == "its own" else noise
    exact = denoised(np.zeros(N), COVARIANCE, matrix_of(operator), y, noise, x, sigma)
    variance = jnp.asarray(noise, jnp.float32) if np.ndim(noise) else noise
    target, start = jnp.asarray(y, jnp.float32), jnp.asarray(x, jnp.float32)
    options = {"prior": GAUSSIAN, "noise_variance": variance, "n_iterations": 1}
    got = denoised_by(moment_matching, PRIOR, operator, target, start, jnp.asarray(sigma), **options)
    # float32, as above; of exact values at σ = .01 the condition is ten times worse (.0036 on one processor).
    worst = 6e-3 if sigma == 0.01 and np.ndim(noise) == 0 and noise == 0 else 2e-3
    np.testing.assert_allclose(got, exact, atol=worst * np.abs(exact).max())


@pytest.mark.slow
@pytest.mark.parametrize("sigma", [0.1, 1.0, 10.0, 80.0])
@pytest.mark.parametrize("length", [0.12, 0.2])
def test_256_values_that_nearly_depend(length, sigma):
    """A smooth 32 × 32 field, every second point given: by rounding, the float32 Gram matrix has negative eigenvalues.

    Of a float64 condition number of 10⁸: `moment_matching`, `gaussian_gain` and what particles weigh by.
    """
    n, operator, rng = 32, Subsample((32, 32), 2), np.random.default_rng(0)
    variances, vectors, prior = smooth_square(n, length)
    x0 = vectors @ (np.sqrt(variances) * rng.normal(size=n * n))
    x = x0 + sigma * rng.normal(size=n * n)
    given = np.arange(n * n).reshape(n, n)[::2, ::2].ravel()
    seen = variances / (variances + sigma**2)
    plain, spread = vectors @ (seen * (vectors.T @ x)), ((vectors * sigma**2 * seen) @ vectors[given].T)
    exact = plain + spread @ np.linalg.solve(spread[given], x0[given] - plain[given])
    y, field = jnp.asarray(x0[given].reshape(1, 16, 16), jnp.float32), jnp.asarray(x.reshape(1, n, n), jnp.float32)
    level = jnp.asarray(sigma, jnp.float32)
    precisions = np.asarray(innovations(prior, operator, y.shape, level, 0.0).precisions)
    assert np.isfinite(precisions).all() and (precisions >= 0).all()
    matched = np.ravel(moment_matching(prior, operator, y, prior=prior)(field, level))
    gained = np.ravel(gaussian_gain(prior, operator, y, prior=prior)(field, level))
    # Directions of a variance below `ROUNDING`, 4·10⁻⁶ of the largest one, are not resolved: √(4·10⁻⁶·60) = .015 of the
    # standard deviation of the field, which is one, in up to ten of 256 directions: .015·√(10/256) = .003. Conjugate
    # gradients round in each product: ten times that.
    assert np.sqrt(np.mean((gained - exact) ** 2)) < 0.003
    assert np.sqrt(np.mean((matched - exact) ** 2)) < 0.03


@pytest.mark.parametrize("sigma", [0.01, 1.0, 30.0])
def test_values_that_no_field_of_the_prior_has(sigma):
    """The sine of the Nyquist wave is 0 at every given point: what a value says beyond the prior is not lifted by it.

    Divided by the rounding errors of its variance it was thousands of standard deviations, other ones in every program.
    """
    n, rng, operator = 24, np.random.default_rng(4), Subsample((24,), 4)
    angle = 2 * np.pi * np.arange(n) / n
    rows = np.concatenate([wave(k * angle) for k in (1, 2, 3) for wave in (np.cos, np.sin)]).reshape(6, n) / np.sqrt(12)
    variances = np.array([5.0, 4.5, 4.0, 3.5, 3.0, 2.5])
    parts = np.zeros((1, n)), rows[:, None], variances, 0.0, np.ones((1, n))
    prior = GaussianPrior(*(jnp.asarray(part, jnp.float32) for part in parts))
    x, y = np.sqrt(1 + sigma**2) * rng.normal(size=(8, n)), rng.normal(size=6)
    seen = variances / (variances + sigma**2)
    plain, spread = x @ (rows.T * seen) @ rows, (rows.T * sigma**2 * seen) @ rows[:, ::4]
    within = np.linalg.pinv(spread[::4] / sigma**2, 1e-9, hermitian=True) / sigma**2
    lifted = plain + (y - plain[:, ::4]) @ within @ spread.T
    exact = lifted.copy()
    exact[:, ::4] = y
    for guide, wanted in ((gaussian_gain, lifted), (moment_matching, exact)):
        guided = guide(prior, operator, jnp.asarray(y[None], jnp.float32), prior=prior)
        for batch in (1, 8):  # two programs, whose sums have another order: within some thousand units of rounding
            fields = jnp.asarray(x[:batch, None], jnp.float32)
            got = jax.jit(jax.vmap(guided, (0, None)))(fields, jnp.asarray(sigma))
            np.testing.assert_allclose(got[:, 0], wanted[:batch], atol=1e-4 * np.abs(exact).max())


def smooth_square(n: int, length: float) -> tuple[np.ndarray, np.ndarray, GaussianPrior]:
    """Eigenpairs of exp(−½(d/length)²) + 1e-7 I on the periodic unit square of n × n points, and their Gaussian."""
    distance = abs(np.arange(n)[:, None] - np.arange(n)) / n
    one, waves = np.linalg.eigh(np.exp(-0.5 * (np.minimum(distance, 1 - distance) / length) ** 2))
    variances, vectors = np.kron(*(np.maximum(one, 0),) * 2) + 1e-7, np.kron(waves, waves)
    order = np.argsort(-variances)
    variances, vectors = variances[order], vectors[:, order]
    components = vectors.T[:-1].reshape(-1, 1, n, n)
    parts = np.zeros((1, n, n)), components, variances[:-1], variances[-1], np.ones((1, n, n))
    return variances, vectors, GaussianPrior(*(jnp.asarray(part, jnp.float32) for part in parts))


def test_without_a_factor_the_solve_is_not_preconditioned():
    """Negative variances leave no direction to solve in; the denoiser's own solve goes on."""
    operator, y, x = OPERATORS["every 8th"], jnp.ones(4), jr.normal(jr.key(0), (N,))
    broken = eqx.tree_at(lambda prior: prior.variances, GAUSSIAN, jnp.full(N - 1, -1.0))
    given = moment_matching, PRIOR, operator, y, x, jnp.asarray(2.0)
    np.testing.assert_allclose(denoised_by(*given, prior=broken), denoised_by(*given), atol=1e-5)


def test_one_number_is_the_same_as_the_number_for_each_value():
    operator, x = OPERATORS["means of 4"], jr.normal(jr.key(0), (N,))
    y = jnp.asarray(observe(operator, 0.1), jnp.float32)
    for noise in (0.0, 0.1):
        one, each = (
            denoised_by(moment_matching, PRIOR, operator, y, x, jnp.asarray(0.7), prior=GAUSSIAN, noise_variance=v)
            for v in (noise, jnp.full(8, noise))
        )
        np.testing.assert_allclose(one, each, atol=1e-6)


def test_fields_of_two_axes_and_channels():
    # Independent points: the posterior replaces the observed points and leaves the others at their unconditional mean.
    operator = Subsample((4, 6), 2)
    denoiser = gaussian_denoiser(jnp.zeros(48), jnp.diag(jnp.linspace(0.5, 2.0, 48)))
    x, y = jr.normal(jr.key(0), (2, 4, 6)), jr.normal(jr.key(1), (2, 2, 3))
    plain = denoiser(x, jnp.asarray(0.7))
    got = denoised_by(moment_matching, denoiser, operator, y, x, jnp.asarray(0.7), n_iterations=16)
    np.testing.assert_allclose(got, plain.at[:, ::2, ::2].set(y), atol=1e-4)


def test_dependent_observations():
    # Each value observed twice: C′C′ᵀ is singular, and the answer is that of observing it once.
    once = matrix_of(OPERATORS["every 8th"])
    twice = SparseCoarsening(np.concatenate([once, once]), fine_shape=(N,), coarse_shape=(8,))
    x, y = jr.normal(jr.key(0), (N,)), jnp.asarray(observe(OPERATORS["every 8th"], 0.0), jnp.float32)
    expected = denoised_by(moment_matching, PRIOR, OPERATORS["every 8th"], y, x, jnp.asarray(0.5))
    got = denoised_by(moment_matching, PRIOR, twice, jnp.concatenate([y, y]), x, jnp.asarray(0.5))
    np.testing.assert_allclose(got, expected, atol=1e-3)


def hostile_denoiser(x, sigma):
    """A Jacobian that is neither symmetric nor definite, as an under-trained network's."""
    matrix = jax.device_put(np.asarray(np.random.default_rng(3).normal(size=(N, N)), np.float32))
    return jnp.tanh(matrix @ x)


@pytest.mark.parametrize("sigma", [0.1, 5.0])
def test_exact_constraint_and_finite_values_whatever_the_jacobian(sigma):
    operator, y = OPERATORS["means of 4"], jnp.linspace(-1, 1, 8)
    x = jr.normal(jr.key(0), (N,))
    given = moment_matching, hostile_denoiser, operator, y, x, jnp.asarray(sigma)
    guided = denoised_by(*given)
    np.testing.assert_allclose(operator(guided), y, atol=1e-5)
    assert np.isfinite(denoised_by(*given, noise_variance=0.1)).all()


def test_residual_tells_good_solves_from_bad_ones():
    operator, x, sigma = OPERATORS["every 4th"], jr.normal(jr.key(0), (N,)), jnp.asarray(1.0)
    y = jnp.asarray(observe(operator, 0.0), jnp.float32)
    residual = eqx.filter_jit(solve_residual)
    assert residual(PRIOR, operator, y, x, sigma) < 1e-3
    assert residual(hostile_denoiser, operator, y, x, sigma) <= 1.0
    assert residual(PRIOR, operator, y, x, sigma, n_iterations=1) > 0.01


@jax.jit
def solve_twelve(m, v):
    return safeguarded_conjugate_gradient(lambda p: p, lambda lifted, p: m @ p, v, 12)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kind", ["definite", "indefinite", "non-symmetric", "singular", "negative"])
def test_conjugate_gradients_never_end_worse_than_they_began(kind, seed):
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(12, 12))
    matrix = {
        "definite": a @ a.T + np.eye(12),
        "indefinite": a + a.T,
        "non-symmetric": a + 2 * np.eye(12),
        "singular": a[:, :4] @ a[:, :4].T,
        "negative": -a @ a.T - np.eye(12),
    }[kind]
    b = rng.normal(size=12)
    solution, residual = solve_twelve(jnp.asarray(matrix, jnp.float32), jnp.asarray(b, jnp.float32))
    true_residual = np.linalg.norm(b - matrix @ np.float64(solution)) / np.linalg.norm(b)
    assert true_residual <= 1 + 1e-4
    assert residual == pytest.approx(true_residual, abs=2e-2)  # the recursion's residual drifts in float32
    if kind == "definite":
        assert true_residual < 0.02  # κ up to 50: 12 steps in exact arithmetic end at zero


def test_nothing_to_correct():
    # y = C′D: the guided denoiser is the plain one, and no 0/0 turns up.
    operator, x = OPERATORS["every 4th"], jr.normal(jr.key(0), (N,))
    plain = PRIOR(x, jnp.asarray(1.0))
    got = denoised_by(moment_matching, PRIOR, operator, operator(plain), x, jnp.asarray(1.0))
    np.testing.assert_allclose(got, plain, atol=1e-6)


def test_gradient_is_finite():
    operator, y = OPERATORS["every 8th"], jnp.ones(4)
    guided = lambda x: denoised_by(moment_matching, PRIOR, operator, y, x, jnp.asarray(1.0), noise_variance=0.1)  # noqa: E731
    gradient = jax.jit(jax.grad(lambda x: jnp.sum(guided(x) ** 2)))
    assert np.isfinite(gradient(jr.normal(jr.key(0), (N,)))).all()
