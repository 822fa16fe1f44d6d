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
# # Fields, not vectors
#
# A temperature field has no pixels. A grid shows some of its values, and another grid shows others. A model that is
# trained on one grid should therefore say the same about the field on every grid. Ordinary diffusion models do not: the
# noise that they add belongs to the pixels.
#
# After this page you can see whether a noise suits your data, and draw one sample at three resolutions. Everything here
# is exact: no network is trained. Set the environment variable `SUBGRID_EXAMPLE_SIZE=tiny` to run with small sizes.

# %%
import os

import jax
import jax.numpy as jnp
import jax.random as jr
import matplotlib.pyplot as plt
import numpy as np

from subgrid.functional import (
    GaussianField,
    check_noise,
    gaussian_flow_velocity,
    level_range,
    mixture_operator,
    probability_flow,
    solve_adaptively,
    start,
    variance_levels,
    white_field,
)

TINY = os.environ.get("SUBGRID_EXAMPLE_SIZE", "full") == "tiny"
GRIDS = (64, 256) if TINY else (64, 256, 1024)
FINEST = GRIDS[-1]

# %% [markdown]
# ## White noise grows when the grid is refined
#
# White noise gives every point a number of its own. A cell that is four times smaller is an average over four times
# less, so the numbers must be larger: the variance at a point grows with the number of points. What a network sees at
# noise level σ on 64 points is something else on 256.
#
# A Gaussian *field* has a covariance between places instead, here C = (−Δ + τ²)^−α. Its modes become smaller as they
# become shorter, fast enough for their sum to converge. That needs α > d/2 in d dimensions; such noise is called trace
# class.

# %%
smooth, white = GaussianField(alpha=1.5, tau=5.0, variance=1.0), white_field(scale=0.1)
print("points   white noise   trace class")
for n in GRIDS:
    print(f"{n:6d}   {white.variance((n,)):11.3f}   {smooth.variance((n,)):11.3f}")
assert white.variance((FINEST,)) > 0.9 * FINEST / 64 * white.variance((64,))
assert abs(smooth.variance((FINEST,)) / smooth.variance((64,)) - 1) < 0.01

# %% [markdown]
# One key is one random function. Drawn on three grids, the trace-class curves lie on each other; white noise is another
# thing on each.

# %%
figure, axes = plt.subplots(2, 1, figsize=(7, 4.5), sharex=True, layout="constrained")
for axis, noise, title in zip(axes, (white, smooth), ("white noise", "trace class"), strict=True):
    for n, colour in zip(reversed(GRIDS), ("#9ecae1", "#4292c6", "#08306b"), strict=False):
        u = noise.sample((n,), key=jr.key(0))[0]
        axis.plot(np.arange(n) / n, u, color=colour, linewidth=1, label=f"{n} points")
    axis.set_title(title, loc="left")
axes[0].legend(ncols=3, fontsize="small")
axes[1].set_xlabel("place")
coarse, fine = (smooth.sample((n,), key=jr.key(0))[0] for n in (64, FINEST))
cut = smooth.box.resize(fine[None], (64,))[0]
assert jnp.abs(cut - coarse).max() < 1e-5  # the modes that both hold are the same numbers

# %% [markdown]
# ## Is this noise right for these data?
#
# Noise may be too smooth as well. Where the data vary in short modes and the noise does not, noisy data never become
# noise, and the network must do something infinite there. The test is a sum over modes, Σ λ₁/λ₂ of the variances of
# data over those of noise (Cameron and Martin): it must settle. `check_noise` adds it up, octave by octave, and says
# what it means. For your fields, measure their spectrum with `fit_gaussian_field`.

# %%
data = GaussianField(alpha=2.0, tau=5.0)
for alpha in (1.0, 1.8):
    found = check_noise(data, GaussianField(alpha=alpha, tau=5.0), (1024,))
    print(f"α = {alpha}: {found.sentence}\n")
