"""Networks as score operators: what is known of Gaussian data is given, and the network learns the rest.

    G(v, s) = c_skip v + c_out N(c_in v, ¼ log s),
    c_in = S^{−1/2},   c_skip = λ₁/S,   c_out = √(sλ₁λ₂/S),      S = λ₁ + sλ₂

mode by mode, λ₁ measured from the data: input and target of the network then have the same variance in every mode, at
every level, and for Gaussian data nothing is left to learn. Beyond the modes of the training grid λ₁ goes on by a power
law, so that further resolution starts as a Gaussian of the right spectrum instead of empty. (Karras et al. 2022,
arXiv:2206.00364, have the same with one number for all modes: `PointwiseOperator`.)

White modes hide what is large: among 64 of them the one mode that tells two regimes apart has a 64th of the variance,
and convolutions do not find it. So the network sees the field a second time, as the Gaussian's answer λ₁/S v, scaled
to unit variance at a point, where every mode weighs what it weighs in the data (`seen`).
"""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num, Scalar

from subgrid.functional.gaussian_field import GaussianField, as_gain
from subgrid.functional.operators import noisy_variances, posterior_variances, shrinkage
from subgrid.numerics.modes import Box
from subgrid.types import Spatial


class BandNetwork(eqx.Module):
    """A network between modes of a band: what it sees is cut to them, whatever the grid.

    By default it runs on the grid whose modes these are, and what it gives has no others: any network then is the same
    operator on every finer grid, at the same cost. With `on_given_grid` it runs on the grid of the field, and what it
    gives beyond the band is kept: for networks that are one operator on all grids by themselves. Fields are scaled to
    unit variance at a point on both sides.

    Args:
        network: N(features, t), from twice the channels (and known channels) to channels; see `n_features`.
        box: of the modes.
        grid: of the band, that of the training.
        on_given_grid: where the network runs, default not.
        sees_answer: whether it sees the Gaussian's answer beside the white modes; models of earlier versions do not,
            and have half the features.
    """

    network: eqx.Module
    box: Box = eqx.field(static=True)
    grid: Spatial = eqx.field(static=True)
    on_given_grid: bool = eqx.field(static=True, default=False)
    sees_answer: bool = eqx.field(static=True, default=False)

    def __call__(
        self,
        modes: Num[Array, "..."],
        shape: Spatial,
        t: Scalar,
        known: Any = None,
        *,
        first: Float[Array, "..."],
        total: Float[Array, "..."],
    ) -> Num[Array, "..."]:
        """White modes of a grid, from modes of the variances `total` there; both variances are those of the band."""
        box, place = self.box, shape if self.on_given_grid else self.grid
        views = seen(box.resize_modes(modes, shape, self.grid), first, total, box.weights(self.grid))
        views = views if self.sees_answer else views[: len(modes)]
        features = box.from_modes(box.resize_modes(views, self.grid, place), place)
        result = self.network(with_known(features, known, box), t)  # pyright: ignore[reportCallIssue]
        size = np.sqrt(box.weights(self.grid).sum())
        return box.resize_modes(size * box.to_modes(result), place, shape)


def n_features(n_channels: int, n_known: int = 0) -> int:
    """Channels that a network of modes has to take.

    Args:
        n_channels: of the fields.
        n_known: of what they are conditioned on, default 0.

    Returns:
        Two for each channel of the fields, white and as a Gaussian's answer, and one for each known one.

    Examples:
        >>> UNet(n_features(1), 1, n_space=1, key=key)
    """
    return 2 * n_channels + n_known


def require_network(
    model: Any,
    fields: Float[Array, "n channel *space"],
    known: Float[Array, "n known *given"] | None,
    *,
    modes: bool,
) -> None:
    """Passes if a network takes what it will see and gives fields; nothing is computed.

    Args:
        model: G(v, s, known) or v(x, t, known), with the network.
        fields: of the training grid.
        known: what each is conditioned on, or None.
        modes: whether it is one of modes.

    Raises:
        ValueError: naming the channels that it has to take and give.
    """
    x, given, n_known = fields[0], None if known is None else known[0], 0 if known is None else known.shape[1]
    n_seen = n_features(len(x), n_known) if modes else len(x) + n_known
    try:
        shape = eqx.filter_eval_shape(model, x, jnp.asarray(0.5), given).shape
    except (TypeError, ValueError, IndexError) as error:
        shape, why = None, str(error).partition("\n")[0]
    else:
        why = f"it gives fields of the shape {shape}"
    if shape != x.shape:
        raise ValueError(
            f"the network has to make {len(x)} channels from {n_seen} (functional.n_features), on {x.shape[1:]} "
            f"points: {why}."
        )


