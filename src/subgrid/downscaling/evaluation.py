"""Scores of a downscaling run, each beside its baselines and its noise floor.

The noise floor of a metric is that metric between two independent sets of the reference: nothing can be expected below.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float

from subgrid.numerics.streams import stream
from subgrid.types import Coarsening, Key
from subgrid.verification.distributions import (
    covariance_rmse,
    kl_divergence,
    maximum_mean_discrepancy,
    wasserstein_1,
)
from subgrid.verification.ensembles import (
    constraint_rmse,
    fair_crps,
    rank_histogram,
    sample_variability,
    spread_skill_ratio,
)
from subgrid.verification.spectra import mean_energy_log_ratio

MMD_SAMPLES = 4096
"""Samples used of each set for the MMD, whose cost is quadratic; its noise floor uses as many."""


class About(NamedTuple):
    """What a table says of a metric.

    Args:
        sentence: what it is, understood by itself.
        unit: that of the field, or none.
    """

    sentence: str
    unit: Literal["of the field", "none"]

    def units(self, of_the_field: str, *, none: str = "1") -> str:
        """Its units, where those of the field are known."""
        return of_the_field if self.unit == "of the field" else none


ABOUT = {
    "covRMSE": About("relative Frobenius error of the covariance between grid points", "none"),
    "MELRu": About("mean over wavenumbers of |ln(E/E_ref)|, all alike", "none"),
    "MELRw": About("mean over wavenumbers of |ln(E/E_ref)|, weighted by the reference energy", "none"),
    "KLD": About("KL(reference || prediction) of the values at each grid point, summed over points", "none"),
    "KLD mean": About("KL(reference || prediction) of the values at each grid point, mean over points", "none"),
    "W1": About(
        "Wasserstein-1 distance of the values at each grid point, mean over points, in units of the field",
        "of the field",
    ),
    "MMD": About("squared maximum mean discrepancy, Gaussian kernel of the reference's median distance", "none"),
    "constraint RMSE": About(
        "mean of |C'x - y'| / |C'x|, a share without units: how exactly samples keep the coarse field; small for any "
        "field whose mean is large, such as a temperature in kelvin",
        "none",
    ),
    "variability": About("root mean variance across members: zero for a deterministic method", "of the field"),
    "CRPS": About(
        "fair continuous ranked probability score, mean over points (the mean absolute error of a single field); its "
        "floor is the score of this ensemble where one of its own members plays the truth",
        "of the field",
    ),
    "spread/skill": About(
        "corrected ensemble spread over the error of the ensemble mean; 1 for a reliable ensemble; beside it the same "
        "with one of the members as truth",
        "none",
    ),
}
"""Of every metric of a table of scores, here and in `verify`."""


@dataclass(frozen=True)
class Row:
    """One metric in one setting, with whatever columns make sense for it.

    Args:
        group: what is evaluated, in words; rows of one group stand together.
        metric: a key of `ABOUT`.
        raw: of the coarse fields as they came.
        debiased: of debiased coarse fields.
        cubic: of cubic interpolation.
        generated: of what was sampled.
        floor: the noise floor.
        target: the best possible value, in words.
    """

    group: str
    metric: str
    raw: float | None = None
    debiased: float | None = None
    cubic: float | None = None
    generated: float | None = None
    floor: float | None = None
    target: str = "0"

    def as_dict(self) -> dict:
        return {**asdict(self), "about": ABOUT[self.metric].sentence}


def distribution_scores(
    pred: Float[np.ndarray | Array, "n channel *space"],
    ref: Float[np.ndarray | Array, "m channel *space"],
    n_space: int,
) -> dict[str, float]:
    """All distributional metrics of one set of fields against another.

    `ABOUT` says what each is, and its unit. The MMD is that of at most 4096 samples of each set, as its cost is
    quadratic.

    Args:
        pred: (n, channel, *space), fields to evaluate, any unit; n ≥ 2.
        ref: (m, channel, *space), reference, same unit and grid; m ≥ 2.
        n_space: number of space axes.

    Returns:
        The metrics by name.

    Raises:
        ValueError: fewer than two samples in a set, or different grids.

    Examples:
        >>> distribution_scores(generated, fine, 1)["W1"]
    """
    pred, ref = jnp.asarray(pred), jnp.asarray(ref)
    unweighted, weighted = mean_energy_log_ratio(pred, ref, n_space)
    divergence = kl_divergence(ref, pred)
    scores = {
        "covRMSE": covariance_rmse(pred, ref),
        "MELRu": unweighted,
        "MELRw": weighted,
        "KLD": divergence,
        "KLD mean": divergence / ref[0].size,
        "W1": wasserstein_1(pred, ref),
        "MMD": maximum_mean_discrepancy(_thin(pred, MMD_SAMPLES), _thin(ref, MMD_SAMPLES)),
    }
    return {name: float(value) for name, value in scores.items()}


def compare(
    group: str, reference: np.ndarray, candidates: dict[str, np.ndarray], independent: np.ndarray, n_space: int
) -> list[Row]:
    """A row for each distributional metric: every candidate, and the floor, against the reference.

    Args:
        group: of the rows.
        reference: (n, channel, *space), what all are compared with.
        candidates: sets of fields (n, channel, *space) by the column of `Row` that they fill.
        independent: (n, channel, *space), an independent sample of the reference's distribution, for the floor.
        n_space: number of space axes.

    Returns:
        One row a metric of `distribution_scores`.

    Raises:
        ValueError: as `distribution_scores`.

    Examples:
        >>> rows = compare("Unconditional", fine[:1000], {"generated": samples}, fine[1000:], 1)
    """
    columns = {name: distribution_scores(fields, reference, n_space) for name, fields in candidates.items()}
    columns["floor"] = distribution_scores(independent, reference, n_space)

    def row(metric: str) -> Row:
        values: dict[str, Any] = {name: scores[metric] for name, scores in columns.items()}
        return Row(group, metric, **values)

    return [row(metric) for metric in columns["floor"]]


def ensemble_rows(
    group: str,
    ensemble: Float[np.ndarray, "condition member channel *space"],
    cubic: Float[np.ndarray, "condition channel *space"],
    targets: Float[np.ndarray, "condition channel *coarse"],
    operator: Coarsening,
) -> list[Row]:
    """Constraint error and variability of an ensemble, beside cubic interpolation.

    The constraint error is the mean of |C′x − y| / |C′x|, the variability the root mean variance across members.

    Args:
        group: of the rows.
        ensemble: (condition, member, channel, *space), physical units.
        cubic: (condition, channel, *space), interpolations of the same coarse fields.
        targets: (condition, channel, *coarse), y.
        operator: C′.

    Returns:
        The rows "constraint RMSE" and "variability".

    Examples:
        >>> rows = ensemble_rows("Debiased inputs", ensemble, cubic, targets, operator)
    """
    repeated = np.broadcast_to(targets[:, None], (*ensemble.shape[:2], *targets.shape[1:]))
    flat = jnp.asarray(ensemble.reshape(-1, *ensemble.shape[2:]))
    return [
        Row(
            group,
            "constraint RMSE",
            cubic=float(constraint_rmse(operator, jnp.asarray(cubic), jnp.asarray(targets))),
            generated=float(constraint_rmse(operator, flat, jnp.asarray(repeated.reshape(-1, *targets.shape[1:])))),
        ),
        Row(group, "variability", cubic=0.0, generated=float(sample_variability(jnp.asarray(ensemble))), target=">0"),
    ]


def perfect_model_rows(
    truth: Float[np.ndarray, "condition channel *space"],
    ensemble: Float[np.ndarray, "condition member channel *space"],
    cubic: Float[np.ndarray, "condition channel *space"],
    group: str = "Perfect model",
) -> list[Row]:
    """CRPS and spread/skill where the truth is known.

    The floor of the CRPS is what the ensemble scores when one of its own members plays the truth: the score of a
    perfectly calibrated ensemble with this spread.

    Args:
        truth: (condition, channel, *space).
        ensemble: (condition, member, channel, *space), same unit; at least 3 members.
        cubic: (condition, channel, *space), evaluated by its mean absolute error.
        group: of the rows.

    Returns:
        The rows "CRPS", in the units of the field, and "spread/skill", whose target is 1.

    Examples:
        >>> rows = perfect_model_rows(truth, ensemble, cubic)
    """
    own = crps_and_spread(truth, ensemble)
    of_a_member = crps_and_spread(ensemble[:, 0], ensemble[:, 1:])
    error = float(np.mean(np.abs(cubic - truth)))
    return [
        Row(group, "CRPS", cubic=error, generated=own["CRPS"], floor=of_a_member["CRPS"]),
        Row(
            group,
            "spread/skill",
            generated=own["spread/skill"],
            floor=of_a_member["spread/skill"],
            target="1",
        ),
    ]


def crps_and_spread(
    truth: Float[np.ndarray, "condition channel *space"],
    ensemble: Float[np.ndarray, "condition member channel *space"],
) -> dict[str, float]:
    """Fair CRPS and spread/skill of an ensemble, means over cases and points.

    Args:
        truth: (condition, channel, *space).
        ensemble: (condition, member, channel, *space), same unit; at least 2 members.

    Returns:
        "CRPS", in the units of the field, and "spread/skill", 1 for a reliable ensemble.
    """
    members = jnp.moveaxis(jnp.asarray(ensemble), 1, 0)
    return {
        "CRPS": float(jnp.mean(fair_crps(members, jnp.asarray(truth)))),
        "spread/skill": float(spread_skill_ratio(jnp.asarray(ensemble), jnp.asarray(truth))),
    }


def ranks(truth: np.ndarray, ensemble: np.ndarray, operator: Coarsening, *, key: Key) -> np.ndarray:
    """Rank histogram of the truth among the members, over all points but those that C′x determines.

    There truth and members are one value up to rounding errors, and the rank is that of those: every eighth point of a
    field that is subsampled by eight would add half its share to each end of the histogram.

    Args:
        truth: (condition, channel, *space).
        ensemble: (condition, member, channel, *space), same unit.
        operator: C′.
        key: of the choice among equal ranks.

    Returns:
        Counts (member + 1,): how often as many members lie below the truth.

    Examples:
        >>> ranks(truth, ensemble, operator, key=key)
    """
    hidden = np.where(determined(operator, truth.shape[1:]), np.nan, truth)
    return np.asarray(rank_histogram(jnp.asarray(ensemble), jnp.asarray(hidden), key=key))


def determined(operator: Coarsening, shape: tuple[int, ...]) -> np.ndarray:
    """Which points of a field of this shape C′x determines: where C′⁺C′x = x for a field without structure."""
    x = jr.normal(stream(0, "evaluation", "determined points"), shape)
    return np.asarray(jnp.abs(operator.pseudo_inverse(operator(x)) - x) < 1e-4 * jnp.abs(x))


def _thin(fields: Array, n: int) -> Array:
    """At most n samples, chosen by a fixed permutation so that neighbours in time do not crowd in."""
    return fields if len(fields) <= n else fields[jr.permutation(stream(0, "evaluation", "thinning"), len(fields))[:n]]


def debiasing_error(
    debiased: Float[np.ndarray, "n channel *coarse"], wanted: Float[np.ndarray, "m channel *coarse"]
) -> float:
    """What debiasing leaves: root mean square distance of quantiles, over points, beyond that of two samples of C′x.

    A Wasserstein-2 distance point by point, with its noise floor taken off in squares: that between the first and the
    second half of C′x, in proportion to the sizes, 1/n + 1/m beside 4/m.

    Args:
        debiased: (n, channel, *coarse), unseen fields T(y).
        wanted: (m, channel, *coarse), coarsened fine fields, neighbours in time beside each other; same unit.

    Returns:
        The distance, in the units of the field.

    Examples:
        >>> debiasing_error(apply_debiaser(debiaser, unseen), coarsened)
    """
    levels, (n, m) = (np.arange(200) + 0.5) / 200, (len(debiased), len(wanted))

    def squared(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.mean((np.quantile(a, levels, axis=0) - np.quantile(b, levels, axis=0)) ** 2))

    floor = squared(wanted[: m // 2], wanted[m // 2 :]) * (m / n + 1) / 4
    return float(np.sqrt(max(squared(debiased, wanted) - floor, 0.0)))


def draw_conditions(n_available: int, n: int, *, key: Key) -> np.ndarray:
    """n distinct indices, sorted; all of them where fewer are there.

    Args:
        n_available: from how many, 0 to n_available − 1.
        n: how many.
        key: random key.

    Returns:
        Rising indices, (min(n, n_available),).

    Examples:
        >>> chosen = draw_conditions(len(coarse), 64, key=key)
    """
    chosen = jax.random.permutation(key, n_available)[: min(n, n_available)]
    return np.sort(np.asarray(chosen))
