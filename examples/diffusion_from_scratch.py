# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A diffusion model from scratch, with Subgrid's parts
#
# A diffusion model draws samples from a distribution p(x) that is known only through examples. Subgrid uses one as the
# prior of fine fields, and conditions it on coarse ones. This tutorial builds the whole chain on a 1-D field for which
# every answer is known in closed form, so that each step can be checked and not only looked at.
#
# The steps: add noise; remove it with the exact denoiser; sample; train a network in place of the exact denoiser;
# condition on every 8th point; evaluate the result.
#
# Set the environment variable `SUBGRID_EXAMPLE_SIZE=tiny` to run with small sizes.

# %%
import os

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import matplotlib.pyplot as plt
import numpy as np

from subgrid.data.batches import draw_batch
from subgrid.diffusion.denoiser import Preconditioned, gaussian_denoiser, score_from_denoiser
from subgrid.diffusion.driver import draw
from subgrid.diffusion.gaussian_steps import GaussianSDE
from subgrid.diffusion.guidance.moments import moment_matching
from subgrid.diffusion.guidance.projected import projection
from subgrid.diffusion.noise_levels import exponential_grid
from subgrid.diffusion.objective import denoising_loss, karras_weight, log_uniform_levels
from subgrid.diffusion.process import VarianceExploding, VariancePreserving, perturb
from subgrid.diffusion.samplers import AncestralMultistep, EulerMaruyama, ExponentialMultistep, Heun
from subgrid.diffusion.stationary_prior import fit_stationary_prior
from subgrid.networks.unet import UNet, UNetSettings
from subgrid.numerics.operators import Subsample
from subgrid.training.fitting import TrainingSchedule, fit, warmup_cosine
from subgrid.verification.ensembles import constraint_rmse, fair_crps, spread_skill_ratio

TINY = os.environ.get("SUBGRID_EXAMPLE_SIZE", "full") == "tiny"
N = 32 if TINY else 64  # points
FACTOR = 8  # every 8th point is observed
N_TRAIN = 1024 if TINY else 8192
N_TRAINING_STEPS = 160 if TINY else 2000
N_SAMPLES = 400 if TINY else 2000
N_CASES = 32 if TINY else 160
N_MEMBERS = 8 if TINY else 16

# %% [markdown]
# ## 1. The fields: periodic random waves
#
# A Gaussian process on a circle with covariance exp(−½ (d/ℓ)²), d the distance around the circle and ℓ = 0.08 of its
# length, plus a little white noise (1e-4) that keeps the matrix well-conditioned. Fields have shape (channel, x);
# there is one channel.

# %%
position = np.arange(N) / N
distance = np.abs(position[:, None] - position[None, :])
distance = np.minimum(distance, 1 - distance)
covariance = jnp.asarray(np.exp(-0.5 * (distance / 0.08) ** 2) + 1e-4 * np.eye(N), jnp.float32)
root = jnp.linalg.cholesky(covariance)


def draw_fields(n, *, key):
    return (jr.normal(key, (n, N)) @ root.T)[:, None]


train_set = draw_fields(N_TRAIN, key=jr.key(0))
# Sampling error: fields hold about 1/(2·0.08) ≈ 6 independent values, so the std is known to about 1/√(12 N_TRAIN).
assert abs(float(train_set.std()) - 1) < 4 / np.sqrt(12 * N_TRAIN)

# %% [markdown]
# ## 2. Noising
#
# A noising process turns data into noise step by step: x_t = s(t)·(x₀ + σ(t)·ε) with ε ~ N(0, I). *Variance
# exploding* keeps s = 1 and lets σ grow; *variance preserving* shrinks the signal so that the total variance stays 1.
# In the unscaled variable x_t/s(t) they are the same, so only the noise level σ matters, and that is what denoisers
# take.

# %%
field = train_set[0]
figure, axes = plt.subplots(2, 4, figsize=(9, 3.5), sharex=True, layout="constrained")
for row, process in zip(axes, (VarianceExploding(), VariancePreserving()), strict=True):
    sigmas = jnp.array([0.01, 0.3, 1.0, 10.0])
    noised = jax.vmap(lambda s, p=process: perturb(p, field, p.time_of(s), key=jr.key(1)))(sigmas)
    for panel, sigma, values in zip(row, sigmas, noised, strict=True):
        panel.plot(position, values[0])
        panel.set_title(f"σ = {sigma:.3g}", fontsize=9)
    row[0].set_ylabel(type(process).__name__, fontsize=8)

