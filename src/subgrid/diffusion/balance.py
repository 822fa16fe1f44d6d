"""What a trained refinement does to a mode as a whole, measured on its own samples and taken out.

Along the probability flow of D = D_G + σ [λ/(λ + σ²)]^½ F a mode that is whitened, w = (λ + σ²)^−½ (x − m), moves by

    dw/d ln σ = −σ λ^½/(λ + σ²) F,      d⟨w²⟩/d ln σ = −2 σ λ^½/(λ + σ²) ⟨F w⟩

and the exact F has ⟨F w⟩ = 0 at every level: samples have the variance of the data. A trained F has it on noisy data,
but not on its own samples. These lack some of what ties the waves of a field to each other, and F takes for noise what
does not belong together: short waves of Kolmogorov flow lost a quarter of their energy, with 32 levels or with 96.

Here samples are followed down the flow, and from level to level F − b w with b = ⟨F w⟩/⟨w²⟩, mean over samples and over
modes of nearly the same variance, takes the place of F. Nothing else about F changes.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Int, Scalar

from subgrid.diffusion.gaussian_prior import GaussianPrior
from subgrid.diffusion.modewise import Balance, ModewiseRefined, left_std, refined
from subgrid.numerics.noise import standard_normal
from subgrid.types import Key

N_SAMPLES = 128
"""That are followed: with `LEAST_MODES` a bin has some 4,000 products, and b a standard error of .016."""
N_LEVELS = 24
"""Equally spaced in ln σ, over the levels of the training: steps of a third where the largest is 1,500 times the
smallest, as of Kolmogorov flow. Not tuned."""
MOST_BINS, LEAST_MODES = 30, 32
"""Of refined modes in the order of their variances, and modes of each, if there are so many."""
AT_ONCE = 32
"""Samples that the network sees together."""


def n_bins(n_modes: int) -> int:
    """Bins that a balance has room for; where not all modes are refined, the last ones repeat the last that is used.

    Args:
        n_modes: components of the Gaussian.

    Returns:
        At least one.

    Examples:
        >>> n_bins(1848)
        30
    """
    return max(1, min(MOST_BINS, n_modes // LEAST_MODES))


def fit_balance(
    denoiser: ModewiseRefined,
    levels: tuple[float, float],
    *,
    report: Callable[[int, int], None] | None = None,
    key: Key,
) -> Balance:
    """b(λ, σ) of a trained denoiser of a `GaussianPrior`.

    Args:
        denoiser: trained, without a balance.
        levels: the largest and the smallest σ of its training.
        report: called with the levels that are done, and their number.
        key: of the samples that are followed.

    Returns:
        The balance, which `ModewiseRefined` takes.

    Raises:
        ValueError: for a base that is no `GaussianPrior`.

    Examples:
        >>> balance = fit_balance(denoiser, (30.0, 0.02), key=key)
        >>> balanced = dataclasses.replace(denoiser, balance=balance)
    """
    base = denoiser.base
    if not isinstance(base, GaussianPrior):
        raise ValueError(f"a balance is of the components of a Gaussian, and {type(base).__name__} has none.")
    bins, sigmas, found = _bins(base), jnp.geomspace(*levels, N_LEVELS), []
    w = jax.vmap(lambda k: standard_normal(base.mean.shape, key=k))(jr.split(key, N_SAMPLES))
    for i, sigma in enumerate(sigmas):
        w, b = _step(denoiser, base, bins, w, sigma, sigmas[min(i + 1, N_LEVELS - 1)])
        found.append(b)
        if report is not None:
            report(i + 1, N_LEVELS)
    return Balance(jnp.log(sigmas), _centres(base, bins), jnp.stack(found))


def blank_balance(n_modes: int) -> Balance:
    """Zeros of the right shapes, to load a stored balance into.

    Args:
        n_modes: of the Gaussian.

    Returns:
        A balance.
    """
    n = n_bins(n_modes)
    return Balance(jnp.zeros(N_LEVELS), jnp.zeros(n), jnp.zeros((N_LEVELS, n)))


@eqx.filter_jit
def _step(
    denoiser: ModewiseRefined,
    base: GaussianPrior,
    bins: Int[Array, " mode"],
    w: Float[Array, "sample *shape"],
    sigma: Scalar,
    after: Scalar,
) -> tuple[Float[Array, "sample *shape"], Float[Array, " bin"]]:
    """Samples at the next level, by a step of Heun's with F − b w, and b of this one."""

    def rate(w, sigma):
        f = jax.lax.map(lambda w: denoiser.refine(_noisy(base, w, sigma), sigma), w, batch_size=AT_ONCE)
        b = _shares(base, f, w, bins)
        return jax.vmap(lambda f, w: _motion(base, f, w, b[bins], sigma))(f, w), b

    h = jnp.log(after / sigma)
    first, b = rate(w, sigma)
    second, _ = rate(w + h * first, after)
    return w + h / 2 * (first + second), b


def _noisy(base: GaussianPrior, w: Float[Array, "*shape"], sigma: Scalar) -> Float[Array, "*shape"]:
    return base.mean + base.apply(lambda v: jnp.sqrt(v + sigma**2), w)


def _motion(
    base: GaussianPrior, f: Float[Array, "*shape"], w: Float[Array, "*shape"], b: Float[Array, " mode"], sigma: Scalar
) -> Float[Array, "*shape"]:
    """dw/d ln σ, where F − b w moves the components, and F what remains."""
    balanced = f - base.lift(b * base.coordinates(w))
    return -base.apply(lambda v: left_std(v, sigma) / jnp.sqrt(v + sigma**2), balanced)


def _shares(
    base: GaussianPrior, f: Float[Array, "sample *shape"], w: Float[Array, "sample *shape"], bins: Int[Array, " mode"]
) -> Float[Array, " bin"]:
    """⟨F w⟩/⟨w²⟩ of every bin, over modes that are refined."""
    n, (ours, theirs) = n_bins(len(bins)), (jax.vmap(base.coordinates)(x) for x in (f, w))
    total = lambda products: jax.ops.segment_sum(refined(base.variances) * jnp.sum(products, axis=0), bins, n)  # noqa: E731
    return _repeated(total(ours * theirs) / jnp.maximum(total(theirs**2), 1e-30), base)


def _n_used(base: GaussianPrior) -> tuple[Int[Array, ""], Int[Array, ""]]:
    """Modes that are refined, and bins that they fill."""
    used = jnp.sum(refined(base.variances)).astype(int)
    return used, jnp.clip(used // LEAST_MODES, 1, n_bins(len(base.variances)))


def _bins(base: GaussianPrior) -> Int[Array, " mode"]:
    """The bin of every component, of equally many in the order of their variances; those not refined in the last."""
    used, n = _n_used(base)
    place = jnp.argsort(jnp.argsort(-base.variances))
    return jnp.minimum(place * n // jnp.maximum(used, 1), n - 1)


def _centres(base: GaussianPrior, bins: Int[Array, " mode"]) -> Float[Array, " bin"]:
    """Mean ln λ of each bin."""
    n, counted = n_bins(len(bins)), refined(base.variances)
    logs = jnp.log(jnp.maximum(base.variances, 1e-30))
    sums, counts = (jax.ops.segment_sum(counted * values, bins, n) for values in (logs, jnp.ones_like(logs)))
    return _repeated(sums / jnp.maximum(counts, 1.0), base)


def _repeated(values: Float[Array, " bin"], base: GaussianPrior) -> Float[Array, " bin"]:
    """With the value of the last bin that is used in those after it."""
    return values[jnp.minimum(jnp.arange(len(values)), _n_used(base)[1] - 1)]
