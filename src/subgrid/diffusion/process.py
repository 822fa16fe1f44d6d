"""Noising processes x_t = s(t)·(x₀ + σ(t)·ε), ε ~ N(0, I).

A process states the scale s, the variance σ² and the inverse of σ; everything else — derivatives, drift, diffusion
coefficient, marginals — follows from them and is written once, below. Samplers work in the unscaled variable
x_t / s(t), in which all processes are the same stochastic process, so a process matters only through its range of
noise levels and the speed at which it crosses them. (Karras, Aittala, Aila & Laine 2022, arXiv:2206.00364.)
"""

import math
from typing import Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar

from subgrid.numerics.noise import standard_normal
from subgrid.types import Key


@runtime_checkable
class Process(Protocol):
    """The facts that a noising process states. `time` runs from 0 (data) to 1 (noise)."""

    sigma_min: float
    """Smallest noise level used, in units of the (normalised) data: where sampling stops and denoises once more."""

    def scale(self, time: Scalar) -> Scalar:
        """s(t)."""
        ...

    def variance(self, time: Scalar) -> Scalar:
        """σ², stated beside σ since it is smooth at t = 0, where σ ~ √t may not be."""
        ...

    def noise_level(self, time: Scalar) -> Scalar:
        """σ(t)."""
        ...

    def time_of(self, sigma: Scalar) -> Scalar:
        """The time t with σ(t) = σ."""
        ...


class VariancePreserving(eqx.Module):
    """The process with linear β(t) = β₀ + (β₁ − β₀)t:  s = exp(−½B(t)),  σ² = exp(B(t)) − 1,  B = ∫β.

    Args:
        beta_min: β₀, default 0.1.
        beta_max: β₁, default 20, for which σ(1) ≈ 152.
        sigma_min: smallest noise level used, default .002.

    References:
        Song et al. (2021), arXiv:2011.13456; β₀ and β₁ are theirs.
    """

    beta_min: float = 0.1
    beta_max: float = 20.0
    sigma_min: float = 2e-3

    def _integrated_beta(self, time: Scalar) -> Scalar:
        return self.beta_min * time + 0.5 * (self.beta_max - self.beta_min) * time**2

    def scale(self, time: Scalar) -> Scalar:
        """s(t)."""
        return jnp.exp(-0.5 * self._integrated_beta(time))

    def variance(self, time: Scalar) -> Scalar:
        """σ²(t)."""
        return jnp.expm1(self._integrated_beta(time))

    def noise_level(self, time: Scalar) -> Scalar:
        """σ(t)."""
        return jnp.sqrt(self.variance(time))

    def time_of(self, sigma: Scalar) -> Scalar:
        """The time t with σ(t) = σ."""
        # The positive root of ½Δβ·t² + β₀t − B = 0, in the form that does not cancel for small B.
        integrated = jnp.log1p(sigma**2)
        slope = self.beta_max - self.beta_min
        return 2 * integrated / (self.beta_min + jnp.sqrt(self.beta_min**2 + 2 * slope * integrated))


class CosineVariancePreserving(eqx.Module):
    """The process with s = cos φ(t) / cos φ(0),  σ² = 1/s² − 1,  φ(t) = ½π (t·t₁ + o)/(1 + o).

    The last part of the published schedule has σ → ∞; t₁ < 1 ends it at `sigma_max`.

    Args:
        offset: o, default .008, as published.
        sigma_max: σ(1), default 80.
        sigma_min: smallest noise level used, default .002.

    References:
        Nichol & Dhariwal (2021), arXiv:2102.09672.
    """

    offset: float = 0.008
    sigma_max: float = 80.0
    sigma_min: float = 2e-3

    @property
    def _first_angle(self) -> float:
        return 0.5 * math.pi * self.offset / (1 + self.offset)

    def _turn(self, time: Scalar) -> Scalar:
        return time * self._turn_at(jnp.asarray(self.sigma_max))

    def _turn_at(self, sigma: Scalar) -> Scalar:
        # φ − φ(0) from cos φ = cos φ(0)/√(1 + σ²), by the arctangent, since the arccosine is blind near zero.
        sine = jnp.sqrt(sigma**2 + math.sin(self._first_angle) ** 2)
        return jnp.arctan2(sine, math.cos(self._first_angle)) - self._first_angle

    def scale(self, time: Scalar) -> Scalar:
        """s(t)."""
        return jnp.cos(self._first_angle + self._turn(time)) / math.cos(self._first_angle)

    def variance(self, time: Scalar) -> Scalar:
        """σ²(t)."""
        # cos²φ(0) − cos²φ = sin(φ − φ(0)) sin(φ + φ(0)), which does not cancel for small σ.
        turn = self._turn(time)
        return jnp.sin(turn) * jnp.sin(turn + 2 * self._first_angle) / jnp.cos(self._first_angle + turn) ** 2

    def noise_level(self, time: Scalar) -> Scalar:
        """σ(t)."""
        return jnp.sqrt(self.variance(time))

    def time_of(self, sigma: Scalar) -> Scalar:
        """The time t with σ(t) = σ."""
        return self._turn_at(sigma) / self._turn_at(jnp.asarray(self.sigma_max))


