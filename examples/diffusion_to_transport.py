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
# # From diffusion to transport
#
# A diffusion model starts from noise and ends in data. Nothing in that needs the start to be *noise*: it may be another
# archive, a biased one, and then the same machinery carries coarse fields onto the distribution of true ones. This
# tutorial goes from one to the other in four steps, on distributions for which the answers are known:
#
# 1. a diffusion is an interpolant with noise at one end;
# 2. flow matching regresses the velocity of any interpolant, between any two distributions;
# 3. who is paired with whom decides how far things move: independent, optimal, rectified;
# 4. with noise on the way, one model gives a family of diffusions, and the right pairs make it a Schrödinger bridge.
#
# Set the environment variable `SUBGRID_EXAMPLE_SIZE=tiny` to run with small sizes.

# %%
import os

import jax
import jax.numpy as jnp
import jax.random as jr
import matplotlib.pyplot as plt
import numpy as np

from subgrid.diffusion.denoiser import gaussian_denoiser
from subgrid.networks.mlp import MLP
from subgrid.numerics.integration import integrate
from subgrid.training.fitting import TrainingSchedule, warmup_cosine
from subgrid.transport.couplings import EntropicTransport, ExactTransport, Independent
from subgrid.transport.ends import Ends, draw_pairs
from subgrid.transport.flow_matching import Flow, diffuse, fit_flow, flow_map
from subgrid.transport.gaussian import monge_matrix
from subgrid.transport.gaussian_bridge import gaussian_schroedinger_bridge
from subgrid.transport.interpolants import LinearInterpolant, VariancePreservingInterpolant, gaussian_velocity
from subgrid.transport.rectified_flow import reflow_pairs, straightness
from subgrid.transport.velocity import NetworkVelocity

TINY = os.environ.get("SUBGRID_EXAMPLE_SIZE", "full") == "tiny"
N = 2000 if TINY else 20_000
N_TRAINING_STEPS = 400 if TINY else 6000

# Two correlated Gaussians of the plane: everything below has a closed form between them.
zero = jnp.zeros(2)
covariance0 = jnp.array([[1.0, 0.6], [0.6, 1.0]])
covariance1 = jnp.array([[2.0, -0.5], [-0.5, 0.5]])


def draw(covariance, n, *, key):
    return jr.normal(key, (n, 2)) @ jnp.linalg.cholesky(covariance).T


x0, x1 = draw(covariance0, N, key=jr.key(0)), draw(covariance1, N, key=jr.key(1))


def covariance_error(points, covariance):
    """Relative Frobenius error; of n exact samples it is about 1.4/√n."""
    return float(jnp.linalg.norm(jnp.cov(points.T) - covariance) / jnp.linalg.norm(covariance))


# %% [markdown]
# ## 1. A diffusion model is an interpolant
#
# X_t = α(t) X₀ + β(t) X₁ with X₀ ~ N(0, I) and X₁ data is a variance-preserving diffusion, run from its noisy end at
# t = 0: at each time X_t is data with noise of level σ = α/β. So its velocity is a conversion of the denoiser
# D(x/β, σ) = E[X₁ | X_t = x], because E[X₀ | X_t] = (x − β D)/α:
#
#     v(x, t) = α̇ E[X₀ | X_t] + β̇ E[X₁ | X_t].

# %%
denoiser = gaussian_denoiser(zero, covariance1)
interpolant = VariancePreservingInterpolant()
exact = gaussian_velocity(interpolant, zero, jnp.eye(2), zero, covariance1)


def velocity_of_the_denoiser(x, t):
    a, b = jnp.sqrt(1 - t**2), t
    data = denoiser(x / b, a / b)
    return -t / a * (x - b * data) / a + data


point, time = jnp.array([0.7, -0.3]), jnp.asarray(0.6)
np.testing.assert_allclose(velocity_of_the_denoiser(point, time), exact(point, time), rtol=1e-4)

