"""Stochastic interpolants: X_t = α(t) X₀ + β(t) X₁ + γ(t) Z, between two distributions at t = 0 and t = 1.

With Z ~ N(0, I) independent of the ends, the distribution of X_t solves a transport equation with velocity and score

    v(x, t) = E[α̇ X₀ + β̇ X₁ + γ̇ Z | X_t = x],      ∇ log p_t(x) = −E[Z | X_t = x]/γ(t)

(Albergo, Boffi & Vanden-Eijnden 2023, arXiv:2303.08797, Theorems 6 and 8). A schedule states α, β and γ; the
derivatives follow by forward differentiation.
"""

from typing import NamedTuple, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Scalar

from subgrid.types import Velocity


class Coefficients(NamedTuple):
    """α, β, γ at one time; or their derivatives.

    Args:
        alpha: α, of X₀.
        beta: β, of X₁.
        gamma: γ, of the noise.
    """

    alpha: Scalar
    beta: Scalar
    gamma: Scalar


@runtime_checkable
class Interpolant(Protocol):
    """The three coefficients as functions of time: α(0) = β(1) = 1, α(1) = β(0) = γ(0) = γ(1) = 0."""

    def __call__(self, t: Scalar) -> Coefficients: ...


class LinearInterpolant(eqx.Module):
    """α = 1 − t, β = t, γ = σ√(t(1 − t)): straight lines, and the Brownian bridge for σ > 0.

    σ = 0 is the path of flow matching and rectified flow; σ = √2 the one of Albergo et al. (2023).

    Args:
        sigma: σ ≥ 0, default 0.

    Raises:
        ValueError: σ < 0.

    Examples:
        >>> LinearInterpolant()(jnp.array(0.25))  # 3/4, 1/4, 0
    """

    sigma: float = eqx.field(static=True, default=0.0)

    def __check_init__(self):
        if self.sigma < 0:
            raise ValueError(f"sigma must not be negative, got {self.sigma}.")

    def __call__(self, t: Scalar) -> Coefficients:
        gamma = self.sigma * jnp.sqrt(t * (1 - t)) if self.sigma else jnp.zeros_like(t)
        return Coefficients(1 - t, t, gamma)


class Trigonometric(eqx.Module):
    """α = cos(½πt), β = sin(½πt), γ = σ√(t(1 − t)): α² + β² = 1, so ends of one variance keep it where γ = 0.

    Args:
        sigma: σ ≥ 0, default 0.

    Raises:
        ValueError: σ < 0.
    """

    sigma: float = eqx.field(static=True, default=0.0)

    def __check_init__(self):
        if self.sigma < 0:
            raise ValueError(f"sigma must not be negative, got {self.sigma}.")

    def __call__(self, t: Scalar) -> Coefficients:
        gamma = self.sigma * jnp.sqrt(t * (1 - t)) if self.sigma else jnp.zeros_like(t)
        return Coefficients(jnp.cos(jnp.pi / 2 * t), jnp.sin(jnp.pi / 2 * t), gamma)


class VariancePreservingInterpolant(eqx.Module):
    """α = √(1 − t²), β = t, γ = 0: the path of a variance-preserving diffusion if X₀ ~ N(0, I) is its noise."""

    def __call__(self, t: Scalar) -> Coefficients:
        return Coefficients(jnp.sqrt(1 - t**2), t, jnp.zeros_like(t))


class EncodingDecoding(eqx.Module):
    """α = cos²(πt) until t = ½, β = cos²(πt) from then on, γ = sin²(πt): all information passes through pure noise."""

    def __call__(self, t: Scalar) -> Coefficients:
        wave = jnp.cos(jnp.pi * t) ** 2
        return Coefficients(jnp.where(t < 0.5, wave, 0.0), jnp.where(t > 0.5, wave, 0.0), jnp.sin(jnp.pi * t) ** 2)


def rates(interpolant: Interpolant, t: Scalar) -> Coefficients:
    """The derivatives (α̇, β̇, γ̇) of an interpolant.

    Args:
        interpolant: α, β and γ as functions of time.
        t: time in [0, 1].

    Returns:
        The three derivatives; infinite where a coefficient is singular.
    """
    return jax.jvp(interpolant, (t,), (jnp.ones_like(t),))[1]


def interpolate(
    coefficients: Coefficients,
    x0: Float[Array, "*shape"],
    x1: Float[Array, "*shape"],
    noise: Float[Array, "*shape"],
) -> Float[Array, "*shape"]:
    """X_t = α X₀ + β X₁ + γ Z; with `rates` in place of the coefficients, the velocity of that path.

    Args:
        coefficients: α, β, γ at one time.
        x0: X₀.
        x1: X₁, of the same shape.
        noise: Z, standard normal, of the same shape.

    Returns:
        X_t, of the same shape.

    Examples:
        >>> x = interpolate(LinearInterpolant(1.0)(t), x0, x1, noise)
    """
    return coefficients.alpha * x0 + coefficients.beta * x1 + coefficients.gamma * noise


