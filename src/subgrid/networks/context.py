"""What a model is told beside the field: known fields for its network, and which of several laws the field follows."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int


class Context(NamedTuple):
    """Known fields, and the number of the group whose law the field follows."""

    known: Float[Array | np.ndarray, "*n known y x"]
    group: Int[Array | np.ndarray, "*n"]


class Groups(eqx.Module):
    """The laws of several groups, or what is made of laws: one tree, groups along the first axis of every array.

    law = of_group(Groups([mode_statistics(dry), mode_statistics(wet)]), Context(orography, jnp.asarray(1)))
    """

    stacked: Any

    def __init__(self, laws: Sequence[Any]):
        self.stacked = jax.tree.map(lambda *parts: np.stack(parts), *laws)


def of_group(law: Any, context: Context | None) -> Any:
    """The law of the context's group; one that is not of groups is that of every context.

    **Raises:** `ValueError` for laws of groups without a context that says which.
    """
    if not isinstance(law, Groups):
        return law
    if context is None:
        raise ValueError("the law has groups; call with a Context that says which one the field follows.")
    return jax.tree.map(lambda part: jnp.asarray(part)[context.group], law.stacked)


def known_fields(context: Context | None) -> list[Array | np.ndarray]:
    """What a network is shown of a context, to be joined to its features."""
    return [] if context is None else [context.known]
