"""Training the prior of anomalies, a Gaussian that a network may refine, and the post-processing of its draws."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
from jaxtyping import Float

from subgrid.downscaling.climate.conditions import Conditions, TrainingAnomalies
from subgrid.downscaling.climate.degenerate import faults_in_words
from subgrid.downscaling.climate.domain import Domain
from subgrid.downscaling.climate.prior import is_trained, load_climate_prior, train_climate_prior
from subgrid.downscaling.climate.prior_choice import MOST_VALUES
from subgrid.downscaling.climate.refinement import RefinementSettings
from subgrid.downscaling.climate.sampler import draw_anomalies, gaussian_conditional
from subgrid.downscaling.preparation.chain import Chain
from subgrid.downscaling.preparation.series import Series
from subgrid.downscaling.preparation.steps import expected
from subgrid.downscaling.spread.calibration import SpreadCalibration
from subgrid.downscaling.spread.post_processing import (
    MEMBERS,
    PASSES,
    POST_PROCESSING,
    fit_post_processing,
    save_post_processing,
)
from subgrid.numerics.streams import draw_keys, substream
from subgrid.training.log import MetricsReport
from subgrid.training.progress import progress
from subgrid.types import Key


@dataclass(frozen=True)
class FineAnomalies:
    """What a refined Gaussian is trained on.

    Args:
        domain: mask and C′.
        anomalies: from fine fields to their anomalies.
        series: the fine fields to train on.
        predictors: (p, y, x), static fields for the network; None for none.
    """

    domain: Domain
    anomalies: Chain
    series: Series
    predictors: Float[np.ndarray, "p y x"] | None = None


@dataclass(frozen=True)
class RefinedSettings:
    """How a refined Gaussian is fitted.

    Args:
        network: that refines it, and its training.
        n_components: numbers of principal components to choose from.
        n_levels: of noise, in draws.
    """

    network: RefinementSettings
    n_components: Sequence[int]
    n_levels: int


@faults_in_words("the fit of the prior")
def train_refined(
    folder: Path,
    fine: FineAnomalies,
    settings: RefinedSettings,
    *,
    report: MetricsReport | None,
    show: bool = True,
    key: Key,
) -> None:
    """The prior of fine anomalies, and what its draws need, in FOLDER/model; resumes.

    Args:
        folder: of the model or the run.
        fine: what to train on.
        settings: of the fit.
        report: of the training, called as report(step, metrics).
        show: whether the progress of the calibration is shown.
        key: of everything random.

    Raises:
        ValueError: as `train_climate_prior` and `fit_post_processing`.
    """
    domain, series = fine.domain, fine.series
    model, groups = folder / "model", series.season_year
    fields = np.nan_to_num(fine.anomalies.forward(series.values, series.phase))
    conditions = Conditions(
        domain.regridding.operator,
        domain.rows,
        domain.distances if domain.mask.sum() * len(domain.variables) <= MOST_VALUES else None,
        expected(fine.anomalies, series.phase, len(series), fields.shape[1:]),
        domain.transforms,
    )
    if not is_trained(model):
        training = TrainingAnomalies(fields, groups, domain.mask.astype(np.float32), fine.predictors)
        train_climate_prior(
            training, conditions, settings=settings.network, n_components=settings.n_components,
            n_levels=settings.n_levels, folder=model, report=report, key=substream(key, "prior"),
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
            update(next(passes), PASSES + 1)
            drawn = draw_anomalies(prior, conditional, targets, keys, n_levels=settings.n_levels, calibration=each)
            return prior.normalised(drawn).reshape(len(fields), MEMBERS, *prior.denoiser.base.mean.shape)

        passes = count()
        with progress("calibrate spread", enabled=show) as update:
            found = fit_post_processing(prior, conditional, conditions, fields, groups, domain.mask, draws)
        save_post_processing(model, found)
