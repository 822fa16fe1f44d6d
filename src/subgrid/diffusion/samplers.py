"""Samplers: one driver, and a method for each way to step from noise level σ to σ′ < σ.

All work in the unscaled variable x = x_t/s(t), where every process obeys the same equations,

    probability flow   dx/dσ = (x − D(x, σ))/σ,
    reverse diffusion  dx = 2 (x − D(x, σ)) dσ/σ + √(2σ|dσ|) ξ,

so a method needs only the denoiser, the two levels and its standard normal numbers. Stepping from n levels costs n
evaluations for the one-stage methods: n − 1 steps and the last one, which leaves no noise. Methods whose Gaussian part
is exact are in `gaussian_steps.py`; those here freeze or extrapolate the whole denoiser over a step, and
`propagation.py` measures what that costs.
"""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PyTree, Scalar

from subgrid.diffusion.denoiser import score_from_denoiser
from subgrid.numerics.noise import standard_normal
from subgrid.types import Denoiser, Key, Sample

Noise = Float[Array, "n_noises *shape"]


@runtime_checkable
class Method(Protocol):
    """One way to step. `memory` is whatever a multistep method carries; one-step methods carry None."""

    @property
    def n_noises(self) -> int:
        """Standard normal fields that a step uses up."""
        ...

    def start(self, noise: Sample, sigma: Scalar) -> Sample:
        """x at the first level from one standard normal field."""
        ...

    def init(self, x: Sample) -> Any:
        """The memory before the first step."""
        ...

    def step(
        self, denoiser: Denoiser, x: Sample, memory: Any, sigma: Scalar, sigma_next: Scalar, *, noise: Noise
    ) -> tuple[Sample, Any]:
        """From `sigma` to `sigma_next` < `sigma`: the new x and memory."""
        ...

    def finish(self, denoiser: Denoiser, x: Sample, memory: Any, sigma: Scalar, *, noise: Noise) -> Sample:
        """From the last level to no noise."""
        ...


def sample(denoiser: Denoiser, x: Sample, noise_levels: Float[Array, " level"], *, method: Method, key: Key) -> Sample:
    """Carries `x` from noise level σ₀ down to σ_{n−1}, and to no noise.

    Args:
        denoiser: D(x, σ) = E[x₀ | x₀ + σε = x].
        x: the start, at σ₀ (`draw` makes it too).
        noise_levels: decreasing, such as `exponential_grid(32)`.
        method: of stepping.
        key: random key, used by stochastic methods only.

    Returns:
        A sample of the distribution of the data, of the shape of `x`.

    Examples:
        >>> levels = exponential_grid(32)
        >>> x = sample(denoiser, x, levels, method=ExponentialMultistep(), key=key)
    """
    keys = jr.split(key, noise_levels.shape[0])
    return _run(denoiser, x, noise_levels, method, _noises(method, x), keys, kept=lambda x: None)[0]


def draw(
    denoiser: Denoiser, shape: tuple[int, ...], noise_levels: Float[Array, " level"], *, method: Method, key: Key
) -> Sample:
    """One sample of the distribution of the data, from the start that suits the method.

    Args:
        denoiser: D(x, σ) = E[x₀ | x₀ + σε = x].
        shape: of a field.
        noise_levels: decreasing.
        method: of stepping.
        key: random key.

    Returns:
        A sample of that shape.

    Examples:
        >>> x = draw(denoiser, (1, 192), levels, method=GaussianSDE(prior), key=key)
    """
    start_key, sample_key = jr.split(key)
    start = method.start(standard_normal(shape, noise_levels.dtype, key=start_key), noise_levels[0])
    return sample(denoiser, start, noise_levels, method=method, key=sample_key)


def draw_path(
    denoiser: Denoiser, shape: tuple[int, ...], noise_levels: Float[Array, " level"], *, method: Method, key: Key
) -> Float[Array, "level *shape"]:
    """`draw`, with what it passes through: x at every noise level but the first, and the sample.

    Args:
        denoiser: D(x, σ) = E[x₀ | x₀ + σε = x].
        shape: of a field.
        noise_levels: decreasing.
        method: of stepping.
        key: random key; the last field is, up to rounding, the sample that `draw` makes of it.

    Returns:
        (level, *shape), the sample last.

    Examples:
        >>> frames = draw_path(denoiser, (1, 64, 64), levels, method=GaussianSDE(prior), key=key)
    """
    start_key, sample_key = jr.split(key)
    start = method.start(standard_normal(shape, noise_levels.dtype, key=start_key), noise_levels[0])
    noises, keys = _noises(method, start), jr.split(sample_key, noise_levels.shape[0])
    x, states = _run(denoiser, start, noise_levels, method, noises, keys, kept=lambda x: x)
    return jnp.concatenate([states, x[None]])


