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
# # Langevin dynamics, from the slide to eight Gaussians
#
# A generative model draws samples from a density. Long before networks there were ways to do that, and diffusion models
# are built from one of them. Lectures have it on a slide, in one line:
#
#     x′ = x + τ∇log p(x) + √(2τ) ξ,     ξ ~ N(0, I).
#
# A particle climbs towards likely states, and noise keeps it from staying at the top. This page starts with samplers
# that need no such walk, shows where they stop, and follows the line from the slide to the point where it fails: a
# density with eight separate modes. Noise at many scales repairs it.
#
# After this page you can choose a classical sampler, tune it, and say from four printed numbers whether to believe it.
# Every result is compared with a value that is known exactly. Set the environment variable
# `SUBGRID_EXAMPLE_SIZE=tiny` to run with small sizes.

# %%
import os
from math import sqrt

import jax
import jax.numpy as jnp
import jax.random as jr
import matplotlib.pyplot as plt
import numpy as np
from scipy import stats

from subgrid.mcmc import (
    MALA,
    AnnealedLangevin,
    BoundExceeded,
    InverseTransform,
    Rejection,
    UnadjustedLangevin,
    acceptance_rate,
    effective_sample_size,
    proportional_step,
    rejection_sample,
    run_chain,
    run_chains,
    split_r_hat,
    tabulate_quantile,
    tune_step_size,
)
from subgrid.report import style

TINY = os.environ.get("SUBGRID_EXAMPLE_SIZE", "full") == "tiny"
N_DRAWS = 2_000 if TINY else 20_000  # independent draws
N_PARTICLES = 500 if TINY else 20_000  # components that move independently of each other
D = 16 if TINY else 64  # dimensions in which the acceptance is measured
N_STEPS = 500 if TINY else 4_000  # of a chain
N_ANNEALED = 800 if TINY else 4_000  # annealed chains
N_LEVELS, N_EACH = (30, 8) if TINY else (100, 20)  # noise levels, and steps at each

plt.rcParams.update(style.SETTINGS)
sample_size, r_hat_of = jax.jit(effective_sample_size), jax.jit(split_r_hat)
EXACT, CHAIN, BIASED, REFUSED = (style.COLOURS[role] for role in ("reference", "generated", "raw", "floor"))

# %% [markdown]
# ## 1. Independent draws: the inverse transform
#
# Let F be the distribution function of a number, and U uniform between 0 and 1. Then F⁻¹(U) has the distribution F.
# Annual maxima often follow a Gumbel distribution, F(x) = exp(−exp(−x)). Its inverse is a formula, so a draw costs two
# logarithms.
#
# For most densities F⁻¹ is no formula. `tabulate_quantile` makes it from log p alone: it integrates p, tabulates F, and
# polishes each quantile by Newton's method. The constant that normalises p is found on the way. Here p has two wells.


# %%
def log_two_wells(x):
    return -4 * (x**2 - 1) ** 2 + 0.5 * x


quantile = tabulate_quantile(log_two_wells)
kernels = {
    "Gumbel, by formula": InverseTransform(lambda u: -jnp.log(-jnp.log(u))),
    "two wells, by table": InverseTransform(quantile),
}
draws = {}
for i, (name, kernel) in enumerate(kernels.items()):
    start = kernel.init(jnp.zeros(N_DRAWS))
    draws[name] = np.asarray(run_chain(kernel, start, 1, key=jr.key(i)).positions[0])

# The exact answers, by a sum over a fine grid that shares nothing with the table.
grid = np.linspace(-2.5, 2.5, 20_001)
weights = np.exp(np.asarray(log_two_wells(grid)))
exact_cdf = np.cumsum(weights) / weights.sum()
distances = {
    "Gumbel, by formula": stats.kstest(draws["Gumbel, by formula"], stats.gumbel_r.cdf),
    "two wells, by table": stats.kstest(draws["two wells, by table"], lambda x: np.interp(x, grid, exact_cdf)),
}
print(f"{'largest error of F':<24}{'found':>8}{'chance alone, 99.9 %':>24}")
for name, found in distances.items():
    print(f"{name:<24}{found.statistic:8.4f}{1.95 / sqrt(N_DRAWS):24.4f}")
    assert found.pvalue > 1e-3

