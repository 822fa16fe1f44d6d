"""A few places out of many, as far from each other as there is room: neighbours of an archive say nearly the same."""

import numpy as np
from jaxtyping import Int


def evenly_spaced(n: int, most: int) -> Int[np.ndarray, " chosen"]:
    """At most so many of n places, from the first to the last.

    Args:
        n: how many places there are; of none, none are chosen.
        most: how many are wanted.

    Returns:
        The places, rising; all of them where there are no more than wanted.

    Examples:
        >>> evenly_spaced(10, 4)
        array([0, 3, 6, 9])
    """
    return np.linspace(0, n - 1, min(n, most)).round().astype(int)
