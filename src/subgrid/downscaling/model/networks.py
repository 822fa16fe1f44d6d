"""Training networks on inner fields, of whatever preparation: a guided prior, or a conditional model for one C′."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr

from subgrid.data.stream import StreamedFields
from subgrid.downscaling.conditional.model import NOISE_RANGE, ConditionalSettings, train_conditional
from subgrid.downscaling.conditional.refinement import n_features
from subgrid.downscaling.model.draws import on_grid_of
from subgrid.downscaling.model.inner import InnerFields
from subgrid.downscaling.model.settings import FitSettings
from subgrid.downscaling.model.sides import CoarseSide
from subgrid.downscaling.prior.functions import function_settings, train_function_prior
from subgrid.downscaling.prior.model import PriorSettings, build_network, train_prior
from subgrid.downscaling.prior.training import TrainingSettings
from subgrid.downscaling.refined.refinement import pad
from subgrid.networks.unet import smallest_grid
from subgrid.numerics.streams import substream
from subgrid.training.cost import Cost, training_cost
from subgrid.training.log import MetricsReport
from subgrid.training.progress import training_progress
from subgrid.types import Key


@dataclass(frozen=True)
class NetworkFit:
    """A network and its training, for inner fields.

    Args:
        fields: to train on.
        kind: "network", "function-space", "conditional-diffusion" or "conditional-flow".
        network: all its settings, on a grid that it can take.
        training: how long and how fast.
        jitter: of conditional models, in the units of inner fields.
        keep_levels: whether the noise levels are as given, of a conditional diffusion.
    """

    fields: InnerFields
    kind: str
    network: PriorSettings
    training: TrainingSettings
    jitter: float = 0.0
    keep_levels: bool = False

    def cost(self) -> Cost:
        """What the training will take, in time and memory."""
        channels, n = self.network.n_channels, self.fields.values.shape[0]
        features = n_features(channels) if self.kind.startswith("conditional") else channels
        network = eqx.filter_eval_shape(partial(build_network, self.network, features), key=jr.key(0))
        one = jnp.zeros((features, *self.network.space))
        streamed = isinstance(self.fields.values, StreamedFields)
        return training_cost(
            network,
            lambda made: made(one, jnp.zeros(())),
            batch_size=self.training.batch_size,
            n_steps=self.training.n_steps,
            data_bytes=0.0 if streamed else 4.0 * n * channels * math.prod(self.network.space),
        )

    def train(self, folder: Path, coarse: CoarseSide, *, key: Key) -> None:
        """The network, in FOLDER/model; resumes.

        Args:
            folder: of the model.
            coarse: not used.
            key: of everything random in the fit.
        """
        with training_progress(self.training.n_steps) as report:
            self._train(folder / "model", report, substream(key, "prior"))

    def _train(self, folder: Path, report: MetricsReport, key: Key) -> None:
        options: Any = {"folder": folder, "report": report, "key": key}
        if self.kind == "function-space":
            train_function_prior(self.fields.in_memory("a prior of functions"), self.network, self.training, **options)
            return
        values = self.fields.values
        if not isinstance(values, StreamedFields):
            values = pad(values, self.network.space)
        if self.kind == "network":
            train_prior(values, self.network, self.training, **options)
            return
        settings = ConditionalSettings(
            "flow" if self.kind == "conditional-flow" else "diffusion", self.network, self.jitter
        )
        padded = on_grid_of(self.network.space, self.fields.operator)
        train_conditional(values, padded, settings, self.training, keep_levels=self.keep_levels, **options)


def network_fit(
    fields: InnerFields, settings: FitSettings, network: Mapping[str, Any], training: Mapping[str, Any]
) -> NetworkFit:
    """A network for inner fields, built once without weights, so that what does not fit is said before training.

    Args:
        fields: to train on.
        settings: of the fit; `prior` says which kind.
        network: settings that are given, of `PriorSettings`.
        training: settings that are given, of `TrainingSettings`.

    Returns:
        The network and its training.

    Raises:
        ValueError: for settings that do not go together, a periodic grid that the network cannot take, and fields on
            disk that would have to be padded.
    """
    if settings.prior == "function-space":
        fields.in_memory("a prior of functions")
        if settings.jitter:
            raise ValueError(f"jitter = {settings.jitter:g} is of conditional models; a guided prior takes none.")
        functions = function_settings(fields.shape, fields.edges, network)
        return NetworkFit(fields, settings.prior, functions, TrainingSettings(**training))
    levels: dict[str, Any] = {}
    if settings.prior != "network":
        levels = {"sigma_min": NOISE_RANGE[0], "sigma_max": NOISE_RANGE[1]}
    n_channels, *space = fields.shape
    first = PriorSettings(n_channels, tuple(space), padding=(fields.edges,), **{**levels, **network})
    if fields.edges != "periodic":
        wide = smallest_grid(tuple(space), patch=first.patch, n_levels=len(first.channels))
        first = PriorSettings(n_channels, wide, padding=(fields.edges,), **{**levels, **network})
    eqx.filter_eval_shape(partial(build_network, first, n_channels), key=jr.key(0))
    if isinstance(fields.values, StreamedFields) and first.space != tuple(space):
        raise ValueError(
            f"fields of {tuple(space)} points would be padded to {first.space} for this network, which is done in "
            "memory only; choose patch and channels that divide them, or give stream=False."
        )
    keep_levels = "sigma_max" in network
    return NetworkFit(fields, settings.prior, first, TrainingSettings(**training), settings.jitter, keep_levels)
