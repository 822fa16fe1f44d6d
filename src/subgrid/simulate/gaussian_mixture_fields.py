"""Mixtures of two Gaussian measures on functions: fields with two regimes whose truth is known at every resolution.

A key is one function, whatever the grid: the regime, and the modes of the Gaussian part, are drawn from it alone.
"""

from functools import cache

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float, Int

from subgrid.numerics.modes import Box
from subgrid.numerics.spectra import PowerLaw, point_variance
from subgrid.types import Key

WALLS, TORUS = Box((1.0,), "neumann"), Box((1.0, 1.0))
VARIANCE, LENGTH = 0.4, 0.1
"""Of the kernel a exp(−|x − x′|²/2ℓ²) of `ramp_mixture` (Lim et al. 2023, arXiv:2302.07400, and its code)."""
N_NODES = 256
"""Gauss–Legendre nodes of the eigenfunctions of that kernel, far beyond the scale of its length."""
SMALLEST = 1e-14
"""Of the largest eigenvalue of the kernel: less is rounding."""
WAVES = PowerLaw(2.5, 5.0)
"""Spectrum of the Gaussian part of `wave_mixture`, scaled to unit variance at a point."""


def ramp(n: int) -> Float[np.ndarray, " x"]:
    """The mean of the first regime of `ramp_mixture`, 10x − 5 at the points of n cells of [0, 1].

    Args:
        n: points.

    Returns:
        m.
    """
    return 10 * _places(n) - 5


def wave(n: int) -> Float[np.ndarray, "y x"]:
    """The mean of the first regime of `wave_mixture`, 2 cos 2πy on n × n points of the unit torus.

    Args:
        n: points an axis.

    Returns:
        m.
    """
    return np.tile(2 * np.cos(2 * np.pi * np.arange(n) / n)[:, None], (1, n))


def ramp_mixture(n: int, shape: tuple[int], *, key: Key) -> tuple[Float[np.ndarray, "n 1 x"], Int[np.ndarray, " n"]]:
    """Half of the fields about 10x − 5 and half about its negative, with Gaussian fields of a smooth kernel around.

    The Gaussian part is Σ √λ_j ξ_j φ_j(x) in the eigenfunctions of the kernel, by Nyström's method on Gauss–Legendre
    nodes: exact to rounding, at any points.

    Args:
        n: number of fields.
        shape: points of cells, at (i + ½)/N.
        key: random key.

    Returns:
        Fields, and 1 for those about 10x − 5, −1 for the others.

    Examples:
        >>> fields, regimes = ramp_mixture(1000, (64,), key=key)
    """
    label_key, field_key = jr.split(key)
    sign = _signs(n, key=label_key)
    factors = jnp.asarray(_kernel_factors(shape[0]), jnp.float32)
    own = jax.lax.map(lambda k: factors @ jr.normal(k, factors.shape[1:]), _keys(n, field_key), batch_size=1024)
    fields = sign[:, None] * ramp(shape[0]) + np.asarray(own)
    return fields[:, None].astype(np.float32), sign


def wave_mixture(
    n: int, shape: tuple[int, int], *, key: Key
) -> tuple[Float[np.ndarray, "n 1 y x"], Int[np.ndarray, " n"]]:
    """Half of the fields about 2 cos 2πy and half about its negative, with Gaussian fields of α = 5/2, τ = 5 around.

    Args:
        n: number of fields.
        shape: points along y and x, as many.
        key: random key.

    Returns:
        Fields, and 1 for those about 2 cos 2πy, −1 for the others.

    Examples:
        >>> fields, regimes = wave_mixture(1000, (32, 32), key=key)
    """
    label_key, field_key = jr.split(key)
    sign = _signs(n, key=label_key)
    gain = jnp.asarray(np.sqrt(WAVES(TORUS, shape) / _wave_variance()), jnp.float32)
    draw = lambda k: TORUS.from_modes(gain * TORUS.white_modes(shape, key=k), shape)  # noqa: E731
    own = np.asarray(jax.lax.map(draw, _keys(n, field_key), batch_size=256))
    fields = sign[:, None, None] * wave(shape[0]) + own
    return fields[:, None].astype(np.float32), sign


def _signs(n: int, *, key: Key) -> Int[np.ndarray, " n"]:
    return np.where(np.asarray(jax.vmap(lambda k: jr.bernoulli(k))(_keys(n, key))), 1, -1)


def _keys(n: int, key: Key) -> Array:
    """One key a field, the same for a field whatever their number."""
    return jax.vmap(lambda i: jr.fold_in(key, i))(jnp.arange(n))


def _places(n: int) -> Float[np.ndarray, " x"]:
    return (np.arange(n) + 0.5) / n


def _kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return VARIANCE * np.exp(-((x[:, None] - y) ** 2) / (2 * LENGTH**2))


def _kernel_factors(n: int) -> Float[np.ndarray, "x r"]:
    """√λ_j φ_j at n points, so that their product with itself transposed is the kernel."""
    nodes, root, values, vectors = _nystrom()
    return _kernel(_places(n), nodes) * root @ vectors / np.sqrt(values)


@cache
def _nystrom() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    x, w = np.polynomial.legendre.leggauss(N_NODES)
    nodes, root = (x + 1) / 2, np.sqrt(w / 2)
    values, vectors = np.linalg.eigh(root[:, None] * _kernel(nodes, nodes) * root)
    kept = values > SMALLEST * values[-1]
    signs = np.sign(vectors[np.abs(vectors).argmax(0), np.arange(len(values))])  # LAPACK leaves them open
    return nodes, root, values[kept], (vectors * signs)[:, kept]


@cache
def _wave_variance() -> float:
    """At a point, of all modes of a fine grid: beyond 512 points an axis less than 1e-7 is left."""
    return float(point_variance(WAVES(TORUS, (512, 512)), TORUS, (512, 512)))
