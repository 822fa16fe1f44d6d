"""What can be wrong with archives, found before anything is computed."""

from typing import get_args

import equinox as eqx
import jax.random as jr

from subgrid.data.fields import DataError
from subgrid.data.grids.alignment import check_aligned
from subgrid.downscaling.debiasing.dynamic import TransportMethod, check_levels
from subgrid.downscaling.prior.model import build_denoiser
from subgrid.experiments.downscale import build
from subgrid.experiments.downscale.config import DownscaleConfig
from subgrid.experiments.downscale.run import DownscaleRun
from subgrid.runs.config import ConfigError


def check_archives(run: DownscaleRun, debiasers: tuple[str, ...]) -> None:
    """Everything that can be wrong with the input is found before anything is computed; `debiasers` will be fitted."""
    fine, coarse = run.fine[0], run.coarse[0]
    if len(fine.space_dims) != len(coarse.space_dims):
        raise DataError(
            f"fine fields have the space axes {fine.space_dims}, coarse ones {coarse.space_dims}; they must agree."
        )
    if fine.n_space not in (1, 2):
        raise DataError(f"{fine.source}: fields have the space axes {fine.space_dims}; Subgrid takes one or two.")
    check_aligned(coarse, fine, run.operator)
    check_network(run.config, fine.values.shape)
    if {*debiasers} & {*get_args(TransportMethod)}:
        check_levels(run.config.debias.channels, coarse.values.shape[2:])


def check_network(config: DownscaleConfig, shape: tuple[int, ...]) -> None:
    """Complains, before anything is computed or written, about fields (n, channel, *space) that the network cannot."""
    settings = build.prior_settings_of(config, shape[1], shape[2:])
    try:
        eqx.filter_eval_shape(lambda key: build_denoiser(settings, key=key), jr.key(0))
    except ValueError as error:
        raise ConfigError(
            f"prior.channels = {list(config.prior.channels)}, prior.patch = {config.prior.patch}: {error}"
        ) from error
