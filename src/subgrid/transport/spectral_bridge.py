"""Transport between stationary Gaussian fields, wave by wave: networks refine it, iterative fitting starts from it.

With s₀², s₁² the variances of one Fourier mode at either end, N points, and σ²/N what the reference motion adds to it,
the Schrödinger bridge has the scalar closed form of `gaussian_bridge.py`,

    C = Cov(X̂₀, X̂₁) = 2 s₀² s₁² / (d + σ²/N),      d = √(4 s₀² s₁² + σ⁴/N²),
    V_t = (1−t)² s₀² + t² s₁² + t(1−t)(2C + σ²/N),
    E[X̂₀ | X̂_t] = m̂₀ + ((1−t) s₀² + tC)/V_t (X̂_t − m̂_t),      E[X̂₁ | X̂_t] = m̂₁ + ((1−t)C + t s₁²)/V_t (X̂_t − m̂_t).

A drift that is refined from this one has learned its spectrum before the first step: what is left for a network is what
is not Gaussian, and its noise is not passed on to waves that no field has.
"""

from typing import Literal

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Scalar

from subgrid.networks.context import Context, Groups, known_fields, of_group
from subgrid.numerics.noise import standard_normal
from subgrid.numerics.spectral import ModeStatistics, filtered, root_mean_square
from subgrid.transport.gaussian_bridge import require_positive_sigma
from subgrid.types import Key

TINY = 1e-20
"""Variance of a mode, in units of the normalised field, below which it counts as absent."""


class SpectralBridge(eqx.Module):
    """The bridge of diffusion σ between two Gaussian distributions of independent modes and channels.

        C = 2 s₀² s₁² / (d + σ²/N),      d = √(4 s₀² s₁² + σ⁴/N²)

    Args:
        source: mean and variance s₀² of the modes at t = 0.
        target: mean and variance s₁² of the modes at t = 1, on the same grid.
        sigma: σ > 0 of the reference motion.

    Raises:
        ValueError: σ ≤ 0, or grids that differ.

    Examples:
        >>> bridge = SpectralBridge(mode_statistics(fine), mode_statistics(coarse), 0.5)
        >>> x1 = bridge.draw(fine[0], key=key)
    """

    source: ModeStatistics
    """Mean and variance of the modes at t = 0."""
    target: ModeStatistics
    """Mean and variance of the modes at t = 1."""
    coupling: Float[Array | np.ndarray, "*group channel ky kx"]
    """C of every mode."""
    sigma: float = eqx.field(static=True)
    """σ of the reference motion."""

    def __init__(self, source: ModeStatistics, target: ModeStatistics, sigma: float):
        require_positive_sigma(sigma)
        if source.mean.shape != target.mean.shape:
            shapes = f"{source.mean.shape} and {target.mean.shape}"
            raise ValueError(f"source and target must share channels and grid, got {shapes}.")
        self.source, self.target, self.sigma = source, target, sigma
        product = np.float64(source.variance) * np.float64(target.variance)
        self.coupling = np.asarray(2 * product / (np.sqrt(4 * product + self.added**2) + self.added), np.float32)

    @property
    def added(self) -> float:
        """σ²/N, the variance that the reference motion adds to a mode."""
        return self.sigma**2 / (self.source.mean.shape[-2] * self.source.mean.shape[-1])

    def draw(self, x: Float[Array, "channel y x"], *, key: Key) -> Float[Array, "channel y x"]:
        """x₁ given x₀ = x.

        A Schrödinger bridge has the coupling a(x₀) q(x₁|x₀) b(x₁), with q the reference, and proportional fitting
        stays among such couplings from wherever it starts. True fields x₀ followed by this draw are one of them, with a
        b that makes x₁ right in the mean and in the spectrum; plain proportional fitting starts at b = 1, where X₁ is
        X₀ with noise.
        """
        source, target = self.source.fixed(), self.target.fixed()
        s0, s1 = source.variance, target.variance
        # C/s₀² is finite for s₀ = 0 too.
        gain = 2 * s1 / (jnp.sqrt(4 * s0 * s1 + self.added**2) + self.added)
        left = jnp.sqrt(jnp.maximum(s1 - gain**2 * s0, 0) * (x.shape[-2] * x.shape[-1]))
        noise = standard_normal(x.shape, x.dtype, key=key)
        return target.mean + filtered(x - source.mean, gain) + filtered(noise, left)

    def expected(
        self, x: Float[Array, "channel y x"], t: Scalar, direction: Literal["forward", "backward"]
    ) -> tuple[Float[Array, "channel y x"], Float[Array, ""]]:
        """The end that the direction leads to, E[X₁ | X_t = x] or E[X₀ | X_t = x], and the root mean square error."""
        source, target = self.source.fixed(), self.target.fixed()
        s0, s1, c = source.variance, target.variance, lax.stop_gradient(jnp.asarray(self.coupling))
        spread = (1 - t) ** 2 * s0 + t**2 * s1 + t * (1 - t) * (2 * c + self.added) + TINY
        forward = direction == "forward"
        shared = (1 - t) * c + t * s1 if forward else (1 - t) * s0 + t * c
        end, variance = (target, s1) if forward else (source, s0)
        anomaly = x - (1 - t) * source.mean - t * target.mean
        error = jnp.maximum(variance - shared**2 / spread, 0)
        return end.mean + filtered(anomaly, shared / spread), root_mean_square(error)


