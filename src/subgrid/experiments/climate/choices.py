"""What a climate run chose by left-out years: in sentences, for metrics.json, and as a map of the spread."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from subgrid.downscaling.debiasing.of_anomalies import THEN_MARGINALS
from subgrid.downscaling.preparation.steps import expected
from subgrid.downscaling.refined.prior import load_refined_prior
from subgrid.downscaling.refined.prior_choice import PriorChoice
from subgrid.downscaling.refined.sampler import gaussian_conditional
from subgrid.downscaling.spread.calibration import cell_variances
from subgrid.downscaling.spread.post_processing import load_post_processing
from subgrid.experiments.climate.run import ClimateRun
from subgrid.runs.facts import n_parameters


def prior_sentences(folder: Path) -> list[str]:
    """Which prior is used, what it was chosen on, what a network gained and what it costs."""
    prior = load_refined_prior(folder / "model")
    choice, sentences = prior.choice, []
    if choice.crps:
        reach = "as they are"
        if choice.support is not None:
            reach = f"tapered, to reach 0 at {choice.support:g} times the largest distance"
        best, plain = choice.crps[choice.support], choice.crps[None]
        sentences.append(
            f"covariances {reach}, {choice.n_components} components, chosen by left-out years: CRPS {best:.4f}, "
            f"{plain:.4f} as they are (in standard deviations)"
        )
    if prior.gain is None:
        return [*sentences, "no network: none was trained"]
    path, times = folder / "model" / "cost.json", ""
    if path.exists():  # a by-product: nothing else needs it
        cost = json.loads(path.read_text(encoding="utf-8"))
        times = f"; a draw takes {cost['network'] / cost['gaussian']:.0f} times as long with it"
    return [*sentences, f"{prior.gain.sentence()}{times}"]


def prior_in_words(run: ClimateRun) -> str:
    """What kind of prior, its components, and its network with its size, for the summary."""
    prior = load_refined_prior(run.path("model"))
    gaussian = f"Gaussian of {prior.choice.n_components} components"
    tapered = "" if prior.choice.support is None else ", tapered covariances"
    size = f"network of {n_parameters(prior.denoiser.network):,} parameters"
    network = f"refined by a {size}" if prior.refined else f"a {size} was trained and is not used"
    return f"{gaussian}{tapered}, {'no network' if prior.gain is None else network}; conditioned on C'x in closed form"


def prior_choice(run: ClimateRun) -> PriorChoice:
    """How the prior of a run was chosen."""
    return load_refined_prior(run.path("model")).choice


def choices_of(run: ClimateRun) -> dict[str, Any]:
    """What was chosen by left-out years, and what was tried: for metrics.json."""
    prior = load_refined_prior(run.path("model"))
    debiasing = run.fitted.choice
    return {
        "debiasing": None if debiasing is None else debiasing.as_dict(),
        "support": prior.choice.support,
        "crps_by_support": [[support, crps] for support, crps in prior.choice.crps.items()],
        "n_components": prior.choice.n_components,
        "network": None if prior.gain is None else asdict(prior.gain) | {"used": prior.gain.accepted},
    }


def spread_maps(run: ClimateRun, channel: int) -> dict[str, np.ndarray]:
    """The spread of members about their mean on a usual day, and by what factor left-out years changed it.

    A day in the middle of the season whose coarse values are those of the climatology, in everything but their distance
    from it, which is the usual one. In units of the anomalies: of precipitation, of its root.
    """
    prior, domain = load_refined_prior(run.path("model")), run.domain
    post: Any = load_post_processing(run.path("model"))  # of every run
    calibration = post.calibration
    given = gaussian_conditional(prior, domain.regridding.operator).spread
    cut = tuple(slice(0, size) for size in domain.mask.shape)
    own = np.sqrt(cell_variances(given, np.ones_like(calibration.component_scales)))[channel][cut]
    middle = np.median(run.fine_series.phase[run.trained(run.fine_series)])[None]
    shape = (len(prior.scale), *domain.mask.shape)
    climatology = prior.normalised(expected(run.fine_anomalies, middle, 1, shape))[0]
    usual = calibration.width(prior.denoiser.base.mean, jnp.ones(()), jnp.asarray(climatology))
    usual = np.asarray(usual)[channel][cut]
    shown = lambda field: np.where(domain.mask, field, np.nan)  # noqa: E731
    return {"spread": shown(usual * prior.scale[channel]), "factor": shown(usual / np.maximum(own, 1e-12))}


def debiasing_in_words(run: ClimateRun) -> str:
    """Method and strength, for the summary."""
    fitted: Any = run.fitted.debiaser  # `FittedOn`, of every run
    options = fitted.options
    marginals = " and marginals" if options["marginals"] and options["method"] in THEN_MARGINALS else ""
    return f"{options['method']}{marginals}, strength {options['strength']:g}"