process = VariancePreserving()
time = process.time_of(jnp.asarray(3.0))
spread = jax.vmap(lambda x, k: perturb(process, x, time, key=k))(train_set, jr.split(jr.key(2), N_TRAIN)).std()
assert abs(float(spread) - 1) < 0.02  # variance preserving preserves the variance of unit data

# %% [markdown]
# ## 3. The exact denoiser
#
# A denoiser D(x, σ) is the mean of all clean fields that could have led to the noisy one, E[x₀ | x₀ + σε = x]. For
# Gaussian data it is linear, and Subgrid has it as `gaussian_denoiser`:
#
#     D(x, σ) = μ + Σ (Σ + σ²I)⁻¹ (x − μ).
#
# It matters because of Tweedie's formula: the gradient of the log-density of the *noisy* data, the score, is
# (D(x, σ) − x)/σ². Learning to denoise is learning the distribution. Here we check the formula against automatic
# differentiation of the density itself.

# %%
exact = gaussian_denoiser(jnp.zeros(N), covariance)
SIGMA = jnp.asarray(0.5)


def log_density(x):
    return jax.scipy.stats.multivariate_normal.logpdf(x[0], jnp.zeros(N), covariance + SIGMA**2 * jnp.eye(N))


noisy = field + SIGMA * jr.normal(jr.key(3), field.shape)
np.testing.assert_allclose(score_from_denoiser(exact)(noisy, SIGMA), jax.grad(log_density)(noisy), atol=2e-3)

# %% [markdown]
# ## 4. Sampling
#
# A sampler starts from pure noise at a large σ and walks down a grid of noise levels, asking the denoiser at each.
# Some walks are deterministic (the probability-flow ODE), some add fresh noise (the reverse SDE). With the exact
# denoiser, what is left is the error of the time stepping alone, so the number of levels can be chosen before training.


# %%
def generate(denoiser, method, n_levels, n, *, key):
    levels = exponential_grid(n_levels)
    return jax.jit(jax.vmap(lambda k: draw(denoiser, (1, N), levels, method=method, key=k)))(jr.split(key, n))


def covariance_error(fields):
    """Relative Frobenius error of the sample covariance; the mean is known to be zero."""
    flat = fields[:, 0]
    return float(jnp.linalg.norm(flat.T @ flat / len(flat) - covariance) / jnp.linalg.norm(covariance))


methods = {
    "ODE, multistep": ExponentialMultistep(),
    "ODE, Heun (two evaluations a step)": Heun(),
    "SDE, multistep": AncestralMultistep(),
    "SDE, Euler-Maruyama": EulerMaruyama(),
}
floor = covariance_error(draw_fields(N_SAMPLES, key=jr.key(4)))  # what as many exact samples score
print(f"{'32 levels':<36} {'std':>6} {'covariance error':>17}   (exact samples: {floor:.3f})")
for i, (name, method) in enumerate(list(methods.items())[:: 3 if TINY else 1]):
    fields = generate(exact, method, 32, N_SAMPLES, key=jr.fold_in(jr.key(5), i))
    print(f"{name:<36} {float(fields.std()):6.3f} {covariance_error(fields):17.3f}")
    if isinstance(method, ExponentialMultistep | Heun):
        assert covariance_error(fields) < 1.5 * floor + 0.02  # near the floor

# %% [markdown]
# At 32 levels all of them come close to what as many exact samples score, and the differences that are left are mostly
# sampling error. With 12 levels each is off by more than that.
#
# These methods treat the whole denoiser as unknown. Most of it is known: the mean and the spectrum of the fields say
# what it would be if they were Gaussian. Subgrid's default, `GaussianSDE`, solves that part in closed form over a step
# and discretises only the rest. Here there is no rest, up to the error of a spectrum fitted on the training fields, so
# four levels are as good as any number.

# %%
gaussian = fit_stationary_prior(np.asarray(train_set))
fields = generate(exact, GaussianSDE(gaussian), 4, N_SAMPLES, key=jr.fold_in(jr.key(5), 4))
print(f"{'4 levels, Gaussian part exact':<36} {float(fields.std()):6.3f} {covariance_error(fields):17.3f}")
assert covariance_error(fields) < 1.5 * floor + 0.02

# %% [markdown]
# Repeat this for your own number of levels: it costs seconds, and no network is needed. For Gaussian fields it needs
# no samples either: [all methods are compared](../results/sampler_errors.md) by carrying covariances through them.
#
# ## 5. Training a network
#
# Now forget the covariance and learn D from examples. The network is a small UNet, wrapped in `Preconditioned` so
# that its input and its target have unit variance at every noise level. The loss is the plain mean squared error of
# the denoised field, averaged over noise levels:
#
#     E_σ λ(σ) ‖D(x₀ + σε, σ) − x₀‖².

