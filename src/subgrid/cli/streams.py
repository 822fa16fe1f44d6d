"""Named random streams: one seed, one key for each use, none used twice."""

import jax.random as jr

from subgrid.types import Key

STREAMS = (
    "fine",
    "coarse",
    "prior",
    "debias",
    "debias shifts",
    "evaluation shifts",
    "conditions",
    "ensemble",
    "perfect",
    "ranks",
)
"""Names of the random streams. Only ever append: a stream's place is what its key is made of."""


def stream_key(seed: int, stream: str) -> Key:
    """The key of a named random stream: adding a stage never changes the numbers of another.

    key = stream_key(config.run.seed, "prior")
    """
    return jr.fold_in(jr.key(seed), STREAMS.index(stream))
