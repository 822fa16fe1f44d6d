"""Training a refined Gaussian, of whatever anomalies, and the post-processing of its draws."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Float, Int

from subgrid.diffusion.gaussian_conditional import ConditionalGaussian
from subgrid.downscaling.climate.degenerate import faults_in_words
from subgrid.downscaling.model.anomalies import FineAnomalies
from subgrid.downscaling.model.inner import InnerFields
from subgrid.downscaling.model.settings import FitSettings
from subgrid.downscaling.model.sides import CoarseSide
from subgrid.downscaling.refined.network_gain import MEMBERS as COMPARED
from subgrid.downscaling.refined.prior import RefinedPrior, is_trained, load_refined_prior, train_refined_prior
from subgrid.downscaling.refined.prior_choice import MOST_VALUES
from subgrid.downscaling.refined.refinement import (
    RefinementSettings,
    padded_shape,
    refining_network,
    require_whole_calls,
)
from subgrid.downscaling.refined.sampler import draw_anomalies, gaussian_conditional
from subgrid.downscaling.spread.calibration import SpreadCalibration
from subgrid.downscaling.spread.post_processing import (
    MEMBERS,
    PASSES,
    POST_PROCESSING,
    fit_post_processing,
    save_post_processing,
)
from subgrid.numerics.streams import draw_keys, substream
from subgrid.training.cost import GRADIENT, Cost, decomposition_cost, training_cost
from subgrid.training.progress import progress, say
from subgrid.types import Key

SOME = 50
"""Fields that show which cells are never anything but zero."""
DECOMPOSITIONS = 17
"""Of the covariance: five to choose the number of components, two to fit, ten to calibrate the spread."""


@dataclass(frozen=True)
class RefinedSettings:
    """How a refined Gaussian is fitted.

    Args:
        network: that refines it, and its training.
        n_components: numbers of principal components to choose from.
        n_levels: of noise, in draws.
        calibrate: whether the spread of draws is calibrated on fields that are left out, default True: the Gaussian is
            fitted anew for each of ten groups in seconds, and its conditional variance knows nothing of the error of
            its own mean.
    """

    network: RefinementSettings
    n_components: Sequence[int]
    n_levels: int
    calibrate: bool = True


@dataclass(frozen=True)
class RefinedFit:
    """A refined Gaussian of inner fields, before it is fitted.

    Args:
        fields: to train on.
        settings: of the fit.
    """

    fields: InnerFields
    settings: RefinedSettings

    def cost(self) -> Cost:
        """What the Gaussian, the network and the draws that compare them will take."""
        values = self.fields.in_memory("a refined Gaussian")
        d = int(np.count_nonzero(np.any(values[:SOME], axis=0)))  # the mask holds zeros
        gaussian = decomposition_cost(len(values), d, times=DECOMPOSITIONS, dense=d <= MOST_VALUES)
        return gaussian + self._of_network() if self.settings.network.n_steps else gaussian

    def _of_network(self) -> Cost:
        network, (n_channels, *space) = self.settings.network, self.fields.shape
        predictors = self.fields.n_predictors
        drawn = self.fields.values.shape[0] // 5 * COMPARED * self.settings.n_levels
        made = eqx.filter_eval_shape(
            partial(refining_network, n_channels, predictors, len(space), network), key=jr.key(0)
        )
        one = jnp.zeros((2 * n_channels + predictors, *padded_shape(tuple(space), network)))
        return training_cost(
            made,
            lambda net: net(one, jnp.zeros(())),
            batch_size=network.batch_size,
            n_steps=network.n_steps + drawn // (GRADIENT * network.batch_size),
            data_bytes=4.0 * math.prod(self.fields.values.shape),
        )

    def train(self, folder: Path, coarse: CoarseSide, *, key: Key) -> None:
        """The prior and its post-processing, in FOLDER/model; resumes.

        Args:
            folder: of the model.
            coarse: not used.
            key: of everything random in the fit.
        """
        train_refined(folder, self.fields.anomalies(), self.settings, key=key)
        if (gain := load_refined_prior(folder / "model").gain) is not None:
            say(gain.sentence())


def refined_fit(fields: InnerFields, settings: FitSettings, network: Mapping[str, Any]) -> RefinedFit:
    """A refined Gaussian for inner fields, its network checked.

    Args:
        fields: to train on.
        settings: of the fit.
        network: settings that are given, of `RefinementSettings`.

    Returns:
        The fit.

    Raises:
        ValueError: for settings that do not go together, a periodic grid that the network cannot take, and fields on
            disk.
    """
    fields.in_memory("a refined Gaussian")
    made = RefinementSettings(**network)
    require_whole_calls(made)
    if fields.edges == "periodic" and made.n_steps:  # without a network nothing is looked at beyond the edges
        made = replace(made, padding="periodic")
    padded_shape(fields.shape[1:], made)
    calibrate = True if settings.calibrate is None else settings.calibrate
    return RefinedFit(fields, RefinedSettings(made, settings.n_components, settings.n_levels, calibrate))


@faults_in_words("the fit of the prior")
def train_refined(
    folder: Path,
    fine: FineAnomalies,
    settings: RefinedSettings,
    *,
    key: Key,
) -> None:
    """The prior of fine anomalies, and what its draws need, in FOLDER/model; shows its progress, and
    resumes.

    Args:
        folder: of the model or the run.
        fine: what to train on.
        settings: of the fit.
        key: of everything random.

    Raises:
        ValueError: as `train_refined_prior` and `fit_post_processing`.
    """
    model = folder / "model"
    if not is_trained(model):
        train_refined_prior(
            fine.training, fine.conditions, settings=settings.network, n_components=settings.n_components,
            n_levels=settings.n_levels, folder=model, key=substream(key, "prior"),
        )  # fmt: skip
    if (model / POST_PROCESSING).exists():
        return
    if not settings.calibrate:
        save_post_processing(model, None)
        return
    prior = load_refined_prior(model)
    conditional = gaussian_conditional(prior, fine.conditions.operator)
    training_draws = TrainingDraws(prior, conditional, fine, settings.n_levels, substream(key, "spread calibration"))
    passes = count()
    with progress("calibrate spread") as update:

        def draws(calibration: SpreadCalibration, chosen: Int[np.ndarray, " k"]) -> Float[np.ndarray, "k m channel *p"]:
            update(next(passes), PASSES + 1)
            return training_draws(calibration, chosen)

        found = fit_post_processing(prior, conditional, fine.conditions, fine.training, draws)
    save_post_processing(model, found)


@dataclass(frozen=True)
class TrainingDraws:
    """Draws for training fields, each conditioned on its own coarse values.

    Args:
        prior: of the fields.
        conditional: its Gaussian under C′.
        fine: the fields.
        n_levels: of noise.
        key: of the draws.
    """

    prior: RefinedPrior
    conditional: ConditionalGaussian
    fine: FineAnomalies
    n_levels: int
    key: Key

    def __call__(
        self, calibration: SpreadCalibration, chosen: Int[np.ndarray, " k"]
    ) -> Float[np.ndarray, "k m channel *padded"]:
        """`MEMBERS` draws with a calibration for each of the chosen fields: normalised, on the prior's grid."""
        prior, conditions = self.prior, self.fine.conditions
        keys = draw_keys(self.key, chosen, np.arange(MEMBERS)).reshape(-1)
        targets = np.repeat(conditions.coarsen(self.fine.training.values[chosen]), MEMBERS, axis=0)
        each = calibration, np.repeat(conditions.climatology[chosen], MEMBERS, axis=0)
        drawn = draw_anomalies(prior, self.conditional, targets, keys, n_levels=self.n_levels, calibration=each)
        return prior.normalised(drawn).reshape(len(chosen), MEMBERS, *prior.denoiser.base.mean.shape)
