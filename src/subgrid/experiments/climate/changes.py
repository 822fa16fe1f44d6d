"""The change of climate from the unseen historical years to the scenario, of the model and of the output."""

from typing import Any

import numpy as np

from subgrid.downscaling.interpolation.linear import bilinear
from subgrid.experiments.climate.metrics import row_of
from subgrid.experiments.climate.scored_fields import ScoredFields
from subgrid.verification.resampling import mean_change


def change_maps(scores: ScoredFields, generated: np.ndarray, channel: int) -> dict[str, np.ndarray]:
    """Change of the mean from the unseen historical years to the scenario, of the model and of the output."""
    run = scores.run
    coarse = scores.model_change(channel)
    scenario = scores.ensemble("scenario", run.config.climate.names[channel])
    after, before = (fields.mean((0, 1), dtype=np.float64) for fields in (scenario, generated))
    return {"input": np.where(run.domain.mask, bilinear(*scores.grids)(coarse), np.nan), "output": after - before}


def change_row(scores: ScoredFields, change: dict[str, np.ndarray], channel: int) -> dict[str, Any]:
    """How far C′ of the output's change is from the model's own; floor: the sampling error of the model's."""
    run, name = scores.run, scores.run.config.climate.names[channel]
    kept = run.domain.regridding.kept
    coarsened = run.domain.coarsen(np.nan_to_num(change["output"])[None, None])[0, 0]
    error = float(np.sqrt(np.mean((coarsened - scores.model_change(channel)[kept]) ** 2)))
    former, later = (
        each[chosen] for each, chosen in zip((run.coarse_series, scores.scenario), scores.changing, strict=True)
    )
    before, after = (_variance_of_mean(each.values[:, channel][:, kept], each.season_year) for each in (former, later))
    floor = float(np.sqrt(np.mean(before + after)))
    return row_of(name, "change", "change", units=scores.units(channel), generated=error, floor=floor)


def change_with_interval(scores: ScoredFields, generated: np.ndarray, channel: int) -> dict[str, Any]:
    """The change of the output's mean over all cells, with its interval, from independent draws and resampled years.

    Without an interval, and with the reason, where the two ensembles share their noise or season years are too few.
    """
    run, name = scores.run, scores.run.config.climate.names[channel]
    after, before = (
        fields[..., run.domain.mask].mean(-1, dtype=np.float64)
        for fields in (scores.ensemble("scenario", name), generated)
    )
    found = {
        "variable": name,
        "units": scores.units(channel),
        "change": after.mean() - before.mean(),
    }
    if run.config.sampling.common_noise:
        return found | {"no_interval": "the two ensembles share their noise (sampling.common_noise = true)"}
    season_years = scores.model_season_years, scores.scenario.season_year
    if min(len(np.unique(each)) for each in season_years) < 2:
        return found | {"no_interval": "there is one season year only"}
    n = min(before.shape[1], after.shape[1])  # of large ensembles fewer members are read
    estimate = mean_change(before[:, :n], after[:, :n], *season_years, key=run.key("change", name))
    return found | {"interval_90": [estimate.lower, estimate.upper], "member_spread": estimate.member_spread}


def change_sentence(change: dict[str, Any]) -> str:
    """One sentence for the page."""
    mean = f"Change of the mean of {change['variable']} over all fine cells: {change['change']:.3g} {change['units']}"
    if "no_interval" in change:
        return f"{mean}. No interval from members is given: {change['no_interval']}."
    lower, upper = change["interval_90"]
    return (
        f"{mean}, 90 % interval {lower:.3g} to {upper:.3g}, from resampled season years and members whose noise is "
        f"independent in the two periods; over members alone its standard deviation is {change['member_spread']:.2g}."
    )


def _variance_of_mean(fields: np.ndarray, season_years: np.ndarray) -> np.ndarray:
    """Of each cell, from how season years differ, which are the independent units."""
    means = [fields[season_years == year].mean(0) for year in np.unique(season_years)]
    return np.var(means, axis=0, ddof=1) / len(means)
