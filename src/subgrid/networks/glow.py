"""Glow: an invertible network whose Jacobian determinant is known, and so a density of fields.

A level gathers blocks of points into channels, takes some steps, and gives half of the channels away as latents; the
last one gives all. A step is an affine map of each channel, a matrix on the channels (a 1 × 1 convolution), and a
coupling: half of the channels are scaled and shifted by what a network makes of the other half.

What acts at every point alike counts as often as there are points: log|det| of a scale s a channel, and of a matrix W,
is (points) × Σ log|s| and (points) × log|det W|.
"""

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import scipy.linalg
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float, Int, Scalar

from subgrid.networks.correlation import per_axis
from subgrid.networks.layers import Convolution, Linear, Padding, depth_to_space, initial_weights, space_to_depth
from subgrid.types import Key

LEAST_SCALE = 0.1
"""Of a coupling, whose scales are sigmoid + .1: what is divided by in the inverse stays away from 0."""
FULL = jax.lax.Precision.HIGHEST
"""Of matrix products that must be undone."""
Latents: TypeAlias = tuple[Float[Array, "..."], ...]
"""What every level gives away, channels last, finest first: as many numbers as the field has."""


class ActNorm(eqx.Module):
    """x·exp(ℓ) + b, two numbers a channel, set by the first batch to mean 0 and variance 1.

    Args:
        channels: of the field.
    """

    log_scale: Float[Array, " channel"]
    """ℓ."""
    shift: Float[Array, " channel"]
    """b."""

    def __init__(self, channels: int):
        self.log_scale, self.shift = jnp.zeros(channels), jnp.zeros(channels)

    def forward(self, x: Float[Array, "*space channel"]) -> tuple[Float[Array, "*space channel"], Scalar]:
        return x * jnp.exp(self.log_scale) + self.shift, _points(x) * jnp.sum(self.log_scale)

    def inverse(self, z: Float[Array, "*space channel"]) -> Float[Array, "*space channel"]:
        return (z - self.shift) * jnp.exp(-self.log_scale)

    def fitted(self, batch: Float[Array, "n *space channel"]) -> "ActNorm":
        """The one that this batch leaves with mean 0 and variance 1."""
        axes = tuple(range(batch.ndim - 1))
        log_scale = -jnp.log(jnp.std(batch, axes) + 1e-6)
        shift = -jnp.mean(batch, axes) * jnp.exp(log_scale)
        return eqx.tree_at(lambda n: (n.log_scale, n.shift), self, (log_scale, shift))


class InvertibleMatrix(eqx.Module):
    """W x at every point, W = P L (U + diag(±eˢ)): a 1 × 1 convolution whose determinant is read off.

    P is a fixed permutation, L and U are triangular, L with ones on its diagonal. W starts as a random rotation.

    Args:
        channels: of the field.
        key: random key.

    References:
        Kingma & Dhariwal (2018), arXiv:1807.03039, section 3.2.
    """

    lower: Float[Array, "channel channel"]
    """L; what stands on the diagonal or above it is not read."""
    upper: Float[Array, "channel channel"]
    """U; what stands on the diagonal or below it is not read."""
    log_diagonal: Float[Array, " channel"]
    """s."""
    sign: Int[Array, " channel"]
    """±, fixed."""
    order: Int[Array, " channel"]
    """P as positions, fixed: row i of W is row `order[i]` of what follows P."""

    def __init__(self, channels: int, *, key: Key):
        # On the host: each size of these factorisations takes a second to compile.
        rotation, _ = np.linalg.qr(np.asarray(initial_weights((channels, channels), 1.0, key=key), np.float64))
        factors: Any = scipy.linalg.lu(rotation, p_indices=True)  # whose type depends on the options
        order, lower, upper = factors
        diagonal = np.diagonal(upper)
        self.lower, self.upper = jnp.asarray(lower, jnp.float32), jnp.asarray(upper, jnp.float32)
        self.log_diagonal = jnp.asarray(np.log(np.abs(diagonal)), jnp.float32)
        self.sign, self.order = jnp.asarray(np.sign(diagonal), jnp.int32), jnp.asarray(order, jnp.int32)

    def forward(self, x: Float[Array, "*space channel"]) -> tuple[Float[Array, "*space channel"], Scalar]:
        lower, upper = self._factors()
        matrix = jnp.matmul(lower, upper, precision=FULL)[self.order]
        return jnp.matmul(x, matrix.T, precision=FULL), _points(x) * jnp.sum(self.log_diagonal)

    def inverse(self, z: Float[Array, "*space channel"]) -> Float[Array, "*space channel"]:
        lower, upper = self._factors()
        unordered = jnp.eye(len(self.order))[self.order].T  # P⁻¹
        undone = solve_triangular(upper, solve_triangular(lower, unordered, lower=True, unit_diagonal=True))
        return jnp.matmul(z, undone.T, precision=FULL)

    def _factors(self) -> tuple[Array, Array]:
        """L and U + diag(±eˢ)."""
        lower = jnp.tril(self.lower, -1) + jnp.eye(len(self.sign))
        return lower, jnp.triu(self.upper, 1) + jnp.diag(self.sign * jnp.exp(self.log_diagonal))


