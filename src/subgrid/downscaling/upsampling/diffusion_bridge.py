"""Downscaling by two diffusion models: noise with the one of the coarse fields, denoise with that of the fine ones.

    y ──▶ noise level σ* ──▶ x        (Bischoff & Deck 2023, arXiv:2305.01822)

What is larger than the noise survives the passage, what is smaller is made anew by the fine model. σ* is the level at
which the noise of a wave at the cut-off k* is as large as the wave itself:

    σ*² / N² = P(k*),     P(k) the mean |û(κ)|² of the modes of shell k of fields of N × N points

With σ(t) = σ_min (σ_max/σ_min)^t, which is how it was published, t* = ½ ln(P(k*)N²/σ_min²)/ln(σ_max/σ_min).
Two ways up and down: add noise and reverse the diffusion, which needs no model of the coarse fields; or follow the
probability flows of both models (Su et al. 2022, arXiv:2203.08382), which is deterministic.
"""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from subgrid.diffusion.samplers import AncestralMultistep, Heun, sample
from subgrid.numerics.integration import heun_step, integrate
from subgrid.numerics.noise import standard_normal
from subgrid.types import Denoiser, Key
from subgrid.verification.spectra import energy_spectrum


def turnaround_level(fields: Float[np.ndarray, "n channel y x"], wavenumber: int) -> float:
    """σ* of fine fields at the cut-off: N √P(k*), where P is the mean over channels.

    **Arguments:** `fields`, normalised; `wavenumber`, k* ≥ 1.

    **Raises:** `ValueError` for a wavenumber that the grid does not resolve.

        turnaround_level(fine, 8)
    """
    n = fields.shape[-1]
    if not 1 <= wavenumber <= n // 2:
        raise ValueError(f"wavenumber must be between 1 and {n // 2}, got {wavenumber}.")
    energy = np.asarray(energy_spectrum(jnp.asarray(fields), 2))[:, wavenumber - 1].mean()
    kappa = np.hypot(*np.meshgrid(np.fft.fftfreq(n, 1 / n), np.fft.fftfreq(n, 1 / n)))
    return float(n * np.sqrt(energy / np.sum(np.rint(kappa) == wavenumber)))


def noised(x: Float[Array, "*shape"], level: float, *, key: Key) -> Float[Array, "*shape"]:
    """x + σ*ε: the coarse field at the turnaround, which needs no model of coarse fields."""
    return x + level * standard_normal(x.shape, x.dtype, key=key)


def encode(
    denoiser: Denoiser, x: Float[Array, "*shape"], *, sigma_min: float, level: float, n_steps: int = 15
) -> Float[Array, "*shape"]:
    """x carried up to σ* along the probability flow dx/dσ = (x − D(x, σ))/σ of the coarse fields' model.

    Deterministic: two coarse fields stay as far apart as their model holds them likely to be. Heun's rule in ln σ, two
    evaluations a step.

        latent = encode(coarse_denoiser, y, sigma_min=1e-2, level=1.5)
    """
    rate = lambda x, log_sigma: x - denoiser(x, jnp.exp(log_sigma))  # noqa: E731
    return integrate(rate, x, jnp.linspace(jnp.log(sigma_min), jnp.log(level), n_steps + 1), step=heun_step)


def decode(
    denoiser: Denoiser,
    x: Float[Array, "*shape"],
    *,
    sigma_min: float,
    level: float,
    n_steps: int = 30,
    stochastic: bool = True,
    key: Key,
) -> Float[Array, "*shape"]:
    """A fine field from a noisy one at σ*: reverse diffusion, or the probability flow, of the fine fields' model.

    x = decode(fine_denoiser, noised(y, 1.5, key=k1), sigma_min=1e-2, level=1.5, key=k2)
    """
    method = AncestralMultistep() if stochastic else Heun()
    levels = jnp.geomspace(level, sigma_min, n_steps + 1 if stochastic else n_steps // 2 + 1)
    return sample(denoiser, x, levels, method=method, key=key)


def told(denoiser: Callable, context: PyTree) -> Denoiser:
    """A denoiser of one field whose context is fixed."""
    return denoiser if context is None else lambda x, sigma: denoiser(x, sigma, context)
