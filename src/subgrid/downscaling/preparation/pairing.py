"""Members of a model in two periods: a change of climate is that of the members which both periods have.

Members of one model may differ in their mean, and members of several models in one archive do; the change between a
mean over some and a mean over others is then no change of climate. So members are paired by their labels, and where
only some have a partner, the change is between these.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from subgrid.data.pooling.members import shared_labels
from subgrid.downscaling.preparation.climatology import Climatology, fit_climatology
from subgrid.downscaling.preparation.series import Series


@dataclass(frozen=True)
class MemberClimates:
    """The smooth course of the year of each member of an archive.

    Args:
        labels: of the members.
        coefficients: (member, basis, channel, *space), of each climatology.
        n_times: (member,), that each was fitted on.
    """

    labels: tuple[str, ...]
    coefficients: Float[np.ndarray, "member basis channel *space"]
    n_times: Int[np.ndarray, " member"]

    def of(self, labels: Sequence[str]) -> Climatology:
        """The climatology of some members together: their mean, by numbers of times."""
        chosen = [self.labels.index(label) for label in labels]
        mean = np.average(self.coefficients[chosen].astype(np.float64), axis=0, weights=self.n_times[chosen])
        return Climatology(jnp.asarray(mean, jnp.float32))


def fit_member_climates(series: Series, *, n_harmonics: int) -> MemberClimates | None:
    """The climatology of each member; None where members have no labels.

    Args:
        series: physical units.
        n_harmonics: as for `fit_climatology`.

    Returns:
        The climates.

    Examples:
        >>> fit_member_climates(series_of(coarse, ["tas"]), n_harmonics=1).labels
    """
    if series.labels is None:
        return None
    each = [series[series.member == i] for i in range(len(series.labels))]
    fitted = [fit_climatology(own.values, own.phase, n_harmonics=n_harmonics).mean_coefficients for own in each]
    return MemberClimates(
        series.labels, np.stack([np.asarray(c) for c in fitted]), np.array([len(e.time) for e in each])
    )


def paired_samples(one: Series, other: Series) -> tuple[Bool[np.ndarray, " n"], Bool[np.ndarray, " m"]]:
    """The samples of two series whose members both have; all where none is shared.

    Args:
        one: a series.
        other: another one.

    Returns:
        True for the samples that count, of either series.

    Examples:
        >>> before, after = paired_samples(run.coarse_series, scenario)
    """
    shared = shared_labels(one.labels, other.labels)
    if not shared:
        return np.ones(len(one.time), bool), np.ones(len(other.time), bool)
    first, second = (np.isin(np.asarray(each.labels)[each.member], shared) for each in (one, other))
    return first, second


def pairing_sentence(history: Sequence[str] | None, later: Sequence[str] | None) -> str | None:
    """What is to be said of how members are paired; None where every one has its partner or there is one each.

    Args:
        history: labels of the members of one period, None where they have none.
        later: those of the other period.

    Returns:
        A sentence.

    Examples:
        >>> pairing_sentence(["r1i1p1", "r2i1p1"], ["r2i1p1"])
        'change of climate: of the member r2i1p1 in both periods; r1i1p1 of the history has no partner'
    """
    shared = shared_labels(history, later)
    if not shared:
        if history is None and later is None:
            return None
        return (
            f"change of climate: between all members of the history ({_listed(history)}) and all of the scenario "
            f"({_listed(later)}), as no label is common; name members alike (such as r1i1p1f1) to pair them"
        )
    alone = [
        f"{_listed(left)} of the {name}" for name, each in (("history", history), ("scenario", later))
        if (left := [label for label in each or () if str(label) not in shared])
    ]  # fmt: skip
    if not alone:
        return None
    members = f"member{'s' if len(shared) > 1 else ''} {_listed(shared)}"
    return f"change of climate: of the {members} in both periods; {' and '.join(alone)} has no partner"


def _listed(labels: Sequence[str] | None) -> str:
    if labels is None:
        return "without labels"
    shown = ", ".join(map(str, labels[:6]))
    return shown if len(labels) <= 6 else f"{shown} and {len(labels) - 6} more"