assert check_noise(data, GaussianField(alpha=1.0, tau=5.0), (1024,)).right
assert not check_noise(data, GaussianField(alpha=1.8, tau=5.0), (1024,)).right

# %% [markdown]
# ## One sample at three resolutions
#
# Let the fields have two regimes, +m and −m with a Gaussian around each, like a jet that lies north or south. For such
# data the best possible denoiser is known in closed form, on any grid: `mixture_operator`. Sampling starts from coupled
# noise and follows the probability flow. The same key then gives the same field at every resolution: a super-resolution
# of a coarse sample, by noise alone.

# %%
place = np.arange(64) / 64
regime = jnp.asarray(0.3 * np.cos(2 * np.pi * place), jnp.float32)[None]
noise = GaussianField(alpha=1.0, tau=5.0)
denoised = mixture_operator(np.array([0.5, 0.5]), jnp.stack([regime, -regime]), data, noise)
_, smallest = level_range(data, noise, (64,))
levels = variance_levels(24, largest=30.0, smallest=smallest)


def sample(n, key):
    v = start(noise, (n,), levels[0], key=key)
    return probability_flow(denoised, v, levels, noise=noise, data=data)


figure, axis = plt.subplots(figsize=(7, 2.6), layout="constrained")
drawn = {n: jax.jit(sample, static_argnums=0)(n, jr.key(3))[0] for n in GRIDS}
for n, colour in zip(reversed(GRIDS), ("#9ecae1", "#4292c6", "#08306b"), strict=False):
    axis.plot(np.arange(n) / n, drawn[n], color=colour, linewidth=1, label=f"{n} points")
axis.legend(ncols=3, fontsize="small")
kept = data.box.resize(drawn[FINEST][None], (64,))[0]
drift = float(jnp.linalg.norm(kept - drawn[64]) / jnp.linalg.norm(drawn[64]))
print(f"the 64 points of the finest sample differ from the coarse sample by {100 * drift:.2f} %")
assert drift < 0.02

# %%
n_draws = 100 if TINY else 1000
many = jax.jit(jax.vmap(lambda key: sample(64, key)))(jr.split(jr.key(4), n_draws))
side = jnp.sign(jnp.mean(many[:, 0] * regime[0], axis=1))
print(f"{100 * float(jnp.mean(side > 0)):.0f} % of the samples are in the first regime; half of the data are")
assert abs(float(jnp.mean(side > 0)) - 0.5) < (0.2 if TINY else 0.06)

# %% [markdown]
# ## The cost does not grow
#
# A flow from noise to data moves every mode at a rate of up to ½√(λ₀/λ₁). White noise has modes at every scale that the
# grid can show, and the data do not: the finer the grid, the faster the fastest mode must be moved, and the more
# evaluations a solver with error control takes. Noise that falls off with the data has no such modes.

# %%
print("points   evaluations from white noise   from trace-class noise")
counts = {}
for n in (GRIDS[0], FINEST):
    for name, base in (("white", white_field(scale=0.05)), ("trace class", noise)):
        velocity = gaussian_flow_velocity(data, base)
        solve = jax.jit(lambda x, velocity=velocity: solve_adaptively(velocity, x).n_evaluations)
        counts[n, name] = int(solve(base.sample((n,), key=jr.key(5))))
    print(f"{n:6d}   {counts[n, 'white']:28d}   {counts[n, 'trace class']:22d}")
assert counts[FINEST, "trace class"] <= counts[GRIDS[0], "trace class"]
assert counts[FINEST, "white"] >= counts[GRIDS[0], "white"]

# %% [markdown]
# ## Where this leads
#
# With a network in place of the exact denoiser, these are the priors of `subgrid.functional`: the network must be the
# same operator on every grid too, which `subgrid.networks.FNO` is. The sums, operators and samplers of this page are in
# the [reference](../reference/functional.md).
