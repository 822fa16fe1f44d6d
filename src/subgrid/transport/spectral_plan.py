"""The static Schrödinger bridge between two stationary Gaussian fields, wave by wave: a start for iterative fitting.

    X̂₁ = m̂₁ + g (X̂₀ − m̂₀) + √(s₁² − g² s₀²) ε̂,      g = 2 s₁² / (d + σ²/N),      d = √(4 s₀² s₁² + σ⁴/N²)

with s₀², s₁² the variances of one Fourier mode in either law, N the number of points, and σ²/N what the reference
motion adds to a mode: the scalar case of `gaussian_bridge.py`, where g = Cov/s₀² is finite for s₀ = 0 too.

A Schrödinger bridge has the coupling a(x₀) q(x₁|x₀) b(x₁), with q the reference, and proportional fitting stays among
such couplings from wherever it starts. The true X₀ followed by this plan is one of them, with a b that makes X₁ right
in the mean and in the spectrum; plain proportional fitting starts at b = 1, where X₁ is X₀ with noise.
"""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Complex, Float

from subgrid.transport.gaussian_bridge import require_positive_sigma
from subgrid.types import Key


class SpectralPlan(eqx.Module):
    """Of channels that are independent of each other: x₁ given x₀, one field at a time."""

    mean0: Complex[Array, "channel ky kx"]
    mean1: Complex[Array, "channel ky kx"]
    gain: Float[Array, "channel ky kx"]
    spread: Float[Array, "channel ky kx"]
    """√(s₁² − g² s₀²)."""

    def __call__(self, x: Float[Array, "channel y x"], *, key: Key) -> Float[Array, "channel y x"]:
        n = x.shape[-2] * x.shape[-1]
        white = jnp.fft.rfft2(jr.normal(key, x.shape, x.dtype), norm="forward") * jnp.sqrt(n)
        modes = self.mean1 + self.gain * (jnp.fft.rfft2(x, norm="forward") - self.mean0) + self.spread * white
        return jnp.fft.irfft2(modes, s=x.shape[-2:], norm="forward")


def fit_spectral_plan(
    source: Float[np.ndarray, "n channel y x"], target: Float[np.ndarray, "m other v u"], *, sigma: float
) -> SpectralPlan:
    """The plan between the means and spectra of two archives.

    **Arguments:** `source`, of X₀, and `target`, of X₁, periodic fields; `sigma`, of the reference motion.

    **Raises:** `ValueError` for σ ≤ 0 or grids that differ.

        plan = fit_spectral_plan(fine, coarse, sigma=0.5)
        x1 = plan(fine[0], key=key)
    """
    require_positive_sigma(sigma)
    if source.shape[1:] != target.shape[1:]:
        raise ValueError(f"source and target must share channels and grid, got {source.shape} and {target.shape}.")
    (mean0, s0), (mean1, s1) = _moments(source), _moments(target)
    added = sigma**2 / (source.shape[-2] * source.shape[-1])
    gain = 2 * s1 / (np.sqrt(4 * s0 * s1 + added**2) + added)
    left = np.maximum(s1 - gain**2 * s0, 0)
    as_single = lambda values: jnp.asarray(values, jnp.complex64 if np.iscomplexobj(values) else jnp.float32)  # noqa: E731
    return SpectralPlan(*map(as_single, (mean0, mean1, gain, np.sqrt(left))))


def _moments(fields: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance E|x̂ − m̂|² of every mode."""
    modes = np.fft.rfft2(fields, norm="forward")
    return modes.mean(0), np.var(modes, axis=0)