# %%
levels = log_uniform_levels(2e-3, 80.0)
settings = UNetSettings(channels=(32,) if TINY else (32, 64), n_blocks=1, patch=4, padding="periodic")
network = UNet(1, 1, 1, settings, key=jr.key(6))
losses = []
learned = fit(
    Preconditioned(network),
    lambda denoiser, batch, key: denoising_loss(denoiser, batch, noise_levels=levels, weight=karras_weight(), key=key),
    train_set,
    lambda samples, key: draw_batch(samples, 64, key=key),
    TrainingSchedule(
        N_TRAINING_STEPS,
        optimiser=warmup_cosine(N_TRAINING_STEPS, peak=2e-3),
        ema_decay=0.98 if TINY else 0.995,
    ),
    report=lambda step, numbers: losses.append((step, numbers["loss"])),
    key=jr.key(7),
)
print(f"loss: {losses[0][1]:.3f} in the first steps, {losses[-1][1]:.3f} in the last")

# %% [markdown]
# A low loss by itself says little: some error is unavoidable, because noise hides information. The exact denoiser
# gives the smallest possible error at each σ. The question is how far above it the network is.


# %%
@eqx.filter_jit
def denoising_errors(denoiser, sigma, *, key):
    fresh_key, noise_key = jr.split(key)
    fresh = draw_fields(2000, key=fresh_key)  # fields that were never trained on
    noisy = fresh + sigma * jr.normal(noise_key, fresh.shape)
    return jnp.mean((jax.vmap(lambda x: denoiser(x, sigma))(noisy) - fresh) ** 2)


sigmas = jnp.geomspace(0.02, 20, 10)
best = np.array([denoising_errors(exact, s, key=jr.key(8)) for s in sigmas])
reached = np.array([denoising_errors(learned, s, key=jr.key(8)) for s in sigmas])
print("error of the network over the smallest possible error:", np.round(reached / best, 2))
assert (reached > 0.98 * best).all()  # nothing beats the posterior mean, up to sampling error
assert (reached < 1.6 * best).all()  # and the network comes near it

figure, axes = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
axes[0].semilogy(*np.array(losses).T)
axes[0].set(xlabel="step", ylabel="training loss")
axes[1].loglog(sigmas, sigmas**2, ":", color="grey", label="doing nothing, σ²")
axes[1].loglog(sigmas, best, "k", label="exact denoiser")
axes[1].loglog(sigmas, reached, "C1o--", label="network")
axes[1].set(xlabel="noise level σ", ylabel="mean squared error", ylim=(0.5 * best.min(), 3))
axes[1].legend()

generated = generate(learned, ExponentialMultistep(), 32, N_SAMPLES, key=jr.key(9))
print(f"samples of the network: std {float(generated.std()):.3f}, covariance error {covariance_error(generated):.3f}")
assert 0.7 < float(generated.std()) < 1.3

figure, axes = plt.subplots(1, 2, figsize=(9, 2.5), sharey=True, layout="constrained")
axes[0].plot(position, train_set[:4, 0].T)
axes[0].set_title("training fields")
axes[1].plot(position, generated[:4, 0].T)
axes[1].set_title("generated fields")

# %% [markdown]
# ## 6. Guidance: condition on every 8th point
#
# Downscaling asks for p(x | C′x = y) with C′ known; here C′ takes every 8th point. Guidance changes the *denoiser* and
# leaves the sampler alone: a function Denoiser → Denoiser. We compare three:
#
# - **moment matching**, D + JᵀC′ᵀ(C′JᵀC′ᵀ)⁻¹(y − C′D) with J = ∂D/∂x: exact for Gaussian data;
# - **projection**, a gradient step and then a projection onto C′x = y, with a strength to choose (default d/d′ = 8);
# - **overwriting**, projection with strength 0: the observed points are simply put in at every step.
#
# For Gaussian data the answer is the conditional Gaussian (the formula of kriging, or of an optimal-interpolation
# analysis):
#
#     mean = ΣC′ᵀ (C′ΣC′ᵀ)⁻¹ y,     covariance = Σ − ΣC′ᵀ (C′ΣC′ᵀ)⁻¹ C′Σ.

# %%
operator = Subsample((N,), FACTOR)
truths = draw_fields(N_CASES, key=jr.key(10))
targets = operator(truths)

