"""The shape of a spread: quantiles of standardised draws onto those of standardised errors.

What is left when every scale is right (`spread_calibration.py`): tails, skewness, and for censored variables that
little rain can only be exceeded.
"""

from dataclasses import dataclass
from itertools import pairwise

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from scipy.special import ndtr, ndtri

QUANTILES = 101
"""Of the shape h, evenly spaced in a Gaussian's quantiles: whole tables lie between the outermost, .05 and 99.95 %."""
FEWEST = 1000
"""Errors that a table of the shape needs: with fewer it stays as it was."""
CONSTANT = 1e-6
"""Of the largest squared error of a cell, below which a cell is taken as constant; its scale stays 1."""


class Shape(eqx.Module):
    """h: standardised departures of draws onto those of errors, a table for every channel, kind of cell and level.

    Linear between the quantiles of a table, and between two levels of what is expected; beyond the outermost quantiles
    the ratio there is kept.
    """

    quantiles: Float[Array, " quantile"]
    values: Float[Array, "channel kind level quantile"]
    levels: Float[Array, "channel level"]
    cell_kind: Int[Array, "*space"]
    """Of every cell: 0 where a coarse value constrains it, 1 elsewhere."""

    def __call__(
        self, u: Float[Array, "channel *space"], expected: Float[Array, "channel *space"]
    ) -> Float[Array, "channel *space"]:
        """h of standardised departures, where so much is expected."""

        def of_channel(values: Array, levels: Array, u: Array, expected: Array) -> Array:
            mapped = jax.vmap(jax.vmap(lambda table: self._map(table, u)))(values)  # kind level *space
            of_kind = jnp.where(self.cell_kind == 0, mapped[0], mapped[1])
            place = jnp.interp(expected, levels, jnp.arange(len(levels), dtype=u.dtype))
            below = jnp.clip(jnp.floor(place), 0, max(len(levels) - 2, 0)).astype(int)
            share, above = place - below, jnp.minimum(below + 1, len(levels) - 1)
            at = lambda index: jnp.take_along_axis(of_kind, index[None], 0)[0]  # noqa: E731
            return (1 - share) * at(below) + share * at(above)

        return jax.vmap(of_channel)(self.values, self.levels, u, expected)

    def _map(self, table: Float[Array, " quantile"], u: Float[Array, "*space"]) -> Float[Array, "*space"]:
        first, last = self.quantiles[0], self.quantiles[-1]
        inside = jnp.interp(u, self.quantiles, table)
        return jnp.where(u < first, u * table[0] / first, jnp.where(u > last, u * table[-1] / last, inside))


def no_shape(kind: Int[np.ndarray, "*space"], levels: Float[Array, "channel level"]) -> Shape:
    """h(u) = u, at every level."""
    quantiles = jnp.asarray(ndtri(_shares()), jnp.float32)
    values = jnp.broadcast_to(quantiles, (len(levels), 2, levels.shape[1], len(quantiles)))
    return Shape(quantiles, values, levels, jnp.asarray(kind))


def _shares() -> np.ndarray:
    """Of a Gaussian's values below each level."""
    outermost = ndtri(0.9995)
    return ndtr(np.linspace(-outermost, outermost, QUANTILES))


@dataclass(frozen=True)
class Departures:
    """Departures from conditional means over their widths w, and what was expected."""

    values: Float[np.ndarray, "n m channel *space"]
    expected: Float[np.ndarray, "n channel *space"]

    def varies(self, channel: int) -> Bool[np.ndarray, "*space"]:
        """Cells of a channel that are not constant."""
        square = np.mean(self.values[:, :, channel] ** 2, axis=(0, 1), dtype=np.float64)
        return square > CONSTANT * square.max(initial=0.0)

    def of(self, channel: int, cells: Bool[np.ndarray, "*space"], first: float, last: float) -> np.ndarray:
        """Those of some cells of a channel, where what is expected lies between two values."""
        expected = self.expected[:, channel][:, cells]
        within = (first <= expected) & (expected < last)
        return np.moveaxis(self.values[:, :, channel][..., cells], 1, -1)[within].ravel()


def match_shape(
    shape: Shape,
    errors: Departures,
    drawn: Departures,
    *,
    support: Bool[np.ndarray, "channel *space"],
    active: tuple[bool, ...],
) -> Shape:
    """The shape h under which standardised departures of draws have the quantiles of the errors.

    What the constraint takes from scaled departures, and what a network adds to the Gaussian's, shows in draws alone;
    so h is found from what an earlier h led to, and a second pass finds it better.

    Args:
        shape: that the draws were made with.
        errors: of left-out fields, one for each.
        drawn: of draws.
        support: cells with values.
        active: channels with a shape for every level of what is expected; the others have one.
    """
    values, kind = np.array(shape.values), np.asarray(shape.cell_kind)
    for c, cells in enumerate(support):
        levels = np.asarray(shape.levels[c])
        inner = (levels[1:] + levels[:-1]) / 2 if active[c] else np.empty(0)
        edges = np.concatenate([[-np.inf], inner, [np.inf]])
        for k in range(2):
            chosen = cells & (kind == k) & errors.varies(c)
            for i, (first, last) in enumerate(pairwise(edges)):
                at = i if active[c] else slice(None)
                samples = [each.of(c, chosen, first, last) for each in (errors, drawn)]
                if min(map(len, samples)) >= FEWEST:
                    wanted, found = (np.quantile(each, _shares()) for each in samples)
                    values[c, k, at] = _through(np.atleast_2d(values[c, k, at])[0], found, wanted)
    return eqx.tree_at(lambda x: x.values, shape, jnp.asarray(values, jnp.float32))


def _through(values: np.ndarray, found: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Values of h, taken on by the map of found quantiles onto wanted ones."""
    inside = np.interp(values, found, wanted)
    ratio = lambda i: wanted[i] / found[i] if found[i] != 0 else 1.0  # noqa: E731
    return np.where(values < found[0], values * ratio(0), np.where(values > found[-1], values * ratio(-1), inside))