def seen(
    modes: Num[Array, "channel ..."],
    first: Float[Array, "..."],
    total: Float[Array, "..."],
    weights: Float[np.ndarray, "..."],
) -> Num[Array, "views ..."]:
    """What a network sees of modes: S^{−1/2} v and λ₁/S v, each of unit variance at a point.

    Args:
        modes: v.
        first: λ₁, variances of the data.
        total: S, variances of v.
        weights: of the modes in the variance at a point.

    Returns:
        The first of all channels, then the second.
    """
    positive, axes = jnp.where(total > 0, total, jnp.inf), tuple(range(-weights.ndim, 0))
    answer = jnp.sqrt(jnp.sum(as_gain(weights) * first**2 / positive, axis=axes, keepdims=True))
    white = modes / jnp.sqrt(positive * weights.sum())
    return jnp.concatenate([white, first / positive / jnp.where(answer > 0, answer, jnp.inf) * modes])


class ModewiseOperator(eqx.Module):
    """The denoised form G(v, s, known) of a network, preconditioned in every mode.

    Args:
        network: N(features, t) of fields of unit variance, t = ¼ log s.
        data: Gaussian of the measured spectrum of the data (`fit_gaussian_field`).
        noise: N(0, C).

    Examples:
        >>> band = BandNetwork(network, noise.box, (64,), sees_answer=True)
        >>> operator = ModewiseOperator(band, data, noise)
        >>> operator(v, jnp.array(0.1))  # v on 64 points or any finer grid
    """

    network: BandNetwork
    data: GaussianField = eqx.field(static=True)
    noise: GaussianField = eqx.field(static=True)

    def __call__(
        self, v: Float[Array, "channel *space"], s: Scalar | float, known: Any = None
    ) -> Float[Array, "channel *space"]:
        box, shape = self.noise.box, v.shape[1:]
        modes, grid = box.to_modes(v), self.network.grid
        first, total = as_gain(self.data.mode_variances(grid)), noisy_variances(self.data, self.noise, grid, s)
        learned = self.network(modes, shape, jnp.log(s) / 4, known, first=first, total=total)
        spread = jnp.sqrt(posterior_variances(self.data, self.noise, shape, s))
        return box.from_modes(shrinkage(self.data, self.noise, shape, s) * modes + spread * learned, shape)


class PointwiseOperator(eqx.Module):
    """G(v, s, known) of a network on the grid of v, preconditioned by variances at points of the training grid.

        p = p₁ + s p₂:   c_in = p^{−1/2},   c_skip = p₁/p,   c_out = √(s p₁p₂/p)

    What other networks get, beyond the training grid too: only a network that is one operator on all grids, and noise
    that is a function, make this one. Kept for comparison.

    Args:
        network: N(features, t), t = ¼ log s.
        data_variance: p₁.
        noise_variance: p₂, of N(0, C) at a point of the training grid.
        box: where fields live.
    """

    network: eqx.Module
    data_variance: float = eqx.field(static=True)
    noise_variance: float = eqx.field(static=True)
    box: Box = eqx.field(static=True)

    def __call__(
        self, v: Float[Array, "channel *space"], s: Scalar | float, known: Any = None
    ) -> Float[Array, "channel *space"]:
        eta = s * self.noise_variance
        total = self.data_variance + eta
        features = with_known(v / jnp.sqrt(total), known, self.box)
        learned = self.network(features, jnp.log(s) / 4)  # pyright: ignore[reportCallIssue]
        return self.data_variance / total * v + jnp.sqrt(eta * self.data_variance / total) * learned


def with_known(features: Float[Array, "..."], known: Any, box: Box) -> Float[Array, "..."]:
    """Known fields, given on any grid, as channels beside the features."""
    if known is None:
        return features
    return jnp.concatenate([features, box.resize(jnp.asarray(known, features.dtype), features.shape[1:])])
