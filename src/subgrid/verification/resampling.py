"""How much of a score is an accident of the runs at hand: they are drawn again, with replacement, each as a whole.

Pixels of one field depend on each other, and so do frames of one run; the textbook's distribution of independent values
would call every difference significant.
"""

from typing import NamedTuple

import jax.random as jr
import numpy as np
from jaxtyping import Float, Int

from subgrid.types import Key

N_QUANTILES = 255
"""Where distribution functions are compared: at all values together, a distance differs by 1/256 at most."""


def run_weights(runs: Int[np.ndarray, " n"], *, n_resamplings: int = 200, seed: int) -> Float[np.ndarray, "draw n"]:
    """What each field counts in each resampling of the runs: rows sum to one.

    Args:
        runs: of which run each field is.
        n_resamplings: default 200.
        seed: two sets of the same runs are drawn alike, so that what they have in common cancels in differences.

    Returns:
        Weights ≥ 0.

    Examples:
        >>> run_weights(np.repeat(np.arange(8), 10), seed=0).shape
        (200, 80)
    """
    labels, place = np.unique(runs, return_inverse=True)
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(len(labels), np.full(len(labels), 1 / len(labels)), n_resamplings)[:, place]
    return drawn / drawn.sum(1, keepdims=True)


class MeanChange(NamedTuple):
    """A change of a mean, the ends of its interval, and the standard deviation of the change over members.

    Args:
        change: of the means over all members and times, in the unit of the data.
        lower: lower end of the interval.
        upper: upper end of the interval.
        member_spread: standard deviation of the members' own changes.
    """

    change: float
    lower: float
    upper: float
    member_spread: float


def mean_change(
    before: Float[np.ndarray, "time member"],
    after: Float[np.ndarray, "later_time later_member"],
    before_seasons: Int[np.ndarray, " time"],
    after_seasons: Int[np.ndarray, " later_time"],
    *,
    n_resamplings: int = 2000,
    confidence: float = 0.9,
    key: Key,
) -> MeanChange:
    """The change of a mean between two ensembles, with the interval that seasons and draws leave.

    Each resampling makes one realisation of either period: whole seasons with replacement, each as a member drawn at
    random has it. The interval holds the quantiles of the differences of their means, and so both what seasons and what
    draws leave open. It takes seasons as independent, and with few of them it is too narrow: its standard deviation by
    the factor √(1 − 1/n) for n seasons.

    Args:
        before: means over the region, any unit, of every time and member.
        after: the same of the later period, with noise that is independent of that of `before`; with shared noise the
            spread over members is not an uncertainty.
        before_seasons: season year that each time belongs to; at least two.
        after_seasons: the same of the later period.
        n_resamplings: default 2000, which leaves the ends of a 90 % interval a sampling error of some 2 % of its width.
        confidence: of the interval, in (0, 1), default 0.9.
        key: randomness of the resampling.

    Returns:
        The change of the means over all members and times, the interval, and the spread of the change over members.

    Raises:
        ValueError: fewer than two seasons or two members, other numbers of members, or a confidence outside (0, 1).

    References:
        Efron & Tibshirani (1993), An Introduction to the Bootstrap, chapter 13 (percentile intervals).

    Examples:
        >>> mean_change(now, later, now_seasons, later_seasons, key=jr.key(0)).lower
    """
    n_seasons = min(len(np.unique(seasons)) for seasons in (before_seasons, after_seasons))
    if n_seasons < 2 or before.shape[1] < 2 or before.shape[1] != after.shape[1]:
        raise ValueError(
            f"the interval of a change needs two seasons and as many members in both periods, two at least; got "
            f"{n_seasons} seasons, {before.shape[1]} and {after.shape[1]} members."
        )
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}; 0.9 is usual.")
    rng = np.random.default_rng(np.asarray(jr.key_data(key)))

    def realised(values: np.ndarray, seasons: np.ndarray) -> Float[np.ndarray, " draw"]:
        labels, place = np.unique(seasons, return_inverse=True)
        sums, counts = np.zeros((len(labels), values.shape[1])), np.bincount(place)
        np.add.at(sums, place, values)
        chosen = rng.integers(len(labels), size=(n_resamplings, len(labels)))
        members = rng.integers(values.shape[1], size=chosen.shape)
        return sums[chosen, members].sum(1) / counts[chosen].sum(1)

    changes = realised(after, after_seasons) - realised(before, before_seasons)
    lower, upper = np.quantile(changes, [(1 - confidence) / 2, (1 + confidence) / 2])
    of_members = after.mean(0, dtype=np.float64) - before.mean(0, dtype=np.float64)
    return MeanChange(float(of_members.mean()), float(lower), float(upper), float(of_members.std(ddof=1)))


def kolmogorov_smirnov_resampled(
    pred: Float[np.ndarray, "n *shape"],
    ref: Float[np.ndarray, "m *shape"],
    pred_weights: Float[np.ndarray, "draw n"],
    ref_weights: Float[np.ndarray, "draw m"],
) -> Float[np.ndarray, " draw"]:
    """`kolmogorov_smirnov` of each resampling: the largest gap between the weighted distribution functions.

    Functions are compared at 255 quantiles of ref. Its mean lies above the distance of the sets themselves where that
    is near the noise, as a supremum does of what is drawn twice; it is for spreads and differences.

    Args:
        pred: n fields.
        ref: m reference fields.
        pred_weights: of the fields of pred in each resampling (`run_weights`).
        ref_weights: of the fields of ref, in as many resamplings.

    Returns:
        One distance in [0, 1] for each resampling.

    Examples:
        >>> kolmogorov_smirnov_resampled(c, c_ref, run_weights(sources, seed=0), run_weights(runs, seed=1)).std()
    """
    at = np.quantile(ref, np.arange(1, N_QUANTILES + 1) / (N_QUANTILES + 1))
    below = [w @ _distribution_functions(fields, at) for fields, w in ((pred, pred_weights), (ref, ref_weights))]
    return np.abs(below[0] - below[1]).max(1)


def _distribution_functions(fields: np.ndarray, at: np.ndarray) -> Float[np.ndarray, "n at"]:
    """Of each field's values, one by one."""
    values = np.sort(fields.reshape(len(fields), -1), axis=1)
    return np.stack([np.searchsorted(each, at, side="right") / len(each) for each in values])