class AffineCoupling(eqx.Module):
    """(a, b) ↦ (a, (b + t(a))·s(a)), with s = sigmoid(2 + …) + .1 and t from three convolutions; t = 0, s ≈ 1 at first.

    Args:
        channels: of the field, at least 2.
        filters: width of the convolutions.
        padding: the rule of each space axis.
        key: random key.

    References:
        Dinh, Sohl-Dickstein & Bengio (2017), arXiv:1605.08803; the scale of Groenke, Madaus & Monteleoni (2020),
        arXiv:2008.04679.
    """

    conv_in: Convolution
    """Of the half that is kept."""
    hidden: Linear
    """At every point."""
    conv_out: Convolution
    """To t and the logit of s, starting at zero."""

    def __init__(self, channels: int, filters: int, *, padding: tuple[Padding, ...], key: Key):
        in_key, hidden_key, out_key = jr.split(key, 3)
        kept = channels // 2
        self.conv_in = Convolution(kept, filters, padding=padding, key=in_key)
        self.hidden = Linear(filters, filters, key=hidden_key)
        self.conv_out = Convolution(filters, 2 * (channels - kept), padding=padding, gain=0.0, key=out_key)

    def forward(self, x: Float[Array, "*space channel"]) -> tuple[Float[Array, "*space channel"], Scalar]:
        kept, moved = _halves(x)
        shift, scale = self._shift_and_scale(kept)
        return jnp.concatenate([kept, (moved + shift) * scale], -1), jnp.sum(jnp.log(scale))

    def inverse(self, z: Float[Array, "*space channel"]) -> Float[Array, "*space channel"]:
        kept, moved = _halves(z)
        shift, scale = self._shift_and_scale(kept)
        return jnp.concatenate([kept, moved / scale - shift], -1)

    def _shift_and_scale(self, kept: Array) -> tuple[Array, Array]:
        h = jax.nn.relu(self.hidden(jax.nn.relu(self.conv_in(kept))))
        shift, logit = jnp.split(self.conv_out(h), 2, -1)
        return shift, jax.nn.sigmoid(logit + 2) + LEAST_SCALE


class GlowStep(eqx.Module):
    """Normalisation, matrix, coupling.

    Args:
        channels: of the field.
        filters: width of the coupling.
        padding: the rule of each space axis.
        key: random key.
    """

    norm: ActNorm
    """Of every channel."""
    matrix: InvertibleMatrix
    """On the channels."""
    coupling: AffineCoupling
    """Of one half to the other."""

    def __init__(self, channels: int, filters: int, *, padding: tuple[Padding, ...], key: Key):
        matrix_key, coupling_key = jr.split(key)
        self.norm, self.matrix = ActNorm(channels), InvertibleMatrix(channels, key=matrix_key)
        self.coupling = AffineCoupling(channels, filters, padding=padding, key=coupling_key)

    def forward(self, x: Float[Array, "*space channel"]) -> tuple[Float[Array, "*space channel"], Scalar]:
        total = jnp.zeros(())
        for part in (self.norm, self.matrix, self.coupling):
            x, log_det = part.forward(x)
            total = total + log_det
        return x, total

    def inverse(self, z: Float[Array, "*space channel"]) -> Float[Array, "*space channel"]:
        return self.norm.inverse(self.matrix.inverse(self.coupling.inverse(z)))


@dataclass(frozen=True)
class GlowSettings:
    """The size of a `Glow`; the defaults are for fields of 64 × 64 points on two cores.

    Args:
        n_levels: default 3.
        n_steps: of each level, default 8.
        filters: width of the couplings, default 32.
        patch: points an axis gathered before the first level, default 4; every further level gathers 2.
        padding: "periodic", the default, "reflect" or "zero", for all axes or for each.
    """

    n_levels: int = 3
    n_steps: int = 8
    filters: int = 32
    patch: int = 4
    padding: Padding | tuple[Padding, ...] = "periodic"


