"""How far samples are from a Gaussian of independent coordinates, by the Gaussian that fits them."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar


def diagonal_gaussian_divergence(
    samples: Float[Array, "n *space"], mean: Float[Array, "*space"], variance: Float[Array, "*space"]
) -> Scalar:
    """KL(N(x̄, diag s²) ‖ N(m, diag v)), x̄ and s² the samples' mean and (biased) variance at each point.

        KL = ½ Σ_j [s_j²/v_j + (x̄_j − m_j)²/v_j − 1 − ln(s_j²/v_j)]

    It sees errors of mean and variance, not of correlations. n samples of the distribution itself score d/n in
    expectation, ½ of it from the mean and ½ from the variance; a fit with full covariance scores d(d + 3)/(4n), which
    at d = 50 hides any good model behind the d² entries of its own noise.

    Args:
        samples: on axis 0.
        mean: m, of the reference distribution at each point.
        variance: v > 0, of the reference distribution at each point.

    Returns:
        Nats, ≥ 0, in the floating type of the samples.

    Examples:
        >>> diagonal_gaussian_divergence(x + 1.0, jnp.zeros(8), jnp.ones(8))  # about 8/2
    """
    ratio = jnp.var(samples, axis=0) / variance
    shift = (jnp.mean(samples, axis=0) - mean) ** 2 / variance
    # ratio − 1 − ln ratio in terms of the small excess: ln would lose it to rounding.
    excess = ratio - 1
    return jnp.sum(shift + excess - jnp.log1p(excess)) / 2


def divergence_floor(n_samples: int, n_points: int) -> float:
    """What samples of the reference distribution itself score in expectation, d/n, to first order in 1/n.

    Args:
        n_samples: n.
        n_points: d.

    Returns:
        Nats.

    Examples:
        >>> divergence_floor(1000, 50)  # .05
    """
    return n_points / n_samples