class RefinedDrift(eqx.Module):
    """The drift of the spectral bridge, refined by a network.

        v(x, t, context) = (x̂ + r(t) network([x, x̂, context], t) − x)/left,      left = 1 − t forwards, t backwards,

    with x̂ the Gaussian estimate of the end and r its root mean square error, so that the network's target has unit
    variance where fields are Gaussian, and a silent network is right.

    Args:
        base: the spectral bridge, or `Groups` of them.
        network: F(features, t), from 2·channel + known channels to channel.
        direction: "forward" or "backward".
        least: smallest left, default 1e-3 (δ of the training).

    Examples:
        >>> drift = RefinedDrift(SpectralBridge(source, target, 0.5), UNet(4, 2, 2, key=key), "backward")
    """

    base: SpectralBridge | Groups[SpectralBridge]
    network: eqx.Module
    direction: Literal["forward", "backward"] = eqx.field(static=True)
    least: float = eqx.field(static=True, default=1e-3)

    def __call__(
        self, x: Float[Array, "channel y x"], t: Scalar, context: Context | None = None
    ) -> Float[Array, "channel y x"]:
        expected, error = of_group(self.base, context).expected(x, t, self.direction)
        features = jnp.concatenate([x, expected, *known_fields(context)])
        end = expected + error * self.network(features, t)  # pyright: ignore[reportCallIssue]
        return (end - x) / jnp.maximum(1 - t if self.direction == "forward" else t, self.least)


def projecting_independent_ends(drift: RefinedDrift) -> RefinedDrift:
    """The same drift with C = 0: what the first Markovian projection of independent Gaussian ends is.

    Iterative Markovian fitting starts from independent ends. Beside the bridge's own drift its network would then have
    to undo the coupling of the waves that hold nearly all the energy, and to unlearn that in later iterations.

    Args:
        drift: a refined drift.

    Returns:
        A copy with the same network.

    Examples:
        >>> change = lambda drift, k: projecting_independent_ends(drift) if k == 0 else drift
        >>> bridge = fit_bridge(Drifts(forward, backward, change), ends, settings, key=key)
    """
    coupling = lambda d: (d.base.stacked if isinstance(d.base, Groups) else d.base).coupling  # noqa: E731
    return eqx.tree_at(coupling, drift, replace_fn=np.zeros_like)


class RefinedVelocity(eqx.Module):
    """The velocity of flow matching between independent Gaussian fields, refined by a network.

        v(x, t, context) = E[X₁ − X₀ | X_t = x] + r(t) network([x, E[…], context], t),
        E[…] = m̂₁ − m̂₀ + (t s₁² − (1−t) s₀²)/V_t (x̂ − m̂_t),      V_t = (1−t)² s₀² + t² s₁²,      r² ∝ Σ s₀² s₁²/V_t.

    Args:
        source: mean and variance s₀² of the modes at t = 0, or `Groups` of them.
        target: mean and variance s₁² of the modes at t = 1, or `Groups` of them.
        network: F(features, t), from 2·channel + known channels to channel.

    Examples:
        >>> velocity = RefinedVelocity(mode_statistics(coarse), mode_statistics(fine), UNet(4, 2, 2, key=key))
    """

    source: ModeStatistics | Groups[ModeStatistics]
    target: ModeStatistics | Groups[ModeStatistics]
    network: eqx.Module

    def __call__(
        self, x: Float[Array, "channel y x"], t: Scalar, context: Context | None = None
    ) -> Float[Array, "channel y x"]:
        source, target = (of_group(distribution, context).fixed() for distribution in (self.source, self.target))
        s0, s1 = source.variance, target.variance
        spread = (1 - t) ** 2 * s0 + t**2 * s1 + TINY
        anomaly = x - (1 - t) * source.mean - t * target.mean
        expected = target.mean - source.mean + filtered(anomaly, (t * s1 - (1 - t) * s0) / spread)
        features = jnp.concatenate([x, expected, *known_fields(context)])
        refinement = self.network(features, t)  # pyright: ignore[reportCallIssue]
        return expected + root_mean_square(s0 * s1 / spread) * refinement
