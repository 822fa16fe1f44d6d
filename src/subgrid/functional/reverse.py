"""From noise to data in function space: the probability flow and the reverse diffusion.

In variance time the forward process is dv = C^{1/2} dW_s, and

    dv/ds = −F(v, s)/(2s)                    (probability flow),
    dv = −F(v, s)/s ds + C^{1/2} dW_s        (reverse diffusion, s falling).

For Gaussian data the flow has the solution v ∝ √S, S = λ₁ + sλ₂, and the diffusion its transitions in closed form. Both
are taken out of the integration where the spectrum of the data is known: in w = S^{−1/2} v, mode by mode,

    dw/dσ = −S^{−1/2} (G − λ₁/S v)/σ,        σ = √s,

is 0 for a Gaussian, so that the number of steps is set by what is not Gaussian, at any resolution.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar

from subgrid.functional.gaussian_field import GaussianField, as_gain
from subgrid.functional.operators import DenoisedForm, noisy_variances, posterior_variances, shrinkage
from subgrid.numerics.integration import Step, heun_step, integrate
from subgrid.types import Key, Spatial

UNCOVERED = 1e-3
"""λ₁/(sλ₂) below which a mode of given data is taken as it is: its noise at the smallest level drowns it anyway."""


def start(
    noise: GaussianField,
    shape: Spatial,
    s: Scalar | float,
    *,
    data: GaussianField | None = None,
    denoised: DenoisedForm | None = None,
    n_channels: int = 1,
    key: Key,
) -> Float[Array, "channel *space"]:
    """A draw of N(0, sC), or of N(0, C₁ + sC) where the data's spectrum is given.

    Fields with a mean, of which the spectrum has the square alone, are not such a Gaussian at any s: with `denoised`
    the draw is carried from s = ∞ in one step of dw/dσ, v + G(v, s) − λ₁/S v, as G is nearly constant there.

    Args:
        noise: N(0, C).
        shape: of the grid.
        s: the largest level.
        data: N(0, C₁), default None.
        denoised: G(v, s) of a model with this spectrum, default none.
        n_channels: of the field, default 1.
        key: random key; the same key on another grid is the same function.

    Returns:
        A field, where samplers start.
    """
    ratio = noisy_variances(data, noise, shape, s) / _positive(as_gain(noise.mode_variances(shape)))
    v = noise.box.multiply(noise.sample(shape, n_channels=n_channels, key=key), jnp.sqrt(ratio))
    if data is None or denoised is None:
        return v
    return v + denoised(v, s) - noise.box.multiply(v, shrinkage(data, noise, shape, s))


def probability_flow(
    denoised: DenoisedForm,
    v: Float[Array, "channel *space"],
    levels: Float[Array, " level"],
    *,
    noise: GaussianField,
    data: GaussianField | None = None,
    step: Step = heun_step,
) -> Float[Array, "channel *space"]:
    """Carries v from the first level down to the last, and to no noise.

    Args:
        denoised: G(v, s).
        v: at the first level.
        levels: falling variances.
        noise: N(0, C).
        data: N(0, C₁) of the data's spectrum, whose part of the flow is then exact; default None: all is integrated.
        step: of integration, default Heun's.

    Returns:
        A sample. Without `data`, its last step is G, the mean of what is left.

    Examples:
        >>> u = probability_flow(operator, v, variance_levels(32, largest=s1, smallest=sL), noise=noise, data=data)
    """
    v = _follow(denoised, v, levels, noise, data, step)
    if data is None:
        return denoised(v, levels[-1])
    return _uncover(denoised, v, levels[-1], noise, data)


def encode(
    denoised: DenoisedForm,
    u: Float[Array, "channel *space"],
    levels: Float[Array, " level"],
    *,
    noise: GaussianField,
    data: GaussianField | None = None,
    step: Step = heun_step,
) -> Float[Array, "channel *space"]:
    """The v at the first level from which `probability_flow` comes back to a given field.

    Args:
        denoised: G(v, s).
        u: a field without noise.
        levels: falling variances, as for the way back.
        noise: N(0, C).
        data: as for the way back.
        step: as for the way back.

    Returns:
        v at levels[0], of the distribution of noisy data.
    """
    last = levels[-1]
    if data is not None:
        shape = u.shape[1:]
        first, total = as_gain(data.mode_variances(shape)), noisy_variances(data, noise, shape, last)
        growth = jnp.where(first > UNCOVERED * total, jnp.sqrt(total / _positive(first)), 1.0)
        left = denoised(u, last) - noise.box.multiply(u, shrinkage(data, noise, shape, last))
        u = noise.box.multiply(u - left, growth)
    return _follow(denoised, u, levels[::-1], noise, data, step)


def reverse_diffusion(
    denoised: DenoisedForm,
    v: Float[Array, "channel *space"],
    levels: Float[Array, " level"],
    *,
    noise: GaussianField,
    data: GaussianField | None = None,
    key: Key,
) -> Float[Array, "channel *space"]:
    """The reverse diffusion by exact draws given the denoised field.

        v′ = qv + (1 − q)G + √(s′(1 − q)) ξ + (1 − q) ζ,      q = s′/s,  ξ ~ N(0, C),  ζ ~ N(0, sC₁C(C₁ + sC)⁻¹)

    ζ is how far data lie from their mean G: with it each step has the right variance for Gaussian data, however few
    levels there are. Without it, levels must be many.

    Args:
        denoised: G(v, s).
        v: at the first level.
        levels: falling variances.
        noise: N(0, C).
        data: N(0, C₁) of the data's spectrum, of which ζ is; default None, ζ = 0.
        key: random key.

    Returns:
        A sample.
    """
    shape, n_channels = v.shape[1:], len(v)

    def draw(variance, own):
        ratio = variance / _positive(as_gain(noise.mode_variances(shape)))
        return noise.box.multiply(noise.sample(shape, n_channels=n_channels, key=own), jnp.sqrt(ratio))

    def spread(s):
        return 0.0 if data is None else posterior_variances(data, noise, shape, s)

    def body(v, given):
        s, after, own = given
        q = after / s
        variance = after * (1 - q) * as_gain(noise.mode_variances(shape)) + (1 - q) ** 2 * spread(s)
        return q * v + (1 - q) * denoised(v, s) + draw(variance, own), None

    keys = jax.random.split(key, len(levels))
    v, _ = jax.lax.scan(body, v, (levels[:-1], levels[1:], keys[:-1]))
    clean = denoised(v, levels[-1])
    return clean if data is None else clean + draw(spread(levels[-1]), keys[-1])


def _follow(
    denoised: DenoisedForm, v: Array, levels: Array, noise: GaussianField, data: GaussianField | None, step: Step
) -> Array:
    """The flow between the first and the last of the levels, in σ; in log σ where the Gaussian part is exact."""
    if data is None:
        return integrate(lambda v, sigma: (v - denoised(v, sigma**2)) / sigma, v, jnp.sqrt(levels), step=step)
    shape, multiply = v.shape[1:], noise.box.multiply

    def scale(s, power):
        total = noisy_variances(data, noise, shape, s)
        return jnp.where(total > 0, _positive(total) ** power, 0.0)

    def rate(w, log_sigma):
        s = jnp.exp(2 * log_sigma)
        v = multiply(w, scale(s, 0.5))
        return multiply(multiply(v, shrinkage(data, noise, shape, s)) - denoised(v, s), scale(s, -0.5))

    w = integrate(rate, multiply(v, scale(levels[0], -0.5)), jnp.log(levels) / 2, step=step)
    return multiply(w, scale(levels[-1], 0.5))


def _uncover(denoised: DenoisedForm, v: Array, s: Scalar, noise: GaussianField, data: GaussianField) -> Array:
    """From the last level to no noise: √(λ₁/S) v, as the flow of a Gaussian has it, and what G adds to λ₁/S v."""
    shrunk = shrinkage(data, noise, v.shape[1:], s)
    return denoised(v, s) + noise.box.multiply(v, jnp.sqrt(shrunk) - shrunk)


def _positive(values: Array) -> Array:
    return jnp.where(values > 0, values, 1.0)