def sample_with(
    denoiser: Denoiser,
    x: Sample,
    noise_levels: Float[Array, " level"],
    noises: Float[Array, "level n_noises *shape"],
    *,
    method: Method,
) -> Sample:
    """`sample` with given standard normal numbers: for linear propagation, and for runs that share their noise.

    Args:
        denoiser: D(x, σ) = E[x₀ | x₀ + σε = x].
        x: the start, at σ₀.
        noise_levels: decreasing.
        noises: standard normal fields, `method.n_noises` for each level.
        method: of stepping.

    Returns:
        A sample, of the shape of `x`.
    """
    return _run(denoiser, x, noise_levels, method, lambda noise: noise, noises, kept=lambda x: None)[0]


def _noises(method: Method, x: Sample) -> Callable[[Key], Noise]:
    """The standard normal fields of a step, from its key."""
    return lambda key: standard_normal((method.n_noises, *x.shape), x.dtype, key=key)


def _run(
    denoiser, x: Sample, levels: Array, method: Method, noise_of: Callable, source: PyTree, *, kept: Callable
) -> tuple[Sample, PyTree]:
    """The scan over levels; `noise_of` makes the noise of a step from its part of `source`. The sample, and `kept` of
    the state after each step."""

    def body(carry, inputs):
        x, memory = carry
        sigma, sigma_next, part = inputs
        x, memory = method.step(denoiser, x, memory, sigma, sigma_next, noise=noise_of(part))
        return (x, memory), kept(x)

    inputs = (levels[:-1], levels[1:], source[:-1])
    (x, memory), states = jax.lax.scan(body, (x, method.init(x)), inputs)
    return method.finish(denoiser, x, memory, levels[-1], noise=noise_of(source[-1])), states


def white_start(method: Method, noise: Sample, sigma: Scalar) -> Sample:
    """The start σξ of a sampler, which takes the data for small beside σ; the `start` of most methods.

    Args:
        method: not used.
        noise: ξ, a standard normal field.
        sigma: the first noise level.

    Returns:
        x at that level.
    """
    return sigma * noise


def no_memory(method: Method, x: Sample) -> None:
    """The memory of one-step methods: none.

    Args:
        method: not used.
        x: not used.

    Returns:
        None.
    """
    return


def denoise_once(method: Method, denoiser: Denoiser, x: Sample, memory: Any, sigma: Scalar, *, noise: Noise) -> Sample:
    """D(x, σ), the mean of what is left: the `finish` of methods whose last level is far below the data.

    Args:
        method: not used.
        denoiser: D(x, σ).
        x: at the last level.
        memory: not used.
        sigma: the last noise level.
        noise: not used.

    Returns:
        The denoised field, of the shape of `x`.
    """
    return denoiser(x, sigma)


class Heun(eqx.Module):
    """Second-order probability flow, two evaluations a step.

        k = (x − D(x, σ))/σ,   x̃ = x + (σ′ − σ) k,   x′ = x + (σ′ − σ)/2·[k + (x̃ − D(x̃, σ′))/σ′]

    At 32 evaluations a unit Gaussian has the standard deviation 1.075 on `exponential_grid`, 1.058 on `karras_grid`.

    References:
        Karras, Aittala, Aila & Laine (2022), arXiv:2206.00364, Algorithm 1.
    """

    n_noises = 0
    start, init, finish = white_start, no_memory, denoise_once

    def step(self, denoiser, x, memory, sigma, sigma_next, *, noise):
        """From σ to σ′."""
        slope = (x - denoiser(x, sigma)) / sigma
        predicted = x + (sigma_next - sigma) * slope
        slope_next = (predicted - denoiser(predicted, sigma_next)) / sigma_next
        return x + (sigma_next - sigma) * (slope + slope_next) / 2, memory


class EulerMaruyama(eqx.Module):
    """First-order reverse diffusion: x + 2(σ′ − σ)(x − D)/σ + √(σ² − σ′²) ξ.

    At 32 evaluations a unit Gaussian has the standard deviation 1.010 on `exponential_grid`, .998 on `karras_grid`:
    errors of large and of small σ that cancel, not its order.
    """

    n_noises = 1
    start, init, finish = white_start, no_memory, denoise_once

    def step(self, denoiser, x, memory, sigma, sigma_next, *, noise):
        """From σ to σ′."""
        drift = 2 * (sigma_next - sigma) * (x - denoiser(x, sigma)) / sigma
        return x + drift + jnp.sqrt(sigma**2 - sigma_next**2) * noise[0], memory


class ExponentialMultistep(eqx.Module):
    """Probability flow, exact in its linear part, D extrapolated in log σ: DPM-Solver++(2M).

        x′ = (σ′/σ) x + (1 − σ′/σ) D̃,   D̃ = D + h/(2h₋)·(D − D₋),   h = ln(σ/σ′)

    Second order for one evaluation a step. Deterministic. Of the methods that know no Gaussian part the best, on
    `exponential_grid`, where its steps h are equal. At 32 evaluations a unit Gaussian has the standard deviation 1.007
    on `exponential_grid`, 1.014 on `karras_grid`.

    References:
        Lu et al. (2022), arXiv:2211.01095.
    """

    n_noises = 0
    start, finish = white_start, denoise_once

    def init(self, x: Sample) -> tuple[Sample, Scalar]:
        """No history: the first step is first order."""
        return _no_history(x)

    def step(self, denoiser, x, memory, sigma, sigma_next, *, noise):
        """From σ to σ′."""
        extrapolated, memory = _extrapolate(denoiser(x, sigma), memory, sigma, sigma_next)
        ratio = sigma_next / sigma
        return ratio * x + (1 - ratio) * extrapolated, memory


