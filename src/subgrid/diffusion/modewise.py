"""A Gaussian denoiser that a network refines mode by mode: the network learns only what is not Gaussian.

    D(x, σ) = D_G + σ [λ/(λ + σ²)]^½ F,   D_G = m + λ/(λ + σ²) (x − m),   λ the variances of Σ

in the eigenbasis of N(m, Σ). The factor of F is the standard deviation that x₀ has left under the Gaussian, mode by
mode: F's target has unit variance in every mode and at every level, F = 0 is the exact answer for Gaussian fields, and
modes without variance, such as those that a dealiased solver leaves empty or that coarse values determine, stay so.
With one factor for all modes (`refinement.py`, `denoiser.py`) the errors of a network are alike in all of them, and
lie above what the short waves of a smooth field have.

A Gaussian of few components has one variance for all others, and is one mode in them: waves that no field has then
stay as empty as this variance is small (`gaussian_part.py` keeps all waves of up to 64 × 64 points).

F sees x whitened, (Σ + σ²)^−½ (x − m), in which small modes are as large as others, and D_G − m, in which every mode
weighs what it weighs in the data. Modes that are not refined hold noise and nothing else: of dealiased fields they are
more than half of what is seen, and a prior's network is not shown them.
"""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Scalar

from subgrid.diffusion.gaussian_prior import GaussianPrior
from subgrid.diffusion.gaussian_steps import Gaussian, denoise
from subgrid.diffusion.objective import Quantile
from subgrid.numerics.noise import standard_normal
from subgrid.numerics.stratified import stratified_uniforms
from subgrid.types import Field, Key

LEAST_VARIANCE = 1e-6
"""Of a mode that is refined, in units of the normalised field: a mode with less is left to the Gaussian. On
Kuramoto–Sivashinsky fields 1e-5 to 1e-8 score alike; with 1e-8 the rare bursts of tiny modes disturb the training."""


class Balance(eqx.Module):
    """b(λ, σ), by which F − b w keeps the variances of samples (`balance.py`); between what is given, linear in logs.

    It is of the components of a `GaussianPrior`; to what remains beside them nothing is done.

    Args:
        log_levels: ln σ, falling.
        log_variances: ln λ, falling.
        values: b.
    """

    log_levels: Float[Array, " level"]
    log_variances: Float[Array, " bin"]
    values: Float[Array, "level bin"]

    def __call__(self, variance: Array, sigma: Scalar) -> Array:
        of_level = jax.vmap(lambda b: jnp.interp(-jnp.log(sigma), -self.log_levels, b), in_axes=1)(self.values)
        logs = jnp.log(jnp.maximum(variance, LEAST_VARIANCE))
        return refined(variance) * jnp.interp(-logs, -self.log_variances, of_level)


class ModewiseRefined(eqx.Module):
    """The refined denoiser of fields (channel, *space).

    Args:
        base: N(m, Σ).
        network: F(features, ¼ ln σ), from twice the channels and those of `known` to the channels of x.
        known: what the network sees besides, fields (channel, *space); nothing by default.
        highest: level up to which the network is used, that of its training; above it fields look Gaussian.
        sees_noise: whether x whitened has the modes that are not refined; by default it has.
        balance: b of F − b w, by default none; of a base that is a `GaussianPrior`.

    Examples:
        >>> denoiser = ModewiseRefined(fit_stationary_prior(fields), UNet(2, 1, 1, key=key))
    """

    base: Gaussian
    network: eqx.Module
    known: tuple[Field, ...] = ()
    highest: float = eqx.field(static=True, default=math.inf)
    sees_noise: bool = eqx.field(static=True, default=True)
    balance: Balance | None = None

    def __call__(self, x: Field, sigma: Scalar) -> Field:
        left = jnp.where(sigma <= self.highest, 1.0, 0.0)
        refinement = self.base.combine((lambda v: left * left_std(v, sigma), self.refine(x, sigma)))
        return denoise(self.base, x, sigma) + refinement

    def refine(self, x: Field, sigma: Scalar) -> Field:
        """F, of unit variance in every mode."""
        z = x - self.base.mean
        shown = (lambda v: 1.0) if self.sees_noise else refined
        white = self.base.combine((lambda v: shown(v) / jnp.sqrt(v + sigma**2), z))
        features = jnp.concatenate([white, denoise(self.base, x, sigma) - self.base.mean, *self.known])
        learned = self.network(features, jnp.log(sigma) / 4)  # pyright: ignore[reportCallIssue]
        if self.balance is None:
            return learned
        assert isinstance(self.base, GaussianPrior)  # whose components a balance is of
        variances = self.base.variances
        w = self.base.coordinates(z) / jnp.sqrt(variances + sigma**2)
        return learned - self.base.lift(self.balance(variances, sigma) * w)


