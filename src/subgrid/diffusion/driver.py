"""The one driver of all samplers: from noise level to noise level, by whatever method of stepping.

All work in the unscaled variable x = x_t/s(t), where every process obeys the same equations,

    probability flow   dx/dσ = (x − D(x, σ))/σ,
    reverse diffusion  dx = 2 (x − D(x, σ)) dσ/σ + √(2σ|dσ|) ξ,

so a method needs only the denoiser, the two levels and its standard normal numbers. Stepping from n levels costs n
evaluations for the one-stage methods: n − 1 steps and the last one, which leaves no noise. Methods are in
`samplers.py`, and those whose Gaussian part is exact in `gaussian_steps.py`.
"""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PyTree, Scalar

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


def evaluations_of_step(method: Method) -> int:
    """How often a step of a method for single values asks the denoiser: counted, its loops written out.

    Args:
        method: of stepping, for fields of the shape (1,).

    Returns:
        1 for the one-stage methods.

    Examples:
        >>> evaluations_of_step(Heun())
        2
    """
    asked = []

    def denoiser(x, sigma):
        asked.append(sigma)
        return x

    def step(x, noise):
        return method.step(denoiser, x, method.init(x), jnp.asarray(2.0), jnp.asarray(1.0), noise=noise)

    with jax.disable_jit():  # a loop would be traced once, however often it goes round
        jax.eval_shape(step, jnp.zeros(1), jnp.zeros((method.n_noises, 1)))
    return len(asked)
