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
# # A Schrödinger bridge in fifty lines
#
# Two archives, no pairs, and noise. The Schrödinger bridge is the random process that starts with the distribution of
# the first, ends with that of the second, and departs as little as it can from Brownian motion. Because it stays close
# to where it starts, it debiases a field without forgetting which field it was.
#
# Iterative Markovian fitting (Shi et al. 2023) finds it with two regressions that take turns. We build it from nothing
# but JAX and a linear model, on Gaussians, where the answer is known: starting N(0, 1), ending N(0, 1), with Brownian
# motion of σ = 1, the two ends must have the covariance (√5 − 1)/2 = 0.618, the golden ratio's smaller sister.
#
# Set the environment variable `SUBGRID_EXAMPLE_SIZE=tiny` to run with small sizes.

# %%
import os

import jax
import jax.numpy as jnp
import jax.random as jr
import matplotlib.pyplot as plt
import numpy as np

TINY = os.environ.get("SUBGRID_EXAMPLE_SIZE", "full") == "tiny"
N = 20_000 if TINY else 100_000  # pairs
SIGMA = 1.0
N_STEPS = 20  # of the simulation
TIMES = (jnp.arange(N_STEPS) + 0.0) / N_STEPS

# %% [markdown]
# ## The loop
#
# 1. **Join** pairs (x₀, x₁) by Brownian bridges: X_t = (1 − t)x₀ + t x₁ + σ√(t(1 − t)) Z. Such a process knows both
#    ends, so it is not a diffusion that could be simulated from one of them.
# 2. **Project**: the diffusion with the same distribution at every single time has the drift E[(x₁ − X_t)/(1 − t) |
#    X_t]. It is a regression. Here one straight line for every time is enough, because everything is Gaussian;
#    elsewhere it is a network.
# 3. **Simulate** that diffusion from the true x₀: its ends are new pairs, closer to the bridge. Go to 1, and turn time
#    around, so that each end gets its true samples every second time.


# %%
def fit_drift(start, end, key):
    """For each time t the line a_t x + b_t that regresses (end − X_t)/(1 − t) on X_t."""

    def at(t, k):
        x = (1 - t) * start + t * end + SIGMA * jnp.sqrt(t * (1 - t)) * jr.normal(k, start.shape)
        drift = (end - x) / (1 - t)
        slope = jnp.mean((x - x.mean()) * (drift - drift.mean())) / jnp.maximum(x.var(), 1e-9)
        return slope, drift.mean() - slope * x.mean()

    return jax.vmap(at)(TIMES, jr.split(key, N_STEPS))


def simulate(drift, start, key):
    """Euler–Maruyama from `start`: where the diffusion ends."""

    def step(x, each):
        slope, offset, k = each
        return x + (slope * x + offset) / N_STEPS + SIGMA * jr.normal(k, x.shape) / jnp.sqrt(N_STEPS), None

    return jax.lax.scan(step, start, (*drift, jr.split(key, N_STEPS)))[0]


@jax.jit
def turn(x0, x1, fresh, key):
    """Regress from x0 to x1, simulate from fresh samples of x0's distribution; the new pairs, time turned around."""
    fit_key, simulate_key = jr.split(key)
    return simulate(fit_drift(x0, x1, fit_key), fresh, simulate_key), fresh


pair = jr.normal(jr.key(0), (2, N))  # independent: nothing is known about who belongs to whom
covariances = [float(jnp.cov(pair)[0, 1])]
for i in range(6):
    pair = turn(*pair, jr.normal(jr.fold_in(jr.key(1), i), (N,)), jr.fold_in(jr.key(2), i))
    covariances.append(float(jnp.cov(jnp.stack(pair))[0, 1]))
print("covariance of the ends:", np.round(covariances, 3))

# %% [markdown]
# That was the whole algorithm. Does it do what theory says? The exact iteration, which Subgrid has in closed form for
# Gaussians, goes 0, 0.5463, 0.6111, 0.6174, … to 0.6180. Ours simulates with 20 Euler steps, which adds a little
# variance, and knows the lines from finitely many pairs.

# %%
from subgrid.transport.gaussian_bridge import (  # noqa: E402
    GaussianBridge,
    gaussian_schroedinger_bridge,
    markovian_coupling,
)

