"""Scores of members against their own truth, summed block by block: memory does not grow with the archive."""

from collections.abc import Iterator
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from subgrid.data.blocks import BLOCK_BYTES
from subgrid.data.fields import DataError
from subgrid.downscaling.verifying.field_sets import FieldSet
from subgrid.downscaling.verifying.pairing import Pairing
from subgrid.downscaling.verifying.result import Score
from subgrid.numerics.streams import stream
from subgrid.types import Key, ProgressReport
from subgrid.verification.effective import effective_sample_size
from subgrid.verification.ensembles import fair_crps
from subgrid.verification.rank_tests import FlatnessTest, flatness_of_shares

FEWEST_CASES = 10
"""For a test: below, the scatter of a mean is not known."""
SIGNIFICANT = 2.0
"""Standard errors, and P_VALUE below: about the same, 5 %."""
P_VALUE = 0.05
NOTABLE = 0.02
"""Relative: less than this is of no use to know, however long the archive that proves it."""
DETERMINED = 1e-3
"""Of the mean range of truth and members: entries with less hold one value, and their ranks are those of rounding
errors. C′x determines them, or it does not rain at all."""
SUMS = ("crps", "absolute", "variance", "square")
Block = tuple[
    Int[np.ndarray, " n"], Float[np.ndarray, "n member channel *space"], Float[np.ndarray, "n channel *space"]
]
ABOUT = {
    "CRPS": "fair continuous ranked probability score, mean over cells and samples; floor: the score of this ensemble "
    "where one of its own members plays the truth",
    "MAE of the mean": "mean absolute error of the ensemble mean; floor: where one of the members plays the truth",
    "spread/skill": "corrected spread of the members over the error of their mean, averaged before the roots; 1 for a "
    "reliable ensemble",
    "rank flatness p": "p-value of a flat rank histogram, on as many samples as correlated cells and times are worth",
}


@dataclass
class PairedSums:
    """What all paired scores are made of.

    Args:
        maps: sums over samples in every cell (channel, *space), by score; "error" and "count" too.
        cases: sums over the cells of every sample, by score, (2, sample): of the ensemble, and where its first member
            plays the truth; and "count".
        shares: (sample, rank), how large a share of the cells of a sample has a rank; NaN where none was counted.
        entries: how many ranks there are in all.
    """

    maps: dict[str, Float[np.ndarray, "channel *space"]]
    cases: dict[str, Float[np.ndarray, "two sample"]]
    shares: Float[np.ndarray, "sample rank"]
    entries: int = 0

    def mean(self, name: str, *, own: bool = False) -> float:
        """Of a score over all cells and samples; of the ensemble, or where its own member plays the truth."""
        return float(self.cases[name][int(own)].sum() / self.cases["count"][int(own)].sum())

    def map_of(self, name: str) -> Float[np.ndarray, "channel *space"]:
        """The mean over samples of every cell, NaN where there is none."""
        count = self.maps["count"]
        return np.where(count > 0, self.maps[name] / np.maximum(count, 1), np.nan)


def paired_sums(
    ensemble: FieldSet, reference: FieldSet, pairing: Pairing, *, report: ProgressReport | None = None
) -> PairedSums:
    """All pairs, read once.

    Args:
        ensemble: 2 members or more; what a single one scores is its error.
        reference: on the same grid, in the same unit.
        pairing: of their samples.
        report: `report(done, total)` after each block, in samples.

    Returns:
        The sums.

    Raises:
        DataError: if no cell has a value in both at any time.
    """
    n, shape = len(pairing), ensemble.shape
    maps = {name: np.zeros(shape) for name in (*SUMS, "error", "count")}
    cases = {name: np.zeros((2, n)) for name in (*SUMS, "count")}
    sums = PairedSums(maps, cases, np.full((n, ensemble.n_members + 1), np.nan))
    for block, x, y in paired_blocks(ensemble, reference, pairing, report=report):
        _add(sums, block, x, y)
    if not cases["count"].any():
        raise DataError(
            f"{ensemble.source} and {reference.source}: no cell has a value of {ensemble.name} in both at any time "
            "that they share; are their masks of the same place?"
        )
    return sums


