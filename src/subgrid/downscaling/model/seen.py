"""Whether coarse fields lie where a model has seen some: their distance in the distribution of the coarse archive.

    d² = max(T², Q),    T² = Σᵢ cᵢ²/λᵢ / r,    Q = ‖z − Σᵢ cᵢvᵢ‖²/q

with z the fields in standard deviations of each value, cᵢ their r leading principal components of variance λᵢ, and q
the mean square of what those leave: Hotelling's T² and the squared prediction error of Jackson & Mudholkar (1979,
doi:10.1080/00401706.1979.10489779), each 1 on average. T² alone does not see fields of another kind, and one distance
of all values hardly a shift of all of them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from subgrid.numerics.evenly import evenly_spaced

EXPLAINED = 0.9
"""Of the variance, by the leading components: beyond, a short archive does not know them."""
MOST_COMPONENTS = 20
MOST = 1024
"""Fields, evenly over the archive, from which components and distances are found: a quantile of .99 has ten beyond."""
FEWEST = 10
"""Fields of which a distribution is known at all."""
FOLDS = 5
"""Stretches of the archive, each of which is left out in its turn: a field is near to components that know it."""
SMALLEST_STD, SMALLEST_REST = 1e-2, 1e-2
"""Of the typical standard deviation, and of the variance: a value that never changed is not infinitely far off."""
QUANTILE, FAR = 0.99, 1.5
"""Far outside is a field beyond one and a half times the distance that 99 % of the archive's own are within: of
Gaussian fields of ten components one in two million. *Merely convenient.*"""
SHARE = 2e-3
"""Of fields that may be far outside and nothing is said: real fields have longer tails than Gaussian ones."""


@dataclass(frozen=True)
class SeenFields:
    """The distribution of the fields that a debiaser was fitted on, as far as it tells that others are not of it.

    Args:
        mean: of every value.
        std: of every value, its smallest bounded.
        components: vᵢ, of fields in standard deviations.
        variances: λᵢ.
        rest: q.
        distances: d of fields of the archive, each in components of stretches that it is not in, ascending.
    """

    mean: Float[np.ndarray, "*shape"]
    std: Float[np.ndarray, "*shape"]
    components: Float[np.ndarray, "r values"]
    variances: Float[np.ndarray, " r"]
    rest: float
    distances: Float[np.ndarray, " m"]

    @property
    def limit(self) -> float:
        """The distance that 99 % of the archive's own fields are within."""
        return float(np.quantile(self.distances, QUANTILE))

    def distance(self, fields: Float[np.ndarray, "n *shape"]) -> Float[np.ndarray, " n"]:
        """d of every field.

        Args:
            fields: (n, channel, *coarse), as the debiaser takes them.

        Returns:
            (n,), 1 or so in the middle of the archive.
        """
        z = ((fields - self.mean) / self.std).reshape(len(fields), -1)
        leading = z @ self.components.T
        rest = np.maximum((z**2).sum(1) - (leading**2).sum(1), 0.0)
        return np.sqrt(np.maximum((leading**2 / self.variances).mean(1), rest / self.rest))


def seen_fields(fields: Float[np.ndarray, "n *shape"]) -> SeenFields | None:
    """The distribution of an archive's fields.

    Args:
        fields: (n, channel, *coarse), as the debiaser takes them; of many, 1024 evenly over the archive are used.

    Returns:
        The distribution, with distances of fields from stretches that they are not in; None for fewer than 10 fields.

    Examples:
        >>> seen = seen_fields(anomalies)
        >>> seen.distance(others).max() / seen.limit
    """
    n = len(fields)
    chosen = np.asarray(fields[evenly_spaced(n, MOST)], np.float64)
    if len(chosen) < FEWEST:
        return None
    fold = np.arange(len(chosen)) * FOLDS // len(chosen)
    apart = [_fitted(chosen[fold != i]).distance(chosen[fold == i]) for i in range(FOLDS)]
    whole = _fitted(chosen)
    mean, std, components, variances, distances = (
        np.asarray(part, np.float32)
        for part in (whole.mean, whole.std, whole.components, whole.variances, np.sort(np.concatenate(apart)))
    )
    return SeenFields(mean, std, components, variances, whole.rest, distances)


def _fitted(fields: Float[np.ndarray, "n *shape"]) -> SeenFields:
    mean, std = fields.mean(0), fields.std(0)
    std = np.maximum(std, max(SMALLEST_STD * float(np.sqrt((std**2).mean())), np.finfo(np.float32).tiny))
    z = ((fields - mean) / std).reshape(len(fields), -1)
    _, singular, directions = np.linalg.svd(z, full_matrices=False)
    variances = singular**2 / len(z)
    explained = np.cumsum(variances) / max(variances.sum(), np.finfo(np.float32).tiny)
    most = max(1, min(MOST_COMPONENTS, len(z) // 10))
    r = min(int(np.searchsorted(explained, EXPLAINED)) + 1, most, len(variances))
    total = max(float(variances.sum()), SMALLEST_REST * z.shape[1])
    rest = max(total - float(variances[:r].sum()), SMALLEST_REST * total)
    return SeenFields(
        mean, std, directions[:r], np.maximum(variances[:r], SMALLEST_REST * total / r), rest, np.empty(0)
    )


def outside_in_words(seen: SeenFields, fields: Float[np.ndarray, "n *shape"], name: Callable[[int], str]) -> str | None:
    """What is to be said of fields that lie far outside of what was seen, if anything.

    Args:
        seen: of the model.
        fields: (n, channel, *coarse), as the debiaser takes them.
        name: of a field by its number, such as its date.

    Returns:
        A sentence with how many there are, the first, and the distance and quantile of the farthest; None where there
        are none, or no more than two in a thousand.
    """
    distance, limit = seen.distance(fields), seen.limit
    outside = np.flatnonzero(~(distance <= FAR * limit))
    if len(outside) <= SHARE * len(fields):
        return None
    first, farthest = int(outside[0]), int(np.argmax(distance))
    quantile = np.searchsorted(seen.distances, distance[farthest]) / len(seen.distances)
    return (
        f"{len(outside)} of {len(fields)} coarse fields lie far outside the archive that the model was fitted on, the "
        f"first of them {name(first)}; the farthest, {name(farthest)}, is {distance[farthest] / limit:.3g} times as "
        f"far as 99 % of the archive's own fields (distance {distance[farthest]:.3g}, limit {limit:.3g}, quantile "
        f"{quantile:.4g}). Look at their units, variable and grid first; where they are truly new, no model fitted "
        "here can be trusted."
    )
