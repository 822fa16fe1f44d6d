"""Named random streams: a seed and names make a key, so that no two uses share one and none depends on another.

    stream(seed, "climate", "scenario") = substream(substream(key(seed), "climate"), "scenario")

Names make a tree. A key is either used, or is the parent of named streams; the children of `jax.random.split` and of
`jax.random.fold_in` with small numbers are the same keys (`split(key, n)[i]` equals `fold_in(key, i)`), which is why
numbers on a parent that is used itself collide. A name is folded in as 64 bits of its hash: among a million streams
two share a key with probability 3e-8.
"""

import hashlib

import jax
import jax.random as jr
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray, Shaped

from subgrid.types import Key

DIGEST_SIZE = 8
"""Bytes of a name's hash: as many bits as a key of JAX's default generator has."""


def stream(seed: int, *names: str) -> Key:
    """The key of a named random stream.

    Args:
        seed: of the run; the same seed and names give the same key on every machine and in every process.
        names: from the general to the particular, at least one. Their order matters, that of other streams does not.

    Returns:
        A key that no other names give.

    Raises:
        ValueError: without a name, as the key of the seed itself belongs to no use.

    Examples:
        >>> prior_key = stream(0, "climate", "training")
    """
    return substream(jr.key(seed), *names)


def substream(key: Key, *names: str) -> Key:
    """The key of one named use of a key; `substream(key, "a", "b")` is `substream(substream(key, "a"), "b")`.

    Args:
        key: a key that is used for nothing but named streams.
        names: of the use, at least one.

    Returns:
        A key that no other names give, and none of `jax.random.split(key)`.

    Raises:
        ValueError: without a name.

    Examples:
        >>> network_key, training_key = substream(key, "network"), substream(key, "training")
    """
    if not names:
        raise ValueError("a random stream needs a name, such as stream(seed, 'training').")
    for name in names:
        for word in _words(name):
            key = jr.fold_in(key, word)
    return key


@jax.jit
def draw_keys(
    key: Key, times: Int[Array | np.ndarray, " time"], members: Int[Array | np.ndarray, " member"]
) -> Shaped[PRNGKeyArray, "time member"]:
    """The key of every draw of an ensemble: fold_in(fold_in(root, time), member) of a root for draws alone.

    The root is `substream(key, "draws")`: the numbers of times and members never meet another use of the key. A draw
    keeps its key in whichever block it is made, and a larger ensemble begins with the smaller.

    Args:
        key: of the ensemble. Two ensembles with one key share their noise, time by time and member by member.
        times: positions in time, not negative.
        members: numbers of members, not negative.

    Returns:
        One key for every time and member.

    Examples:
        >>> draw_keys(stream(0, "climate", "historical"), np.arange(32, 64), np.arange(16)).shape
        (32, 16)
    """
    root = substream(key, "draws")
    by_member = jax.vmap(jr.fold_in, (None, 0))
    return jax.vmap(lambda time: by_member(jr.fold_in(root, time), members))(times)


def _words(name: str) -> list[np.uint32]:
    """The hash of a name as words of 32 bits, which is what `fold_in` takes; the same on every machine."""
    digest = hashlib.blake2b(name.encode(), digest_size=DIGEST_SIZE).digest()
    return [np.uint32(int.from_bytes(digest[i : i + 4], "little")) for i in range(0, DIGEST_SIZE, 4)]
