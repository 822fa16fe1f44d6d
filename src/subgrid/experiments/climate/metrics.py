"""The rows of a climate run's table: every metric of one variable, its baselines and its noise floor."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from subgrid.numerics.evenly import evenly_spaced
from subgrid.types import Key
from subgrid.verification.block_means import spread_skill_of_means
from subgrid.verification.cells import fair_crps_per_cell, wasserstein_1_per_cell
from subgrid.verification.dependence import correlation_rmse, great_circle_distances, rank_correlation, variogram
from subgrid.verification.ensembles import fair_crps
from subgrid.verification.extremes import quantile_table, return_level, wet_day_frequency
from subgrid.verification.rank_tests import FlatnessTest, rank_flatness_test, ranks_of_truth
from subgrid.verification.spells import warm_spells, wet_and_dry_spells
from subgrid.verification.sphere_spectra import radial_spectrum, region_spacing, spectral_log_ratio

NOISE = "interpolation + noise"
"""The baseline of the CRPS: coarsened truth, interpolated, and Gaussian noise of the best constant width."""
INDEPENDENT = "independent fields"
"""Key of how many a floor rests on: the fewer of the two sets that are compared, by their autocorrelation. Tables show
it beside the floor."""
COLUMNS = ("raw", "quantile mapping", "bcsd", "analogues", NOISE, "generated", "floor")
WHERE = {"": "all cells", "constrained": "cells under a coarse cell", "outside": "cells under none"}
"""Sets of cells that are scored apart where a part of the fine cells lies outside the coarse domain."""
ABOUT = {
    "W1": "mean over cells of the Wasserstein-1 distance between the values of all days, in units of the field",
    "quantiles": "root mean square error over cells of a quantile, mean over 23 of them from .1 to 99.9 %, in units of "
    "the field: tails count more than in W1",
    "CorrRMSE": "root mean square error of the correlations between all pairs of cells",
    "variogram": "mean over bins of distance of |ln(variogram / reference's)|",
    "spectrum": "mean over rings of wavelength of |ln(power / reference's)| of departures from each cell's own mean",
    "rank correlation": "root mean square error, over cells where both variables of the reference vary, of Spearman's "
    "correlation between the two",
    "wet days": "absolute error of the share of days with at least 1 mm, mean over all cells and days",
    "wet spells": "absolute error of the mean length of wet spells, in days",
    "heat waves": "absolute error of the number of warm spells a season: 3 days above the reference's 90th percentile",
    "return level": "mean over cells of the absolute error of the 20-year return level (GEV by L-moments)",
    "return level inside": "share of cells whose 20-year return level lies in the 90 % sampling interval of the "
    "reference's; less than .9 even for the floor, which has sampling errors of its own",
    "CRPS": f"fair continuous ranked probability score, mean over cells; {NOISE}: coarsened truth interpolated, and "
    "Gaussian noise of the one width that is best on the training years",
    "spread/skill": "corrected ensemble spread over the error of the ensemble mean, of single times; 1 for a reliable "
    "ensemble; floor: with one of the members as truth",
    "spread/skill, 5-day means": "the same of means over 5 days, in blocks that no gap cuts: below 1 where members are "
    "more independent from day to day than the truth",
    "spread/skill, 10-day means": "the same of means over 10 days",
    "rank flatness p": "p-value of a flat rank histogram, on the effective number of samples",
    "change": "root mean square difference over coarse cells between the output's change of the mean and the model's",
}
TARGETS = {"return level inside": "1", "rank flatness p": ">.05"} | {
    metric: "1" for metric in ABOUT if metric.startswith("spread/skill")
}
"""Best possible values, and bounds; 0 for every other metric."""
UNITS = dict.fromkeys(
    ("CorrRMSE", "variogram", "spectrum", "rank correlation", "wet days", "heat waves", *TARGETS), "1"
) | {"wet spells": "days"}
"""Those of all other metrics are those of the field."""
DAYS_AVERAGED = (5, 10)
"""Beside single times: a few days are what weather persists for."""
FEWEST_SEASON_YEARS = 4
"""In each set, for return levels: a generalised extreme value distribution has three parameters."""
DISTANCE_BINS = 16
CELLS_COMPARED = 1500
"""Of which pairs are made: their number squared, and a curve of some twenty bins needs no more. *Convenient.*"""

MetricFunction = Callable[[np.ndarray, np.ndarray], float]
"""(fields, the season year of each) → one number."""
FieldSeries = Float[np.ndarray, "time y x"]
SeasonYears = Int[np.ndarray, " time"]


def row_of(name: str, mode: str, metric: str, *, units: str, **more: float | None) -> dict[str, Any]:
    """One row of the table; `units` are those of the field. row_of("tas", "unpaired", "W1", units="K", generated=.4)"""
    about = {"group": f"{name}: {mode}", "metric": metric, "target": TARGETS.get(metric, "0"), "about": ABOUT[metric]}
    return about | {"units": UNITS.get(metric, units)} | more


@dataclass(frozen=True)
class ScoredCells:
    """Where fields are scored: `mask` (y, x), and the centres of all cells of the grid, degrees."""

    mask: Bool[np.ndarray, "y x"]
    lat: Float[np.ndarray, "..."]
    lon: Float[np.ndarray, "..."]


def unpaired_scores(
    quantity: str,
    reference: FieldSeries,
    season_years: SeasonYears,
    *,
    cells: ScoredCells,
    fewest: int,
    key: Key,
    few: bool = False,
) -> dict[str, MetricFunction]:
    """Scores of one series of fields and its season years against the reference's unseen years, by metric.

    **Arguments:** `quantity`, what the variable is; `fewest`, season years in the smallest set that is to be scored;
    `key`, of the sampling interval of return levels; `few`, only those of a part of the cells, even a single one.
    """
    mask, lat, lon = cells.mask, cells.lat, cells.lon
    scores: dict[str, MetricFunction] = {
        "W1": lambda fields, _: float(np.nanmean(wasserstein_1_per_cell(fields, reference, mask=mask))),
        "quantiles": lambda fields, _: float(quantile_table(fields[:, mask], reference[:, mask]).rmse.mean()),
    }
    if mask.sum() > 1:
        scores["CorrRMSE"] = lambda fields, _: correlation_rmse(fields, reference, mask=mask)
    if few:
        return scores
    if mask.sum() > 1:
        scores["variogram"] = _variogram_error(reference, mask, lat, lon)
    if (spacing := _spacing(lat, lon)) is not None:
        scores["spectrum"] = _spectrum_error(reference, mask, spacing)
    spells = _rain_scores if quantity == "precipitation" else _heat_scores
    scores |= spells(reference, season_years, mask)
    return scores | (_return_level_scores(reference, season_years, mask, key) if fewest >= FEWEST_SEASON_YEARS else {})


def rank_correlation_score(
    reference: Float[np.ndarray, "time 2 y x"], mask: Bool[np.ndarray, "y x"]
) -> Callable[[np.ndarray], float]:
    """How far two variables' dependence, cell by cell, is from the reference's; fields are (time, 2, y, x)."""
    wanted = rank_correlation(reference[:, 0], reference[:, 1], mask=mask)
    known = np.isfinite(wanted)

    def score(fields: np.ndarray) -> float:
        found = np.nan_to_num(rank_correlation(fields[:, 0], fields[:, 1], mask=mask))  # what never varies has none
        return float(np.sqrt(np.mean((found - wanted)[known] ** 2)))

    return score


def _variogram_error(reference: FieldSeries, mask: np.ndarray, lat: np.ndarray, lon: np.ndarray) -> MetricFunction:
    y, x = np.meshgrid(lat, lon, indexing="ij") if lat.ndim == 1 else (lat, lon)
    n = int(mask.sum())
    chosen = evenly_spaced(n, CELLS_COMPARED)
    distances = np.asarray(great_circle_distances(y[mask][chosen], x[mask][chosen]))
    # Beyond four fifths of the largest distance only pairs of opposite corners are left.
    edges = np.linspace(0, 0.8 * float(distances.max()), DISTANCE_BINS + 1)
    curve = lambda fields: variogram(fields[:, mask][:, chosen], distances, edges)  # noqa: E731
    wanted = curve(reference)
    known = (wanted.n_pairs > 0) & (wanted.value > 0)
    return lambda fields, _: _log_error(curve(fields).value[known], wanted.value[known])


def _log_error(found: np.ndarray, wanted: np.ndarray) -> float:
    tiny = np.finfo(np.float32).tiny  # fields that never vary have none at all
    return float(np.mean(np.abs(np.log(np.maximum(found, tiny) / wanted)))) if wanted.size else 0.0


def _spacing(lat: np.ndarray, lon: np.ndarray) -> tuple[float, float] | None:
    """Kilometres between cells, or None where a grid has no even steps along latitude and longitude."""
    if lat.ndim != 1 or min(lat.size, lon.size) < 4:
        return None
    try:
        return region_spacing(lat, lon)
    except ValueError:
        return None


def _spectrum_error(reference: FieldSeries, mask: np.ndarray, spacing: tuple[float, float]) -> MetricFunction:
    def spectrum(fields: FieldSeries):
        departures = np.where(mask, fields - fields.mean(0, dtype=np.float64), 0.0).astype(np.float32)
        return radial_spectrum(departures[:, None], spacing, mask=mask)

    wanted = spectrum(reference)
    return lambda fields, _: float(spectral_log_ratio(spectrum(fields), wanted)[0])


def _rain_scores(reference: FieldSeries, season_years: SeasonYears, mask: np.ndarray) -> dict[str, MetricFunction]:
    frequency = lambda fields: float(wet_day_frequency(fields[:, mask]).mean())  # noqa: E731
    spell = lambda fields, groups: float(np.nanmean(wet_and_dry_spells(fields[:, mask], groups)[0].mean))  # noqa: E731
    wet, length = frequency(reference), spell(reference, season_years)
    return {
        "wet days": lambda fields, _: abs(frequency(fields) - wet),
        "wet spells": lambda fields, groups: abs(spell(fields, groups) - length),
    }


def _heat_scores(reference: FieldSeries, season_years: SeasonYears, mask: np.ndarray) -> dict[str, MetricFunction]:
    threshold = np.quantile(reference[:, mask], 0.9, axis=0)
    count = lambda fields, groups: float(  # noqa: E731
        np.nanmean(warm_spells(fields[:, mask], threshold, groups, minimum_days=3).count)
    )
    wanted = count(reference, season_years)
    return {"heat waves": lambda fields, groups: abs(count(fields, groups) - wanted)}


def _return_level_scores(
    reference: FieldSeries, season_years: SeasonYears, mask: np.ndarray, key: Key
) -> dict[str, MetricFunction]:
    wanted = return_level(reference[:, mask], season_years, key=key)

    def level(fields: np.ndarray, groups: np.ndarray) -> np.ndarray:
        return return_level(fields[:, mask], groups, key=key, n_bootstrap=1).level

    def inside(fields: np.ndarray, groups: np.ndarray) -> float:
        found = level(fields, groups)
        return float(np.mean((wanted.lower <= found) & (found <= wanted.upper)))

    return {
        "return level": lambda fields, groups: float(np.nanmean(np.abs(level(fields, groups) - wanted.level))),
        "return level inside": inside,
    }


@dataclass(frozen=True)
class PerfectModel:
    """Days with a known truth, and their ensemble; `stretch`, of equal steps in time; `step`, in days."""

    truth: FieldSeries
    ensemble: Float[np.ndarray, "time member y x"]
    season_years: SeasonYears
    stretch: Int[np.ndarray, " time"]
    step: float


def perfect_rows(
    name: str,
    perfect: PerfectModel,
    *,
    mask: Bool[np.ndarray, "y x"],
    units: str,
    noise: Float[np.ndarray, " time"] | None,
    flatness: FlatnessTest,
    mode: str = "perfect model",
    days_averaged: tuple[int, ...] = DAYS_AVERAGED,
) -> list[dict[str, Any]]:
    """CRPS, spread/skill and rank flatness where the truth is known; `noise`, the CRPS of that baseline on each day."""
    truth, members = perfect.truth[:, None], perfect.ensemble[:, :, None]
    crps = float(np.nanmean(fair_crps_per_cell(members, truth, mask=mask)))
    own = float(np.nanmean(fair_crps_per_cell(members[:, 1:], members[:, 0], mask=mask)))
    found = {NOISE: None}
    if noise is not None:
        daily = crps_by_time(perfect.ensemble, perfect.truth, mask)
        found = {NOISE: float(noise.mean()), "noise": two_standard_errors(noise - daily, perfect.season_years)}
    return [
        row_of(name, mode, "CRPS", units=units, **found, generated=crps, floor=own),
        *_spread_rows(name, mode, perfect, mask, days_averaged),
        row_of(name, mode, "rank flatness p", units=units, generated=flatness.p_value),
    ]


def _spread_rows(
    name: str, mode: str, perfect: PerfectModel, mask: np.ndarray, days_averaged: tuple[int, ...]
) -> list[dict[str, Any]]:
    """Of single times, and of means over as many days as stretches hold; the floor has a member as truth."""
    truth, members = perfect.truth[:, None], perfect.ensemble[:, :, None]
    lengths = {f"spread/skill, {days}-day means": round(days / perfect.step) for days in days_averaged}
    lengths = {"spread/skill": 1} | {metric: n for metric, n in lengths.items() if n > 1}  # months are no days
    rows = []
    for metric, n in lengths.items():
        ratio = spread_skill_of_means(members, truth, perfect.stretch, n, mask=mask)[0]
        own = spread_skill_of_means(members[:, 1:], members[:, 0], perfect.stretch, n, mask=mask)[0]
        if np.isfinite(ratio):  # of stretches that are long enough
            rows.append(row_of(name, mode, metric, units="1", generated=float(ratio), floor=float(own)))
    return rows


def crps_by_time(
    ensemble: Float[np.ndarray, "time member y x"], truth: FieldSeries, mask: Bool[np.ndarray, "y x"]
) -> Float[np.ndarray, " time"]:
    """Fair CRPS of every day, mean over the cells of the mask."""
    days = zip(ensemble[..., mask], truth[..., mask], strict=True)
    return np.array([fair_crps(members, cells).mean() for members, cells in days])


def two_standard_errors(values: Float[np.ndarray, " time"], season_years: SeasonYears) -> float | None:
    """Of the mean of a series, by how season years differ, which are the independent units; None of a single one."""
    years = np.unique(season_years)
    means = [values[season_years == year].mean() for year in years]
    return 2 * float(np.std(means, ddof=1)) / len(years) ** 0.5 if len(years) > 1 else None


def rank_flatness(
    truth: FieldSeries,
    ensemble: Float[np.ndarray, "time member y x"],
    season_years: SeasonYears,
    *,
    mask: np.ndarray,
    key: Key,
) -> FlatnessTest:
    """The ranks of the truth among the members, and whether they are flat, season years being the independent units."""
    ranks = ranks_of_truth(ensemble[:, :, None], truth[:, None], mask=mask, key=key)
    return rank_flatness_test(ranks, ensemble.shape[1], segment=season_years)
