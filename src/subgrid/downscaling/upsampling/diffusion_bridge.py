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

from subgrid.diffusion.driver import sample
from subgrid.diffusion.samplers import AncestralMultistep, Heun
from subgrid.numerics.integration import heun_step, integrate
from subgrid.numerics.noise import standard_normal
from subgrid.types import Denoiser, Key
from subgrid.verification.spectra import energy_spectrum


def turnaround_level(fields: Float[np.ndarray, "n channel y x"], wavenumber: int) -> float:
    """The noise level at which noise is as large as the waves of the cut-off: `σ* = N √P(k*)`.

    P(k) is the mean |û(κ)|² of the modes of shell k, over samples and channels, of fields of N × N points.

    Args:
        fields: (n, channel, y, x), fine fields, normalised; square.
        wavenumber: k*, from 1 to N/2.

    Returns:
        σ*, in the units of `fields`.

    Raises:
        ValueError: for a wavenumber that the grid does not resolve.

    References:
        Bischoff & Deck (2023), arXiv:2305.01822.

    Examples:
        >>> turnaround_level(fine, 8)
    """
    n = fields.shape[-1]
    if not 1 <= wavenumber <= n // 2:
        raise ValueError(f"wavenumber must be between 1 and {n // 2}, got {wavenumber}.")
    energy = np.asarray(energy_spectrum(jnp.asarray(fields), 2))[:, wavenumber - 1].mean()
    kappa = np.hypot(*np.meshgrid(np.fft.fftfreq(n, 1 / n), np.fft.fftfreq(n, 1 / n)))
    return float(n * np.sqrt(energy / np.sum(np.rint(kappa) == wavenumber)))


def noised(x: Float[Array, "*shape"], level: float, *, key: Key) -> Float[Array, "*shape"]:
    """The coarse field at the turnaround, x + σ*ε, which needs no model of coarse fields.

    Args:
        x: (*shape), normalised.
        level: σ*, in the units of x.
        key: of ε ~ N(0, 1).

    Returns:
        The noisy field, same shape.
    """
    return x + level * standard_normal(x.shape, x.dtype, key=key)


def encode(
    denoiser: Denoiser, x: Float[Array, "*shape"], *, sigma_min: float, level: float, n_steps: int = 15
) -> Float[Array, "*shape"]:
    """x carried up to σ* along the probability flow dx/dσ = (x − D(x, σ))/σ of the coarse fields' model.

    Deterministic: two coarse fields stay as far apart as their model holds them likely to be. Heun's rule in ln σ, two
    evaluations a step.

    Args:
        denoiser: D(x, σ) of coarse fields.
        x: (*shape), normalised.
        sigma_min: where the flow begins, > 0.
        level: σ*, where it ends.
        n_steps: equal in ln σ, default 15.

    Returns:
        The field at σ*, same shape.

    References:
        Su et al. (2022), arXiv:2203.08382.

    Examples:
        >>> latent = encode(coarse_denoiser, y, sigma_min=1e-2, level=1.5)
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

    Args:
        denoiser: D(x, σ) of fine fields.
        x: `(*shape)`, the field at σ*, normalised.
        sigma_min: the last noise level, > 0.
        level: σ*, the first.
        n_steps: evaluations, default 30; of the probability flow `n_steps // 2` steps of Heun's rule.
        stochastic: whether the diffusion is reversed, the default, or the probability flow followed.
        key: of the noise; the probability flow uses none.

    Returns:
        The fine field, same shape.

    Examples:
        >>> x = decode(fine_denoiser, noised(y, 1.5, key=k1), sigma_min=1e-2, level=1.5, key=k2)
    """
    method = AncestralMultistep() if stochastic else Heun()
    levels = jnp.geomspace(level, sigma_min, n_steps + 1 if stochastic else n_steps // 2 + 1)
    return sample(denoiser, x, levels, method=method, key=key)


def conditioned(denoiser: Callable, context: PyTree) -> Denoiser:
    """A denoiser of one field whose context is fixed.

    Args:
        denoiser: `denoiser(x, sigma, context)`; `denoiser(x, sigma)` where the context is None.
        context: what the denoiser is conditioned on, or None.

    Returns:
        x, σ ↦ D(x, σ; context).
    """
    return denoiser if context is None else lambda x, sigma: denoiser(x, sigma, context)