# %% [markdown]
# ## 2. Rejection, with a bound that is checked
#
# Suppose draws of another density g are easy, and p ≤ M g everywhere. Draw x from g, and keep it with probability
# p(x)/(M g(x)). What is kept has the density p. One proposal in M is kept.
#
# We draw N(0, 1) from a Laplace distribution. The ratio p/g is largest at ±1, where it is M = √(2e/π) = 1.315. The
# method is wrong without a word where M is too small. Subgrid compares p with M g at every proposal and refuses the
# run, with the point and with the bound that would hold there.


# %%
def log_normal(x):
    return -(x**2) / 2 - jnp.log(2 * jnp.pi) / 2


def log_laplace(x):
    return -jnp.abs(x) - jnp.log(2.0)


log_bound = jnp.log(2 * jnp.e / jnp.pi) / 2
kernel = Rejection(log_normal, jr.laplace, log_laplace, log_bound)
kept = np.asarray(rejection_sample(kernel, N_DRAWS, key=jr.key(2)))
proposals = run_chain(kernel, kernel.init(jnp.zeros(())), N_DRAWS, key=jr.key(3)).info
accepted, expected = float(acceptance_rate(proposals)), float(jnp.exp(-log_bound))
print(f"accepted: {accepted:.3f}, expected 1/M = {expected:.5f} ± {sqrt(expected * (1 - expected) / N_DRAWS):.3f}")
assert abs(accepted - expected) < 4 * sqrt(expected * (1 - expected) / N_DRAWS)
assert stats.kstest(kept, stats.norm.cdf).pvalue > 1e-3

try:
    rejection_sample(Rejection(log_normal, jr.laplace, log_laplace, log_bound - 0.2), N_DRAWS, key=jr.key(4))
    raise SystemExit("a bound that does not hold went unnoticed")
except BoundExceeded as refusal:
    print("a bound that is too small:", refusal)

for d in (1, 10, 100):
    print(f"{d:4d} dimensions: one proposal in {expected**-d:.3g} is kept")

# %% [markdown]
# The last lines are why nobody draws fields this way. Bounds multiply, one factor for each dimension, and a field has
# thousands.


# %%
def draw_wells(axes):
    """Draws of the inverse transform beside their exact density."""
    axes.hist(draws["two wells, by table"], bins=60, density=True, color=CHAIN, alpha=0.6, label="drawn")
    axes.plot(grid, weights / weights.sum() / (grid[1] - grid[0]), color=EXACT, label="exact density")
    axes.set(title="inverse transform", xlabel="x", ylabel="density", xlim=(-1.9, 1.9))
    axes.legend(loc="upper left")
    return axes


def draw_rejection(axes):
    """What is kept, and what lies between p and M g."""
    x = np.linspace(-4, 4, 401)
    p, above = np.exp(log_normal(x)), np.exp(log_laplace(x) + log_bound)
    axes.hist(kept, bins=60, density=True, color=CHAIN, alpha=0.6, label="kept")
    axes.fill_between(x, p, above, color=REFUSED, alpha=0.4, linewidth=0, label="refused")
    axes.plot(x, p, color=EXACT, label="p")
    axes.plot(x, above, color=BIASED, linestyle=style.PATTERNS["raw"], label="M g")
    axes.set(title="rejection", xlabel="x", xlim=(-4, 4))
    axes.legend(loc="upper left")
    return axes


figure, axes = plt.subplots(1, 2, figsize=(2 * style.TILE_WIDTH, 3.0), layout="constrained")
draw_wells(axes[0])
draw_rejection(axes[1])

