"""What is fitted on a coarse climate archive: anomalies, their debiasing, and the climate that changes count from.

FOLDER/debiasing.zarr holds plain arrays, no code: the anomalies of both archives on the kept coarse cells, from which
the debiaser is fitted again when it is loaded, to the same bits; so every method can be kept. Its attributes say how
method and strength were chosen.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Bool, Float

from subgrid.data.canonical import valid_mask
from subgrid.data.fields import DataError
from subgrid.data.pooling.members import shared_labels
from subgrid.data.store import write_zarr
from subgrid.data.times.steps import NAMES, Step, common_step, name_of_step
from subgrid.data.variables.quantities import Described
from subgrid.data.variables.wanted import Variable
from subgrid.downscaling.climate.climatology import ChangeSignal, Climatology, fit_climatology
from subgrid.downscaling.climate.degenerate import faults_in_words
from subgrid.downscaling.climate.domain import (
    Anomalies,
    ClimateDebiasMethod,
    Domain,
    Series,
    change_kinds,
    check_quantiles,
    fit_anomalies,
    fit_climate_debiaser,
    without_drift,
)
from subgrid.downscaling.climate.pairing import MemberClimates, fit_member_climates, pairing_sentence
from subgrid.downscaling.climate.series import SeriesDebiaser
from subgrid.downscaling.climate.stored import descriptions_of, wanted_of, written
from subgrid.downscaling.debiasing.choice import CANDIDATES, STRENGTHS, AnomalySample, choose_debiasing
from subgrid.downscaling.debiasing.tried import DebiasingChoice
from subgrid.downscaling.preparation.transforms import transforms_of
from subgrid.training.log import MetricsReport

CHANGE_HARMONICS = 1
"""Of the climates between which a change is taken; see `fit_change_signal`."""
SAME_PLACE = 1e-3
"""Degrees by which the centres of one grid may differ between files: coordinates in float32 do."""


@dataclass(frozen=True)
class CoarseFit:
    """From fields of the coarse model to what the prior is conditioned on.

    Args:
        variables: names of the channels.
        descriptions: what each of them is taken to be.
        kept: (*coarse), coarse cells in the constraint.
        lat: of the coarse grid, degrees.
        lon: of the coarse grid, degrees.
        anomalies: between values and anomalies of the kept cells.
        climate: the smooth course of the year of the whole archive, physical units, all cells.
        source: (n, channel, kept), anomalies of the whole coarse archive.
        trained: (n,), those of them to fit on.
        target: (m, channel, kept), coarsened anomalies of the training reference.
        options: arguments of `fit_climate_debiaser`.
        choice: by which they were found; None where both method and strength were given.
        members: the same course of each member, where they have labels by which a change is paired.
        time_step: of the archive in words, such as "daily"; None where it is not known.
        step: to which the archives were averaged when they were opened; None where they were not.
        wanted: what was said of the variables when they were opened, by which others of the same model are opened.
    """

    variables: tuple[str, ...]
    descriptions: tuple[Described, ...]
    kept: Bool[np.ndarray, "*coarse"]
    lat: Float[np.ndarray, "*lat"]
    lon: Float[np.ndarray, "*lon"]
    anomalies: Anomalies
    climate: Climatology
    source: Float[np.ndarray, "n channel kept"]
    trained: Bool[np.ndarray, " n"]
    target: Float[np.ndarray, "m channel kept"]
    options: Mapping[str, Any]
    choice: DebiasingChoice | None = None
    wanted: Mapping[str, Variable] = field(default_factory=dict)
    members: MemberClimates | None = None
    time_step: str | None = None
    step: Step | None = None

    @cached_property
    def debiaser(self) -> SeriesDebiaser:
        with faults_in_words("the debiasing"):
            return fit_climate_debiaser(self.source[self.trained], self.target, **self.options)

    def targets(self, series: Series) -> Float[np.ndarray, "n channel kept"]:
        """Debiased anomalies of a series on the whole coarse grid, of the climate that everything was fitted in."""
        return self.debiaser.adjust(self.anomalies.of(self._select(series)))

    def change_to(self, series: Series) -> ChangeSignal:
        """The coarse model's own smoothed change from the archive's climate to the one of a series, on its grid.

        Between the members that both have by their labels, or between all where no label is common.
        """
        shared, before = self._shared(series), self.climate
        if shared and self.members is not None:
            paired = np.isin(np.asarray(series.labels)[series.member], shared)
            series = series if paired.all() else series[paired]
            before = before if len(shared) == len(self.members.labels) else self.members.of(shared)
        climate = fit_climatology(series.values, series.phase, n_harmonics=CHANGE_HARMONICS)
        return ChangeSignal(before, climate, change_kinds(self.descriptions))

    def pairing_to(self, series: Series) -> str | None:
        """What is to be said of the members between which `change_to` takes a change, if anything."""
        return pairing_sentence(None if self.members is None else self.members.labels, series.labels)

    def _shared(self, series: Series) -> tuple[str, ...]:
        return shared_labels(None if self.members is None else self.members.labels, series.labels)

    def targets_without(self, change: ChangeSignal, series: Series) -> Float[np.ndarray, "n channel kept"]:
        """Debiased anomalies of a series of another climate, less the model's change and the debiaser's own."""
        stationary = np.asarray(change.remove(jnp.asarray(series.values), jnp.asarray(series.phase, jnp.float32)))
        moved = self.targets(replace(series, values=stationary))
        return without_drift(moved, self.debiaser.adjust(self.source))

    def _select(self, series: Series) -> Series:
        """The kept cells; a `DataError` if one of them has no value."""
        values = series.values[:, :, self.kept]
        lost = np.isnan(values).any((0, 1))
        if lost.any():
            lat, lon = self.lat, self.lon
            grid = np.meshgrid(lat, lon, indexing="ij") if lat.ndim == 1 else (lat, lon)
            first = [float(axis[self.kept][np.argmax(lost)]) for axis in grid]
            raise DataError(
                f"coarse: {int(lost.sum())} of the {lost.size} cells that the model was trained with hold no value, "
                f"the first at lat = {first[0]:.4g}, lon = {first[1]:.4g}; bring fields with the mask of the training "
                "archive, or train with these."
            )
        return replace(series, values=values)


def fit_coarse(
    coarse: xr.Dataset,
    series: Series,
    domain: Domain,
    target: AnomalySample,
    *,
    trained: Bool[np.ndarray, " n"] | None = None,
    n_harmonics: int = 3,
    method: ClimateDebiasMethod | Literal["auto"] = "auto",
    strength: float | Literal["auto"] = "auto",
    candidates: Sequence[ClimateDebiasMethod] = CANDIDATES,
    report: MetricsReport | None = None,
    **options: Any,
) -> CoarseFit:
    """Fits anomalies, climate and debiasing of a coarse archive.

    Args:
        coarse: a canonical dataset.
        series: its values.
        domain: of both archives.
        target: coarsened anomalies of the training reference.
        trained: (n,), the samples to fit on, default all.
        n_harmonics: of the climatology of anomalies, default 3.
        method: of debiasing; "auto", the default, one of the candidates, by left-out years.
        strength: from 0 to 1; "auto", the default, by left-out years.
        candidates: of "auto", from the least to the most correcting.
        report: of the choice, called as report(done, {}) with pairs of folds.
        **options: other arguments of `fit_climate_debiaser`.

    Returns:
        The fit; the debiaser itself is fitted when it is first used.

    Raises:
        DataError: as `check_quantiles`.
        ValueError: as `fit_climatology` and `choose_debiasing`.

    Examples:
        >>> fit = fit_coarse(coarse, series_of(coarse, ["tas"]), domain, target)
        >>> fit.targets(new_series)
    """
    chosen = np.ones(len(series.season_year), bool) if trained is None else trained
    methods = tuple(candidates) if method == "auto" else (method,)
    for each in methods:
        check_quantiles(int(chosen.sum()), len(target.values), method=each, **options)
    kept = domain.regridding.kept
    selected = replace(series, values=series.values[:, :, kept])
    anomalies = fit_anomalies(selected[chosen], domain.transforms, n_harmonics=n_harmonics)
    climate = fit_climatology(series.values, series.phase, n_harmonics=CHANGE_HARMONICS)
    members = fit_member_climates(series, n_harmonics=CHANGE_HARMONICS)
    lat, lon = (np.asarray(coarse[name].values, np.float64) for name in ("lat", "lon"))
    source = anomalies.of(selected)
    choice = None
    if method == "auto" or (strength == "auto" and method != "none"):
        own = AnomalySample(source[chosen], series.phase[chosen], series.season_year[chosen])
        strengths = STRENGTHS if strength == "auto" else (strength,)
        with faults_in_words("the choice of a debiasing"):
            choice = choose_debiasing(
                own, target, methods=methods, strengths=strengths, n_harmonics=n_harmonics, report=report, **options
            )
        method, strength = choice.method, choice.strength
    resolved = {"method": method, "strength": 1.0 if strength == "auto" else strength, **options}
    fitted = source, chosen, target.values
    return CoarseFit(
        domain.variables,
        domain.descriptions,
        kept,
        lat,
        lon,
        anomalies,
        climate,
        *fitted,
        resolved,
        choice,
        members=members,
        time_step=name_of_step(coarse["time"]),
    )


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


def save_coarse(folder: Path, fit: CoarseFit) -> None:
    """Writes FOLDER/debiasing.zarr, which `load_coarse` reads.

    Args:
        folder: of the run or the model.
        fit: from `fit_coarse`.
    """
    axes = {1: {"lat": ("yc",), "lon": ("xc",)}, 2: {"lat": ("yc", "xc"), "lon": ("yc", "xc")}}[fit.lat.ndim]
    arrays: dict[str, Any] = {
        "kept": (("yc", "xc"), fit.kept),
        "coarse_lat": (axes["lat"], fit.lat),
        "coarse_lon": (axes["lon"], fit.lon),
        "anomaly_climatology": (("basis", "channel", "cell"), np.asarray(fit.anomalies.climatology.mean_coefficients)),
        "climate": (("climate_basis", "channel", "yc", "xc"), np.asarray(fit.climate.mean_coefficients)),
        "source": (("source_sample", "channel", "cell"), fit.source),
        "trained": ("source_sample", fit.trained),
        "target": (("target_sample", "channel", "cell"), fit.target),
    }
    if fit.members is not None:
        axes = ("climate_member", "climate_basis", "channel", "yc", "xc")
        arrays["member_climates"] = (axes, fit.members.coefficients)
        arrays["member_times"] = ("climate_member", fit.members.n_times)
    attributes = {
        "members": None if fit.members is None else list(fit.members.labels),
        "time_step": fit.time_step,
        "step": fit.step,
        **written(fit.variables, fit.descriptions, fit.wanted),
        "options": json.dumps(dict(fit.options)),
        "choice": json.dumps(None if fit.choice is None else fit.choice.as_dict()),
    }
    write_zarr(xr.Dataset(arrays, attrs=attributes), folder / "debiasing.zarr", overwrite=True)


def load_coarse(folder: str | Path) -> CoarseFit:
    """What `save_coarse` wrote.

    Args:
        folder: of the run or the model.

    Returns:
        The fit; its debiaser is fitted again when it is first used, to the same bits.

    Raises:
        DataError: if the folder holds none.
    """
    path = Path(folder) / "debiasing.zarr"
    if not path.exists():
        raise DataError(f"{folder}: holds no debiasing (no debiasing.zarr); make it with train_climate or subgrid run.")
    with xr.open_zarr(path, chunks=None) as stored:
        data = stored.load()
    variables, choice = tuple(data.attrs["variables"]), json.loads(data.attrs.get("choice", "null"))
    descriptions = descriptions_of(data.attrs)
    return CoarseFit(
        variables,
        descriptions,
        data.kept.values.astype(bool),
        data.coarse_lat.values,
        data.coarse_lon.values,
        Anomalies(transforms_of(descriptions), Climatology(jnp.asarray(data.anomaly_climatology.values))),
        Climatology(jnp.asarray(data.climate.values)),
        data.source.values,
        data.trained.values.astype(bool),
        data.target.values,
        json.loads(data.attrs["options"]),
        None if choice is None else DebiasingChoice.from_dict(choice),
        wanted_of(data.attrs),
        _members_of(data),
        data.attrs.get("time_step"),
        data.attrs.get("step"),
    )


def _members_of(data: xr.Dataset) -> MemberClimates | None:
    labels = data.attrs.get("members")
    if labels is None:
        return None
    return MemberClimates(tuple(labels), data.member_climates.values, data.member_times.values)


def check_grid(fit: CoarseFit, coarse: xr.Dataset) -> None:
    """Passes if a canonical dataset lies on the coarse grid of the fit, to 10⁻³ degrees.

    Args:
        fit: from `fit_coarse` or `load_coarse`.
        coarse: the dataset.

    Raises:
        DataError: with both grids, if it does not.
    """
    for name, trained in (("lat", fit.lat), ("lon", fit.lon)):
        given = np.asarray(coarse[name].values)
        if given.shape != trained.shape or not np.allclose(given, trained, atol=SAME_PLACE, rtol=0):
            raise DataError(
                f"coarse: its {name}, {_extent(given)}, is not that of the archive that the model was trained with, "
                f"{_extent(trained)}; bring fields of the same coarse model, or train with these."
            )


def check_step(fit: CoarseFit, coarse: xr.Dataset) -> None:
    """Passes if a canonical dataset has the time step of the archive that the fit was made on.

    Args:
        fit: from `fit_coarse` or `load_coarse`.
        coarse: the dataset; one of a single time says nothing.

    Raises:
        DataError: with both steps, if it has not.
    """
    found = name_of_step(coarse["time"])
    if found is None or fit.time_step is None or found == fit.time_step:
        return
    step = common_step(found, fit.time_step)
    how = f", as open_climate(…, step = '{step}') makes them" if step and NAMES[step] == fit.time_step else ""
    raise DataError(
        f"coarse: its fields are {found}, and those that the model was trained with {fit.time_step}; bring "
        f"{fit.time_step} ones{how}, or train with {found} archives."
    )


def _extent(axis: np.ndarray) -> str:
    return f"{' x '.join(map(str, axis.shape))} values from {axis.min():.4g} to {axis.max():.4g}"
