"""The main job on climate archives, in two calls: fit everything on a pair of archives, then downscale new fields.

FOLDER/settings.json    what the model was asked to be
FOLDER/domain.zarr      the mask, C′, the fine climatology
FOLDER/grid.zarr        the fine grid, its coordinates and the attributes of the variables
FOLDER/debiasing.zarr   what is fitted on the coarse archive
FOLDER/model/           the prior, and what is done to its draws

The folder of a finished `subgrid run` holds the same parts, and is a model too.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import jax.random as jr
import numpy as np
import xarray as xr
from jaxtyping import Float

from subgrid.data.canonical import check_climate, open_climate
from subgrid.data.checks.checks import Gaps
from subgrid.data.pooling.members import available_samples
from subgrid.data.pooling.pooling import notes_of
from subgrid.data.sources.sources import Source
from subgrid.data.store import OutputExists, write_json
from subgrid.data.times.steps import Step
from subgrid.data.variables.wanted import Variable, Variables, wanted_variables
from subgrid.downscaling.climate.climatology import ChangeSignal
from subgrid.downscaling.climate.coarse_fit import (
    CoarseFit,
    check_grid,
    check_step,
    fit_coarse,
    load_coarse,
    save_coarse,
)
from subgrid.downscaling.climate.conditions import Conditions, TrainingAnomalies
from subgrid.downscaling.climate.degenerate import faults_in_words, require_finite_fields, require_variation
from subgrid.downscaling.climate.domain import (
    Anomalies,
    ClimateDebiasMethod,
    Domain,
    Series,
    connect,
    fit_anomalies,
    interpolation,
    series_of,
)
from subgrid.downscaling.climate.folder import (
    checkpoint_id,
    load_grid,
    save_grid,
    time_blocks,
)
from subgrid.downscaling.climate.orography import static_predictors
from subgrid.downscaling.climate.output import ensemble_dataset, provenance, with_all_times, with_history
from subgrid.downscaling.climate.prior import (
    N_COMPONENTS,
    N_LEVELS,
    is_trained,
    load_climate_prior,
    train_climate_prior,
)
from subgrid.downscaling.climate.prior_choice import MOST_VALUES
from subgrid.downscaling.climate.refinement import RefinementSettings
from subgrid.downscaling.climate.sampler import (
    FieldSampler,
    draw_anomalies,
    gaussian_conditional,
    load_domain,
    save_domain,
)
from subgrid.downscaling.climate.stored import opening
from subgrid.downscaling.debiasing.choice import AnomalySample
from subgrid.downscaling.spread.calibration import SpreadCalibration
from subgrid.downscaling.spread.post_processing import (
    MEMBERS,
    POST_PROCESSING,
    fit_post_processing,
    load_post_processing,
    save_post_processing,
)
from subgrid.numerics.streams import draw_keys, substream
from subgrid.training.log import MetricsReport
from subgrid.types import Key, ProgressReport

Change: TypeAlias = Literal["none", "preserve"]


@dataclass(frozen=True)
class ClimateModel:
    """Everything that is fitted on a pair of archives; made by `train_climate`, found by `load_climate_model`."""

    folder: Path
    coarse: CoarseFit
    grid: xr.Dataset
    sampler: FieldSampler

    @property
    def variables(self) -> tuple[str, ...]:
        return self.coarse.variables

    @property
    def checkpoint(self) -> str:
        return checkpoint_id(self.folder)


def train_climate(
    fine: Source,
    coarse: Source,
    variables: Variables,
    *,
    folder: str | Path,
    orography: Source | None = None,
    orography_variable: str | None = None,
    debias: ClimateDebiasMethod | Literal["auto"] = "auto",
    debias_options: Mapping[str, Any] | None = None,
    n_components: Sequence[int] = N_COMPONENTS,
    minimum_valid: float = 0.5,
    gaps: Gaps = "refuse",
    n_harmonics: int = 3,
    n_levels: int = N_LEVELS,
    step: Step | None = None,
    report: MetricsReport | None = None,
    key: Key,
    **settings: Any,
) -> ClimateModel:
    """Fits climatologies, debiasing and the prior on a fine and a coarse archive that share no dates.

    Args:
        fine: a path or Dataset, as for `open_climate`.
        coarse: the same of the coarse archive.
        variables: the channels, in both: names, or a mapping {name: name or names in files}, or {name: Variable(…)}
            that says what a variable is, its bounds or its units (see `open_climate`).
        folder: of the model: an unfinished training in it is resumed, to the same bits.
        orography: a static predictor of the network, on any grid that covers the fine one; none by default.
        orography_variable: its name in that file; by default it is found by its standard name, name or units.
        debias: the method; "auto", the default, to choose it by left-out years.
        debias_options: `strength` ("auto" unless given), `candidates`, `marginals`, `n_quantiles`,
            `explained_variance`.
        n_components: numbers of principal components to choose from by the likelihood of left-out years.
        minimum_valid: share of the area of a coarse cell that needs values for it to be in the constraint; default .5.
        gaps: in either archive, of cells with values at some times only: "refuse", the default; "mask" leaves such a
            cell out, a coarse one of the constraint; "drop" leaves out the times that lack a value.
        n_harmonics: of the climatology, default 3.
        n_levels: of noise, in draws by which the network is evaluated and their spread and marginals fitted; default 8.
        step: "day" or "month" averages archives of shorter steps when they are opened, and those that the model
            downscales; None, the default, leaves their times as they are.
        report: `report(step, metrics)`, of the training.
        key: of everything random.
        **settings: of the network and its training (`RefinementSettings`).

    Returns:
        The model, also saved in `folder`, where `load_climate_model` finds it.

    Raises:
        DataError: for archives that cannot be used or do not fit together.
        OutputExists: if the folder holds a finished model, or one of other options.
        TypeError: for a setting that does not exist.

    Examples:
        >>> model = train_climate("eobs.nc", "cnrm.nc", ["tas"], folder="model", key=jax.random.key(0))
    """
    folder, refinement = Path(folder), RefinementSettings(**settings)
    options = {"method": debias, **(debias_options or {})}
    asked = [options, dataclasses.asdict(refinement), list(n_components), minimum_valid, gaps, n_harmonics, n_levels]
    given = wanted_variables(variables) or {}
    names = list(given)
    asked += [] if step is None else [step]
    wanted = _refuse_another(folder, key, [_asked(given), *asked])
    fine_data = check_climate(open_climate(fine, given, name="fine", step=step), name="fine", gaps=gaps)
    coarse_data = check_climate(open_climate(coarse, given, name="coarse", step=step), name="coarse", gaps=gaps)
    domain = connect(fine_data, coarse_data, names, minimum_valid=minimum_valid)
    predictors = None if orography is None else static_predictors(orography, fine_data, variable=orography_variable)
    series, coarse_series = series_of(fine_data, names), series_of(coarse_data, names)
    transforms, kept = domain.transforms, domain.regridding.kept
    require_variation(fine_data[names], series, transforms, name="fine", fewest_years=2, cells=domain.mask)
    require_variation(coarse_data[names], coarse_series, transforms, name="coarse", cells=kept)
    anomalies = fit_anomalies(series, domain.transforms, n_harmonics=n_harmonics)
    fields = anomalies.of(series)
    target = AnomalySample(domain.coarsen(fields), series.phase, series.season_year)
    fitted = fit_coarse(coarse_data, coarse_series, domain, target, n_harmonics=n_harmonics, **options)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "settings.json", wanted)  # nothing is claimed by archives or options that do not serve
    save_coarse(folder, dataclasses.replace(fitted, wanted=given, step=step))
    save_grid(folder, fine_data, names)
    save_domain(folder, domain, anomalies, None)
    train_on(
        folder, domain, anomalies, series,
        predictors=predictors, settings=refinement, n_components=n_components, n_levels=n_levels, report=report,
        key=key,
    )  # fmt: skip
    return load_climate_model(folder)


def _asked(given: Mapping[str, Variable]) -> list[Any]:
    """Names alone where nothing is said of any variable, as earlier versions had it."""
    if all(variable == Variable() for variable in given.values()):
        return list(given)
    return [[name, variable.as_dict()] for name, variable in given.items()]


def _refuse_another(folder: Path, key: Key, asked: list[Any]) -> dict[str, Any]:
    """What makes the folder that of one configuration, if it is free or already is.

    Raises:
        OutputExists: if it holds a finished model, or one of another configuration.
    """
    if is_finished(folder):
        raise OutputExists(f"{folder}: holds a trained model already; use load_climate_model or choose another folder.")
    content = {"seed": np.asarray(jr.key_data(key)).tolist(), "asked": asked}
    wanted, path = json.loads(json.dumps(content)), folder / "settings.json"
    if path.exists() and json.loads(path.read_text(encoding="utf-8")) != wanted:
        raise OutputExists(f"{folder}: holds a model in training with other options; choose another folder.")
    return wanted


@faults_in_words("the fit of the prior")
def train_on(
    folder: Path,
    domain: Domain,
    anomalies: Anomalies,
    series: Series,
    *,
    predictors: Float[np.ndarray, "p y x"] | None,
    settings: RefinementSettings,
    n_components: Sequence[int],
    n_levels: int,
    report: MetricsReport | None,
    key: Key,
) -> None:
    """The prior of the fine anomalies of a training series, and what its draws need, in FOLDER/model; resumes.

    Arguments and errors are those of `train_climate_prior` and `fit_post_processing`; `n_levels`, of noise.
    """
    model, fields, groups = folder / "model", np.nan_to_num(anomalies.of(series)), series.season_year
    conditions = Conditions(
        domain.regridding.operator,
        domain.rows,
        domain.distances if domain.mask.sum() * len(domain.variables) <= MOST_VALUES else None,
        anomalies.mean(series.phase),
        domain.transforms,
    )
    if not is_trained(model):
        training = TrainingAnomalies(fields, groups, domain.mask.astype(np.float32), predictors)
        train_climate_prior(
            training, conditions, settings=settings, n_components=n_components, n_levels=n_levels, folder=model,
            report=report, key=substream(key, "prior"),
        )  # fmt: skip
    if not (model / POST_PROCESSING).exists():
        prior = load_climate_prior(model)
        conditional = gaussian_conditional(prior, conditions.operator)
        numbers = np.arange(len(fields)), np.arange(MEMBERS)
        keys = draw_keys(substream(key, "spread calibration"), *numbers).reshape(-1)
        targets = np.repeat(domain.coarsen(fields), MEMBERS, axis=0)
        climatology = np.repeat(conditions.climatology, MEMBERS, axis=0)

        def draws(calibration: SpreadCalibration) -> Float[np.ndarray, "n m channel y x"]:
            each = calibration, climatology
            drawn = draw_anomalies(prior, conditional, targets, keys, n_levels=n_levels, calibration=each)
            return prior.normalised(drawn).reshape(len(fields), MEMBERS, *prior.denoiser.base.mean.shape)

        found = fit_post_processing(prior, conditional, conditions, fields, groups, domain.mask, draws)
        save_post_processing(model, found)


def is_finished(folder: Path) -> bool:
    """Whether `train_on` has nothing left to do."""
    return is_trained(folder / "model") and (folder / "model" / POST_PROCESSING).exists()


def load_climate_model(folder: str | Path) -> ClimateModel:
    """The model that `train_climate` or `subgrid run` left in a folder.

    Args:
        folder: of the model or the run.

    Returns:
        The model.

    Raises:
        DataError: if it holds none, or an unfinished one.

    Examples:
        >>> model = load_climate_model("runs/iberia_tas")
    """
    folder = Path(folder)
    prior, coarse = load_climate_prior(folder / "model"), load_coarse(folder)
    domain = load_domain(folder)
    sampler = FieldSampler(prior, domain, load_post_processing(folder / "model"), N_LEVELS)
    return ClimateModel(folder, coarse, load_grid(folder), sampler)


def downscale_climate(
    coarse: Source,
    model: ClimateModel | str | Path,
    *,
    n_members: int = 16,
    change: Change = "none",
    n_levels: int = N_LEVELS,
    gaps: Literal["refuse", "drop"] = "refuse",
    report: ProgressReport | None = None,
    key: Key,
) -> xr.Dataset:
    """An ensemble of fine fields for every field of the coarse model, in memory; for more, use `subgrid run`.

    Args:
        coarse: a path or Dataset, as for `open_climate`, on the grid of the training archive.
        model: from `train_climate`, or the folder of one.
        n_members: for each of the model's own members, default 16.
        change: "none", the default, for fields of the climate that everything was fitted in; "preserve" for those of
            another one, ten years and more of them: the model's own smoothed change is taken out first and put back on
            the fine grid.
        n_levels: of noise, default 8.
        gaps: in coarse cells that the model was trained with: "refuse", the default; "drop" leaves out the times that
            lack a value.
        report: `report(done, total)`, in coarse fields.
        key: of all draws. Two calls with one key share their noise, time by time and member by member, which makes the
            mean of their difference less noisy and the spread of its members no uncertainty; give each call a key of
            its own for that.

    Returns:
        A Dataset with "realization" (model members × `n_members`), "time" and the fine grid, canonical units.

    Raises:
        DataError: for fields that cannot be used, or lie on another grid.
        ValueError: for an unknown change, or less than one member.

    Examples:
        >>> ensemble = downscale_climate("cnrm_new.nc", model, n_members=16, key=jax.random.key(1))
    """
    if change not in get_args(Change):
        raise ValueError(f"change must be one of {get_args(Change)}, got {change!r}.")
    if n_members < 1:
        raise ValueError(f"n_members must be at least 1, got {n_members}.")
    model = model if isinstance(model, ClimateModel) else load_climate_model(model)
    units = {name: str(model.grid[name].attrs.get("units", "")) for name in model.variables}
    wanted = opening(model.coarse.descriptions, model.coarse.wanted, units)
    opened = open_climate(coarse, wanted, name="coarse", step=model.coarse.step)
    check_grid(model.coarse, opened)
    dataset = check_climate(opened, name="coarse", gaps=gaps, needed=model.coarse.kept)
    check_step(model.coarse, dataset)
    series = series_of(dataset, model.variables)
    targets, signal = _conditions(model, dataset, series, change)
    said = model.coarse.pairing_to(series) if change == "preserve" else None
    notes = (*notes_of(dataset), *(() if said is None else (said,)))
    sampler = dataclasses.replace(model.sampler, n_levels=n_levels)
    fields = _sample(sampler, targets, series, signal, n_members, model.grid, report, key)
    settings = {"n_members": n_members, "change": change, "n_levels": n_levels}
    whole = with_all_times(fields, available_samples(dataset))
    attributes = provenance(with_history(dataset.attrs, *notes), settings, checkpoint=model.checkpoint, key=key)
    return ensemble_dataset(whole, model.grid, model.variables, dataset, attributes)


def _conditions(model: ClimateModel, coarse: xr.Dataset, series: Series, change: Change):
    """Targets, and the change to put back on the fine grid."""
    if change == "none":
        return model.coarse.targets(series), None
    signal = model.coarse.change_to(series)
    return model.coarse.targets_without(signal, series), signal.on(interpolation(coarse, model.grid))


def _sample(
    sampler: FieldSampler,
    targets: np.ndarray,
    series: Series,
    signal: ChangeSignal | None,
    n_members: int,
    grid: xr.Dataset,
    report,
    key,
) -> Float[np.ndarray, "t m channel *space"]:
    n = len(targets)
    keys = draw_keys(key, np.arange(n), np.arange(n_members))  # as the work items of a run have them
    step, _ = time_blocks(n, n_members, sampler.domain.mask.size * targets.shape[1])
    parts = []
    for first in range(0, n, step):
        block = slice(first, first + step)
        drawn = sampler(targets[block], series.phase[block], keys=keys[block], change=signal)
        require_finite_fields(drawn, sampler.domain.mask, sampler.domain.variables, series.time[block], grid)
        parts.append(drawn)
        if report is not None:
            report(min(first + step, n), n)
    return np.concatenate(parts)
