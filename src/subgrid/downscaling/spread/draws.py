"""Draws of p(x | C′x = y) from a Gaussian prior that a network may refine, in the prior's own units and on its grid."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, Shaped

from subgrid.diffusion.driver import draw
from subgrid.diffusion.gaussian_conditional import ConditionalGaussian
from subgrid.diffusion.gaussian_steps import GaussianSDE
from subgrid.diffusion.guidance.gaussian import gaussian_gain
from subgrid.diffusion.noise_levels import exponential_grid
from subgrid.diffusion.refinement import Refined
from subgrid.downscaling.prior.noise_range import leading_std, sampling_range
from subgrid.downscaling.spread.calibration import SpreadCalibration

LARGEST_CHUNK, VALUES_AT_ONCE = 256, 2**20
"""Fields, and numbers in them, that are drawn at once: a network holds some hundred times as much in between."""


def conditional_draws(
    denoiser: Refined | None,
    conditional: ConditionalGaussian,
    targets: Float[np.ndarray, "n channel *coarse"],
    keys: Shaped[PRNGKeyArray, " n"],
    *,
    n_levels: int,
    trained: tuple[float, float],
    calibration: tuple[SpreadCalibration, Float[np.ndarray, "n channel *space"]] | None = None,
    chunk: int | None = None,
) -> Float[np.ndarray, "n channel *space"]:
    """One draw of p(x | C′x = y) for every target and key, `chunk` at a time.

    Args:
        denoiser: the refined prior; None draws from the Gaussian, exactly and without levels.
        conditional: the Gaussian's conditional, for all targets.
        targets: (n, channel, *coarse), y, normalised.
        keys: (n,), one for each.
        n_levels: of noise, for the network's residual.
        trained: smallest and largest noise level of the network's training.
        calibration: of the spread, and the normalised climatology of every target (see `spread/calibration.py`); none
            by default.
        chunk: fields at once, by default as many as keep a million values, at most 256.

    Returns:
        Normalised fields (n, channel, *space) on the prior's grid.

    Examples:
        >>> draws = conditional_draws(None, conditional, targets, keys, n_levels=8, trained=(2e-3, 80.0))
    """
    base = conditional.prior
    chunk = chunk or max(1, min(LARGEST_CHUNK, VALUES_AT_ONCE // base.mean.size))
    sigma_min, sigma_max = sampling_range(leading_std(base), trained, GaussianSDE)
    levels = exponential_grid(n_levels, sigma_max=sigma_max, sigma_min=sigma_min)
    table, climatology = calibration if calibration is not None else (None, None)
    parts = []
    for first in range(0, len(targets), chunk):
        part = slice(first, first + chunk)
        wanted = len(targets[part])
        full = np.arange(chunk) % wanted  # one shape, one compilation, the same bits
        normal = None if climatology is None else jax.device_put(climatology[part][full])
        of_part = jnp.take(keys, first + full, axis=0, mode="clip")  # one program, where an index makes five
        drawn = _draw(denoiser, conditional, levels, table, jax.device_put(targets[part][full]), normal, of_part)
        parts.append(np.asarray(drawn)[:wanted])
    return np.concatenate(parts)


@eqx.filter_jit
def _draw(
    denoiser: Refined | None,
    conditional: ConditionalGaussian,
    levels: Float[Array, " level"],
    calibration: SpreadCalibration | None,
    targets: Array,
    climatology: Array | None,
    keys: Shaped[PRNGKeyArray, " n"],
) -> Array:
    def one(y, c, key):
        base, gaussian = conditional.prior, conditional.given(y)
        if denoiser is None:
            drawn = gaussian.sample(key=key)
        else:
            guided = gaussian_gain(denoiser, conditional.operator, y, prior=base)
            drawn = draw(guided, base.mean.shape, levels, method=GaussianSDE(gaussian), key=key)
        return drawn if calibration is None else calibration(conditional, y, drawn, c)

    return jax.vmap(one)(targets, climatology, keys)