class Ancestral(eqx.Module):
    """Reverse diffusion with D frozen over the step, solved exactly: the Gaussian p(x_σ′ | x_σ, x₀ = D).

        x′ = q x + (1 − q) D + σ′√(1 − q) ξ,   q = (σ′/σ)²

    First order in distribution; an exponential integrator. At 32 evaluations a unit Gaussian has the standard deviation
    .851 on `exponential_grid`, .848 on `karras_grid`: 28 % of the variance are lost, and 8 % still at 128. It is here
    for inpainting, which wants x₀ frozen.

    References:
        Ho, Jain & Abbeel (2020), arXiv:2006.11239, in unscaled variables.
    """

    n_noises = 1
    start, init, finish = white_start, no_memory, denoise_once

    def step(self, denoiser, x, memory, sigma, sigma_next, *, noise):
        """From σ to σ′."""
        return _ancestral_draw(x, denoiser(x, sigma), sigma, sigma_next, noise[0]), memory


class AncestralMultistep(eqx.Module):
    """`Ancestral` with D extrapolated in log σ: SDE-DPM-Solver++(2M), second order for one evaluation a step.

    At 32 evaluations a unit Gaussian has the standard deviation 1.018 on `exponential_grid`, 1.036 on `karras_grid`.
    """

    n_noises = 1
    start, finish = white_start, denoise_once

    def init(self, x: Sample) -> tuple[Sample, Scalar]:
        """No history: the first step is first order."""
        return _no_history(x)

    def step(self, denoiser, x, memory, sigma, sigma_next, *, noise):
        """From σ to σ′."""
        extrapolated, memory = _extrapolate(denoiser(x, sigma), memory, sigma, sigma_next)
        return _ancestral_draw(x, extrapolated, sigma, sigma_next, noise[0]), memory


class Corrected(eqx.Module):
    """Predictor–corrector: a `method`, then Langevin steps at the level reached.

        x ← x + τ ∇ log p_σ′(x) + √(2τ) ξ,   τ = relative_step·σ′²

    The step size is dimensionless in σ′ and needs no norm of the score. Each correction is an evaluation: at 32
    evaluations, 16 levels, of `Ancestral` a unit Gaussian has the standard deviation .757 on `exponential_grid`, .754
    on `karras_grid`, which is better than 16 levels without and worse than 32.

    Args:
        method: the predictor.
        n_corrections: Langevin steps a level, default 1.
        relative_step: τ/σ′², default .1.

    References:
        Song et al. (2021), arXiv:2011.13456, Algorithm 1.

    Examples:
        >>> method = Corrected(Ancestral(), n_corrections=2)
    """

    method: Method
    n_corrections: int = eqx.field(static=True, default=1)
    relative_step: float = 0.1

    @property
    def n_noises(self) -> int:
        """Those of the method, and one for each correction."""
        return self.method.n_noises + self.n_corrections

    def start(self, noise: Sample, sigma: Scalar) -> Sample:
        """That of the method."""
        return self.method.start(noise, sigma)

    def init(self, x: Sample) -> Any:
        """That of the method."""
        return self.method.init(x)

    def step(self, denoiser, x, memory, sigma, sigma_next, *, noise):
        """From σ to σ′, and the corrections there."""
        own, rest = noise[: self.method.n_noises], noise[self.method.n_noises :]
        x, memory = self.method.step(denoiser, x, memory, sigma, sigma_next, noise=own)
        score, tau = score_from_denoiser(denoiser), self.relative_step * sigma_next**2

        def correct(x, xi):
            return x + tau * score(x, sigma_next) + jnp.sqrt(2 * tau) * xi, None

        return jax.lax.scan(correct, x, rest)[0], memory

    def finish(self, denoiser, x, memory, sigma, *, noise):
        """That of the method."""
        return self.method.finish(denoiser, x, memory, sigma, noise=noise[: self.method.n_noises])


def _no_history(x: Sample) -> tuple[Sample, Scalar]:
    # An infinite previous step makes the extrapolation weight h/(2h₋) vanish: the first step is first order.
    return jnp.zeros_like(x), jnp.asarray(jnp.inf, x.dtype)


def _extrapolate(denoised: Sample, memory, sigma: Scalar, sigma_next: Scalar) -> tuple[Sample, tuple[Sample, Scalar]]:
    previous, previous_step = memory
    step = jnp.log(sigma / sigma_next)
    return denoised + step / (2 * previous_step) * (denoised - previous), (denoised, step)


def _ancestral_draw(x: Sample, denoised: Sample, sigma: Scalar, sigma_next: Scalar, noise: Sample) -> Sample:
    q = (sigma_next / sigma) ** 2
    return q * x + (1 - q) * denoised + sigma_next * jnp.sqrt(1 - q) * noise