def left_std(variance: Array, sigma: Scalar) -> Array:
    """σ [λ/(λ + σ²)]^½ of modes that are refined, 0 of the others."""
    return sigma * jnp.sqrt(refined(variance) * variance / (variance + sigma**2))


def refined(variance: Array) -> Array:
    """1 for modes with enough variance, 0 for the others."""
    return jnp.where(variance > LEAST_VARIANCE, 1.0, 0.0)


def modewise_error(
    denoiser: ModewiseRefined, x0: Float[Array, "channel *space"], sigma: Scalar, xi: Float[Array, "channel *space"]
) -> Float[Array, "channel *space"]:
    """What F misses of its target (x₀ − D_G)/(σ [λ/(λ + σ²)]^½) for x = x₀ + σξ, on the modes that are refined.

    Args:
        denoiser: in training.
        x0: a clean field.
        sigma: noise level σ.
        xi: white noise ξ.

    Returns:
        A field, of unit variance in every refined mode where the fields are Gaussian and F = 0.
    """
    z0 = x0 - denoiser.base.mean
    return denoiser.base.combine(
        (refined, denoiser.refine(x0 + sigma * xi, sigma)),
        # (x₀ − D_G)/σ[λ/(λ + σ²)]^½ = σ (λ(λ + σ²))^−½ (x₀ − m) − [λ/(λ + σ²)]^½ ξ
        (lambda v: -refined(v) * sigma / jnp.sqrt(jnp.maximum(v, LEAST_VARIANCE) * (v + sigma**2)), z0),
        (lambda v: refined(v) * jnp.sqrt(v / (v + sigma**2)), xi),
    )


def modewise_loss(
    denoiser: ModewiseRefined,
    batch: Float[Array, "batch channel *space"],
    *,
    noise_levels: Quantile,
    of_modes: float,
    key: Key,
) -> Scalar:
    """Mean squared error of F, weighed by what the Gaussian leaves of each mode and, for a share w of it, by nothing.

        ⟨(1 − w) Σ_k p_k e_k²/Σ_k p_k + w mean_k e_k²⟩,      p = σ²λ/(λ + σ²),  over refined modes

    The first is the error at points over that of the Gaussian: it sees the large modes, which decide the shape of a
    field. The second sees them all, as whitened data are seen. (`functional/preconditioning.py` and `objective.py` have
    the same for operators, in function space.)

    Args:
        denoiser: in training, of a `GaussianPrior`.
        batch: clean normalised fields x₀.
        noise_levels: quantile function u → σ.
        of_modes: w, from 0 to 1.
        key: of levels and noise.

    Returns:
        A scalar: 1 for Gaussian fields and F = 0, at every level.

    Raises:
        ValueError: for a base that is no `GaussianPrior`.

    Examples:
        >>> modewise_loss(denoiser, batch, noise_levels=log_uniform_levels(), of_modes=0.5, key=key)
    """
    level_key, noise_key = jr.split(key)
    sigmas = noise_levels(stratified_uniforms(len(batch), key=level_key))
    noise = standard_normal(batch.shape, batch.dtype, key=noise_key)
    base = denoiser.base
    if not isinstance(base, GaussianPrior):
        raise ValueError(f"the loss needs the trace of the Gaussian, and {type(base).__name__} tells none.")
    n_modes = jnp.maximum(base.trace(refined), 1.0)

    def error(x0, sigma, xi):
        off = modewise_error(denoiser, x0, sigma, xi)
        at_points = base.apply(lambda v: left_std(v, sigma), off)
        left = jnp.maximum(base.trace(lambda v: left_std(v, sigma) ** 2), jnp.finfo(x0.dtype).tiny)
        return (1 - of_modes) * jnp.sum(at_points**2) / left + of_modes * jnp.sum(off**2) / n_modes

    return jnp.mean(jax.vmap(error)(batch, sigmas, noise))
