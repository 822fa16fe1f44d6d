"""Which prior a fit trains: settings and dispatch in one place."""

from collections.abc import Mapping
from typing import Any

from subgrid.downscaling.model.bridges import bridge_fit
from subgrid.downscaling.model.inner import InnerFields, PriorFit
from subgrid.downscaling.model.networks import network_fit
from subgrid.downscaling.model.refined import refined_fit
from subgrid.downscaling.model.settings import FitSettings
from subgrid.downscaling.prior.model import PriorSettings
from subgrid.downscaling.prior.training import TrainingSettings
from subgrid.downscaling.refined.refinement import RefinementSettings
from subgrid.downscaling.settings import sort_settings
from subgrid.downscaling.upsampling.bridge import UpsamplerSettings

CLASSES = {"refined-gaussian": (RefinementSettings,), "bridge": (UpsamplerSettings,)}
"""Of the settings of a kind of prior; all other kinds are networks."""
OF_NETWORKS = (PriorSettings, TrainingSettings)
BY_DATA = ("n_channels", "space", "padding", "coarse", "factors", "centred", "periodic", "grid")
"""Settings of these classes that the data decide, or `FitSettings`."""


def sorted_settings(settings: FitSettings, given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Settings of a prior by their classes; what does not go with its kind is refused before an archive is opened.

    Args:
        settings: of the fit; `prior` is not "auto" any more.
        given: settings of the prior, by their names.

    Returns:
        Of each class of the kind its own.

    Raises:
        TypeError: for a setting that does not exist.
        ValueError: for hosts, a calibration or a debiaser that do not go with the prior.
    """
    kind = settings.prior
    own = sort_settings("fit", given, *CLASSES.get(kind, OF_NETWORKS), without=BY_DATA)
    if settings.join is not None and kind in CLASSES:
        raise ValueError(f'join is of networks, and prior = "{kind}" is fitted by one process; leave it out.')
    if settings.calibrate and kind != "refined-gaussian":
        raise ValueError(
            f'calibrate is of prior = "refined-gaussian"; the spread of "{kind}" stays as it is learned, so leave it '
            "out."
        )
    if given.get("source") == "raw" and settings.debias != "none":
        raise ValueError(
            f'source = "raw" is of a bridge that debiases by itself, and debias = "{settings.debias}" would do it '
            "twice; leave it out."
        )
    return own


def prior_fit(fields: InnerFields, settings: FitSettings, own: list[dict[str, Any]]) -> PriorFit:
    """The training of a prior, its settings checked against the fields.

    Args:
        fields: to train on.
        settings: of the fit.
        own: settings of the prior, from `sorted_settings`.

    Returns:
        What trains it.

    Raises:
        ValueError: for settings that do not go together, or not with the fields.
    """
    match settings.prior:
        case "refined-gaussian":
            return refined_fit(fields, settings, *own)
        case "bridge":
            return bridge_fit(fields, *own)
    return network_fit(fields, settings, *own)
