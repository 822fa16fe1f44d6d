"""What samplers are measured on: Gaussians, whose every conditional is a formula, and a mixture that is none.

Under an exact denoiser the error of a sample is the sampler's own. Without a guidance a sampler treats each principal
component of a Gaussian by itself, so a field is a list of scalar Gaussians N(μ, λ).
"""

import inspect
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Scalar

from subgrid.diffusion.gaussian_conditional import ConditionalGaussian, condition
from subgrid.diffusion.gaussian_prior import GaussianPrior
from subgrid.diffusion.gaussian_steps import IsotropicGaussian
from subgrid.downscaling.upsampling import choices
from subgrid.numerics.operators import BlockMean, Subsample
from subgrid.types import Denoiser

FIELDS = {"36 points": (36,), "12 x 12 points": (12, 12)}
LENGTHS = {"36 points": 0.08, "12 x 12 points": 0.12}
"""Of the correlation, in units of the domain."""
FACTORS = {"36 points": 6, "12 x 12 points": 3}


class Given(eqx.Module):
    """A field conditioned on coarse values: what is sampled, and its exact moments."""

    case: str = eqx.field(static=True)
    target: Float[Array, "channel *coarse"]
    conditional: ConditionalGaussian
    mean: Float[Array, " d"]
    covariance: Float[Array, "d d"]


def covariance_of(field: str) -> Float[np.ndarray, "d d"]:
    """exp(−½(d/ℓ)²) + 1e-4 I of points on a periodic domain of length 1, d their distance."""
    shape, whole = FIELDS[field], np.ones((1, 1))
    for n in shape:
        apart = abs(np.arange(n)[:, None] - np.arange(n)) / n
        whole = np.kron(whole, np.exp(-0.5 * (np.minimum(apart, 1 - apart) / LENGTHS[field]) ** 2))
    return whole + 1e-4 * np.eye(len(whole))


def prior_of(field: str) -> GaussianPrior:
    """N(0, Σ) with all its components."""
    shape, (variances, vectors) = (1, *FIELDS[field]), np.linalg.eigh(covariance_of(field))
    components = vectors.T[:0:-1].reshape(-1, *shape)
    parts = np.zeros(shape), components, variances[:0:-1], variances[0], np.ones(shape)
    return GaussianPrior(*map(jnp.asarray, parts))


def conditioned(field: str, noise_variance: float) -> list[Given]:
    """The field given every f-th point, and given means of f points; y is a draw of C′x plus noise."""
    shape, factor, covariance, cases = FIELDS[field], FACTORS[field], covariance_of(field), []
    for operator, words in ((Subsample(shape, factor), "every {}"), (BlockMean(shape, factor), "means of {}")):
        coarse = (1, *operator.coarse_shape)
        units = jnp.eye(len(covariance)).reshape(-1, 1, *shape)
        matrix = np.asarray(jax.vmap(operator)(units)).reshape(len(covariance), -1).T
        spread = matrix @ covariance @ matrix.T + noise_variance * np.eye(len(matrix))
        y = np.linalg.cholesky(spread) @ np.random.default_rng(0).normal(size=len(matrix))
        gain = np.linalg.solve(spread, matrix @ covariance).T
        conditional = condition(prior_of(field), operator, coarse, noise_variance=noise_variance)
        name = f"{field} given {words.format(' x '.join([str(factor)] * len(shape)))}"
        moments = gain @ y, covariance - gain @ matrix @ covariance
        cases.append(Given(name, jnp.asarray(y.reshape(coarse)), conditional, *map(jnp.asarray, moments)))
    return cases


class ComponentMoments(NamedTuple):
    """A Gaussian in its eigenbasis: mean and variance of each principal component."""

    means: Float[np.ndarray, " d"]
    variances: Float[np.ndarray, " d"]


def component_moments(
    mean: Float[np.ndarray | Array, " d"], covariance: Float[np.ndarray | Array, "d d"]
) -> ComponentMoments:
    """Of N(mean, covariance)."""
    variances, vectors = np.linalg.eigh(covariance)
    return ComponentMoments(vectors.T @ mean, np.where(variances > 1e-12 * variances.max(), variances, 0.0))


