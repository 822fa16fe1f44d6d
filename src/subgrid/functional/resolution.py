"""Super-resolution of a given field by coupled noise: encode it on its grid, continue the noise, decode on a finer one.

The flow between data and noise is a bijection. The noise that a coarse field comes from has its modes; modes
beyond are drawn, and the way back on the fine grid gives a field whose kept band is the given one, as far as operators
of both grids agree. How far it drifted is reported.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar

from subgrid.numerics.modes import Box
from subgrid.types import Spatial


class SuperResolved(NamedTuple):
    """A field on a finer grid than the one that was given."""

    field: Float[Array, "channel *space"]
    """On the finer grid."""
    drift: Scalar
    """Root mean square of the change in the given modes, over that of the given field; below .01 by rule."""


def extend(
    v: Float[Array, "channel *coarse"], draw: Float[Array, "channel *fine"], box: Box
) -> Float[Array, "channel *fine"]:
    """A field on the grid of a draw: its own modes, and those of the draw that its grid does not hold.

    Args:
        v: on a coarse grid.
        draw: on a grid that holds its modes.
        box: where both live.

    Returns:
        A field on the fine grid.

    Examples:
        >>> extend(v, noise.sample((256,), key=key), noise.box)
    """
    fine = draw.shape[1:]
    return box.resize(v, fine) + draw - box.resize(box.resize(draw, v.shape[1:]), fine)


def super_resolve(
    given: Float[Array, "channel *coarse"],
    shape: Spatial,
    *,
    encode: Callable[[Array], Array],
    decode: Callable[[Array], Array],
    draw: Float[Array, "channel *fine"],
    box: Box,
) -> SuperResolved:
    """A given field continued to a finer grid.

    Args:
        given: on a coarse grid; its Nyquist waves are left out.
        shape: of the finer grid.
        encode: from a field on its grid to noise there.
        decode: from noise on the finer grid to a field.
        draw: noise on the finer grid, whose modes beyond those of the coarse one are taken.
        box: where all live.

    Returns:
        The field and its drift.
    """
    coarse = given.shape[1:]
    kept = box.resize(given, coarse)
    field = decode(extend(encode(kept), draw, box))
    off = box.resize(field, coarse) - kept
    return SuperResolved(field, jnp.sqrt(jnp.sum(off**2) / jnp.maximum(jnp.sum(kept**2), 1e-30)))


def require_modes(shape: Spatial, grid: Spatial, box: Box, what: str, fix: str) -> None:
    """Passes if a grid holds the modes of another.

    Args:
        shape: of the grid.
        grid: of the other, by rule that of the training.
        box: where fields live.
        what: the first words of the complaint.
        fix: its last ones.

    Raises:
        ValueError: for a grid below the band of the other.
    """
    if not box.holds(shape, grid):
        raise ValueError(f"{what} {shape} points, which do not hold the modes of the {grid} of the training; {fix}.")
