"""Have the chains arrived, and how many independent draws are they worth?

All take what `run_chains` gives: the axes chain and step in front. They see what chains visit: a mode that none of them
has found is not missed by any of these numbers (*mathematical*), so start chains far apart.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Chains = Float[Array, "chain step *shape"]


def acceptance_rate(info: Any) -> Float[Array, "*chain"]:
    """The share of proposals that were accepted, of each chain.

    Args:
        info: of a run, with `accepted` of the shape (…, step).

    Returns:
        From 0 to 1, of the shape (…).

    Examples:
        >>> acceptance_rate(run_chains(kernel, starts, 1000, key=key).info)  # one number a chain
    """
    return info.accepted.mean(-1)


def effective_sample_size(positions: Chains) -> Float[Array, "*shape"]:
    """How many independent draws estimate a mean as well, for each component.

        N_eff = MN/τ̂,   τ̂ = 1 + 2 Σ_t ρ̂_t,   ρ̂_t = 1 − (W − mean_m C_m(t))/V̂

    M chains of N steps, C_m(t) the autocovariance of chain m at lag t, W the mean variance within chains and V̂ the
    variance of all. Sums of neighbouring ρ̂ are cut at the first that is negative and kept from rising (Geyer's initial
    monotone sequence). Chains that disagree have a large V̂, and so few effective draws. Antithetic chains may have more
    than MN, at most MN log₁₀ MN.

    Args:
        positions: at least one chain of at least 4 steps.

    Returns:
        N_eff of each component; 0 where a component never moves, NaN where it is not a number.

    Raises:
        ValueError: fewer than 4 steps.

    References:
        Geyer (1992), doi:10.1214/ss/1177011137; Vehtari et al. (2021), doi:10.1214/20-BA1221, section 3.2.

    Examples:
        >>> effective_sample_size(jr.normal(key, (4, 1000)))  # about 4000
    """
    _require_steps(positions)
    m, n = positions.shape[:2]
    covariance = _autocovariance(positions).mean(0)
    within = covariance[0] * n / (n - 1)
    pooled = covariance[0] + (positions.mean(1).var(0, ddof=1) if m > 1 else 0.0)
    moves = pooled > 0
    rho = 1 - (within - covariance) / jnp.where(moves, pooled, 1.0)
    tau = jnp.maximum(_integrated_time(rho.at[0].set(1.0)), 1 / jnp.log10(m * n))
    return jnp.where(jnp.isnan(pooled), jnp.nan, jnp.where(moves, m * n / tau, 0.0))


def _autocovariance(positions: Chains) -> Chains:
    """C_m(t) = 1/N Σ_i (x_i − x̄)(x_{i+t} − x̄), by a transform of twice the length, so that ends do not meet."""
    n = positions.shape[1]
    anomaly = positions - positions.mean(1, keepdims=True)
    spectrum = jnp.abs(jnp.fft.rfft(anomaly, 2 * n, axis=1)) ** 2
    return jnp.fft.irfft(spectrum, 2 * n, axis=1)[:, :n] / n


def _integrated_time(rho: Float[Array, "step *shape"]) -> Float[Array, "*shape"]:
    """τ̂ = 1 + 2 Σρ̂ by Geyer's initial monotone sequence of pairs P_t = ρ̂_{2t} + ρ̂_{2t+1}."""
    even, odd = rho[0 : len(rho) // 2 * 2 : 2], rho[1::2]
    pairs = even + odd
    positive = jnp.cumprod(pairs > 0, axis=0).astype(bool)
    total = jnp.sum(jnp.where(positive, jax.lax.cummin(pairs, axis=0), 0.0), axis=0)
    # The lag at which the sum ends still tells something where it is positive (Vehtari et al. 2021, Eq. 11).
    ends = jnp.concatenate([jnp.ones_like(positive[:1]), positive[:-1]]) & ~positive
    return -1 + 2 * total + jnp.sum(jnp.where(ends, jnp.maximum(even, 0.0), 0.0), axis=0)


def split_r_hat(positions: Chains) -> Float[Array, "*shape"]:
    """R̂ of the halves of chains, for each component: 1 where they agree, and beyond 1.01 there is reason to doubt.

        R̂ = √(((N − 1)/N · W + B/N)/W)

    with N steps a half, W the mean variance within halves and B/N the variance of their means. Halves, so that a single
    chain that drifts is noticed. For a density without variance R̂ means nothing: take ranks of the positions first.

    Args:
        positions: at least one chain of at least 4 steps; of an odd number the last is left out.

    Returns:
        R̂ of each component; NaN where none of the chains moves.

    Raises:
        ValueError: fewer than 4 steps.

    References:
        Gelman et al. (2013), Bayesian Data Analysis, section 11.4; Vehtari et al. (2021), doi:10.1214/20-BA1221.

    Examples:
        >>> split_r_hat(jr.normal(key, (4, 1000)))  # 1.00
    """
    _require_steps(positions)
    n = positions.shape[1] // 2
    halves = jnp.concatenate([positions[:, :n], positions[:, n : 2 * n]])
    within = halves.var(1, ddof=1).mean(0)
    between = halves.mean(1).var(0, ddof=1)
    return jnp.sqrt((n - 1) / n + between / within)


def _require_steps(positions: Chains) -> None:
    if positions.shape[1] < 4:
        raise ValueError(f"needs at least 4 steps a chain, got {positions.shape[1]}; the axes are (chain, step, …).")
