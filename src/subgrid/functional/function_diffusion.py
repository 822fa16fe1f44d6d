"""A diffusion model of functions: trained on one grid, sampled on any that holds its modes."""

from collections.abc import Sequence
from typing import Any, Literal

import equinox as eqx
import jax
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float

from subgrid.data.batches import draw_batch
from subgrid.functional.admissibility import require_right_noise
from subgrid.functional.conditioning import sample_conditioned
from subgrid.functional.gaussian_field import GaussianField
from subgrid.functional.langevin import annealed_langevin
from subgrid.functional.levels import level_range, variance_levels
from subgrid.functional.objective import operator_loss
from subgrid.functional.operators import DenoisedForm
from subgrid.functional.preconditioning import (
    BandNetwork,
    ModewiseOperator,
    PointwiseOperator,
    require_network,
)
from subgrid.functional.preparation import FunctionSettings, FunctionSpace, prepare
from subgrid.functional.resolution import SuperResolved, super_resolve
from subgrid.functional.reverse import encode, probability_flow, reverse_diffusion, start
from subgrid.training.checkpoint import Checkpoints
from subgrid.training.fitting import fit
from subgrid.training.log import MetricsReport
from subgrid.types import Key

SamplingMethod = Literal["probability-flow", "reverse-diffusion", "langevin"]


