"""Energy per wavenumber and how far two spectra lie apart.

Wavenumbers count waves per domain; the axes are taken as periodic and the domain as square (k = |(k₁, k₂, …)|).
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from subgrid.types import Spatial

# Samples transformed at a time: bounds memory at this many complex fields.
SAMPLES_PER_CHUNK = 64


def _require_fields(name: str, samples: Array, n_space: int) -> None:
    if n_space not in (1, 2, 3):
        raise ValueError(f"n_space must be 1, 2 or 3, got {n_space}.")
    if samples.ndim != 2 + n_space:
        raise ValueError(
            f'{name} must have axes "n channel *space", that is {2 + n_space} for n_space = {n_space}, got shape '
            f"{samples.shape}; add a channel axis with samples[:, None]."
        )
    if samples.shape[0] < 1 or min(samples.shape[2:]) < 2:
        raise ValueError(f"{name} needs at least 1 sample and 2 points an axis, got shape {samples.shape}.")


@partial(jax.jit, static_argnames="n_space")
def energy_spectrum(samples: Float[Array, "n channel *space"], n_space: int) -> Float[Array, "channel shell"]:
    """Energy in each shell of wavenumbers, averaged over samples.

    E(k) = ⟨ Σ_{round|κ| = k} |û(κ)|² ⟩ for k = 1, 2, …, with û(κ) = Σ_x u(x) exp(−2πi κ·x) / Π n. Each coefficient is
    squared before anything is summed. Parseval: Σ_k E(k) is the variance over space, averaged over samples.

    Args:
        samples: fields on a uniform grid, any unit; n ≥ 1, at least 2 points an axis.
        n_space: number of trailing space axes: 1, 2 or 3.

    Returns:
        E at k = 1 … round(|κ|_max), in the unit of the samples squared, for each channel. In 1-D the last shell is
        the Nyquist wavenumber n//2 (for even n a single coefficient, counted once). In 2-D and 3-D the shells beyond
        n//2 are the corners of the wavenumber box, incomplete but kept so that Parseval holds.

    Raises:
        ValueError: n_space not 1, 2 or 3, or not matching the shape; no samples; an axis of one point.

    References:
        Wan et al. (2023), arXiv:2305.15618 (there unnormalised; only ratios are used).

    Examples:
        >>> wave = jnp.cos(3 * jnp.linspace(0, 2 * jnp.pi, 64, endpoint=False))
        >>> energy_spectrum(wave[None, None], 1)[0, 2]  # 1/2, all at k = 3
    """
    _require_fields("samples", samples, n_space)
    shell, multiplicity = _shells(samples.shape[2:])

    def one_sample(field: Array) -> Array:
        space_axes = tuple(range(1, 1 + n_space))
        # Without its mean the field keeps its digits: rounding in the transform scales with the largest coefficient.
        anomaly = field - jnp.mean(field, axis=space_axes, keepdims=True)
        coefficients = jnp.fft.rfftn(anomaly, axes=space_axes, norm="forward")
        energy = multiplicity * jnp.abs(coefficients) ** 2
        empty = jnp.zeros((field.shape[0], int(shell.max()) + 1), energy.dtype)
        return empty.at[:, shell].add(energy)[:, 1:]

    chunk = min(samples.shape[0], SAMPLES_PER_CHUNK)
    return jnp.mean(lax.map(one_sample, samples, batch_size=chunk), axis=0)


def _shells(space: Spatial) -> tuple[Int[np.ndarray, "*half"], Float[np.ndarray, "*half"]]:
    """Shell of each real-transform coefficient, and how often it occurs in the full transform."""
    axes = [np.fft.fftfreq(n, 1 / n) for n in space[:-1]] + [np.fft.rfftfreq(space[-1], 1 / space[-1])]
    kappa = np.sqrt(sum(np.square(axis) for axis in np.meshgrid(*axes, indexing="ij")))
    multiplicity = np.full(kappa.shape, 2, np.float32)
    multiplicity[..., 0] = 1
    if space[-1] % 2 == 0:
        multiplicity[..., -1] = 1
    return np.rint(kappa).astype(np.int32), multiplicity


@partial(jax.jit, static_argnames="n_space")
def mean_energy_log_ratio(
    pred: Float[Array, "n channel *space"], ref: Float[Array, "m channel *space"], n_space: int
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Mean absolute log ratio of two energy spectra (MELR), unweighted and weighted.

    MELR = Σ_k w_k |ln(E_pred(k) / E_ref(k))| over k = 1 … n//2 (n the shortest axis: the complete shells), with
    w_k = 1/(number of shells), or w_k = E_ref(k) / Σ E_ref; then the mean over channels.

    Energies below ε² = 1.4e-14 of a set's total are rounding noise of the transform, and are raised to it. Shells that
    hold nothing else in the reference (dealiasing) do not count: a ratio to nothing has no meaning, and would be set by
    the logarithm of the least noise in what is evaluated.

    Args:
        pred: fields to evaluate, any unit; n ≥ 1.
        ref: reference fields, same unit, channels and grid; m ≥ 1.
        n_space: number of trailing space axes: 1, 2 or 3.

    Returns:
        (unweighted, weighted), dimensionless scalars ≥ 0; scaling every field by a gives 2|ln a| twice. Infinite or
        NaN if a channel of either set has no variance.

    Raises:
        ValueError: n_space not 1, 2 or 3, or not matching the shapes; different channels or grids; empty sets.

    References:
        Wan et al. (2023), arXiv:2305.15618.

    Examples:
        >>> ref = jax.random.normal(jax.random.key(0), (100, 1, 64))
        >>> mean_energy_log_ratio(2 * ref, ref, 1)  # both 2 ln 2
    """
    _require_fields("pred", pred, n_space)
    _require_fields("ref", ref, n_space)
    if pred.shape[1:] != ref.shape[1:]:
        raise ValueError(f"pred and ref must share channels and grid, got {pred.shape[1:]} and {ref.shape[1:]}.")
    e_pred, e_ref = _resolved_spectrum(pred, n_space), _resolved_spectrum(ref, n_space)
    log_ratio = jnp.abs(jnp.log(e_pred) - jnp.log(e_ref))
    held = e_ref > _rounding(energy_spectrum(ref, n_space))
    log_ratio = jnp.where(held, log_ratio, 0.0)
    unweighted = jnp.sum(log_ratio, axis=1) / jnp.maximum(jnp.sum(held, axis=1), 1)
    weights = e_ref / jnp.sum(e_ref, axis=1, keepdims=True)
    return jnp.mean(unweighted), jnp.mean(jnp.sum(weights * log_ratio, axis=1))


def _resolved_spectrum(samples: Float[Array, "n channel *space"], n_space: int) -> Float[Array, "channel shell"]:
    energy = energy_spectrum(samples, n_space)
    return jnp.maximum(energy, _rounding(energy))[:, : min(samples.shape[2:]) // 2]


def _rounding(energy: Float[Array, "channel shell"]) -> Float[Array, "channel 1"]:
    """ε² of the total, what the rounding of a transform leaves in a shell."""
    return jnp.finfo(energy.dtype).eps ** 2 * jnp.sum(energy, axis=1, keepdims=True)