class Glow(eqx.Module):
    """A bijection between fields and latents of as many numbers, N(0, 1) each where the field is as it was trained on.

    Args:
        n_channels: of the field.
        space: points along each axis, each divisible by patch·2^(levels − 1).
        settings: depth, width, padding.
        key: random key.

    Raises:
        ValueError: for a grid that the levels do not divide, or a level with a single channel.

    References:
        Kingma & Dhariwal (2018), arXiv:1807.03039.

    Examples:
        >>> flow = fitted_to(Glow(1, (64, 64), GlowSettings(), key=key), fields[:256])
        >>> latents, log_det = flow.forward(x)
        >>> flow.inverse(latents)  # x
    """

    levels: list[GlowStep]
    """The steps of each level, stacked along the first axis of every weight, finest level first."""
    patch: int = eqx.field(static=True)
    """Points an axis gathered before the first level."""

    def __init__(self, n_channels: int, space: tuple[int, ...], settings: GlowSettings = GlowSettings(), *, key: Key):
        unit = settings.patch * 2 ** (settings.n_levels - 1)
        if any(n % unit for n in space):
            raise ValueError(
                f"a grid of {space} points is not divisible by patch x 2^(levels - 1) = {unit}; lower one of them."
            )
        rules, channels, self.levels = per_axis(settings.padding, len(space)), n_channels, []
        for level, level_key in enumerate(jr.split(key, settings.n_levels)):
            channels *= (2 if level else settings.patch) ** len(space)
            if channels < 2:
                raise ValueError("a level of one channel has no halves to couple; take a larger patch.")
            keys = jr.split(level_key, settings.n_steps)
            steps = [GlowStep(channels, settings.filters, padding=rules, key=k) for k in keys]
            self.levels.append(jax.tree.map(lambda *leaves: jnp.asarray(np.stack(leaves)), *steps))
            channels -= channels // 2
        self.patch = settings.patch

    def forward(self, x: Float[Array, "channel *space"]) -> tuple[Latents, Scalar]:
        """Latents z and log|det ∂z/∂x|.

        Args:
            x: the field.

        Returns:
            What each level gives away, finest first, and the logarithm of the determinant.
        """
        h, latents, total = jnp.moveaxis(x, 0, -1), [], jnp.zeros(())
        for level, steps in enumerate(self.levels):
            h = space_to_depth(h, 2 if level else self.patch)
            h, log_dets = jax.lax.scan(lambda h, step: step.forward(h), h, steps)
            total = total + jnp.sum(log_dets)
            if level < len(self.levels) - 1:
                given, h = _halves(h)
                latents.append(given)
        return (*latents, h), total

    def inverse(self, latents: Latents) -> Float[Array, "channel *space"]:
        """The field of these latents.

        Args:
            latents: as `forward` gives them.

        Returns:
            The field.
        """
        h = latents[-1]
        for level in reversed(range(len(self.levels))):
            if level < len(self.levels) - 1:
                h = jnp.concatenate([latents[level], h], -1)
            h, _ = jax.lax.scan(lambda h, step: (step.inverse(h), None), h, self.levels[level], reverse=True)
            h = depth_to_space(h, 2 if level else self.patch)
        return jnp.moveaxis(h, -1, 0)


def fitted_to(flow: Glow, fields: Float[Array, "n channel *space"]) -> Glow:
    """The same flow with every normalisation set, step after step, to what these fields are when they come to it.

    Args:
        flow: untrained.
        fields: a batch, of some hundred values a channel at least.

    Returns:
        The flow to begin training with.
    """

    def fit_step(h, step: GlowStep):
        step = eqx.tree_at(lambda s: s.norm, step, step.norm.fitted(h))
        return jax.vmap(lambda one: step.forward(one)[0])(h), step

    h, levels = jnp.moveaxis(fields, 1, -1), []
    for level, steps in enumerate(flow.levels):
        factor = 2 if level else flow.patch
        h = jax.vmap(lambda one, factor=factor: space_to_depth(one, factor))(h)
        h, fitted = jax.lax.scan(fit_step, h, steps)
        levels.append(fitted)
        h = _halves(h)[1]
    return eqx.tree_at(lambda f: f.levels, flow, levels)


def log_density(flow, x: Float[Array, "channel *space"]) -> Scalar:
    """log p(x) = Σ log N(z; 0, 1) + log|det ∂z/∂x|, in nats.

    Args:
        flow: with `forward(x) -> (latents, log_det)`.
        x: the field.

    Returns:
        The logarithm of the density.
    """
    latents, log_det = flow.forward(x)
    return log_standard_normal(latents) + log_det


def log_standard_normal(latents) -> Scalar:
    """Σ log N(z; 0, 1) over all numbers of the latents.

    Args:
        latents: arrays, or a tree of them.

    Returns:
        The logarithm of the density.
    """
    each = [-0.5 * jnp.sum(z**2) - 0.5 * z.size * math.log(2 * math.pi) for z in jax.tree.leaves(latents)]
    return jnp.sum(jnp.stack(each))


def _halves(x: Float[Array, "*space channel"]) -> tuple[Array, Array]:
    """The first half of the channels, rounded down, and the other."""
    kept = x.shape[-1] // 2
    return x[..., :kept], x[..., kept:]


def _points(x: Float[Array, "*space channel"]) -> int:
    return math.prod(x.shape[:-1])