class FunctionDiffusion(eqx.Module):
    """A diffusion model of functions on a box, made by `FunctionDiffusion.fit`.

    Args:
        operator: G(v, s, known) of standardised fields.
        space: noise, measured spectrum, training grid and standardisation.
        largest: s₁, the level where samples start.
        smallest: s_L, the level where they end.

    Examples:
        >>> noise = GaussianField(1.5, 5.0, (1.0, 1.0), variance=1.0)
        >>> model = FunctionDiffusion.fit(fields, noise=noise, network=network, key=k1)
        >>> fine = model.sample((128, 128), key=k2)
    """

    operator: ModewiseOperator | PointwiseOperator
    space: FunctionSpace = eqx.field(static=True)
    largest: float = eqx.field(static=True)
    smallest: float = eqx.field(static=True)

    @classmethod
    def fit(
        cls,
        fields: Float[np.ndarray | Array, "n channel *space"],
        *,
        noise: GaussianField,
        network: eqx.Module,
        known: Float[np.ndarray | Array, "n_known known *given"] | None = None,
        settings: FunctionSettings | None = None,
        checkpoints: Checkpoints | None = None,
        report: MetricsReport | None = None,
        key: Key,
    ) -> "FunctionDiffusion":
        """Trains the score operator of fields, every level of noise weighing the same.

        Args:
            fields: samples on a uniform grid of the noise's box, any unit.
            noise: N(0, C); any scale, of which levels are multiples.
            network: N(features, ¼ log s), from `n_features` channels to channels, both of unit variance.
            known: what each field is conditioned on, on a uniform grid of its own over the same box; default nothing.
            settings: of training and preconditioning.
            checkpoints: where to save and resume, default nowhere.
            report: called as for `training.fit`.
            key: random key.

        Returns:
            The model, with averaged weights.

        Raises:
            ValueError: noise that is too smooth for the data, showing the sums; fields that do not wrap around in a
                periodic box, naming the jump; and as `prepare`. What `training.fit` raises passes through.

        References:
            Lim et al. (2023), arXiv:2302.07400.
        """
        settings = settings or FunctionSettings()
        values, shown, space = prepare(
            np.asarray(fields), noise, known=None if known is None else np.asarray(known), smoothing=settings.smoothing
        )
        if not settings.any_noise:
            require_right_noise(space.data, noise, space.grid)
        levels = level_range(space.data, noise, space.grid)
        operator = _operator(network, space, settings)
        require_network(operator, values, shown, modes=settings.preconditioning == "modes")
        loss = lambda operator, batch, key: operator_loss(  # noqa: E731
            operator,
            batch[0],
            data=space.data,
            noise=noise,
            levels=levels,
            known=batch[1],
            of_modes=settings.share_of_modes,
            key=key,
        )
        # One key draws the same samples of both.
        draw = lambda data, key: jax.tree.map(lambda part: draw_batch(part, settings.batch_size, key=key), data)  # noqa: E731
        operator = fit(
            operator, loss, (values, shown), draw, settings.schedule, checkpoints=checkpoints, report=report, key=key
        )
        return cls(operator, space, *levels)

    def denoised_form(self, known: Float[Array, "known *given"] | None = None) -> DenoisedForm:
        """G(v, s) of standardised fields, given what is known.

        Args:
            known: fields in their own units, default nothing.

        Returns:
            A function of v and s, on every grid that holds the band.
        """
        shown = self.space.shown(known)
        return lambda v, s, ignored=None: self.operator(v, s, shown)

    def sample(
        self,
        shape: Sequence[int],
        *,
        known: Float[Array, "known *given"] | None = None,
        like: Float[Array, "channel *coarse"] | None = None,
        method: SamplingMethod = "probability-flow",
        n_levels: int = 32,
        key: Key,
    ) -> Float[Array, "channel *space"]:
        """One sample on a grid; the same key on another grid gives the same function, as far as the operator does.

        Args:
            shape: points along each axis, odd or even, that hold the modes of the training grid.
            known: what it is conditioned on, default nothing.
            like: a field on a grid of its own that the sample continues (`super_resolve`), default none.
            method: "probability-flow" (default, by Heun), "reverse-diffusion", or "langevin", which needs hundreds of
                levels.
            n_levels: of noise, default 32; the flow takes two evaluations for each.
            key: random key.

        Returns:
            A field in the units of the training's.

        Raises:
            ValueError: for a grid below the band, or known fields missing.

        Examples:
            >>> draws = jax.vmap(lambda k: model.sample((256,), key=k))(jax.random.split(key, 100))
        """
        shape = self.space.require_target(tuple(shape))
        if like is not None:
            return self.super_resolve(like, shape, known=known, n_levels=n_levels, key=key).field
        denoised, levels = self.denoised_form(known), self._levels(n_levels)
        start_key, move_key = jr.split(key)
        data = None if method == "langevin" else self._exact
        whole = None if method == "langevin" else self.space.data
        noise, n_channels = self.space.noise, self.space.n_channels
        v = start(noise, shape, levels[0], data=whole, denoised=denoised, n_channels=n_channels, key=start_key)
        match method:
            case "probability-flow":
                u = probability_flow(denoised, v, levels, noise=noise, data=data)
            case "reverse-diffusion":
                u = reverse_diffusion(denoised, v, levels, noise=noise, data=data, key=move_key)
            case "langevin":
                u = annealed_langevin(denoised, v, levels, noise=noise, key=move_key)
        return self.space.standard.inverse(u)

    def super_resolve(
        self,
        given: Float[Array, "channel *coarse"],
        shape: Sequence[int],
        *,
        known: Float[Array, "known *given"] | None = None,
        n_levels: int = 32,
        key: Key,
    ) -> SuperResolved:
        """A field continued to a finer grid by coupled noise: its modes kept, those beyond drawn.

        Args:
            given: a field, on a grid that holds the modes of the training's.
            shape: of the finer grid.
            known: what it is conditioned on, default nothing.
            n_levels: of noise, there and back, default 32.
            key: random key, of the modes beyond.

        Returns:
            The field, and how far its given modes have drifted.

        Raises:
            ValueError: for a given field below the band of the training (`condition` takes it), or beyond `shape`.

        Examples:
            >>> field, drift = model.super_resolve(coarse, (256,), key=key)
        """
        shape = self.space.require_target(tuple(shape))
        self.space.require_given(given, shape)
        denoised, levels, standard = self.denoised_form(known), self._levels(n_levels), self.space.standard
        spaces: dict[str, Any] = {"noise": self.space.noise, "data": self._exact}
        draw = start(shape=shape, s=levels[0], n_channels=self.space.n_channels, key=key, **spaces)
        return super_resolve(
            given,
            shape,
            encode=lambda y: encode(denoised, standard.forward(y), levels, **spaces),
            decode=lambda v: standard.inverse(probability_flow(denoised, v, levels, **spaces)),
            draw=draw,
            box=self.space.noise.box,
        )

    def condition(
        self,
        target: Float[Array, "channel *coarse"],
        shape: Sequence[int],
        *,
        known: Float[Array, "known *given"] | None = None,
        noise_variance: float = 0.0,
        n_iterations: int = 4,
        n_levels: int = 32,
        key: Key,
    ) -> Float[Array, "channel *space"]:
        """One sample of p(u | C′u + ε = y), C′ the cut to the modes of y's grid, by moment matching.

        Args:
            target: y, on any grid, coarser than the training's too.
            shape: of the sample.
            known: what the model is conditioned on besides, default nothing.
            noise_variance: of ε at each point of y, in the fields' units squared, default 0: the modes of y are kept.
            n_iterations: vector–Jacobian products an evaluation, default 4.
            n_levels: of noise, default 32.
            key: random key.

        Returns:
            A field in the units of the training's.

        Raises:
            ValueError: for a grid below the band or below y's, a target of other channels, or noise in y of smoothed
                fields.

        Examples:
            >>> fine = model.condition(coarse, (128,), key=key)
        """
        shape = self.space.require_target(tuple(shape))
        return sample_conditioned(
            self.denoised_form(known),
            target,
            shape,
            self.space,
            noise_variance=noise_variance,
            n_iterations=n_iterations,
            levels=self._levels(n_levels),
            key=key,
        )

    @property
    def _exact(self) -> GaussianField | None:
        """The Gaussian whose part of the flow is exact: that of the preconditioner, if it is one of modes."""
        return self.space.data if isinstance(self.operator, ModewiseOperator) else None

    def _levels(self, n: int) -> Float[Array, " level"]:
        return variance_levels(n, largest=self.largest, smallest=self.smallest)


def _operator(
    network: eqx.Module, space: FunctionSpace, settings: FunctionSettings
) -> ModewiseOperator | PointwiseOperator:
    box = space.noise.box
    if settings.preconditioning == "modes":
        band = BandNetwork(network, box, space.grid, settings.on_given_grid, sees_answer=True)
        return ModewiseOperator(band, space.data, space.noise)
    data, noise = (float(np.mean(each.variance(space.grid))) for each in (space.data, space.noise))
    return PointwiseOperator(network, data, noise, box)
