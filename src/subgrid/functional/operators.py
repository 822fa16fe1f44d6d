"""What is learned in function space, in its two forms, and where it is known exactly.

    v = u + η,  η ~ N(0, sC):      F(v, s) = −E[η | v]  (noise form),      G(v, s) = E[u | v] = v + F  (denoised form)

s is a variance. F is the drift of Langevin's equation preconditioned by sC; G is what an operator is trained to give.
With S = λ₁ + sλ₂, λ₁ of the data and λ₂ of the noise, a Gaussian has G_k = λ₁/S v_k, mode by mode.
"""

from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Scalar

from subgrid.functional.gaussian_field import GaussianField, as_gain


@runtime_checkable
class DenoisedForm(Protocol):
    """G(v, s) = E[u | u + η = v], η ~ N(0, sC), on any grid; `known` is whatever u is conditioned on."""

    def __call__(
        self, v: Float[Array, "channel *space"], s: Scalar | float, known: Any = None, /
    ) -> Float[Array, "channel *space"]: ...


@runtime_checkable
class NoiseForm(Protocol):
    """F(v, s) = −E[η | u + η = v], η ~ N(0, sC), on any grid."""

    def __call__(
        self, v: Float[Array, "channel *space"], s: Scalar | float, known: Any = None, /
    ) -> Float[Array, "channel *space"]: ...


def noise_form(denoised: DenoisedForm) -> NoiseForm:
    """F = G − v of a G.

    Args:
        denoised: G(v, s).

    Returns:
        F(v, s).
    """
    return lambda v, s, known=None: denoised(v, s, known) - v


def denoised_form(noise: NoiseForm) -> DenoisedForm:
    """G = v + F of an F.

    Args:
        noise: F(v, s).

    Returns:
        G(v, s).
    """
    return lambda v, s, known=None: v + noise(v, s, known)


def gaussian_operator(
    data: GaussianField, noise: GaussianField, mean: Float[Array, "channel *grid"] | None = None
) -> DenoisedForm:
    """The exact G of Gaussian data N(m, C₁): G = m + λ₁/(λ₁ + sλ₂) (v − m), mode by mode.

    Args:
        data: N(0, C₁).
        noise: N(0, C₂), on the same box.
        mean: m on any grid, default 0.

    Returns:
        G(v, s), on any grid.

    Examples:
        >>> exact = gaussian_operator(GaussianField(2.0, 5.0), GaussianField(1.0, 5.0))
        >>> noise_form(exact)(v, 0.01)  # −ρv with ρ = sλ₂/(λ₁ + sλ₂)
    """

    def denoised(v, s, known=None):
        centre = 0.0 if mean is None else data.box.resize(mean, v.shape[1:])
        return centre + data.box.multiply(v - centre, shrinkage(data, noise, v.shape[1:], s))

    return denoised


def mixture_operator(
    weights: Float[np.ndarray, " component"],
    means: Float[Array, "component channel *grid"],
    data: GaussianField,
    noise: GaussianField,
) -> DenoisedForm:
    """The exact G of a mixture Σ w_i N(m_i, C₁).

        F = −ρ (v − Σ r_i m_i),      r_i ∝ w_i exp(⟨m_i, v⟩_{S⁻¹} − ½‖m_i‖²_{S⁻¹})

    Args:
        weights: w_i, positive, summing to 1.
        means: m_i on any grid.
        data: N(0, C₁), of every component.
        noise: N(0, C₂), on the same box.

    Returns:
        G(v, s), on any grid.

    Examples:
        >>> exact = mixture_operator(np.array([0.5, 0.5]), jnp.stack([m, -m]), data, noise)
    """

    def denoised(v, s, known=None):
        centres = data.box.resize(means, v.shape[1:])
        chances = responsibilities(weights, centres, v, s, data=data, noise=noise)
        centre = jnp.tensordot(chances, centres, 1)
        return centre + data.box.multiply(v - centre, shrinkage(data, noise, v.shape[1:], s))

    return denoised


def responsibilities(
    weights: Float[np.ndarray, " component"],
    means: Float[Array, "component channel *space"],
    v: Float[Array, "channel *space"],
    s: Scalar | float,
    *,
    data: GaussianField,
    noise: GaussianField,
) -> Float[Array, " component"]:
    """r_i, the probability of each component of a mixture Σ w_i N(m_i, C₁) given v = u + η.

    Args:
        weights: w_i.
        means: m_i, on the grid of v.
        v: a noisy field.
        s: variance of the noise.
        data: N(0, C₁).
        noise: N(0, C₂).

    Returns:
        Probabilities that sum to 1.
    """
    box, shape = data.box, v.shape[1:]
    centres, modes, total = box.to_modes(means), box.to_modes(v), noisy_variances(data, noise, shape, s)
    precision = as_gain(box.weights(shape)) / jnp.where(total > 0, total, jnp.inf)
    evidence = jnp.real(jnp.conj(centres) * (modes - centres / 2)) * precision
    return jax.nn.softmax(jnp.log(as_gain(weights)) + jnp.sum(evidence, axis=tuple(range(1, evidence.ndim))))


def noisy_variances(
    data: GaussianField | None, noise: GaussianField, shape: tuple[int, ...], s: Scalar | float
) -> Float[Array, "..."]:
    """S = λ₁ + sλ₂, the variances of the modes of v (λ₁ = 0 without data).

    Args:
        data: N(0, C₁), or None.
        noise: N(0, C₂).
        shape: of the grid.
        s: variance of the noise.

    Returns:
        Variances of the stored modes.
    """
    first = 0.0 if data is None else as_gain(data.mode_variances(shape))
    return first + s * as_gain(noise.mode_variances(shape))


def shrinkage(
    data: GaussianField, noise: GaussianField, shape: tuple[int, ...], s: Scalar | float
) -> Float[Array, "..."]:
    """λ₁/S, by which Gaussian data shrink each mode of v; 0 where neither data nor noise vary.

    Args:
        data: N(0, C₁).
        noise: N(0, C₂).
        shape: of the grid.
        s: variance of the noise.

    Returns:
        Factors of the stored modes, from 0 to 1.
    """
    total = noisy_variances(data, noise, shape, s)
    return as_gain(data.mode_variances(shape)) / jnp.where(total > 0, total, 1.0)


def posterior_variances(
    data: GaussianField, noise: GaussianField, shape: tuple[int, ...], s: Scalar | float
) -> Float[Array, "..."]:
    """sλ₁λ₂/S, the variances of the modes of u given v for Gaussian data.

    Args:
        data: N(0, C₁).
        noise: N(0, C₂).
        shape: of the grid.
        s: variance of the noise.

    Returns:
        Variances of the stored modes.
    """
    return s * as_gain(noise.mode_variances(shape)) * shrinkage(data, noise, shape, s)