# %% [markdown]
# ## 2. Flow matching between two archives
#
# With straight lines, X_t = (1 − t)X₀ + tX₁, the velocity is E[X₁ − X₀ | X_t = x], a plain regression: draw a pair,
# draw a time, and learn where the line was going. The *learned* velocity is an average over all lines through a point,
# so its paths bend and never cross.
#
# For Gaussians the exact map is a matrix. It is not the matrix of optimal transport, although both carry the one
# distribution onto the other.

# %%
rectified = gaussian_velocity(LinearInterpolant(), zero, covariance0, zero, covariance1)
matrix = jax.vmap(flow_map(rectified, n_steps=400))(jnp.eye(2)).T
optimal = monge_matrix(np.asarray(covariance0, float), np.asarray(covariance1, float))
np.testing.assert_allclose(matrix, [[1.7664, -1.0033], [-0.4722, 0.8811]], atol=2e-3)
np.testing.assert_allclose(optimal, [[1.7006, -0.6342], [-0.6342, 0.8731]], atol=1e-4)

optimiser = warmup_cosine(N_TRAINING_STEPS, peak=3e-3)
schedule = TrainingSchedule(N_TRAINING_STEPS, optimiser, ema_decay=0.98 if TINY else 0.995, steps_per_dispatch=50)
untrained = Flow(NetworkVelocity(MLP((2,), (2,), hidden=(64, 64), key=jr.key(2))))
flow = fit_flow(untrained, Ends(x0, x1), schedule, key=jr.key(3))
fresh = draw(covariance0, 4000, key=jr.key(4))
moved = jax.vmap(flow_map(flow.velocity))(fresh)
print(f"flow matching: covariance error {covariance_error(moved, covariance1):.3f} (exact samples: about .02)")
assert covariance_error(moved, covariance1) < 0.15

# %% [markdown]
# ## 3. Pairs decide the cost
#
# The mean squared distance that things move: 4.5 for independent pairs, .9758 for the rectified map, .8747 for the
# optimal one. Two ways lead down: pair every minibatch optimally before the regression, or *reflow*: pair each source
# with where the flow takes it, and fit again. The second fit has the same map and straighter paths.


# %%
def mean_cost(start, end):
    return float(jnp.mean(jnp.sum((end - start) ** 2, axis=1)))


def cost_of_map(matrix):
    return float(np.trace((matrix - np.eye(2)) @ np.asarray(covariance0) @ (matrix - np.eye(2)).T))


minibatch = draw_pairs(Ends(x0, x1), 256, coupling=ExactTransport(), key=jr.key(5))
independent = draw_pairs(Ends(x0, x1), 256, coupling=Independent(), key=jr.key(5))
again = fit_flow(untrained, reflow_pairs(flow.velocity, x0), schedule, key=jr.key(6))
rows = {
    "independent pairs": mean_cost(independent.x0, independent.x1),
    "learned flow": mean_cost(fresh, moved),
    "the same after one reflow": mean_cost(fresh, jax.vmap(flow_map(again.velocity))(fresh)),
    "exact rectified map": cost_of_map(np.asarray(matrix)),
    "optimal pairs of minibatches of 256": mean_cost(minibatch.x0, minibatch.x1),
    "optimal map": cost_of_map(optimal),
}
for name, value in rows.items():
    print(f"{name:<38}{value:7.3f}")
first, second = straightness(flow.velocity, fresh[:500]), straightness(again.velocity, fresh[:500])
print(f"error of a single Euler step: {first.one_step_error:.3f}, after reflow {second.one_step_error:.4f}")
assert abs(rows["exact rectified map"] - 0.97576) < 5e-3
assert abs(rows["optimal map"] - 0.87473) < 1e-4
assert rows["optimal map"] < rows["learned flow"] < 0.5 * rows["independent pairs"]
assert second.one_step_error < 0.5 * first.one_step_error