# %% [markdown]
# ## 3. The line from the slide, and its bias
#
# The Langevin equation
#
#     dX = ∇log p(X) dt + √2 dW
#
# forgets where it started and ends with the density p. It needs no bound and no normalised density: constants vanish in
# the gradient. A computer makes steps of finite τ, and this is the line from the slide, the *unadjusted Langevin
# algorithm* (ULA).
#
# How wrong are finite steps? Take p = N(0, 1/λ). A step is x′ = (1 − λτ)x + √(2τ)ξ, an autoregressive process of first
# order, as in the red noise of climate indices. Its variance v does not change in a step if
# v = (1 − λτ)²v + 2τ, so
#
#     v = 1 / (λ(1 − λτ/2)).
#
# That is too large by the factor 1/(1 − λτ/2). No number of steps removes it. At τ = 2/λ there is no stationary
# distribution at all. In a field, λ belongs to the shortest waves, so that finer grids force smaller steps;
# [fields, not vectors](fields_not_vectors.md) shows the way out.
#
# Smaller τ costs effective draws. N steps of an autoregressive process are worth N λτ/(2 − λτ) independent ones. The
# chains below start in p, and 30 steps of burn-in let ULA go to its own distribution. Errors are one standard error,
# from components that move independently.

# %%
LAMBDA = 4.0
PRODUCTS = np.array([0.1, 0.8, 1.2] if TINY else [0.1, 0.4, 0.8, 1.2, 1.4])  # λτ
starts = jr.normal(jr.key(5), (4, N_PARTICLES)) / sqrt(LAMBDA)


def variance_of(positions):
    """Of each chain's components, which have the mean 0 and are independent; with its standard error."""
    squares = np.asarray(jnp.mean(positions**2, axis=(0, 1)), np.float64)
    return squares.mean(), squares.std() / sqrt(len(squares))


def ula_score(x):
    return -LAMBDA * x


ula = {}
print(f"{'λτ':>5}{'variance':>18}{'exact':>9}{'of p':>8}{'ESS a step':>12}{'exact':>8}")
for i, product in enumerate(PRODUCTS):
    kernel = UnadjustedLangevin(ula_score, product / LAMBDA)
    chains = run_chains(kernel, starts, 100, n_burn_in=30, key=jr.fold_in(jr.key(6), i))
    (found, error), exact = variance_of(chains.positions), 1 / (LAMBDA * (1 - product / 2))
    size = float(sample_size(chains.positions).mean()) / (4 * 100)
    ula[product] = (found, error, chains.positions[:, -1].ravel())
    print(
        f"{product:5.1f}{found:10.4f} ± {error:.4f}{exact:9.4f}{1 / LAMBDA:8.4f}{size:12.3f}"
        f"{product / (2 - product):8.3f}"
    )
    # What 30 steps leave of the start is .9^60 at most, 2e-3 of a difference of a twentieth.
    assert abs(found - exact) < 4 * error + 2e-4 * exact

try:
    run_chains(UnadjustedLangevin(ula_score, 4 / LAMBDA), starts, 100, n_burn_in=30, key=jr.key(7))
    raise SystemExit("a step beyond 2/λ went unnoticed")
except FloatingPointError as refusal:
    print("twice that step:", refusal)

# %% [markdown]
# ## 4. Refuse some steps: MALA
#
# Metropolis and Hastings knew how to remove the error. Treat the step as a proposal from q(x′|x) = N(x + τ∇log p, 2τI),
# and accept it with probability
#
#     α = min(1, p(x′) q(x|x′) / p(x) q(x′|x)).
#
# Otherwise stay. This is MALA, the *Metropolis-adjusted* Langevin algorithm. It leaves p exactly as it is, for every τ:
# the price of a large τ is now refusals. On N(0, 1) the price is known. By symmetry, E α is twice the probability that
# α = 1, which is the probability that |x′| < |x|. That makes
#
#     E α = 1 − (2/π) arctan √(τ³/8).
#
# In d equal directions it becomes 2Φ(−√(dτ³/8)) for large d, Φ the normal distribution function. The step must then
# shrink like d^(−1/3), which is far better than 1/M^d.


# %%
def log_gaussian(x):
    return -LAMBDA * jnp.sum(x**2) / 2


