"""Grids of decreasing noise levels σ₀ > σ₁ > … > σ_{n−1} for the samplers."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from subgrid.diffusion.process import Process
from subgrid.numerics.from_numpy import from_numpy


def karras_grid(
    n_levels: int, *, sigma_max: float = 80.0, sigma_min: float = 2e-3, rho: float = 7.0
) -> Float[Array, " level"]:
    """Noise levels with equal steps in σ^{1/ρ}.

        σ_i = (σ_max^{1/ρ} + i/(n−1)·(σ_min^{1/ρ} − σ_max^{1/ρ}))^ρ

    Args:
        n_levels: n ≥ 2.
        sigma_max: σ₀, default 80.
        sigma_min: σ_{n−1} > 0, default .002.
        rho: ρ, default 7, as published; large ρ tends to `exponential_grid`.

    Returns:
        n decreasing levels.

    Raises:
        ValueError: n < 2, or not 0 < σ_min < σ_max.

    References:
        Karras, Aittala, Aila & Laine (2022), arXiv:2206.00364, Eq. 5.
    """
    _check(n_levels, sigma_min, sigma_max)
    ramp = np.linspace(0.0, 1.0, n_levels)
    return _levels((sigma_max ** (1 / rho) + ramp * (sigma_min ** (1 / rho) - sigma_max ** (1 / rho))) ** rho)


def exponential_grid(n_levels: int, *, sigma_max: float = 80.0, sigma_min: float = 2e-3) -> Float[Array, " level"]:
    """Noise levels with equal steps in ln σ.

    Args:
        n_levels: n ≥ 2.
        sigma_max: σ₀, default 80.
        sigma_min: σ_{n−1} > 0, default .002.

    Returns:
        n decreasing levels.

    Raises:
        ValueError: n < 2, or not 0 < σ_min < σ_max.

    Examples:
        >>> exponential_grid(3, sigma_max=100.0, sigma_min=0.01)  # 100, 1, .01
    """
    _check(n_levels, sigma_min, sigma_max)
    return _levels(np.geomspace(sigma_max, sigma_min, n_levels))


def central_grid(
    n_levels: int, *, sigma_max: float = 80.0, sigma_min: float = 2e-3, centre: float = 0.5
) -> Float[Array, " level"]:
    """Noise levels with equal steps in σ/(σ + c): densest in ln σ at σ = c, sparse far above and far below it.

    For methods whose Gaussian part is exact: what is left to discretise lies where the noise is as large as the
    structures of the field. c = ½ for fields of unit variance has the least error of a mixture.

    Args:
        n_levels: n ≥ 2.
        sigma_max: σ₀, default 80.
        sigma_min: σ_{n−1} > 0, default .002.
        centre: c > 0, default ½.

    Returns:
        n decreasing levels.

    Raises:
        ValueError: n < 2, or not 0 < σ_min < σ_max.
    """
    _check(n_levels, sigma_min, sigma_max)
    u = np.linspace(sigma_max / (sigma_max + centre), sigma_min / (sigma_min + centre), n_levels)
    return _levels(centre * u / (1 - u))


def time_grid(process: Process, n_levels: int) -> Float[Array, " level"]:
    """Noise levels with equal steps in the process's own time, from t = 1 down to σ⁻¹(σ_min).

    Args:
        process: noising process.
        n_levels: n.

    Returns:
        n decreasing levels.
    """
    return _levels_in_time(process, n_levels)


@eqx.filter_jit
def _levels_in_time(process: Process, n_levels: int) -> Float[Array, " level"]:
    last = process.time_of(jnp.asarray(process.sigma_min))
    return jax.vmap(process.noise_level)(jnp.linspace(1.0, last, n_levels))


def _levels(sigma: np.ndarray) -> Float[Array, " level"]:
    """Computed by NumPy, which has nothing to compile, and in the precision of JAX from here on."""
    return from_numpy(sigma, jnp.result_type(float))


def _check(n_levels: int, sigma_min: float, sigma_max: float) -> None:
    if n_levels < 2:
        raise ValueError(f"n_levels must be at least 2, got {n_levels}.")
    if not 0 < sigma_min < sigma_max:
        raise ValueError(f"noise levels need 0 < sigma_min < sigma_max, got {sigma_min} and {sigma_max}.")
