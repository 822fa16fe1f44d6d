"""Training networks on inner fields, of whatever preparation: a guided prior, or a conditional model for one C′."""

import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from subgrid.downscaling.climate.refinement import pad
from subgrid.downscaling.conditional.model import NOISE_RANGE, ConditionalSettings, train_conditional
from subgrid.downscaling.conditional.refinement import n_features
from subgrid.downscaling.model.draws import on_grid_of
from subgrid.downscaling.prior.model import PriorSettings, build_network, train_prior
from subgrid.downscaling.prior.training import Fields, TrainingSettings
from subgrid.training.cost import Cost, training_cost
from subgrid.training.log import MetricsReport
from subgrid.types import Coarsening, Key

BY_DATA = ("n_channels", "space", "padding")
"""Settings of a network that the data decide."""


@dataclass(frozen=True)
class NetworkFit:
    """A network and its training, for fields of one shape.

    Args:
        kind: "network", "conditional-diffusion" or "conditional-flow".
        network: all its settings, on a grid that it can take.
        training: how long and how fast.
        jitter: of conditional models, in the units of inner fields.
        keep_levels: whether the noise levels are as given, of a conditional diffusion.
    """

    kind: str
    network: PriorSettings
    training: TrainingSettings
    jitter: float = 0.0
    keep_levels: bool = False

    def cost(self, n_fields: int) -> Cost:
        """What the training will take.

        Args:
            n_fields: to train on.

        Returns:
            Time and memory.
        """
        channels = self.network.n_channels
        features = channels if self.kind == "network" else n_features(channels)
        network = eqx.filter_eval_shape(partial(build_network, self.network, features), key=jr.key(0))
        one = jnp.zeros((features, *self.network.space))
        return training_cost(
            network,
            lambda made: made(one, jnp.zeros(())),
            batch_size=self.training.batch_size,
            n_steps=self.training.n_steps,
            data_bytes=4.0 * n_fields * channels * math.prod(self.network.space),
        )

    def train(
        self, fields: Fields, operator: Coarsening, *, folder: Path, report: MetricsReport | None, key: Key
    ) -> None:
        """The model, in `folder`; resumes.

        Args:
            fields: (n, channel, *space), inner fields.
            operator: C′ of them.
            folder: of the prior.
            report: called as report(step, metrics).
            key: of everything random.
        """
        options: Any = {"folder": folder, "report": report, "key": key}
        if isinstance(fields, np.ndarray):
            fields = pad(fields, self.network.space)
        if self.kind == "network":
            train_prior(fields, self.network, self.training, **options)
            return
        settings = ConditionalSettings(
            "flow" if self.kind == "conditional-flow" else "diffusion", self.network, self.jitter
        )
        padded = on_grid_of(self.network.space, operator)
        train_conditional(fields, padded, settings, self.training, keep_levels=self.keep_levels, **options)


def network_fit(
    kind: str,
    shape: tuple[int, ...],
    network: dict[str, Any],
    training: dict[str, Any],
    *,
    padding: str,
    jitter: float = 0.0,
) -> NetworkFit:
    """A network for fields of a shape, built once without weights, so that what does not fit is said before training.

    Args:
        kind: of prior.
        shape: (channel, *space), of inner fields.
        network: settings that are given, of `PriorSettings`.
        training: settings that are given, of `TrainingSettings`.
        padding: of its convolutions, "periodic", "reflect" or "zero". Grids that it cannot take are padded with zeros
            at their far ends, but for periodic ones, which have none.
        jitter: of conditional models.

    Returns:
        The network and its training.

    Raises:
        ValueError: for settings that do not go together, or a periodic grid that the network cannot take.

    Examples:
        >>> network_fit("network", (1, 64, 64), {"channels": (32, 64)}, {"n_steps": 4000}, padding="periodic")
    """
    levels: dict[str, Any] = {} if kind == "network" else {"sigma_min": NOISE_RANGE[0], "sigma_max": NOISE_RANGE[1]}
    first = PriorSettings(shape[0], shape[1:], padding=(padding,), **(levels | network))
    unit = first.patch * 2 ** (len(first.channels) - 1)
    if padding != "periodic":
        space = tuple(-(-n // unit) * unit for n in shape[1:])
        first = PriorSettings(shape[0], space, padding=(padding,), **(levels | network))
    eqx.filter_eval_shape(partial(build_network, first, shape[0]), key=jr.key(0))
    return NetworkFit(kind, first, TrainingSettings(**training), jitter, "sigma_max" in network)