mala = {}
print(f"{'λτ':>5}{'acceptance':>18}{'exact':>8}{'variance':>18}{'of p':>8}")
independent = starts.reshape(-1, 1)[:N_PARTICLES]  # chains of one dimension
for i, product in enumerate(PRODUCTS):
    kernel = MALA(log_gaussian, product / LAMBDA)
    chains = run_chains(kernel, independent, 20, key=jr.fold_in(jr.key(8), i))
    rates = np.asarray(chains.info.acceptance_probability.mean(1), np.float64)
    exact, rate_error = 1 - 2 / np.pi * np.arctan(sqrt(product**3 / 8)), rates.std() / sqrt(N_PARTICLES)
    found, error = variance_of(jnp.swapaxes(chains.positions[..., 0], 0, 1)[None])
    mala[product] = (found, error)
    print(
        f"{product:5.1f}{rates.mean():10.4f} ± {rate_error:.4f}{exact:8.4f}{found:10.4f} ± {error:.4f}{1 / LAMBDA:8.4f}"
    )
    assert abs(rates.mean() - exact) < 4 * rate_error
    assert abs(found - 1 / LAMBDA) < 4 * error


# %%
def draw_variances(axes):
    """Variances against the step: the two closed forms, and what chains have."""
    products = np.linspace(0, 1.75, 200)
    axes.plot(products, 1 / (LAMBDA * (1 - products / 2)), color=BIASED, linestyle=style.PATTERNS["raw"])
    axes.axhline(1 / LAMBDA, color=EXACT)
    for results, colour, name in ((ula, BIASED, "ULA"), (mala, CHAIN, "MALA")):
        found, error = np.array([row[:2] for row in results.values()]).T
        axes.errorbar(list(results), found, 4 * error, color=colour, marker="o", linestyle="", label=name)
    axes.set(title="variance of the chain", xlabel="λτ", ylabel="variance", ylim=(0, 1.6))
    axes.legend(loc="upper left")
    return axes


def draw_biased(axes):
    """What ULA draws with a large step, beside p and the closed form."""
    product = float(PRODUCTS[-2])
    x = np.linspace(-2.5, 2.5, 201)
    wide = 1 / sqrt(LAMBDA * (1 - product / 2))
    axes.hist(ula[product][2], bins=60, density=True, color=BIASED, alpha=0.4, label=f"ULA, λτ = {product}")
    axes.plot(x, stats.norm.pdf(x, scale=wide), color=BIASED, linestyle=style.PATTERNS["raw"], label="its closed form")
    axes.plot(x, stats.norm.pdf(x, scale=1 / sqrt(LAMBDA)), color=EXACT, label="p")
    axes.set(title="density of the chain", xlabel="x", ylabel="density", xlim=(-2.5, 2.5))
    axes.legend(loc="upper left")
    return axes


figure, axes = plt.subplots(1, 2, figsize=(2 * style.TILE_WIDTH, 3.0), layout="constrained")
draw_variances(axes[0])
draw_biased(axes[1])

# %% [markdown]
# ### Which acceptance is best?
#
# Small steps are nearly all accepted and go nowhere. Large steps are refused. The best compromise in many equal
# directions is an acceptance of .574, whatever the scale of the problem. `tune_step_size` finds its step in a warm-up.
#
# Four numbers tell how a run went. The *acceptance*. The *effective sample size* (ESS): how many independent draws
# would estimate a mean as well. *Split R̂*, which compares halves of all chains: 1 where they agree, and above 1.01
# there is reason to doubt. And an exact value, where there is one.


# %%
def log_unit(x):
    return -jnp.sum(x**2) / 2