# %% [markdown]
# ## 4. Noise on the way
#
# With γ(t) Z added, the interpolant has a score as well as a velocity, and for every ε ≥ 0 the diffusion
#
#     dX = (v + ε∇log p) dt + √(2ε) dW
#
# has the same distributions at all times. ε is a choice made *after* training: 0 gives the deterministic map, more
# gives an ensemble. With γ = σ√(t(1 − t)), entropic pairs of ε = 2σ² and a diffusion of σ, it is a Schrödinger bridge,
# and its ends have a covariance that is known.

# %%
SIGMA = 1.0
bridge = gaussian_schroedinger_bridge(zero, covariance0, zero, covariance1, sigma=SIGMA)
noisy = LinearInterpolant(SIGMA)
velocity = gaussian_velocity(noisy, zero, covariance0, zero, covariance1, coupling=bridge.coupling)


def expected_noise(x, t, context=None):
    """E[Z | X_t = x] = γ Cov(X_t)⁻¹ x."""
    _, spread = bridge.moments(t)
    return noisy(t).gamma * jnp.linalg.solve(spread, x)


oracle = Flow(velocity, noisy, expected_noise)
times = jnp.linspace(1e-3, 1 - 1e-3, 101)


@jax.jit
def diffused(points, key):
    def move(x, k):
        return diffuse(oracle, x, times, epsilon=SIGMA**2 / 2, key=k)

    return jax.vmap(move)(points, jr.split(key, len(points)))


arrived = diffused(fresh, jr.key(7))
ends = jnp.cov(jnp.concatenate([fresh, arrived], axis=1).T)[:2, 2:]
print("covariance of the ends:", np.round(ends, 2).tolist(), "exact:", np.round(bridge.coupling, 2).tolist())
assert covariance_error(arrived, covariance1) < 0.1
assert float(jnp.abs(ends - bridge.coupling).max()) < 0.1  # 4000 pairs and 100 Euler steps

pairs = draw_pairs(Ends(x0, x1), 512, coupling=EntropicTransport(2 * SIGMA**2), key=jr.key(8))
paired = jnp.cov(jnp.concatenate([pairs.x0, pairs.x1], axis=1).T)[:2, 2:]
print("covariance of minibatch entropic pairs:", np.round(paired, 2).tolist())

figure, axes = plt.subplots(1, 3, figsize=(10, 3.4), sharex=True, sharey=True, layout="constrained")
panels = {"flow": moved, "after reflow": jax.vmap(flow_map(again.velocity))(fresh), "bridge": arrived}
for panel, (name, ends_of) in zip(axes, panels.items(), strict=True):
    panel.plot(*np.stack([fresh[:80], ends_of[:80]], axis=1).T, color="grey", linewidth=0.5)
    panel.scatter(*np.asarray(ends_of[:500]).T, s=3)
    panel.set_title(f"{name}: mean squared move {mean_cost(fresh, ends_of):.2f}", fontsize=9)

# %% [markdown]
# A path of the probability flow with the exact velocity, for comparison with the denoiser of section 1: the diffusion
# model, its flow, and the map between two archives are one piece of code.

# %%
start = jr.normal(jr.key(9), (2000, 2))
model = lambda x, t: velocity_of_the_denoiser(x, t)  # noqa: E731
generated = jax.vmap(lambda x: integrate(model, x, jnp.linspace(1e-3, 1 - 1e-3, 201)))(start)
print(f"the denoiser's own flow: covariance error {covariance_error(generated, covariance1):.3f}")
assert covariance_error(generated, covariance1) < 0.12  # 2000 samples: .03; and the Heun steps near the data end

# %% [markdown]
# ## Where this leads
#
# `debias` of `subgrid.fit`, and `debias.method` in a configuration, take "flow-matching", "rectified-flow",
# "interpolant" and "schrodinger-bridge". The tutorial [a Schrödinger bridge in fifty lines](schroedinger_bridge.md)
# builds the last from nothing.