SOLVER_ITERATIONS = 4
"""Of moment matching, as `sampling.solver_iterations` has them by default."""
PRODUCTS = {"exact": 0, "gaussian-gain": 0, "moment-matching": SOLVER_ITERATIONS, "projection": 1}
"""Vector–Jacobian products beside each evaluation of the denoiser; each costs about two evaluations more."""


def guided(guidance: str, given: Given) -> Denoiser:
    """The prior's denoiser, exact, as a guidance makes it."""
    known = given.conditional
    noise = {"noise_variance": known.noise_variance} if takes_noise(guidance, given) else {}
    return _guide(guidance, given)(known.prior, known.operator, given.target, **noise)


def takes_noise(guidance: str, given: Given) -> bool:
    """Whether it knows of noisy coarse values: one without the argument `noise_variance` is for exact ones alone."""
    return "noise_variance" in inspect.signature(_guide(guidance, given)).parameters


def _guide(guidance: str, given: Given) -> Callable[..., Denoiser]:
    return choices.guidance(guidance, given.conditional.prior, n_iterations=SOLVER_ITERATIONS, strength=None)


def bend(guidance: str, given: Given) -> float:
    """How far a guided denoiser of a Gaussian is from affine: |D̃(x+h) + D̃(x−h) − 2D̃(x)| / |D̃(x+h) − D̃(x−h)|.

    In float64 some 1e-15 where it is, and a percent and more where it is not: one step h and one level tell.
    """
    x, h = np.random.default_rng(0).normal(size=(2, *given.conditional.prior.mean.shape))
    denoise = jax.jit(jax.vmap(lambda z: guided(guidance, given)(z, jnp.asarray(0.5))))
    above, below, here = np.asarray(denoise(jnp.asarray(np.stack([x + h, x - h, x]))))
    return float(np.linalg.norm(above + below - 2 * here) / np.linalg.norm(above - below))


# Mixtures -----------------------------------------------------------------------------------------------------------

WEIGHTS, MODES, BETWEEN = (0.3, 0.7), (-1.2, 0.8), -0.2
MIXTURES = {"mixture": 0.3, "narrow mixture": 0.05}
"""Standard deviation of either mode of .3 N(−1.2, s²) + .7 N(.8, s²)."""


def denoise_mixture(x: Float[Array, "*shape"], sigma: Scalar, *, std: float) -> Float[Array, "*shape"]:
    """E[x₀ | x₀ + σε = x], value by value."""
    variance = std**2 + sigma**2
    off = [x - mode for mode in MODES]
    # The odds of the upper mode, from the difference of two squares.
    odds = jnp.log(WEIGHTS[1] / WEIGHTS[0]) + 0.5 * (off[0] ** 2 - off[1] ** 2) / variance
    upper = jax.nn.sigmoid(odds)
    means = [mode + std**2 / variance * o for mode, o in zip(MODES, off, strict=True)]
    return (1 - upper) * means[0] + upper * means[1]


def gaussian_of_mixture(shape: tuple[int, ...], *, std: float) -> IsotropicGaussian:
    """Of the mixture's mean and variance."""
    mean = float(np.dot(WEIGHTS, MODES))
    variance = float(np.dot(WEIGHTS, std**2 + np.square(MODES))) - mean**2
    return IsotropicGaussian(jnp.full(shape, mean), jnp.asarray(variance))


def mixture_spreads(
    values: Float[np.ndarray, " n"], weights: Float[np.ndarray, " n"] | None = None
) -> tuple[float, float]:
    """Standard deviation of weighted values, and about the mean of their own mode."""
    values = np.asarray(values, np.float64)
    average, upper = partial(np.average, weights=weights), values > BETWEEN
    share = average(upper)
    centre = np.where(upper, average(values * upper) / share, average(values * ~upper) / (1 - share))
    spread = lambda about: float(np.sqrt(average((values - about) ** 2)))  # noqa: E731
    return spread(average(values)), spread(centre)


def exact_mixture_spreads(std: float) -> tuple[float, float]:
    """By quadrature of the density."""
    x = np.linspace(-4, 4, 100_001)
    components = np.exp(-0.5 * ((x - np.array(MODES)[:, None]) / std) ** 2)
    return mixture_spreads(x, np.array(WEIGHTS) @ components)


def normal_points(n: int) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Equally spaced points and weights that stand for a standard normal number."""
    points = np.linspace(-6.5, 6.5, n)
    return points, np.exp(-0.5 * points**2)