def paired_blocks(
    ensemble: FieldSet, reference: FieldSet, pairing: Pairing, *, report: ProgressReport | None = None
) -> Iterator[Block]:
    """Members and truth of all pairs, some at a time; those that have the same members together.

    Args:
        ensemble: the ensemble.
        reference: on the same grid, in the same unit.
        pairing: of their samples.
        report: `report(done, total)` after each block, in samples.

    Yields:
        Numbers of pairs, members (case, member, channel, *space) without those that a sample lacks, and the truth.
    """
    size = max(1, BLOCK_BYTES // (4 * ensemble.n_members * int(np.prod(ensemble.shape))))
    for start in range(0, len(pairing), size):
        block = np.arange(start, min(start + size, len(pairing)))
        x, y = ensemble.read(pairing.ensemble[block]), reference.read(pairing.reference[block])[:, 0]
        there = np.isfinite(x).any(axis=tuple(range(2, x.ndim)))
        for members in np.unique(there, axis=0):
            if members.any():
                chosen = (there == members).all(axis=1)
                yield block[chosen], x[chosen][:, members], y[chosen]
        if report is not None:
            report(int(block[-1]) + 1, len(pairing))


def _add(sums: PairedSums, cases: Int[np.ndarray, " n"], x: np.ndarray, y: np.ndarray) -> None:
    """Adds cases that have the same members."""
    valid = np.isfinite(y) & np.isfinite(x).all(axis=1)
    axes = tuple(range(1, y.ndim))
    both = [_scores(x, y), *([_scores(x[:, 1:], x[:, 0])] if x.shape[1] > 2 else [])]
    for row, found in enumerate(both):
        sums.cases["count"][row, cases] = valid.sum(axis=axes)
        for name, values in found.items():
            kept = np.where(valid, values, 0.0)
            if name in SUMS:
                sums.cases[name][row, cases] = kept.sum(axis=axes)
            if row == 0:
                sums.maps[name] += kept.sum(axis=0)
    sums.maps["count"] += valid.sum(axis=0)
    if x.shape[1] == sums.shares.shape[1] - 1:
        _add_ranks(sums, cases, x, y, valid)


def _scores(x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    """Of every entry: CRPS, error of the mean, its magnitude and square, and the corrected variance of the members."""
    n_members, deviation = x.shape[1], x - y[:, None]
    error = deviation.mean(axis=1, dtype=np.float64)
    found = {"error": error, "absolute": np.abs(error), "square": error**2}
    if n_members < 2:
        return {**found, "crps": np.abs(error), "variance": np.zeros_like(error)}
    crps = np.asarray(fair_crps(*jax.device_put((np.moveaxis(x, 1, 0), y))), np.float64)
    variance = deviation.var(axis=1, ddof=1, dtype=np.float64) * (n_members + 1) / n_members
    return {**found, "crps": crps, "variance": variance}


def _add_ranks(
    sums: PairedSums,
    cases: Int[np.ndarray, " n"],
    x: np.ndarray,
    y: np.ndarray,
    valid: Bool[np.ndarray, "n *entry"],
) -> None:
    """Adds the histogram of every case, without entries that hold one value in truth and members."""
    n_bins = x.shape[1] + 1
    low, high = np.minimum(x.min(axis=1), y), np.maximum(x.max(axis=1), y)
    spread = np.where(valid, high - low, 0.0)
    typical = spread.sum(axis=tuple(range(1, y.ndim))) / np.maximum(valid.reshape(len(y), -1).sum(axis=1), 1)
    counted = valid & (spread > DETERMINED * typical.reshape(-1, *[1] * (y.ndim - 1)))
    below, equal = (x < y[:, None]).sum(axis=1), (x == y[:, None]).sum(axis=1)
    ties = _places_among(jnp.asarray(equal), jnp.asarray(cases), key=stream(0, "verify", "ties"))
    for case, ranks, kept in zip(cases, below + np.asarray(ties), counted, strict=True):
        counts = np.bincount(ranks[kept], minlength=n_bins)
        if counts.sum():
            sums.shares[case] = counts / counts.sum()
            sums.entries += int(counts.sum())


@jax.jit
def _places_among(equal: Int[Array, "n *entry"], cases: Int[Array, " n"], *, key: Key) -> Int[Array, "n *entry"]:
    """0 to as many as are equal; a key a sample, so that the places do not depend on the blocks."""
    keys = jax.vmap(jr.fold_in, (None, 0))(key, cases)
    return jax.vmap(lambda key, n: jr.randint(key, n.shape, 0, n + 1))(keys, equal)


def flatness(sums: PairedSums, pairing: Pairing) -> FlatnessTest | None:
    """Whether the truth's ranks are flat; None for fewer samples than a test needs.

    Args:
        sums: of all pairs.
        pairing: which samples follow each other.

    Returns:
        The test, over samples that have all members.
    """
    known = np.isfinite(sums.shares).all(axis=1)
    if known.sum() < FEWEST_CASES or sums.shares.shape[1] < 3:
        return None
    segment = None if pairing.segment is None else pairing.segment[known]
    return flatness_of_shares(sums.shares[known], sums.entries, segment=segment)


def paired_rows(sums: PairedSums, pairing: Pairing, *, variable: str, units: str) -> list[Score]:
    """The rows of one variable.

    Args:
        sums: of all pairs.
        pairing: which samples follow each other.
        variable: its name.
        units: of its values.

    Returns:
        CRPS and MAE of the mean in units, spread/skill, and the p-value of flat ranks, as far as the members suffice.
    """
    n_members = sums.shares.shape[1] - 1
    names = {"CRPS": "crps", "MAE of the mean": "absolute"} if n_members > 1 else {"MAE of the mean": "absolute"}
    rows = []
    for metric, name in names.items():
        floor = sums.mean(name, own=True) if n_members > 2 else None
        verdict = "" if floor is None else _against_floor(sums, pairing, name)
        rows.append(Score(metric, variable, units, sums.mean(name), floor, "floor", ABOUT[metric], verdict))
    return rows if n_members < 2 else [*rows, *_reliability_rows(sums, pairing, variable)]


def _reliability_rows(sums: PairedSums, pairing: Pairing, variable: str) -> list[Score]:
    ratio = _ratio(sums.mean("variance"), sums.mean("square"))
    floor = _ratio(sums.mean("variance", own=True), sums.mean("square", own=True)) if sums.shares.shape[1] > 3 else None
    excess = _in_errors(sums, pairing, sums.cases["variance"][0] - sums.cases["square"][0])
    clear = abs(excess) > SIGNIFICANT and abs(ratio - 1) > NOTABLE
    words = "" if not clear else "too little spread" if excess < 0 else "too much spread"
    rows = [Score("spread/skill", variable, "", ratio, floor, "1", ABOUT["spread/skill"], words)]
    if (test := flatness(sums, pairing)) is not None:
        words = _shape(test) if test.p_value < P_VALUE else ""
        about = ABOUT["rank flatness p"]
        rows.append(Score("rank flatness p", variable, "", test.p_value, None, f"> {P_VALUE:g}", about, words))
    return rows


def _ratio(variance: float, square: float) -> float:
    return float(np.sqrt(variance / square)) if square > 0 else float("inf") if variance > 0 else float("nan")


def _against_floor(sums: PairedSums, pairing: Pairing, name: str) -> str:
    """In words, if a score is above its floor by more than sampling explains."""
    of, own = sums.cases[name] * (sums.cases["count"][1] > 0)
    excess = of.sum() / own.sum() - 1 if own.sum() > 0 else 0.0
    if _in_errors(sums, pairing, of - own) <= SIGNIFICANT or excess <= NOTABLE:
        return ""
    return f"above its floor by {100 * excess:.0f} %"


def _in_errors(sums: PairedSums, pairing: Pairing, difference: Float[np.ndarray, " sample"]) -> float:
    """A mean over samples in standard errors, neighbours in time counted as what they are worth; 0 for too few."""
    known = sums.cases["count"][0] > 0
    if known.sum() < FEWEST_CASES:
        return 0.0
    values = difference[known] / sums.cases["count"][0, known]
    n = len(values) if pairing.segment is None else effective_sample_size(values[:, None], pairing.segment[known])
    error = values.std(ddof=1) / np.sqrt(max(n, 2.0))
    return float(values.mean() / error) if error > 0 else 0.0


def _shape(test: FlatnessTest) -> str:
    """Which departure from a flat histogram is the larger, slope or curvature."""
    share = test.counts / test.counts.sum() * len(test.counts) - 1
    place = np.linspace(-1, 1, len(share))
    slope, curve = float(share @ place), float(share @ (place**2 - np.mean(place**2)))
    if abs(slope) > abs(curve):
        return "members too low" if slope > 0 else "members too high"
    return "too little spread" if curve > 0 else "too much spread"
