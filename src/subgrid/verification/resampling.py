"""How much of a score is an accident of the runs at hand: they are drawn again, with replacement, each as a whole.

Pixels of one field know of each other, and so do frames of one run; the textbook's law of independent values would call
every difference significant.
"""

import numpy as np
from jaxtyping import Float, Int

N_QUANTILES = 255
"""Where distribution functions are compared: at all values together, a distance differs by 1/256 at most."""


def run_weights(runs: Int[np.ndarray, " n"], *, n_resamplings: int = 200, seed: int) -> Float[np.ndarray, "draw n"]:
    """What each field counts in each resampling of the runs: rows sum to one.

    **Arguments:** `runs`, of which run each field is; `seed`: two sets of the same runs are drawn alike, so that what
    they have in common cancels in differences.

        run_weights(np.repeat(np.arange(8), 10), seed=0)
    """
    labels, place = np.unique(runs, return_inverse=True)
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(len(labels), np.full(len(labels), 1 / len(labels)), n_resamplings)[:, place]
    return drawn / drawn.sum(1, keepdims=True)


def kolmogorov_smirnov_resampled(
    pred: Float[np.ndarray, "n *shape"],
    ref: Float[np.ndarray, "m *shape"],
    pred_weights: Float[np.ndarray, "draw n"],
    ref_weights: Float[np.ndarray, "draw m"],
) -> Float[np.ndarray, " draw"]:
    """`similarity.kolmogorov_smirnov` of each resampling.

    Its mean lies above the distance of the sets themselves where that is near the noise, as a supremum does of what is
    drawn twice; it is for spreads and differences.

        kolmogorov_smirnov_resampled(c, c_ref, run_weights(sources, seed=0), run_weights(runs, seed=1)).std()
    """
    at = np.quantile(ref, np.arange(1, N_QUANTILES + 1) / (N_QUANTILES + 1))
    below = [w @ _distribution_functions(fields, at) for fields, w in ((pred, pred_weights), (ref, ref_weights))]
    return np.abs(below[0] - below[1]).max(1)


def _distribution_functions(fields: np.ndarray, at: np.ndarray) -> Float[np.ndarray, "n at"]:
    """Of each field's values, one by one."""
    values = np.sort(fields.reshape(len(fields), -1), axis=1)
    return np.stack([np.searchsorted(each, at, side="right") / len(each) for each in values])
