"""What a model is conditioned on beside the field: known fields for its network, and which of several distributions the
field follows.
"""

from collections.abc import Sequence
from typing import Generic, NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

OfGroup = TypeVar("OfGroup")
"""A tree of arrays that each group has one of: a distribution, or what is made of it."""


class Context(NamedTuple):
    """What one field, or a batch of fields, is conditioned on."""

    known: Float[Array | np.ndarray, "*n known y x"]
    """Known fields, shown to the network."""
    group: Int[Array | np.ndarray, "*n"]
    """The number of the group whose distribution the field follows, from 0."""


class Groups(eqx.Module, Generic[OfGroup]):
    """The distributions of several groups, or what is made of them, in one tree: groups along the first axis of arrays.

    Args:
        distributions: one tree of arrays for each group, all of one structure and of equal shapes.

    Examples:
        >>> groups = Groups([mode_statistics(dry), mode_statistics(wet)])
        >>> of_group(groups, Context(orography, jnp.asarray(1)))  # the statistics of wet
    """

    stacked: OfGroup
    """The tree of stacked arrays."""

    def __init__(self, distributions: Sequence[OfGroup]):
        self.stacked = jax.tree.map(lambda *parts: np.stack(parts), *distributions)


def of_group(distribution: OfGroup | Groups[OfGroup], context: Context | None) -> OfGroup:
    """The distribution of the context's group; one that is not of groups is that of every context.

    Args:
        distribution: a distribution, or `Groups` of them.
        context: of one field; its group is a scalar.

    Returns:
        The distribution of that group.

    Raises:
        ValueError: for distributions of groups without a context that says which.

    Examples:
        >>> of_group(Groups([dry, wet]), Context(orography, jnp.asarray(1)))
    """
    if not isinstance(distribution, Groups):
        return distribution
    if context is None:
        raise ValueError("the distribution has groups; call with a Context that says which one the field follows.")
    return jax.tree.map(lambda part: jnp.asarray(part)[context.group], distribution.stacked)


def known_fields(context: Context | None) -> list[Array | np.ndarray]:
    """What a network is shown of a context, to be joined to its features.

    Args:
        context: of one field, or None.

    Returns:
        A list of the known fields; empty without a context.

    Examples:
        >>> features = jnp.concatenate([x, *known_fields(context)])
    """
    return [] if context is None else [context.known]
