"""A flow between a Gaussian measure and functions: trained on one grid, followed on any that holds its modes."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float

from subgrid.data.batches import draw_batch
from subgrid.functional.conditioning import sample_conditioned
from subgrid.functional.couplings import choose_transport
from subgrid.functional.flow import ModewiseVelocity, PointwiseVelocity, denoised_of_velocity, flow_loss
from subgrid.functional.gaussian_field import GaussianField
from subgrid.functional.levels import level_range, variance_levels
from subgrid.functional.operators import DenoisedForm
from subgrid.functional.preconditioning import BandNetwork, require_network
from subgrid.functional.preparation import FunctionSettings, FunctionSpace, prepare
from subgrid.functional.resolution import SuperResolved, super_resolve
from subgrid.functional.reverse import encode, probability_flow, start
from subgrid.training.checkpoint import Checkpoints
from subgrid.training.fitting import fit
from subgrid.training.log import MetricsReport
from subgrid.transport.couplings import Coupling, Independent
from subgrid.types import Key, Velocity

COUPLED = 1e3
"""Times the largest level, for base and data that are paired. Fields at a level s are not N(0, C₁ + sC₀) then, and the
more of the base they hold the less that matters: a thousandth is left."""


class FunctionFlow(eqx.Module):
    """A flow to functions on a box, made by `FunctionFlow.fit`.

    Args:
        field: v(x, t, known) of standardised fields.
        space: base (as its noise), measured spectrum, training grid and standardisation.
        levels: the largest and the smallest s of training and samples, none below σ².
        sigma_min: σ, what is left of the base at t = 1; samples are without it.
        said: how base and data were paired.

    Examples:
        >>> base = GaussianField(2.5, 5.0, (1.0, 1.0), variance=1.0)
        >>> model = FunctionFlow.fit(fields, noise=base, network=network, key=k1)
        >>> fine = model.sample((128, 128), key=k2)
    """

    field: ModewiseVelocity | PointwiseVelocity
    space: FunctionSpace = eqx.field(static=True)
    levels: tuple[float, float] = eqx.field(static=True)
    sigma_min: float = eqx.field(static=True, default=0.0)
    said: str = eqx.field(static=True, default="Base and data are independent.")

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
    ) -> "FunctionFlow":
        """Trains the velocity from a Gaussian measure to fields, every level s = (a/t)² weighing the same.

        Args:
            fields: samples on a uniform grid of the noise's box, any unit.
            noise: the base N(0, C₀); of unit variance by rule, as standardised fields are. The closer its spectrum to
                that of the data, the cheaper the flow; smoother than the data is allowed.
            network: N(features, ¼ log s) at the level s = (a/t)², from `n_features` channels to channels, both of
                unit variance.
            known: what each field is conditioned on, on a uniform grid of its own over the same box; default nothing.
            settings: of training and preconditioning.
            checkpoints: where to save and resume, default nowhere.
            report: called as for `training.fit`.
            key: random key.

        Returns:
            The model, with averaged weights.

        Raises:
            ValueError: fields that do not wrap around in a periodic box, naming the jump; a σ that leaves no levels;
                and as `prepare`. What `training.fit` raises passes through.

        References:
            Kerrigan, Migliorini & Smyth (2023), arXiv:2305.17209.
        """
        settings = settings or FunctionSettings()
        values, shown, space = prepare(
            np.asarray(fields), noise, known=None if known is None else np.asarray(known), smoothing=settings.smoothing
        )
        coupling: Coupling = Independent()
        said = "Base and data are independent."
        if settings.transport:
            coupling, said = choose_transport(space.data, noise, space.grid)
        levels = _levels_of(space, settings)
        velocity = _velocity(network, space, settings, levels)
        require_network(velocity, values, shown, modes=settings.preconditioning == "modes")

        draw = lambda data, key: _pairs(data, coupling, space, settings.batch_size, key=key)  # noqa: E731
        loss = lambda velocity, batch, key: flow_loss(  # noqa: E731
            velocity,
            batch,
            data=space.data,
            base=noise,
            levels=levels,
            sigma_min=settings.sigma_min,
            of_modes=settings.share_of_modes,
            key=key,
        )
        trained = fit(
            velocity, loss, (values, shown), draw, settings.schedule, checkpoints=checkpoints, report=report, key=key
        )
        return cls(trained, space, levels, settings.sigma_min, said)

    def velocity(self, known: Float[Array, "known *given"] | None = None) -> Velocity:
        """v(x, t) of standardised fields, given what is known.

        Args:
            known: fields in their own units, default nothing.

        Returns:
            A function of x and t, on every grid that holds the band.
        """
        shown = self.space.shown(known)
        return lambda x, t, ignored=None: self.field(x, t, shown)

    def denoised_form(self, known: Float[Array, "known *given"] | None = None) -> DenoisedForm:
        """G(v, s) of standardised fields, given what is known, that the velocity states too (`denoised_of_velocity`).

        Args:
            known: fields in their own units, default nothing.

        Returns:
            A function of v and s, on every grid that holds the band.
        """
        return denoised_of_velocity(self.velocity(known), sigma_min=self.sigma_min)

    def sample(
        self,
        shape: Sequence[int],
        *,
        known: Float[Array, "known *given"] | None = None,
        like: Float[Array, "channel *coarse"] | None = None,
        n_levels: int = 32,
        key: Key,
    ) -> Float[Array, "channel *space"]:
        """One sample on a grid; the same key on another grid gives the same function, as far as the velocity does.

        Args:
            shape: points along each axis, odd or even, that hold the modes of the training grid.
            known: what it is conditioned on, default nothing.
            like: a field on a grid of its own that the sample continues (`super_resolve`), default none.
            n_levels: default 32; the flow takes two evaluations for each.
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
        denoised, levels, spaces = self.denoised_form(known), self._levels(n_levels), self._spaces
        whole = {"data": self.space.data, "denoised": denoised, "n_channels": self.space.n_channels}
        v = start(self.space.noise, shape, levels[0], **whole, key=key)
        return self.space.standard.inverse(probability_flow(denoised, v, levels, **spaces))

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
            n_levels: there and back, default 32.
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
        denoised, levels, spaces = self.denoised_form(known), self._levels(n_levels), self._spaces
        standard = self.space.standard
        return super_resolve(
            given,
            shape,
            encode=lambda y: encode(denoised, standard.forward(y), levels, **spaces),
            decode=lambda v: standard.inverse(probability_flow(denoised, v, levels, **spaces)),
            draw=start(shape=shape, s=levels[0], n_channels=self.space.n_channels, key=key, **spaces),
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

    def _levels(self, n: int) -> Float[Array, " level"]:
        largest, smallest = self.levels
        return variance_levels(n, largest=largest, smallest=smallest)

    @property
    def _spaces(self) -> dict[str, Any]:
        """The base, as noise, and the Gaussian whose part is exact: that of the preconditioner, if it is of modes."""
        exact = None if isinstance(self.field, PointwiseVelocity) else self.space.data
        return {"noise": self.space.noise, "data": exact}


def _levels_of(space: FunctionSpace, settings: FunctionSettings) -> tuple[float, float]:
    """The largest and the smallest s of training and samples."""
    largest, smallest = level_range(space.data, space.noise, space.grid)
    largest, smallest = largest * (COUPLED if settings.transport else 1), max(smallest, settings.sigma_min**2)
    if smallest >= largest:
        raise ValueError(
            f"sigma_min = {settings.sigma_min:g} leaves more of the base than the largest level has, {largest:.2g}; "
            "take less, such as 0."
        )
    return largest, smallest


def _pairs(data: Any, coupling: Coupling, space: FunctionSpace, size: int, *, key: Key) -> tuple[Array, Array, Any]:
    """A batch of the base and of data, paired, and what each pair is conditioned on."""
    batch_key, base_key, pair_key = jr.split(key, 3)
    x1, given = jax.tree.map(lambda part: draw_batch(part, size, key=batch_key), data)
    one = lambda k: space.noise.sample(space.grid, n_channels=space.n_channels, key=k)  # noqa: E731
    x0 = jax.vmap(one)(jr.split(base_key, size))
    i, j = coupling(x0, x1, key=pair_key)
    return x0[i], x1[j], jax.tree.map(lambda part: part[j], given)


def _velocity(
    network: eqx.Module, space: FunctionSpace, settings: FunctionSettings, levels: tuple[float, float]
) -> ModewiseVelocity | PointwiseVelocity:
    box = space.noise.box
    if settings.preconditioning == "points":
        return PointwiseVelocity(network, box, levels, settings.sigma_min)
    band = BandNetwork(network, box, space.grid, settings.on_given_grid, sees_answer=True)
    return ModewiseVelocity(band, space.data, space.noise, levels, settings.sigma_min)