@jax.jit
def efficiency(step_size, key):
    """Acceptance, and effective draws a step, of chains that start in p."""
    start_key, run_key = jr.split(key)
    kernel = MALA(log_unit, step_size)
    one = lambda x, k: run_chain(kernel, kernel.init(x), N_STEPS // 2, key=k)  # noqa: E731
    chains = jax.vmap(one)(jr.normal(start_key, (4, D)), jr.split(run_key, 4))
    sizes = effective_sample_size(chains.positions) / (4 * (N_STEPS // 2))
    return chains.info.acceptance_probability.mean(), sizes.mean()


asked = np.array([0.95, 0.574, 0.2]) if TINY else np.array([0.98, 0.95, 0.9, 0.8, 0.7, 0.574, 0.45, 0.3, 0.2, 0.1])
steps = (8 / D) ** (1 / 3) * stats.norm.ppf(1 - asked / 2) ** (2 / 3)  # 2Φ(−√(dτ³/8)) = what is asked for
reached, sizes = np.array([efficiency(step, jr.fold_in(jr.key(9), i)) for i, step in enumerate(steps)]).T
print(f"{D} dimensions\n{'τ':>6}{'limit of many':>15}{'acceptance':>12}{'ESS a step':>12}")
for row in zip(steps, asked, reached, sizes, strict=True):
    print("{:6.3f}{:15.3f}{:12.3f}{:12.3f}".format(*row))
best = int(np.argmin(abs(asked - 0.574)))
assert abs(reached - asked).max() < (0.12 if TINY else 0.06)  # corrections are of the order d^(−1/3)
assert sizes[best] > 0.85 * sizes.max()

tuned, _ = tune_step_size(log_unit, jnp.zeros(D), key=jr.key(10))
print(f"tuned: τ = {float(tuned.step_size):.3f}, and {steps[best]:.3f} in the limit")
assert abs(float(tuned.step_size) / steps[best] - 1) < 0.25

# %% [markdown]
# The top of the curve is flat, so that any acceptance between .45 and .75 will do.
#
# A Gaussian is easy. The banana is a density whose ridge is bent: x₁ ~ N(0, 1), and x₂ given x₁ is N(½x₁², ½). Its
# moments are known: E x₂ = ½ and Var x₂ = 1. MALA is tuned on it, and then run twice: from eight places along the
# ridge, and from eight places below it. Where the gradient is large every proposal overshoots and is refused. Some of
# the chains that start below the ridge never move, and R̂ reports it.


# %%
def log_banana(x):
    return -(x[0] ** 2) / 2 - (x[1] - x[0] ** 2 / 2) ** 2


def summary(chains):
    """The numbers that tell how a run went: acceptance, least ESS, and largest split R̂."""
    sizes, r_hat = sample_size(chains.positions), r_hat_of(chains.positions)
    return float(acceptance_rate(chains.info).mean()), float(sizes.min()), float(r_hat.max())


kernel, _ = tune_step_size(log_banana, jnp.zeros(2), key=jr.key(11))
first = jnp.linspace(-1.75, 1.75, 8)
places = {"on the ridge": jnp.stack([first, first**2 / 2], 1), "below it": jnp.stack([2 * first, first * 0 - 4], 1)}
bananas = {
    name: run_chains(kernel, starts, N_STEPS, n_burn_in=N_STEPS // 4, key=jr.key(12)) for name, starts in places.items()
}
banana = bananas["on the ridge"]
print(f"{'starts':<14}{'acceptance':>11}{'ESS':>7}{'split R̂':>9}{'mean of x₂':>16}{'variance':>10}")
for name, chains in bananas.items():
    (rate, size, r_hat), second = summary(chains), np.asarray(chains.positions[..., 1], np.float64)
    print(
        f"{name:<14}{rate:11.3f}{size:7.0f}{r_hat:8.3f}{second.mean():9.3f} ± {second.std() / sqrt(size):.3f}"
        f"{second.var():9.2f}"
    )
print(f"{'exact':<41}{0.5:8.3f}{1:17.2f}")
rate, size, r_hat = summary(banana)
assert abs(float(banana.positions[..., 1].mean()) - 0.5) < 4 / sqrt(size)
assert abs(rate - 0.574) < 0.15  # a warm-up of 1000 steps, on a density of many scales
assert r_hat < 1.1 < summary(bananas["below it"])[2]


# %%
def draw_efficiency(axes):
    """Effective draws against acceptance."""
    axes.axvline(0.574, color=EXACT, linewidth=0.8)
    axes.text(0.585, 0.0, ".574", color=EXACT, fontsize=8, va="bottom")
    axes.plot(reached, sizes, color=CHAIN, marker="o")
    axes.set(title=f"MALA in {D} dimensions", xlabel="acceptance", ylabel="effective draws a step", xlim=(0, 1))
    axes.set_ylim(bottom=0)
    return axes


def draw_banana(axes):
    """Positions of all chains on lines of equal density."""
    x, y = np.meshgrid(np.linspace(-3, 3, 150), np.linspace(-2.5, 6, 150))
    height = -(x**2) / 2 - (y - x**2 / 2) ** 2
    points = np.asarray(banana.positions[:, :: max(1, N_STEPS // 250)]).reshape(-1, 2)
    axes.scatter(*points.T, s=3, color=CHAIN, linewidth=0)
    axes.contour(x, y, height, levels=[-4.5, -2, -0.5], colors=EXACT, linewidths=0.8, linestyles="-")
    axes.set(title="MALA on the banana", xlabel="x₁", ylabel="x₂", xlim=(-3, 3), ylim=(-2.5, 6))
    return axes


figure, axes = plt.subplots(1, 2, figsize=(2 * style.TILE_WIDTH, 3.0), layout="constrained")
draw_efficiency(axes[0])
draw_banana(axes[1])

# %% [markdown]
# ## 5. Eight Gaussians, and one chain
#
# Now the density that stops it: eight narrow Gaussians on a circle, as many weather regimes might be. Every second one
# has three times the weight of its neighbours.
#
# Between two neighbours log p falls by about ½(a/s)², where a is half of their distance and s their width. That is 13
# here, and the chain has to climb down all of it by luck. It does so once in e¹³ tries, about half a million.

# %%
ANGLES = np.pi / 4 * np.arange(8)
CENTRES = jnp.asarray(4 * np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1), jnp.float32)
WEIGHTS = np.tile([1, 3], 4) / 16
WIDTH = 0.3
depth = (4 * np.sin(np.pi / 8) / WIDTH) ** 2 / 2
print(f"depth between two neighbours: {depth:.1f}; e^depth: {np.exp(depth):.1e}")


def log_blurred(x, sigma):
    """Of the eight Gaussians with independent noise of standard deviation σ added; up to a constant."""
    variance = WIDTH**2 + sigma**2
    distances = jnp.sum((x - CENTRES) ** 2, axis=-1)
    return jax.nn.logsumexp(jnp.log(WEIGHTS) - distances / (2 * variance)) - jnp.log(variance)


def log_eight(x):
    return log_blurred(x, 0.0)


def shares(positions):
    """Of each mode among all positions, a position belonging to the nearest centre."""
    points = np.asarray(positions).reshape(-1, 2)
    nearest = np.argmin(np.linalg.norm(points[:, None] - np.asarray(CENTRES), axis=2), axis=1)
    return np.bincount(nearest, minlength=8) / len(points)


kernel, _ = tune_step_size(log_eight, CENTRES[0], key=jr.key(14))
together = run_chains(kernel, jnp.tile(CENTRES[0], (8, 1)), N_STEPS, n_burn_in=100, key=jr.key(15))
apart = run_chains(kernel, CENTRES, N_STEPS, n_burn_in=100, key=jr.key(16))
print(f"{'MALA, eight chains':<22}{'acceptance':>11}{'ESS':>7}{'split R̂':>9}   shares of the modes in %")
for name, chains in {"from one mode": together, "one from each mode": apart}.items():
    numbers = "{:11.3f}{:7.0f}{:8.3f}".format(*summary(chains))
    print(f"{name:<22}{numbers}   {np.round(100 * shares(chains.positions), 1)}")
print(f"{'exact':<48}   {100 * WEIGHTS}")
assert shares(together.positions)[0] == 1 and summary(together)[2] < 1.05
np.testing.assert_array_equal(shares(apart.positions), 1 / 8)
assert summary(apart)[2] > 2

# %% [markdown]
# Both runs are wrong, and only one of them shows it.
#
# - Eight chains from one mode agree with each other. Acceptance, ESS and R̂ are all fine. They describe one mode of
#   eight. No diagnostic can report a place where no chain has been.
# - One chain from each mode: R̂ is far above 1, which is the reason to start chains far apart. Yet all the modes are
#   there, each with the share of its starts, 12.5 %. The score near one mode does not depend on the weights of the
#   others, so that no chain can know them.
#
# ## 6. Annealing: noise at many scales
#
# Add noise of standard deviation σ to the draws of p. Their density p_σ is blurred, and for σ of the size of the circle
# it has a single mode, in which Langevin dynamics works well. So begin there. Then lower σ by small steps, and start
# the chain of each level where the one before has ended:
#
#     x ← x + τ_i ∇log p_{σ_i}(x) + √(2τ_i) ξ     n times for each σ₁ > σ₂ > … > σ_L,     τ_i = ½ε σ_i²/σ_L².
#
# The step goes with σ_i², the square of the scale of each level. With r = ε/(2σ_L²) it is τ_i = r σ_i², and every level
# is crossed in n r of its own relaxation times. While the modes are still connected the chains divide themselves in the
# right proportion, and later they only sharpen.

# %%
LEVELS = jnp.geomspace(10.0, 0.02, N_LEVELS)
RATIO = 0.1
EPSILON = 2 * RATIO * float(LEVELS[-1]) ** 2
score = jax.grad(log_blurred)
kernel = AnnealedLangevin(score, LEVELS, N_EACH, proportional_step(EPSILON / (2 * float(LEVELS[-1]) ** 2)))


@jax.jit
def anneal(starts, keys):
    run = lambda x, k: run_chain(kernel, kernel.init(x), N_LEVELS * N_EACH, key=k)  # noqa: E731
    return jax.vmap(run)(starts, keys).positions


wide = 10 * jr.normal(jr.key(18), (N_ANNEALED, 2))
paths = anneal(wide, jr.split(jr.key(19), N_ANNEALED))
ends = paths[:, -1]
by_mode = shares(ends)
share_errors = np.sqrt(WEIGHTS * (1 - WEIGHTS) / N_ANNEALED)
print(f"{'annealed, %':<22}{np.round(100 * by_mode, 1)}")
print(f"{'exact, %':<22}{100 * WEIGHTS}")
print(f"{'standard error, %':<22}{np.round(100 * share_errors, 1)}")
print(f"score evaluations a draw: {N_LEVELS * N_EACH}")
# Four standard errors, and what the quick descent adds to the light modes.
assert (abs(by_mode - WEIGHTS) < 4 * share_errors + (0.02 if TINY else 0.004)).all()

# %% [markdown]
# The shares come out right because they are settled while the modes are still connected. A quick descent settles them
# too early, at a σ where the light modes are blurred into their neighbours, and they keep a little too much: with 240
# steps instead of 2000 some 7.5 % instead of 6.25 %.
#
# Annealed chains end after one descent, and each of them gives one draw. The draws are independent, so that ESS is
# their number, up to what is left to chance.
#
# How wide are the modes? Inside one Gaussian of variance s² every step is linear, as in section 3:
#
#     V ← (1 − r σ²/(s² + σ²))² V + 2r σ²,
#
# and this recursion can be followed exactly through all the levels. It ends above s², because the last steps are too
# short to follow the falling σ: they shrink with σ_i² while the mode does not. More steps at each level remove that.

# %%
variance = 10.0**2
for sigma in np.repeat(np.asarray(LEVELS, np.float64), N_EACH):
    variance = (1 - RATIO * sigma**2 / (WIDTH**2 + sigma**2)) ** 2 * variance + 2 * RATIO * sigma**2
nearest = jnp.argmin(jnp.linalg.norm(ends[:, None] - CENTRES, axis=2), axis=1)
found = float(jnp.mean((ends - CENTRES[nearest]) ** 2))
print(f"variance in a mode: {found:.4f} ± {found / sqrt(N_ANNEALED):.4f}; recursion {variance:.4f}; p {WIDTH**2:.4f}")
groups = ends.reshape(4, -1, 2)  # four groups of independent draws, as chains
print(f"ESS {float(sample_size(groups).min()):.0f} of {N_ANNEALED}, split R̂ {float(r_hat_of(groups).max()):.3f}")
assert abs(found - variance) < 4 * variance / sqrt(N_ANNEALED) + 0.1 * variance  # not all are in modes from the start


# %%
on_a_grid = jax.jit(jax.vmap(jax.vmap(log_blurred, (0, None)), (0, None)))


def density_of(sigma, half, n=120):
    """p_σ on a square, scaled to a largest value of 1."""
    x, y = np.meshgrid(np.linspace(-half, half, n), np.linspace(-half, half, n))
    height = on_a_grid(jnp.stack([x, y], axis=-1), sigma)
    return x, y, np.exp(height - height.max())


def draw_level(axes, sigma, half=9.0):
    """p_σ in grey, and where the chains are at the end of its level."""
    level = int(jnp.argmin(abs(LEVELS - sigma)))
    points = np.asarray(paths[:400, (level + 1) * N_EACH - 1])
    axes.contourf(*density_of(float(LEVELS[level]), half), levels=np.linspace(0.03, 1, 8), cmap="Greys", vmin=0, vmax=2)
    axes.scatter(*points.T, s=4, color=CHAIN, linewidth=0)
    axes.set(title=f"σ = {float(LEVELS[level]):.2g}", xlim=(-half, half), ylim=(-half, half), aspect="equal")
    axes.grid(False)
    return axes


figure, axes = plt.subplots(1, 4, figsize=(2 * style.TILE_WIDTH, 2.7), sharex=True, sharey=True, layout="constrained")
for panel, sigma in zip(axes, (10.0, 2.0, 0.7, 0.02), strict=True):
    draw_level(panel, sigma)


# %%
def draw_positions(axes, positions, colours, title, **scale):
    """Every position of one chain, over outlines of the eight modes."""
    points = axes.scatter(*np.asarray(positions).T, c=colours, s=4, linewidth=0, **scale)
    axes.contour(*density_of(0.0, 6.5), levels=[0.1], colors=EXACT, linewidths=0.7)
    axes.set(title=title, xlim=(-6.5, 6.5), ylim=(-6.5, 6.5), aspect="equal")
    axes.grid(False)
    return points


def draw_shares(axes):
    """Shares of the modes by both methods, and the weights that are right."""
    place = np.arange(8)
    rows = {"MALA": (shares(apart.positions), BIASED), "annealed": (by_mode, CHAIN)}
    for offset, (name, (row, colour)) in zip((-0.2, 0.2), rows.items(), strict=True):
        axes.bar(place + offset, 100 * row, width=0.38, color=colour, label=name)
    axes.hlines(100 * WEIGHTS, place - 0.42, place + 0.42, color=EXACT, linewidth=1.6, label="exact")
    axes.set(title="shares of the modes", xlabel="mode", ylabel="share [%]", ylim=(0, 28), xticks=place)
    axes.legend(loc="upper center", ncols=3)
    return axes


figure, axes = plt.subplots(1, 3, figsize=(2.2 * style.TILE_WIDTH, 3.3), layout="constrained")
draw_positions(axes[0], together.positions[0], CHAIN, f"MALA: one chain, {N_STEPS} steps")
each_sigma = np.repeat(np.asarray(LEVELS), N_EACH)
title = f"annealed: one chain, {N_LEVELS * N_EACH} steps"
points = draw_positions(axes[1], paths[0], each_sigma, title, norm="log", cmap=style.SEQUENTIAL)
figure.colorbar(points, ax=axes[1], label="σ", shrink=0.8)
draw_shares(axes[2])

# %% [markdown]
# ## Where this leads
#
# | sampler | needs | error | several modes |
# |---|---|---|---|
# | inverse transform | log p of one number | none | yes |
# | rejection | a bound p ≤ M g | none, if the bound holds | yes, in few dimensions |
# | ULA | the score | 1/(1 − λτ/2) in variance | stays in one |
# | MALA | log p and the score | none, after burn-in | stays in one |
# | annealed Langevin | the scores of all p_σ | lag and step, both known on Gaussians | yes |
#
# Annealing asks for more than the line on the slide: the score of p_σ at every σ. For eight Gaussians it is a formula.
# For weather it is not, but it can be learned from examples: the score of p_σ is (D(x, σ) − x)/σ², where D removes
# noise from a noisy field. That is [a diffusion model](diffusion_from_scratch.md), and its samplers follow the falling
# σ with far fewer evaluations than the chains of this page.