one, zero = jnp.eye(1), jnp.zeros(1)
exact = [0.0]
for _ in range(6):
    process = GaussianBridge(zero, zero, one, one, jnp.full((1, 1), exact[-1]), SIGMA)
    exact.append(float(markovian_coupling(process)[0, 0]))
golden = float(gaussian_schroedinger_bridge(zero, one, zero, one, sigma=SIGMA).coupling[0, 0])
assert abs(golden - (np.sqrt(5) - 1) / 2) < 1e-6
assert abs(exact[-1] - golden) < 1e-4
# Sampling error of a covariance of N pairs is 1.2/√N; twenty Euler steps cost some .02.
assert max(abs(np.array(covariances) - np.array(exact))) < 0.02 + 5 * 1.2 / np.sqrt(N)

figure, axis = plt.subplots(figsize=(6, 3), layout="constrained")
axis.plot(exact, "k:", label="exact iteration")
axis.plot(covariances, "o-", label="fifty lines")
axis.axhline(golden, color="grey", linewidth=0.8)
axis.set(xlabel="turn", ylabel="covariance of the ends")
axis.legend()

# %% [markdown]
# ## With networks
#
# In more than a toy the line becomes a network that sees x and t, and the rest stays. Subgrid's `fit_bridge` keeps two
# of them, one a direction, warm from turn to turn, averages their weights, and saves after every turn. Between two
# distributions of the plane:

# %%
from subgrid.networks.mlp import MLP  # noqa: E402
from subgrid.transport.bridge import sample_bridge  # noqa: E402
from subgrid.transport.bridge_fitting import BridgeSettings, Drifts, fit_bridge  # noqa: E402
from subgrid.transport.ends import Ends  # noqa: E402
from subgrid.transport.velocity import NetworkVelocity  # noqa: E402

corners = jnp.array([[1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]]) * 2


def draw_corners(n, *, key):
    which_key, noise_key = jr.split(key)
    return corners[jr.randint(which_key, (n,), 0, 4)] + 0.3 * jr.normal(noise_key, (n, 2))


ends = Ends(jr.normal(jr.key(3), (4000, 2)), draw_corners(4000, key=jr.key(4)))
settings = BridgeSettings(
    sigma=1.0,
    n_iterations=2 if TINY else 6,
    n_steps=300 if TINY else 4000,
    n_pairs=2000 if TINY else 8000,
    learning_rate=2e-3,  # small networks learn fast
)
drifts = Drifts(
    NetworkVelocity(MLP((2,), (2,), hidden=(64, 64), key=jr.key(5))),
    NetworkVelocity(MLP((2,), (2,), hidden=(64, 64), key=jr.key(6))),
)
bridge = fit_bridge(drifts, ends, settings, key=jr.key(7))


@jax.jit
def cross(x, key):
    def move(x, k):
        return sample_bridge(bridge.forward, x, direction="forward", sigma=bridge.sigma, key=k)

    return jax.vmap(move)(x, jr.split(key, len(x)))


starts = jr.normal(jr.key(8), (1000, 2))
arrivals = cross(starts, jr.key(9))
figure, axis = plt.subplots(figsize=(4.5, 4.5), layout="constrained")
axis.plot(*np.stack([starts[:60], arrivals[:60]], axis=1).T, color="grey", linewidth=0.5)
axis.scatter(*starts.T, s=3, label="start")
axis.scatter(*arrivals.T, s=3, label="arrival")
axis.legend()
stays = float(jnp.mean(jnp.sign(starts) == jnp.sign(arrivals)))
print(f"{100 * stays:.0f} % of the coordinates keep their sign: a bridge goes to the nearest corner, mostly")
assert stays > (0.55 if TINY else 0.65)  # independent pairs would keep half
assert abs(float(jnp.abs(arrivals).mean()) - 2) < (0.8 if TINY else 0.3)  # the corners are two from either axis

# %% [markdown]
# ## Where this leads
#
# With `debias.method = "schrodinger-bridge"` this is the debiasing step of the pipeline. The larger σ, the more a field
# may change on the way, and the easier the bridge is to learn; the smaller σ, the closer to optimal transport. The next
# tutorial, [from diffusion to transport](diffusion_to_transport.md), puts bridges beside flows and diffusion models.
