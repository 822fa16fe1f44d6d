"""The two unpaired archives that a transport joins, and minibatches of pairs from them."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.random as jr
from jaxtyping import Array, Float, PyTree

from subgrid.transport.couplings import Coupling, Independent
from subgrid.transport.unpaired import require_same_fields
from subgrid.types import Key


class Pairs(NamedTuple):
    """x₀ and x₁ that go together, and the context that belongs to the pair, if there is any.

    Args:
        x0: samples at t = 0.
        x1: samples at t = 1.
        context: an array, or a tree of them, n along the first axis; default none.
    """

    x0: Float[Array, "n *shape"]
    x1: Float[Array, "n *shape"]
    context: PyTree = None


class Ends(eqx.Module):
    """Samples of the distribution at t = 0 and of that at t = 1; their numbers may differ.

    Args:
        source: samples at t = 0.
        target: samples at t = 1, of the same shape.
        context: what the transport is conditioned on, such as the forcing that shaped a sample; an array, or a tree of
            them; default none.
        context_of_target: whether the context is that of the target's samples (default), or else of the source's.

    Raises:
        ValueError: shapes that differ, or a context of another length.

    Examples:
        >>> ends = Ends(coarse, fine, context=forcing)
    """

    source: Float[Array, "n *shape"]
    target: Float[Array, "m *other_shape"]
    context: PyTree = None
    context_of_target: bool = eqx.field(static=True, default=True)

    def __check_init__(self):
        require_same_fields(self.source, self.target)
        owner = self.target if self.context_of_target else self.source
        for part in jax.tree.leaves(self.context):
            if len(part) != len(owner):
                side = "target" if self.context_of_target else "source"
                raise ValueError(f"the context has {len(part)} samples, the {side} {len(owner)}; they must agree.")


@eqx.filter_jit
def draw_pairs(ends: Ends, n: int, *, coupling: Coupling = Independent(), key: Key) -> Pairs:  # noqa: B008 no state
    """n random samples of either end, paired by `coupling`; contexts move with their sample.

    Args:
        ends: the two archives.
        n: pairs, drawn with replacement.
        coupling: which sample goes with which, default independent.
        key: random key.

    Returns:
        n pairs.

    Examples:
        >>> pairs = draw_pairs(Ends(coarse, fine), 128, coupling=ExactTransport(), key=key)
    """
    source_key, target_key, coupling_key = jr.split(key, 3)
    first = jr.randint(source_key, (n,), 0, len(ends.source))
    second = jr.randint(target_key, (n,), 0, len(ends.target))
    i, j = coupling(ends.source[first], ends.target[second], key=coupling_key)
    first, second = first[i], second[j]
    owner = second if ends.context_of_target else first
    context = jax.tree.map(lambda part: part[owner], ends.context)
    return Pairs(ends.source[first], ends.target[second], context)


def take_pairs(pairs: Pairs, n: int, *, key: Key) -> Pairs:
    """n of the pairs at random, with replacement.

    Args:
        pairs: to draw from.
        n: how many.
        key: random key.

    Returns:
        n pairs, with their context.
    """
    chosen = jr.randint(key, (n,), 0, len(pairs.x0))
    return jax.tree.map(lambda part: part[chosen], pairs)