def require_times_where_regular(
    interpolant: Interpolant, times: Float[Array, " time"], *, score: bool, last: bool = True
) -> Float[Array, " time"]:
    """The times, if every α̇, β̇, γ̇ is finite at them, and γ > 0 there where the score is wanted.

    Args:
        interpolant: α, β and γ as functions of time.
        times: where something is evaluated.
        score: whether −E[Z | x]/γ is evaluated too.
        last: whether the last time is one of those where something is evaluated (an explicit method never visits it),
            default so.

    Returns:
        The times as they are.

    Raises:
        ValueError: naming the time, for one outside [0, 1] or of a singular coefficient.
        EquinoxRuntimeError: if the times are traced, when they are used.

    Examples:
        >>> require_times_where_regular(LinearInterpolant(1.0), jnp.linspace(0, 1, 9), score=False)  # raises
    """
    visited = slice(None) if last else slice(-1)
    name = type(interpolant).__name__
    if isinstance(times, Tracer):
        outside, singular, silent = _faults(interpolant, times)
        bad = jnp.any(outside) | jnp.any(singular[visited]) | (score & jnp.any(silent[visited]))
        return eqx.error_if(times, bad, f"{name}: a time lies outside [0, 1], or where a coefficient is singular.")
    with jax.ensure_compile_time_eval():
        outside, singular, silent = (np.asarray(fault) for fault in _faults(interpolant, jnp.asarray(times)))
    values = np.asarray(times)
    if outside.any():
        raise ValueError(f"times must lie in [0, 1], got {values[outside][0]:g}.")
    if singular[visited].any():
        t = values[visited][singular[visited]][0]
        raise ValueError(f"{name}: a derivative of its coefficients is singular at t = {t:g}; leave that time out.")
    if score and silent[visited].any():
        t = values[visited][silent[visited]][0]
        raise ValueError(
            f"{name}: gamma is 0 at t = {t:g}, where the score -E[Z | x]/gamma is singular; "
            "leave that time out, or choose an interpolant with noise (sigma > 0)."
        )
    return times


def _faults(interpolant: Interpolant, times: Array) -> tuple[Array, Array, Array]:
    """For each time: whether it lies outside [0, 1]; whether a derivative is singular there; whether γ is 0 there."""
    slopes = jnp.stack(jax.vmap(lambda t: rates(interpolant, t))(times))
    within = (times >= 0) & (times <= 1)  # false for NaN
    return ~within, within & ~jnp.isfinite(slopes).all(0), jax.vmap(interpolant)(times).gamma <= 0


def gaussian_velocity(
    interpolant: Interpolant,
    mean0: Float[Array, " d"],
    covariance0: Float[Array, "d d"],
    mean1: Float[Array, " d"],
    covariance1: Float[Array, "d d"],
    *,
    coupling: Float[Array, "d d"] | None = None,
) -> Velocity:
    """The exact velocity between two Gaussians.

        v = ṁ + Cov(Ẋ, X) Cov(X)⁻¹ (x − m)

    The yardstick for everything that is trained or integrated in this folder.

    Args:
        interpolant: α, β and γ.
        mean0: of X₀.
        covariance0: of X₀.
        mean1: of X₁.
        covariance1: of X₁.
        coupling: Cov(X₀, X₁), default 0 (independent).

    Returns:
        v(x, t, context), for x of any shape of d values; the context is not used.

    Examples:
        >>> velocity = gaussian_velocity(LinearInterpolant(), jnp.zeros(2), jnp.eye(2), jnp.ones(2), jnp.eye(2))
    """
    cross = jnp.zeros_like(covariance0) if coupling is None else coupling

    def velocity(x, t, context=None):
        (a, b, g), (da, db, dg) = interpolant(t), rates(interpolant, t)
        gap = x.reshape(-1) - a * mean0 - b * mean1
        both = da * a * covariance0 + db * b * covariance1 + da * b * cross + db * a * cross.T
        spread = a**2 * covariance0 + b**2 * covariance1 + a * b * (cross + cross.T)
        identity = jnp.eye(len(mean0))
        slope = (both + dg * g * identity) @ jnp.linalg.solve(spread + g**2 * identity, gap)
        return (da * mean0 + db * mean1 + slope).reshape(x.shape)

    return velocity