observed = covariance[:, ::FACTOR]
gain = np.linalg.solve(np.asarray(observed[::FACTOR], np.float64), np.asarray(observed.T, np.float64)).T
posterior_covariance = np.asarray(covariance, np.float64) - gain @ np.asarray(observed.T, np.float64)
posterior_root = jnp.asarray(np.linalg.cholesky(posterior_covariance + 1e-6 * np.eye(N)), jnp.float32)
posterior_means = targets @ jnp.asarray(gain.T, jnp.float32)
kriging = posterior_means[:, None] + jr.normal(jr.key(11), (N_CASES, N_MEMBERS, 1, N)) @ posterior_root.T


@eqx.filter_jit
def conditional_ensemble(denoiser, guide, targets, *, key):
    levels = exponential_grid(32)

    def one(y, key):
        return draw(guide(denoiser, operator, y), (1, N), levels, method=ExponentialMultistep(), key=key)

    keys = jr.split(key, (len(targets), N_MEMBERS))
    return jax.vmap(lambda y, ks: jax.vmap(lambda k: one(y, k))(ks))(targets, keys)


def overwriting(denoiser, operator, y):
    return projection(denoiser, operator, y, strength=0.0)


def scores(ensemble):
    flat, repeated = ensemble.reshape(-1, 1, N), jnp.repeat(targets, N_MEMBERS, axis=0)
    return {
        "constraint": float(constraint_rmse(operator, flat, repeated)),
        "CRPS": float(fair_crps(jnp.moveaxis(ensemble, 1, 0), truths).mean()),
        "spread/skill": float(spread_skill_ratio(ensemble, truths)),
    }


ensembles = {
    "exact posterior": kriging,
    "exact denoiser, moment matching": conditional_ensemble(exact, moment_matching, targets, key=jr.key(12)),
    "exact denoiser, overwriting": conditional_ensemble(exact, overwriting, targets, key=jr.key(12)),
    "network, moment matching": conditional_ensemble(learned, moment_matching, targets, key=jr.key(12)),
}
if not TINY:
    ensembles["exact denoiser, projection"] = conditional_ensemble(exact, projection, targets, key=jr.key(12))
table = {name: scores(ensemble) for name, ensemble in ensembles.items()}
print(f"{'':<34}{'constraint':>12}{'CRPS':>8}{'spread/skill':>14}")
for name, row in table.items():
    print(f"{name:<34}{row['constraint']:12.1e}{row['CRPS']:8.4f}{row['spread/skill']:14.3f}")

# %% [markdown]
# ## 7. Why constraint error proves nothing
#
# All guided samplers keep the observed points to rounding. So does overwriting, and its ensemble is wrong: it never
# tells the points in between what was observed, except through the next denoising. The constraint is imposed by
# algebra, for any denoiser and any strength. A small constraint error shows that the algebra was coded correctly, and
# nothing about p(x | y).
#
# What does show it:
#
# - **CRPS** against the truth (lower is better), and the value that the exact posterior reaches is the floor;
# - **spread/skill**, 1 if the ensemble spread matches the error of its mean, below 1 if it is overconfident;
# - where the answer is known, the mean and covariance themselves.

# %%
for name, row in table.items():
    if name != "exact posterior":
        assert row["constraint"] < 1e-3, name  # right and wrong posteriors alike
reference = table["exact posterior"]
matched, wrong = table["exact denoiser, moment matching"], table["exact denoiser, overwriting"]
assert abs(reference["spread/skill"] - 1) < 0.15  # 5 standard errors, with some 6 independent values a case
assert matched["CRPS"] < 1.05 * reference["CRPS"]  # moment matching is exact for Gaussian data
assert wrong["CRPS"] > 1.1 * reference["CRPS"]  # and overwriting is not, whatever its constraint error

figure, axes = plt.subplots(1, 3, figsize=(10, 3), sharey=True, layout="constrained")
for panel, name in zip(
    axes, ("exact posterior", "network, moment matching", "exact denoiser, overwriting"), strict=True
):
    panel.plot(position, ensembles[name][0, :, 0].T, color="C0", alpha=0.4, linewidth=0.8)
    panel.plot(position, truths[0, 0], "k", linewidth=1.2, label="truth")
    panel.plot(position[::FACTOR], targets[0, 0], "ko", markersize=4, label="observed")
    panel.set_title(f"{name}\nCRPS {table[name]['CRPS']:.3f}", fontsize=9)
axes[0].legend(fontsize=8)

# %% [markdown]
# ## Where this leads
#
# `subgrid.fit` with `prior="network"` does section 5 for your fields, and `subgrid.downscale` section 6, after a
# debiasing step for coarse fields that are not simply coarsened fine ones. The tests of the package hold every sampler
# and every guidance to such closed forms. See [fitting](../guide/fitting.md) and the page on
# [guidance](../guide/guidance.md).
