"""Flow matching in function space: from a Gaussian measure to the data, along straight lines.

    x_t = t x₁ + a(t) x₀,      x₀ ~ N(0, C₀),  a = 1 − (1 − σ)t,      E[dx_t/dt | x_t] = v(x_t, t)

For Gaussian data N(m, C₁) and V = a²λ₀ + t²λ₁, mode by mode,

    v = m + (tλ₁ − (1 − σ)aλ₀)/V (x − tm),      Var[dx_t/dt | x_t] = λ₀λ₁/V.

The rate of a mode reaches ½√(λ₀/λ₁), or its inverse: the rougher of base and data sets the cost of an adaptive solver,
the same at every resolution for measures on functions, growing with it for white noise.

Scaled, x_t/t is data with the noise N(0, sC₀) of a diffusion, s = (a/t)². What a network adds to a mode lies about
s = λ₁/λ₀, for short waves just before t = 1: times of a training are drawn at equal steps of log s, and samples are
those of the probability flow that it is (`denoised_of_velocity`, `reverse.py`).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree, Scalar, Shaped

from subgrid.functional.gaussian_field import GaussianField, as_gain
from subgrid.functional.objective import loss_over_floor
from subgrid.functional.operators import DenoisedForm
from subgrid.functional.preconditioning import BandNetwork, with_known
from subgrid.numerics.modes import Box
from subgrid.numerics.stratified import stratified_uniforms
from subgrid.types import Key, Spatial, Velocity


class Solved(NamedTuple):
    """What an adaptive solver found, and what it took."""

    field: Float[Array, "channel *space"]
    """At the end."""
    n_evaluations: Scalar
    """Of the velocity."""


class ModewiseVelocity(eqx.Module):
    """v(x, t, known): the exact velocity of a Gaussian of the data's spectrum, and what a network adds.

        v = v_G(x, t) + √(λ₀λ₁/V) N(V^{−1/2} x, ¼ log s)

    Args:
        band: of a network of fields of unit variance.
        data: N(0, C₁), of the measured spectrum.
        base: N(0, C₀).
        levels: the largest and the smallest s that the network is told, those of its training.
        sigma_min: σ, default 0.

    Examples:
        >>> band = BandNetwork(network, base.box, (64,), sees_answer=True)
        >>> velocity = ModewiseVelocity(band, data, base, level_range(data, base, (64,)))
    """

    band: BandNetwork
    data: GaussianField = eqx.field(static=True)
    base: GaussianField = eqx.field(static=True)
    levels: tuple[float, float] = eqx.field(static=True)
    sigma_min: float = eqx.field(static=True, default=0.0)

    def __call__(
        self, x: Float[Array, "channel *space"], t: Scalar | float, known: Any = None
    ) -> Float[Array, "channel *space"]:
        box, shape = self.base.box, x.shape[1:]
        total, rate = path_variances(self.data, self.base, shape, t, sigma_min=self.sigma_min)
        modes, grid = box.to_modes(x), self.band.grid
        in_band, _ = path_variances(self.data, self.base, grid, t, sigma_min=self.sigma_min)
        first = as_gain(self.data.mode_variances(grid))
        time = _network_time(t, self.levels, self.sigma_min)
        learned = self.band(modes, shape, time, known, first=first, total=in_band)
        both = as_gain(self.base.mode_variances(shape) * self.data.mode_variances(shape))
        return box.from_modes(rate * modes + jnp.sqrt(both / _or_infinity(total)) * learned, shape)


class PointwiseVelocity(eqx.Module):
    """v(x, t, known) = N(x, ¼ log s): a network alone, on the grid of x. Kept for comparison.

    Args:
        operator: N(features, ¼ log s), one operator on all grids by itself.
        box: where fields live.
        levels: the largest and the smallest s that the network is told, those of its training.
        sigma_min: σ, default 0.
    """

    operator: eqx.Module
    box: Box = eqx.field(static=True)
    levels: tuple[float, float] = eqx.field(static=True)
    sigma_min: float = eqx.field(static=True, default=0.0)

    def __call__(
        self, x: Float[Array, "channel *space"], t: Scalar | float, known: Any = None
    ) -> Float[Array, "channel *space"]:
        time = _network_time(t, self.levels, self.sigma_min)
        return self.operator(with_known(x, known, self.box), time)  # pyright: ignore[reportCallIssue]


def path_variances(
    data: GaussianField, base: GaussianField, shape: Spatial, t: Scalar | float, *, sigma_min: float = 0.0
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """V, the variances of the modes of x_t for Gaussian data, and their rate (tλ₁ − (1 − σ)aλ₀)/V = V̇/(2V).

    Args:
        data: N(0, C₁).
        base: N(0, C₀).
        shape: of the grid.
        t: time, 0 at the base and 1 at the data.
        sigma_min: σ, default 0.

    Returns:
        V and V̇/(2V) of the stored modes.
    """
    first, zeroth = as_gain(data.mode_variances(shape)), as_gain(base.mode_variances(shape))
    kept = 1 - sigma_min
    a = 1 - kept * t
    total = a**2 * zeroth + t**2 * first
    return total, (t * first - kept * a * zeroth) / _or_infinity(total)


def gaussian_flow_velocity(
    data: GaussianField,
    base: GaussianField,
    mean: Float[Array, "channel *grid"] | None = None,
    *,
    sigma_min: float = 0.0,
) -> Velocity:
    """The exact velocity to Gaussian data: v = m + (tλ₁ − (1 − σ)aλ₀)/V (x − tm), mode by mode.

    Args:
        data: N(0, C₁).
        base: N(0, C₀).
        mean: m on any grid, default 0.
        sigma_min: σ, default 0.

    Returns:
        v(x, t), on any grid.

    References:
        Kerrigan, Migliorini & Smyth (2023), arXiv:2305.17209.
    """

    def velocity(x, t, known=None):
        shape = x.shape[1:]
        centre = jnp.zeros(()) if mean is None else data.box.resize(mean, shape)
        _, rate = path_variances(data, base, shape, t, sigma_min=sigma_min)
        return centre + data.box.multiply(x - t * centre, rate)

    return velocity


def denoised_of_velocity(velocity: Velocity, *, sigma_min: float = 0.0) -> DenoisedForm:
    """The denoised form that a velocity states too: x = tv with t = 1/(√s + 1 − σ) is on its path at the noise of v.

        G(v, s) = a(t) v(x, t) + (1 − σ) x,      s = (a/t)²

    Args:
        velocity: v(x, t).
        sigma_min: σ, default 0.

    Returns:
        G(v, s) for noise N(0, sC₀), which samplers and guidance of diffusions take.

    Examples:
        >>> denoised = denoised_of_velocity(gaussian_flow_velocity(data, base))  # gaussian_operator(data, base)
    """

    def denoised(v, s, known=None):
        t = _time_of(s, sigma_min)
        a = jnp.sqrt(s) * t
        return a * velocity(t * v, t, known) + (1 - sigma_min) * t * v

    return denoised


def flow_loss(
    velocity: Velocity,
    batch: tuple[Array, Array, PyTree],
    *,
    data: GaussianField,
    base: GaussianField,
    levels: tuple[float, float],
    sigma_min: float = 0.0,
    of_modes: float = 0.0,
    key: Key,
) -> Scalar:
    """The L² error of a velocity over its floor, so that every level weighs the same, and a share of that of modes.

        ⟨(1 − w) d²/Σ p + w mean_k |d_k|²/p_k⟩,      d = v(x_t, t) − x₁ + (1 − σ)x₀,      p = λ₀λ₁/V

    with s = (a/t)² log-uniform and stratified over the batch: `operator_loss` of the diffusion that the flow is.

    Args:
        velocity: v(x, t, known).
        batch: draws of the base and data of zero mean, (batch, channel, *space), and what each pair is conditioned on,
            None for nothing.
        data: N(0, C₁), of which the floor is.
        base: N(0, C₀).
        levels: the largest and the smallest s, at least σ².
        sigma_min: σ, default 0.
        of_modes: w, default 0.
        key: random key.

    Returns:
        A scalar; 1 for independent Gaussian pairs and the exact velocity.
    """
    x0, x1, known = batch
    shape, (largest, smallest) = x0.shape[2:], levels
    s = smallest * (largest / smallest) ** stratified_uniforms(len(x0), key=key)
    both = as_gain(base.mode_variances(shape) * data.mode_variances(shape))

    def error(a, b, given, t):
        x = t * b + (1 - (1 - sigma_min) * t) * a
        left = velocity(x, t, given) - b + (1 - sigma_min) * a
        total, _ = path_variances(data, base, shape, t, sigma_min=sigma_min)
        return loss_over_floor(left, both / _or_infinity(total), base.box, of_modes=of_modes)

    return jnp.mean(jax.vmap(error)(x0, x1, known, _time_of(s, sigma_min)))


def solve_adaptively(
    rate: Callable[[Array, Scalar], Array],
    x: Float[Array, "channel *space"],
    *,
    start: float = 0.0,
    end: float = 1.0,
    tolerance: float = 1e-5,
    max_steps: int = 4096,
) -> Solved:
    """dx/dt = rate(x, t) by steps of Dormand and Prince that the error decides, and the number of evaluations.

    Args:
        rate: of x and t, such as a velocity.
        x: at the start.
        start: time, default 0.
        end: time, default 1, before or after the start.
        tolerance: relative and absolute, of the root mean square over points, default 1e-5.
        max_steps: default 4096.

    Returns:
        The field at the end, and how often the rate was evaluated: 2 to begin, 6 a step, whether accepted or not.

    Raises:
        EquinoxRuntimeError: of diffrax, for more steps than `max_steps`.

    Examples:
        >>> solve_adaptively(velocity, base.sample((256,), key=key)).n_evaluations
    """
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(lambda t, x, args: rate(x, t)),  # pyright: ignore[reportArgumentType]
        diffrax.Dopri5(),
        t0=start,
        t1=end,
        dt0=None,
        y0=x,
        stepsize_controller=diffrax.PIDController(rtol=tolerance, atol=tolerance),
        max_steps=max_steps,
    )
    assert solution.ys is not None  # saved at the end by default
    return Solved(solution.ys[-1], 2 + 6 * solution.stats["num_steps"])


def _time_of(s: Shaped[Array, "*s"] | float, sigma_min: float) -> Shaped[Array, "*s"]:
    """t, where s = (a/t)²."""
    return 1 / (jnp.sqrt(s) + 1 - sigma_min)


def _network_time(t: Scalar | float, levels: tuple[float, float], sigma_min: float) -> Scalar:
    """¼ log s, between the levels of the training: s is infinite at the base."""
    largest, smallest = np.sqrt(levels)
    ratio = (1 - (1 - sigma_min) * jnp.asarray(t)) / jnp.maximum(t, 1e-30)
    return jnp.log(jnp.clip(ratio, smallest, largest)) / 2


def _or_infinity(values: Array) -> Array:
    return jnp.where(values > 0, values, jnp.inf)
