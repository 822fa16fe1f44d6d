"""Guidance made exact by particles: sequential Monte Carlo along the noise levels (twisted diffusion).

Guidance approximates p(x | y) for any prior that is not Gaussian. K weighted particles mend that (Wu et al. 2023,
arXiv:2306.17775). Let p be the chain that samples the prior, x_{σ₀} → … → x₀, and

    ψ_σ(x) = N(y; C′D(x, σ), C′S_σC′ᵀ + Σ_y) ≈ p(y | x_σ = x),   S_σ = σ²Σ(Σ + σ²)⁻¹,

the *twist*, with Σ of the prior's Gaussian part. Particles are proposed by the guided chain q and weighted,

    w = ψ(x) p(x)/q(x) at the first level,   w ← w · ψ′(x′)/ψ(x) · p(x′ | x)/q(x′ | x) at each step,

which aims at p(x_{σ₀}, …) ψ_σ at every level. Where the effective size (Σw)²/Σw² falls below K/2, particles are drawn
anew in proportion to their weights. p is `GaussianSDE` with the prior's Gaussian part, q is `GaussianSDE` with the
Gaussian conditional N(m_y, Σ_y) and the guided denoiser. So for a Gaussian prior q is p conditioned on y, and all
weights are equal, at any number of levels and of values, exact y among them: the weights carry what is not Gaussian.

The last step needs no weight. Under p it draws x₀ from N(D, S_σ), so that p(x₀ | x_σ) p(y | x₀)/ψ_σ(x_σ) is N(D, S_σ)
conditioned on y, and that is what is drawn; this holds for exact y too, where p(y | x₀) is no density.

As K grows the particles converge to p(x₀ | y) of the chain p, whose own error is that of sampling the prior with these
levels: far from the modes of the prior it is large in relative terms, and so is that of the evidence there.

Limitations. *Mathematical*: the K needed grows with the number of values that guidance gets wrong, and effective
sizes do not see modes that no particle visits. *Merely convenient*: q is narrower than p, so the weights of steps with
σ′ < σ/√2 may have no variance where the denoiser is flat; the limit is the same, reached more slowly.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Bool, Float, Int, Scalar

from subgrid.diffusion.gaussian_conditional import ConditionalGaussian
from subgrid.diffusion.gaussian_prior import FULL, GaussianPrior
from subgrid.diffusion.gaussian_steps import GaussianSDE, OfVariance, Residuals, transition_variance
from subgrid.diffusion.guidance.gaussian import Innovations, innovations
from subgrid.numerics.noise import standard_normal
from subgrid.types import Denoiser, Key, Sample

Swarm = Float[Array, "particle *shape"]


class ParticleDiagnostics(NamedTuple):
    """How far the guided proposals are from their target, level by level.

    Args:
        effective_sizes: (Σw)²/Σw² at each noise level, before resampling: 1 to K.
        resampled: whether particles were drawn anew at each level.
        effective_fraction: 1/(1 + χ²) of the target against guided draws: see the function of that name.
    """

    effective_sizes: Float[Array, "*batch level"]
    """(Σw)²/Σw² at each noise level, before resampling: 1 to K."""
    resampled: Bool[Array, "*batch level"]

    effective_fraction: Float[Array, "*batch"]
    """1/(1 + χ²) of the target against guided draws: see the function of that name."""


class Particles(NamedTuple):
    """A weighted sample of p(x | y).

    Args:
        x: K fields.
        log_weights: log w, not normalised: the mean of w estimates p(y), without bias.
        diagnostics: of the run.

    Examples:
        >>> x = particles.pick(key=key)
    """

    x: Swarm
    log_weights: Float[Array, " particle"]
    """log w, not normalised: the mean of w estimates p(y), without bias."""
    diagnostics: ParticleDiagnostics

    def log_evidence(self) -> Scalar:
        """log p(y), estimated."""
        return jax.nn.logsumexp(self.log_weights) - math.log(len(self.log_weights))

    def pick(self, *, key: Key) -> Sample:
        """One particle in proportion to its weight: a draw of p(x | y)."""
        return self.x[jr.categorical(key, self.log_weights)]


class _State(NamedTuple):
    """Particles on arrival at a level, before its twist is counted."""

    x: Swarm
    log_weights: Float[Array, " particle"]
    log_paths: Float[Array, " particle"]
    """Σ log p/q from the start to here, which resampling copies but does not set back."""
    prior_memory: Residuals
    guided_memory: Residuals


def sample_particles(
    denoiser: Denoiser,
    guided: Denoiser,
    conditional: ConditionalGaussian,
    y: Float[Array, "*coarse"],
    noise_levels: Float[Array, " level"],
    *,
    n_particles: int,
    key: Key,
) -> Particles:
    """Weighted particles of p(x | C′x + N(0, Σ_y) = y), right as `n_particles` grows for any prior and any guidance.

    Args:
        denoiser: D of p(x).
        guided: D̃ of p(x | y) from any guidance of `denoiser`; the better, the fewer particles are needed.
        conditional: the Gaussian part of the prior conditioned on y, with C′ and Σ_y, from `condition`.
        y: what was observed, in the denoiser's units.
        noise_levels: decreasing.
        n_particles: K. One evaluation of `denoiser` and `guided` together for each particle and level.
        key: random key.

    Returns:
        Particles, their weights and the effective size at each level. A single particle is a guided draw of weight
        one. Particles of one run depend on each other; for independent draws take one from each run (`pick`).

    References:
        Wu et al. (2023), arXiv:2306.17775; Chopin & Papaspiliopoulos (2020), doi:10.1007/978-3-030-47845-2, chapter 10.

    Examples:
        >>> guided = moment_matching(denoiser, operator, y, prior=prior)
        >>> particles = sample_particles(denoiser, guided, conditional, y, levels, n_particles=64, key=key)
        >>> x = particles.pick(key=pick_key)
    """
    start_key, run_key, last_key = jr.split(key, 3)
    p, q = conditional.prior, conditional.given(y)
    swarm = (n_particles, *p.mean.shape)

    def body(state: _State, inputs):
        sigma, sigma_next, key = inputs
        # Side by side, so that the compiler finds the network's evaluation inside `guided` to be the same.
        denoised, steered = jax.vmap(lambda x: (denoiser(x, sigma), guided(x, sigma)))(state.x)
        log_twists = _log_twists(_observe(conditional, y.shape, sigma), conditional, y, denoised)
        resample_key, noise_key = jr.split(key)
        log_weights, chosen, *info = _resample(state.log_weights + log_twists, key=resample_key)
        state, denoised, steered, log_twists = jax.tree.map(lambda a: a[chosen], (state, denoised, steered, log_twists))
        noise = standard_normal(swarm, state.x.dtype, key=noise_key)
        x, log_ratios, *memories = _move(p, q, state, denoised, steered, sigma, sigma_next, noise)
        return _State(x, log_weights - log_twists + log_ratios, state.log_paths + log_ratios, *memories), info

    steps = (noise_levels[:-1], noise_levels[1:], jr.split(run_key, len(noise_levels) - 1))
    start = _start(p, q, noise_levels[0], standard_normal(swarm, noise_levels.dtype, key=start_key))
    state, (sizes, resampled) = jax.lax.scan(body, start, steps)
    sigma = noise_levels[-1]
    denoised = jax.vmap(lambda x: denoiser(x, sigma))(state.x)
    observed = _observe(conditional, y.shape, sigma)
    log_twists = _log_twists(observed, conditional, y, denoised)
    log_weights = _living(state.log_weights + log_twists)
    diagnostics = ParticleDiagnostics(
        jnp.append(sizes, effective_size(log_weights)),
        jnp.append(resampled, False),
        effective_fraction(log_weights, state.log_paths + log_twists),
    )
    noise = standard_normal(swarm, state.x.dtype, key=last_key)
    x = _finish(q, observed, conditional, y, denoised, sigma, noise)
    return Particles(x, log_weights, diagnostics)


def effective_size(log_weights: Float[Array, " particle"]) -> Scalar:
    """(Σw)²/Σw² of K weights: K if they are equal, 1 if one outweighs all others.

    Args:
        log_weights: log w, not normalised.

    Returns:
        A scalar from 1 to K.

    References:
        Kong, Liu & Wong (1994), doi:10.1080/01621459.1994.10476469.

    Examples:
        >>> effective_size(jnp.zeros(8))  # 8
    """
    return 1 / jnp.sum(jax.nn.softmax(log_weights) ** 2)


def effective_fraction(log_weights: Float[Array, " particle"], log_paths: Float[Array, " particle"]) -> Scalar:
    """E_q[W]²/E_q[W²] = 1/(1 + χ²), estimated from particles of any number of resamplings.

    W is the whole weight of a path of the proposals q, and qW/E_q[W] is the target. As E_q[W²] = E_q[W]·E_{qW}[W],

        1 + χ² ≈ Σᵢωᵢ Wᵢ / Z,   ω the normalised weights, Z their mean before, which estimates E_q[W].

    Draws of q alone have the mean of any quantity wrong by at most √χ² of its standard deviations over those draws
    (Cauchy–Schwarz). That holds for χ² itself. Its estimate from K particles is mostly too small, as the mean of a
    heavy tail, and far too small where no particle visits a part of the target: then the fraction is too large.

    Args:
        log_weights: log w, of mean Z: what resampling set to the mean, times what was weighed since.
        log_paths: log W, what would have become of log w without resampling, along each particle's ancestors.

    Returns:
        0 to 1; without resampling, where W = w, effective size over K.
    """
    n, log_paths = len(log_weights), _living(log_paths)
    log_evidence = jax.nn.logsumexp(log_weights) - math.log(n)
    log_mean_path = jax.nn.logsumexp(jax.nn.log_softmax(log_weights) + log_paths)
    return jnp.minimum(jnp.exp(log_evidence - log_mean_path), 1.0)  # where Z is too large by chance, beyond one


def systematic_resampling(log_weights: Float[Array, " particle"], *, key: Key) -> Int[Array, " particle"]:
    """Indices of the particles that go on: each in proportion to its weight, its number rounded up or down.

    One uniform number places a comb of K teeth on the cumulated weights.

    Args:
        log_weights: log w, not normalised.
        key: random key.

    Returns:
        K indices, ascending.

    References:
        Kitagawa (1996), doi:10.2307/1390750.

    Examples:
        >>> systematic_resampling(jnp.log(jnp.array([0.5, 0.5, 0.0, 0.0])), key=key)  # 0, 0, 1, 1
    """
    n = len(log_weights)
    heights = jnp.cumsum(jax.nn.softmax(log_weights))
    teeth = (jnp.arange(n) + jr.uniform(key, dtype=heights.dtype)) / n
    # The last height is one up to rounding; as a tooth may lie beyond it, heights are measured in units of it.
    return jnp.clip(jnp.searchsorted(heights / heights[-1], teeth, side="right"), 0, n - 1)


def _resample(log_weights: Array, *, key: Key) -> tuple[Array, Int[Array, " particle"], Scalar, Array]:
    """New log weights and indices: all the mean weight after resampling, both as they are where it is not needed.

    Then the effective size before, and whether it was needed.
    """
    n, log_weights = len(log_weights), _living(log_weights)
    size = effective_size(log_weights)
    needed = size < n / 2
    chosen = jnp.where(needed, systematic_resampling(log_weights, key=key), jnp.arange(n))
    mean = jax.nn.logsumexp(log_weights) - math.log(n)
    return jnp.where(needed, mean, log_weights), chosen, size, needed


def _living(log_weights: Array) -> Array:
    """A particle whose weight is not a number has none."""
    return jnp.where(jnp.isnan(log_weights), -jnp.inf, log_weights)


def _start(p: GaussianPrior, q: GaussianPrior, sigma: Scalar, noise: Swarm) -> _State:
    """Draws of N(m_y, Σ_y + σ²), weighted by their density under N(m, Σ + σ²)."""
    prior, proposal = GaussianSDE(p), GaussianSDE(q)
    variance = lambda v: v + sigma**2  # noqa: E731

    def one(noise):
        x = proposal.start(noise, sigma)
        log_ratio = _log_ratio(p, q, x - p.mean, noise, variance)
        return x, log_ratio, log_ratio, prior.init(x), proposal.init(x)

    return _State(*jax.vmap(one)(noise))


def _move(p: GaussianPrior, q: GaussianPrior, state: _State, denoised, steered, sigma, sigma_next, noise):
    """x′ under the proposal, log p(x′ | x)/q(x′ | x), and what both chains remember."""
    prior, proposal = GaussianSDE(p), GaussianSDE(q)
    variance = lambda v: transition_variance(v, sigma, sigma_next)  # noqa: E731

    def one(state: _State, denoised, steered, noise):
        aim, prior_memory = prior.mean(denoised, state.x, state.prior_memory, sigma, sigma_next)
        mean, guided_memory = proposal.mean(steered, state.x, state.guided_memory, sigma, sigma_next)
        deviation = proposal.deviation(noise, sigma, sigma_next)
        log_ratio = _log_ratio(p, q, mean - aim + deviation, noise, variance)
        return mean + deviation, log_ratio, prior_memory, guided_memory

    return jax.vmap(one)(state, denoised, steered, noise)


def _log_ratio(p: GaussianPrior, q: GaussianPrior, displacement: Sample, noise: Sample, variance: OfVariance) -> Scalar:
    """log N(z; 0, V_p)/N(ξ; 0, 1)·|V_q|^½, z the displacement from the mean of p, made from the noise ξ of q.

    V = variance(Σ). The squares are subtracted value by value, as their sums would differ by rounding alone. The two
    determinants are those of the same number of values, for which a common factor cancels.
    """
    u = p.combine((lambda v: variance(v) ** -0.5, displacement))
    scale = variance(p.remainder)
    log_determinant = lambda g: g.trace(lambda v: jnp.log(variance(v) / scale))  # noqa: E731
    return (jnp.sum((noise - u) * (noise + u)) + log_determinant(q) - log_determinant(p)) / 2


def _observe(conditional: ConditionalGaussian, shape: tuple[int, ...], sigma: Scalar) -> Innovations:
    return innovations(conditional.prior, conditional.operator, shape, sigma, conditional.noise_variance)


def _log_twists(
    observed: Innovations, conditional: ConditionalGaussian, y: Array, denoised: Swarm
) -> Float[Array, " particle"]:
    """log ψ_σ of every particle."""
    misfits = (y - jax.vmap(conditional.operator)(denoised)).reshape(len(denoised), -1)
    within = jnp.matmul(misfits, observed.directions, precision=FULL)
    return -jnp.sum(observed.precisions * within**2, axis=1) / 2 - observed.log_normalisation


def _finish(
    q: GaussianPrior,
    observed: Innovations,
    conditional: ConditionalGaussian,
    y: Array,
    denoised: Swarm,
    sigma: Scalar,
    noise: Swarm,
) -> Swarm:
    """x₀ from N(D, S_σ) conditioned on y; its covariance is σ²Σ_y(Σ_y + σ²)⁻¹."""
    misfits = (y - jax.vmap(conditional.operator)(denoised)).reshape(len(denoised), -1)
    gains = observed.solve(misfits.T).T
    deviations = jax.vmap(lambda xi: GaussianSDE(q).deviation(xi, sigma, jnp.zeros_like(sigma)))(noise)
    return denoised + jnp.tensordot(gains, observed.spread, 1, precision=FULL) + deviations