class VarianceExploding(eqx.Module):
    """The process with s = 1,  σ(t) = σ_min (σ_max/σ_min)^t.

    Args:
        sigma_min: σ(0), default .002, for data of unit standard deviation.
        sigma_max: σ(1), default 80.

    References:
        Karras, Aittala, Aila & Laine (2022), arXiv:2206.00364; the levels are theirs.
    """

    sigma_min: float = 2e-3
    sigma_max: float = 80.0

    def scale(self, time: Scalar) -> Scalar:
        """s(t)."""
        return jnp.ones_like(time)

    def variance(self, time: Scalar) -> Scalar:
        """σ²(t)."""
        return self.noise_level(time) ** 2

    def noise_level(self, time: Scalar) -> Scalar:
        """σ(t)."""
        return self.sigma_min * (self.sigma_max / self.sigma_min) ** time

    def time_of(self, sigma: Scalar) -> Scalar:
        """The time t with σ(t) = σ."""
        return jnp.log(sigma / self.sigma_min) / jnp.log(self.sigma_max / self.sigma_min)


def rates(process: Process, time: Scalar) -> tuple[Scalar, Scalar]:
    """The derivatives (ṡ, σ̇) of a process; σ̇ is infinite at t = 0 where σ starts like √t.

    Args:
        process: noising process.
        time: t in [0, 1].

    Returns:
        ṡ and σ̇, scalars.
    """
    one = jnp.ones_like(time)
    return jax.jvp(process.scale, (time,), (one,))[1], jax.jvp(process.noise_level, (time,), (one,))[1]


def drift_and_diffusion(process: Process, time: Scalar) -> tuple[Scalar, Scalar]:
    """The coefficients of the forward equation dx = f·x dt + g dW:  f = ṡ/s,  g² = s² d(σ²)/dt, finite at t = 0 too.

    Args:
        process: noising process.
        time: t in [0, 1].

    Returns:
        f and g, scalars.
    """
    one = jnp.ones_like(time)
    scale, scale_rate = jax.jvp(process.scale, (time,), (one,))
    _, variance_rate = jax.jvp(process.variance, (time,), (one,))
    return scale_rate / scale, scale * jnp.sqrt(variance_rate)


def perturb(process: Process, x0: Float[Array, "*shape"], time: Scalar, *, key: Key) -> Float[Array, "*shape"]:
    """One draw of x_t = s(t)·(x₀ + σ(t)ε) given x₀.

    Args:
        process: noising process.
        x0: a clean field.
        time: t in [0, 1].
        key: random key.

    Returns:
        x_t, of the shape of `x0`, in the scaled variable.
    """
    noise = standard_normal(x0.shape, x0.dtype, key=key)
    return process.scale(time) * (x0 + process.noise_level(time) * noise)


def prior_std(process: Process) -> Scalar:
    """The standard deviation s(1)·σ(1) of the noise in x₁ (not σ·σ, not σ).

    Args:
        process: noising process.

    Returns:
        A scalar.

    Examples:
        >>> prior_std(VariancePreserving())  # 1
    """
    one = jnp.ones(())
    return process.scale(one) * process.noise_level(one)
