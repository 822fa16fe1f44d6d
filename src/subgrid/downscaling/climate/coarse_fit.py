"""What is fitted on a coarse climate archive: anomalies, their debiasing, and the climate that changes count from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float

from subgrid.data.canonical import valid_mask
from subgrid.data.fields import DataError
from subgrid.data.times.steps import NAMES, common_step, name_of_step
from subgrid.downscaling.climate.degenerate import faults_in_words
from subgrid.downscaling.climate.domain import Domain, fit_anomalies
from subgrid.downscaling.debiasing.choice import CANDIDATES, STRENGTHS, AnomalySample, choose_debiasing
from subgrid.downscaling.debiasing.of_anomalies import check_quantiles, fit_climate_debiaser, settled_options
from subgrid.downscaling.debiasing.series import SeriesDebiaser
from subgrid.downscaling.debiasing.settings import ClimateDebiasMethod
from subgrid.downscaling.debiasing.tried import DebiasingChoice
from subgrid.downscaling.model.seen import seen_fields
from subgrid.downscaling.model.sides import CHANGE_HARMONICS, CoarseClimate, CoarseSide, Reading
from subgrid.downscaling.preparation.chain import Chain
from subgrid.downscaling.preparation.climatology import fit_climatology
from subgrid.downscaling.preparation.pairing import fit_member_climates
from subgrid.downscaling.preparation.series import Series
from subgrid.downscaling.preparation.steps import Cells
from subgrid.training.log import MetricsReport

SAME_PLACE = 1e-3
"""Degrees by which the centres of one grid may differ between files: coordinates in float32 do."""


@dataclass(frozen=True)
class FittedOn:
    """A debiaser as the samples that it is fitted on, when it is first used: every method can so be kept, to the bits.

    Args:
        source: (n, channel, kept), anomalies of the whole coarse archive.
        trained: (n,), those of them to fit on.
        target: (m, channel, kept), coarsened anomalies of the training reference.
        options: arguments of `fit_climate_debiaser`.
    """

    source: Float[np.ndarray, "n channel kept"]
    trained: Bool[np.ndarray, " n"]
    target: Float[np.ndarray, "m channel kept"]
    options: Mapping[str, Any]

    @cached_property
    def debiaser(self) -> SeriesDebiaser:
        """T."""
        with faults_in_words("the debiasing"):
            return fit_climate_debiaser(self.source[self.trained], self.target, **self.options)

    def adjust(self, fields: Float[np.ndarray, "time channel kept"]) -> Float[np.ndarray, "time channel kept"]:
        """T of a series."""
        return self.debiaser.adjust(fields)


@dataclass(frozen=True)
class AnomalyDebiasing:
    """How anomalies are debiased, or what it is chosen from.

    Args:
        method: of debiasing; "auto", the default, one of the candidates, by left-out years.
        strength: from 0 to 1; "auto", the default, by left-out years.
        candidates: of "auto", from the least to the most correcting.
        options: other arguments of `fit_climate_debiaser`.
    """

    method: ClimateDebiasMethod | Literal["auto"] = "auto"
    strength: float | Literal["auto"] = "auto"
    candidates: Sequence[ClimateDebiasMethod] = CANDIDATES
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> "AnomalyDebiasing":
        """From one mapping, as tables of configurations and `debias_options` are.

        Args:
            given: fields of this class, and other arguments of `fit_climate_debiaser` beside them.

        Returns:
            The settings.
        """
        own = ("method", "strength", "candidates")
        options = {name: value for name, value in given.items() if name not in own}
        return cls(**{name: given[name] for name in own if name in given}, options=options)

    @property
    def methods(self) -> tuple[ClimateDebiasMethod, ...]:
        """Those that may be fitted."""
        return tuple(self.candidates) if self.method == "auto" else (self.method,)

    @property
    def is_chosen(self) -> bool:
        """Whether left-out years decide something."""
        return self.method == "auto" or (self.strength == "auto" and self.method != "none")


def fit_coarse(
    coarse: xr.Dataset,
    series: Series,
    domain: Domain,
    target: AnomalySample,
    debiasing: AnomalyDebiasing = AnomalyDebiasing(),
    *,
    trained: Bool[np.ndarray, " n"] | None = None,
    n_harmonics: int = 3,
    report: MetricsReport | None = None,
) -> CoarseSide:
    """Fits anomalies, climate and debiasing of a coarse archive.

    Args:
        coarse: a canonical dataset.
        series: its values.
        domain: of both archives.
        target: coarsened anomalies of the training reference.
        debiasing: how, default chosen by left-out years.
        trained: (n,), the samples to fit on, default all.
        n_harmonics: of the climatology of anomalies, default 3.
        report: of the choice, called as report(done, {}) with pairs of folds.

    Returns:
        The coarse side of a model; the debiaser itself is fitted when it is first used.

    Raises:
        DataError: as `check_quantiles`.
        ValueError: as `fit_climatology` and `choose_debiasing`.

    Examples:
        >>> side = fit_coarse(coarse, series_of(coarse, ["tas"]), domain, target)
        >>> side.targets(new_series)
    """
    chosen = np.ones(len(series.season_year), bool) if trained is None else trained
    for each in debiasing.methods:
        check_quantiles(int(chosen.sum()), len(target.values), method=each, **debiasing.options)
    cells = Cells(domain.regridding.kept)
    selected = replace(series, values=cells.forward(series.values, None))
    anomalies = fit_anomalies(selected[chosen], domain.transforms, n_harmonics=n_harmonics)
    source = anomalies.forward(selected.values, selected.phase)
    choice = None
    if debiasing.is_chosen:
        own = AnomalySample(source[chosen], series.phase[chosen], series.season_year[chosen])
        choice = _choose(debiasing, own, target, n_harmonics=n_harmonics, report=report)
    settled = debiasing if choice is None else choice
    strength = 1.0 if settled.strength == "auto" else settled.strength
    resolved = settled_options(method=settled.method, strength=strength, **debiasing.options)
    return CoarseSide(
        reading_of(coarse, series, domain),
        _grid(coarse),
        Chain((cells, *anomalies.steps)),
        FittedOn(source, chosen, target.values, resolved),
        _climate(series),
        choice,
        seen_fields(source[chosen]),
    )


def _choose(
    debiasing: AnomalyDebiasing,
    own: AnomalySample,
    target: AnomalySample,
    *,
    n_harmonics: int,
    report: MetricsReport | None,
) -> DebiasingChoice:
    """What is left to left-out years."""
    strengths = STRENGTHS if debiasing.strength == "auto" else (debiasing.strength,)
    with faults_in_words("the choice of a debiasing"):
        return choose_debiasing(
            own,
            target,
            methods=debiasing.methods,
            strengths=strengths,
            n_harmonics=n_harmonics,
            report=report,
            **debiasing.options,
        )


def reading_of(coarse: xr.Dataset, series: Series, domain: Domain) -> Reading:
    """How other files of the same coarse model are opened, as far as the archive and the domain tell.

    Args:
        coarse: a canonical dataset.
        series: its values.
        domain: of both archives.

    Returns:
        The reading; what was given of the variables is not in it.
    """
    units = tuple(str(coarse[name].attrs.get("units", "")) for name in domain.variables)
    period = int(series.season_year.min()), int(series.season_year.max())
    step = name_of_step(coarse["time"])
    changes = tuple(each.kind.change for each in domain.descriptions)
    return Reading(domain.variables, domain.descriptions, units, time_step=step, period=period, changes=changes)


def _climate(series: Series) -> CoarseClimate:
    climate = fit_climatology(series.values, series.phase, n_harmonics=CHANGE_HARMONICS)
    return CoarseClimate(climate, fit_member_climates(series, n_harmonics=CHANGE_HARMONICS))


def _grid(coarse: xr.Dataset) -> xr.Dataset:
    """Latitude and longitude of the coarse cells."""
    lat, lon = (coarse[name].variable.to_base_variable().astype(np.float64) for name in ("lat", "lon"))
    space = list(dict.fromkeys([*map(str, lat.dims), *map(str, lon.dims)]))
    return xr.Dataset(coords={"lat": lat, "lon": lon}, attrs={"space": space}).drop_encoding()


def masked_alike(dataset: xr.Dataset, other: xr.Dataset) -> xr.Dataset:
    """A checked dataset without the cells that have no value in another one on the same grid.

    Args:
        dataset: checked by `check_climate`.
        other: the same; on another grid it masks nothing.

    Returns:
        The dataset, its notes kept.
    """
    mask, own = valid_mask(other).values, valid_mask(dataset)
    if mask.shape != own.shape or (mask | ~own.values).all():
        return dataset
    masked = dataset.where(own.copy(data=mask))
    for name in dataset.data_vars:
        masked[name].encoding = dict(dataset[name].encoding)
    return masked


def check_grid(side: CoarseSide, coarse: xr.Dataset) -> None:
    """Passes if a canonical dataset lies on the coarse grid of a model, to 10⁻³ degrees.

    Args:
        side: of the model.
        coarse: the dataset.

    Raises:
        DataError: with both grids, if it does not.
    """
    for name in ("lat", "lon"):
        given, trained = np.asarray(coarse[name].values), np.asarray(side.grid[name].values)
        if given.shape != trained.shape or not np.allclose(given, trained, atol=SAME_PLACE, rtol=0):
            raise DataError(
                f"coarse: its {name}, {_extent(given)}, is not that of the archive that the model was trained with, "
                f"{_extent(trained)}; bring fields of the same coarse model, or train with these."
            )


def check_step(side: CoarseSide, coarse: xr.Dataset) -> None:
    """Passes if a canonical dataset has the time step of the archive that a model was fitted on.

    Args:
        side: of the model.
        coarse: the dataset; one of a single time says nothing.

    Raises:
        DataError: with both steps, if it has not.
    """
    found, trained = name_of_step(coarse["time"]), side.reading.time_step
    if found is None or trained is None or found == trained:
        return
    step = common_step(found, trained)
    how = f", as open_climate(…, step = '{step}') makes them" if step and NAMES[step] == trained else ""
    raise DataError(
        f"coarse: its fields are {found}, and those that the model was trained with {trained}; bring "
        f"{trained} ones{how}, or train with {found} archives."
    )


def _extent(axis: np.ndarray) -> str:
    return f"{' x '.join(map(str, axis.shape))} values from {axis.min():.4g} to {axis.max():.4g}"
