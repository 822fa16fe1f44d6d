"""Which debiaser, and how much of it: chosen by years that are left out, in the coarse and the fine archive alike.

A transport that is fitted on ten years of a hundred cells also fits their accidents, and may carry other years further
from the truth than it finds them. Every method has a strength between none and full. For each pair of folds, one of the
coarse years and one of the fine years, which have nothing to do with each other, it is fitted on the other years, and
what it makes of the left-out coarse years is compared with the left-out fine years:

    score = ⟨(W₁/σ)²⟩ over cells + ⟨(ΔZ)²⟩ over pairs of cells,    Z = artanh R,

W₁ the distance between the marginals of departures from their means, σ the standard deviation of the training
reference, ΔZ the difference of Fisher's transform of the correlations R, whose sampling noise does not depend on R
(Fisher 1921): that cells a step apart correlate by .95 and not by .97 is better known, and matters more to the texture
of a field, than a tenth at a distance. Means are left to the climatologies: those of two years differ by more than any
debiaser does.

Two decisions follow, and both keep to what debiasing is for unless years speak against it.

The strength of a method that moves correlations is a mean of strengths, each weighted by exp(−½ (Δ/e)²): Δ is what its
⟨ΔZ_a ΔZ_b⟩ lies above the lowest and e the standard error of that, a and b the two halves of the left-out fields. The
product of independent halves has no bias, whereas ⟨(ΔZ)²⟩ has that of what is left out. Where years cannot tell
strengths apart the mean lies between them.

Of all other methods it is the largest strength whose score is within two standard errors of their lowest. Among
methods, in the order from the least to the most correcting, the last wins whose score is within two standard errors of
the lowest: never one that is worse than none beyond that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from subgrid.diffusion.gaussian_prior import left_out_folds
from subgrid.downscaling.debiasing.of_anomalies import POOLED, fit_climate_debiaser
from subgrid.downscaling.debiasing.settings import ClimateDebiasMethod
from subgrid.downscaling.debiasing.tried import Candidate, DebiasingChoice
from subgrid.downscaling.preparation.climatology import fit_climatology
from subgrid.training.log import MetricsReport
from subgrid.verification.cells import wasserstein_1_per_cell
from subgrid.verification.effective import effective_sample_size

STRENGTHS = (0.2, 0.4, 0.6, 0.8, 1.0)
"""To choose from, and between: scores are flat about their minimum, and finer steps would show nothing."""
CANDIDATES: tuple[ClimateDebiasMethod, ...] = ("none", "quantile-mapping", "gaussian")
"""Of "auto": methods that fit in well under a second, so that all pairs of folds can be tried. Over Iberia reduced
transport scores like the Gaussian map within the spread of folds, at fifty times the time; dynamic ones cost more."""
QUICK = ("none", "variance-scaling", "quantile-mapping", "quantile-delta-mapping", "gaussian")
"""Methods that are fitted for every pair of folds; with another one among the candidates, each fold meets one other."""
SURE = 0.9999
"""A correlation beyond which values of Z count as one: of cells that are nearly one."""
BEYOND = 2.0
"""Standard errors by which left-out years must speak against a correction."""
FEWEST_YEARS = 2


@dataclass(frozen=True)
class AnomalySample:
    """Training anomalies of one archive, the phase of the year and the season year of each.

    Args:
        values: (n, channel, kept), anomalies on the kept coarse cells.
        phase: (n,), of the year, in [0, 1).
        years: (n,), season year.
    """

    values: Float[np.ndarray, "n channel kept"]
    phase: Float[np.ndarray, " n"]
    years: Int[np.ndarray, " n"]

    def without(self, left_out: np.ndarray, n_harmonics: int) -> tuple[np.ndarray, np.ndarray]:
        """Anomalies to fit on and anomalies to score on, of a climatology that has not seen the latter."""
        kept = ~left_out
        climatology = fit_climatology(self.values[kept], self.phase[kept], n_harmonics=n_harmonics)
        anomalies = np.asarray(climatology.remove(jnp.asarray(self.values), jnp.asarray(self.phase, jnp.float32)))
        return anomalies[kept], anomalies[left_out]


def choose_debiasing(
    source: AnomalySample,
    target: AnomalySample,
    *,
    methods: Sequence[ClimateDebiasMethod] = CANDIDATES,
    strengths: Sequence[float] = STRENGTHS,
    n_harmonics: int = 3,
    report: MetricsReport | None = None,
    **options: Any,
) -> DebiasingChoice:
    """The method and strength with the lowest score on left-out years.

    score = ⟨(W₁/σ)²⟩ over cells + ⟨(ΔZ)²⟩ over pairs of cells, Z = artanh R; see the module for how ties are decided.

    Args:
        source: of the coarse archive.
        target: of the fine archive, coarsened.
        methods: to choose from, from the least to the most correcting.
        strengths: to choose from, in (0, 1]; "gaussian" and "reduced-ot" are then tried at 0 too, which moves means,
            variances and marginals alone. A single one is not chosen but given: only the method is.
        n_harmonics: of the climatology that every fold fits again, default 3.
        report: called as report(done, {}) with the pairs of folds that are done.
        **options: other arguments of `fit_climate_debiaser`.

    Returns:
        The choice. With one year in an archive nothing can be left out: it is then the Gaussian map at strength 0 if
            that is among the methods, else the first method at full strength, and nothing is said to be tried.

    Raises:
        ValueError: without a method.

    References:
        Fisher (1921), of the transform Z.

    Examples:
        >>> choice = choose_debiasing(AnomalySample(coarse, phase, years), AnomalySample(fine, phase2, years2))
        >>> choice.method, choice.strength
    """
    if not methods:
        raise ValueError("there is no method to choose from.")
    years = len(np.unique(source.years)), len(np.unique(target.years))
    facts: dict[str, Any] = {
        "years": years,
        "effective_fields": tuple(_effective(each) for each in (source, target)),
        "n_cells": int(np.prod(target.values.shape[1:])),
    }
    given = strengths[0] if len(strengths) == 1 else None
    if min(years) < FEWEST_YEARS:
        method = "gaussian" if "gaussian" in methods else methods[0]
        free = 0.0 if method in POOLED else 1.0
        return DebiasingChoice(method, free if given is None else given, (), **facts)
    pairs = _fold_pairs(source.years, target.years, everyone=set(methods) <= set(QUICK))
    none: ClimateDebiasMethod = "none"
    every: list[ClimateDebiasMethod] = [none, *(method for method in dict.fromkeys(methods) if method != none)]
    candidates: list[tuple[ClimateDebiasMethod, float]] = [
        (method, strength) for method in every for strength in _strengths_of(method, strengths)
    ]
    scores = np.empty((len(pairs), len(candidates), 3))
    for i, (_, first, second) in enumerate(pairs):
        scores[i] = _scores_of(
            candidates, source.without(first, n_harmonics), target.without(second, n_harmonics), options
        )
        if report is not None:
            report(i + 1, {})
    places = np.array([place for place, _, _ in pairs])
    tried = _summaries(candidates, scores, places)
    method, strength = _best(candidates, scores, places, methods)
    return DebiasingChoice(method, strength, tuple(tried), **facts)


def _best(
    candidates: Sequence[tuple[ClimateDebiasMethod, float]],
    scores: Float[np.ndarray, "pair candidate 3"],
    places: Int[np.ndarray, "pair 2"],
    methods: Sequence[str],
) -> tuple[ClimateDebiasMethod, float]:
    """The method and the strength that the two rules of this module name."""
    total = scores[..., :2].sum(-1)
    mean = total.mean(0)

    def last_within(order: Sequence[int]) -> int:
        lowest = min(order, key=lambda i: mean[i])
        error = {i: _standard_error(total[:, i] - total[:, lowest], places) for i in order}
        return [i for i in order if mean[i] - mean[lowest] <= BEYOND * error[i]][-1]

    best: dict[int, float] = {}
    for method in methods:
        own = [i for i, (name, _) in enumerate(candidates) if name == method]
        if method in POOLED:
            strength = _weighted_strength([candidates[i][1] for i in own], scores[:, own, 2], places)
            best[min(own, key=lambda i: abs(candidates[i][1] - strength))] = strength
        else:
            chosen = last_within(own)
            best[chosen] = candidates[chosen][1]
    winner = last_within(list(best))
    return candidates[winner][0], best[winner]


def _weighted_strength(
    strengths: Sequence[float], products: Float[np.ndarray, "pair strength"], places: Int[np.ndarray, "pair 2"]
) -> float:
    """The mean of strengths, weighted by how well they did, to two digits; 0 without correlations to move."""
    if len(strengths) == 1:
        return strengths[0]
    if not products.any():
        return 0.0
    above = products - products[:, [products.mean(0).argmin()]]
    error = np.array([_standard_error(above[:, i], places) for i in range(len(strengths))])
    far = above.mean(0) / np.maximum(error, np.finfo(float).tiny)
    weights = np.exp(-0.5 * np.where(above.mean(0) > 0, far, 0.0) ** 2)
    return round(float(np.average(strengths, weights=weights)), 2)


def _effective(sample: AnomalySample) -> float:
    """Independent fields, channels counting alike."""
    spread = sample.values.std(axis=(0, 2), keepdims=True)
    return effective_sample_size(sample.values / np.where(spread > 0, spread, 1.0), sample.years)


def n_fits(source_years: np.ndarray, target_years: np.ndarray, methods: Sequence[str]) -> int:
    """How many pairs of folds `choose_debiasing` goes through, for progress.

    Args:
        source_years: (n,), season year of every coarse sample.
        target_years: (m,), season year of every fine sample.
        methods: to choose from.

    Returns:
        Their number; 0 with one year in an archive.
    """
    if min(len(np.unique(source_years)), len(np.unique(target_years))) < FEWEST_YEARS:
        return 0
    return len(_fold_pairs(source_years, target_years, everyone=set(methods) <= set(QUICK)))


def _strengths_of(method: str, strengths: Sequence[float]) -> tuple[float, ...]:
    if method == "none":
        return (1.0,)
    return (0.0, *strengths) if method in POOLED and len(strengths) > 1 else tuple(strengths)


def _fold_pairs(
    source: np.ndarray, target: np.ndarray, *, everyone: bool
) -> list[tuple[tuple[int, int], np.ndarray, np.ndarray]]:
    """Places and left-out samples: every coarse fold with every fine one, or each with its own."""
    first, second = left_out_folds(source), left_out_folds(target)
    places = product(range(len(first)), range(len(second)))
    chosen = places if everyone else [(i, i % len(second)) for i in range(len(first))]
    return [((i, j), first[i], second[j]) for i, j in chosen]


def _scores_of(
    candidates: Sequence[tuple[ClimateDebiasMethod, float]],
    source: tuple[np.ndarray, np.ndarray],
    target: tuple[np.ndarray, np.ndarray],
    options: Mapping[str, Any],
) -> Float[np.ndarray, "candidate 3"]:
    """What `_squared_errors` says of every candidate for one pair of folds."""
    (fitted, unseen), (reference, wanted) = source, target
    few = min(options.get("n_quantiles", 100), len(fitted), len(reference))
    fit = {**options, "n_quantiles": few}
    scale = reference.reshape(len(reference), -1).std(0)
    result = []
    whole: dict[str, np.ndarray] = {}
    for method, strength in candidates:
        if method in POOLED:
            moved = fit_climate_debiaser(fitted, reference, method=method, strength=strength, **fit).adjust(unseen)
        else:
            if method not in whole:
                whole[method] = fit_climate_debiaser(fitted, reference, method=method, **fit).adjust(unseen)
            moved = unseen + strength * (whole[method] - unseen)
        result.append(_squared_errors(moved, wanted, scale))
    return np.array(result)


def _squared_errors(moved: np.ndarray, wanted: np.ndarray, scale: np.ndarray) -> tuple[float, float, float]:
    """⟨(W₁/σ)²⟩ over the cells that vary, ⟨(ΔZ)²⟩ and ⟨ΔZ_a ΔZ_b⟩ over their pairs."""
    varies = scale > 0
    if not varies.any():
        return 0.0, 0.0, 0.0
    first, second = (_centred(x.reshape(len(x), -1)[:, varies]) / scale[varies] for x in (moved, wanted))
    marginals = float(np.mean(wasserstein_1_per_cell(first, second) ** 2))
    if first.shape[1] < 2:
        return marginals, 0.0, 0.0
    whole = _correlations(first) - _correlations(second)
    (a, b), (c, d) = (map(_correlations, np.array_split(x, 2)) for x in (first, second))
    product = 0.5 * np.mean((a - c) * (b - d) + (a - d) * (b - c))
    return marginals, float(np.mean(whole**2)), float(product)


def _correlations(values: Float[np.ndarray, "n cell"]) -> Float[np.ndarray, " pair"]:
    """Z of all pairs of cells; 0 for a cell that does not vary."""
    if len(values) < 2:
        return np.zeros(values.shape[1] * (values.shape[1] - 1) // 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        matrix = np.nan_to_num(np.corrcoef(values.T))
    return np.arctanh(np.clip(matrix[np.triu_indices(values.shape[1], 1)], -SURE, SURE))


def _centred(values: np.ndarray) -> np.ndarray:
    return values - values.mean(0)


def _summaries(
    candidates: Sequence[tuple[str, float]],
    scores: Float[np.ndarray, "pair candidate 3"],
    places: Int[np.ndarray, "pair 2"],
) -> list[Candidate]:
    total = scores[..., :2].sum(-1)
    none = next(i for i, (method, _) in enumerate(candidates) if method == "none")
    difference = total - total[:, [none]]
    summaries = []
    for i, (method, strength) in enumerate(candidates):
        marginals, correlations = np.sqrt(scores[:, i, :2].mean(0))
        summaries.append(
            Candidate(
                method=method,
                strength=strength,
                marginals=float(marginals),
                correlations=float(correlations),
                correlations_unbiased=float(scores[:, i, 2].mean()),
                score=float(total[:, i].mean()),
                beyond_none=float(difference[:, i].mean()),
                uncertainty=_standard_error(difference[:, i], places),
            )
        )
    return summaries


def _standard_error(difference: Float[np.ndarray, " pair"], places: Int[np.ndarray, "pair 2"]) -> float:
    """Of the mean over pairs of folds: from the scatter of coarse folds and from that of fine ones, if crossed."""
    variance = 0.0
    crossed = len(difference) > len(np.unique(places[:, 0]))
    for axis in (0, 1) if crossed else (0,):
        means = [difference[places[:, axis] == place].mean() for place in np.unique(places[:, axis])]
        variance += float(np.var(means, ddof=1)) / len(means)
    return float(np.sqrt(variance))
