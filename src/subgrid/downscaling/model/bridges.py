"""Fitting a Schrödinger bridge as the prior of a model: from interpolated coarse fields to inner fine ones."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Float

from subgrid.data.normalise import fit_standardiser
from subgrid.downscaling.debiasing.dynamic import N_PARTNERS, N_SIMULATED
from subgrid.downscaling.model.draws import on_grid_of
from subgrid.downscaling.model.inner import InnerFields
from subgrid.downscaling.model.sides import CoarseSide
from subgrid.downscaling.refined.conditions import coarsen_each
from subgrid.downscaling.refined.refinement import pad
from subgrid.downscaling.upsampling.bridge import UpsamplerSettings, bridge_network, fit_upsampler, steps_done
from subgrid.downscaling.upsampling.starts import gaussian_start
from subgrid.networks.unet import smallest_grid
from subgrid.numerics.streams import substream
from subgrid.training.cost import GRADIENT, Cost, training_cost
from subgrid.training.log import all_of, json_lines
from subgrid.training.progress import training_progress
from subgrid.types import Key


@dataclass(frozen=True)
class BridgeFit:
    """A bridge to inner fields, before it is fitted.

    It starts from the best linear estimate of the fine field (`GaussianStart`), which any C′ and any mask has.

    Args:
        fields: to end in.
        settings: all of them, on a grid that the network can take.
    """

    fields: InnerFields
    settings: UpsamplerSettings

    @property
    def n_steps(self) -> int:
        """Of all iterations."""
        return self.settings.n_iterations * self.settings.n_steps

    def cost(self) -> Cost:
        """What the fit will take: training, and the simulation of pairs after every iteration."""
        settings, n = self.settings, self.fields.values.shape[0]
        network = eqx.filter_eval_shape(partial(bridge_network, settings), key=jr.key(0))
        one = jnp.zeros((settings.n_channels, *settings.space))
        simulated = min(N_SIMULATED, N_PARTNERS * n) * settings.n_sampling_steps * settings.n_iterations
        return training_cost(
            (network, network),
            lambda both: both[0](one, jnp.zeros(())),
            batch_size=settings.batch_size,
            n_steps=self.n_steps + simulated // (GRADIENT * settings.batch_size),
            data_bytes=4.0 * (n + min(N_SIMULATED, N_PARTNERS * n)) * one.size,
        )

    def train(self, folder: Path, coarse: CoarseSide, *, key: Key) -> None:
        """The bridge, in FOLDER/model; resumes.

        Args:
            folder: of the model.
            coarse: the coarse side, fitted, for a bridge from raw fields.
            key: of everything random in the fit.
        """
        settings, model = self.settings, folder / "model"
        fine = pad(self.fields.in_memory("a bridge"), settings.space)
        operator = on_grid_of(settings.space, self.fields.operator)
        shifted = settings.translation_invariant
        start = gaussian_start(fine, fit_standardiser(fine), operator, translation_invariant=shifted)
        source, begun = self._source(coarse, fine), steps_done(model, settings)
        with training_progress(self.n_steps, begun=begun) as shown:
            log = all_of(json_lines(model / "training.jsonl", from_step=begun), shown)
            options = {"folder": model, "report": lambda done, total, loss: log(done, {"loss": loss})}
            fit_upsampler(source, fine, settings, start=start, **options, key=substream(key, "prior"))

    def _source(
        self, coarse: CoarseSide, fine: Float[np.ndarray, "n channel *fine"]
    ) -> Float[np.ndarray, "m channel *coarse"]:
        """Coarse fields of the distribution that will be downscaled."""
        if self.settings.source == "raw":
            return self.fields.raw(coarse)
        return np.asarray(coarsen_each(on_grid_of(self.settings.space, self.fields.operator), jnp.asarray(fine)))


def bridge_fit(fields: InnerFields, given: Mapping[str, Any]) -> BridgeFit:
    """A bridge to inner fields, its network built once without weights.

    Args:
        fields: to end in.
        given: settings that are given, of `UpsamplerSettings`.

    Returns:
        The fit.

    Raises:
        ValueError: for settings that do not go together, a periodic grid that the network cannot take, and fields on
            disk.
    """
    fields.in_memory("a bridge")
    n_channels, *space = fields.shape
    shapes: dict[str, Any] = {"coarse": tuple(fields.operator.coarse_shape), "factors": ()}
    made = UpsamplerSettings(n_channels, **shapes, periodic=fields.edges == "periodic", grid=tuple(space), **given)
    if not made.periodic:
        wide = smallest_grid(tuple(space), patch=made.patch, n_levels=len(made.channels))
        made = replace(made, grid=wide)
    eqx.filter_eval_shape(partial(bridge_network, made), key=jr.key(0))
    return BridgeFit(fields, made)
