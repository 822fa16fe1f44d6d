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
# # JAX as accelerated NumPy, and its transformations
#
# Subgrid is written in JAX. JAX looks like NumPy, runs on CPUs and GPUs, and adds a handful of *transformations*:
# functions that take a function and return another one. This tutorial introduces what you need to read Subgrid's source
# and to write your own parts, each on a small field. It assumes NumPy and some numerical analysis, no machine learning.
#
# The example field is the Kuramoto–Sivashinsky (KS) equation on a periodic domain of length L = 64,
#
#     u_t + u u_x + u_xx + u_xxxx = 0,
#
# which is chaotic: energy enters at long waves (u_xx), is dissipated at short ones (u_xxxx), and u u_x moves it between
# them.
#
# Set the environment variable `SUBGRID_EXAMPLE_SIZE=tiny` to run with small sizes.

# %%
import os
import time

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import matplotlib.pyplot as plt
import numpy as np
import optax

from subgrid.numerics.operators import Subsample
from subgrid.simulate import kuramoto_sivashinsky as ks

TINY = os.environ.get("SUBGRID_EXAMPLE_SIZE", "full") == "tiny"
N_POINTS = 64 if TINY else 192
N_RUNS = 4 if TINY else 64
N_STEPS = 200 if TINY else 1600

# %% [markdown]
# ## 1. Arrays: NumPy with two differences
#
# `jax.numpy` has the functions of `numpy` under the same names. Two things differ.
#
# - Arrays cannot be changed. `u[0] = 1` is an error; `u.at[0].set(1)` returns a new array. Inside compiled code no copy
#   is made, so this costs nothing.
# - Numbers have 32 bits unless you ask otherwise. For most field work this is right, and on a GPU much faster; but sums
#   of many numbers, differences of nearly equal ones and long integrations deserve a thought.

# %%
x = jnp.arange(N_POINTS) * ks.DOMAIN / N_POINTS
u = ks.initial_condition(N_POINTS, key=jr.key(0))

try:
    u[0] = 1.0
except TypeError as error:
    print("as expected:", str(error).splitlines()[0])

changed = u.at[0].set(1.0)
assert changed[0] == 1.0
assert u[0] != 1.0  # the original is as it was
assert u.dtype == jnp.float32
assert isinstance(np.asarray(u), np.ndarray)  # and back to NumPy

# %% [markdown]
# ## 2. A spectral filter
#
# A derivative on a periodic domain is a product in Fourier space. Below, `derivative` is plain array code. We check it
# against a wave whose derivative we know.


# %%
def wavenumbers(n_points):
    return 2 * jnp.pi * jnp.fft.rfftfreq(n_points, ks.DOMAIN / n_points)


def derivative(u, order=1):
    """∂ⁿu/∂xⁿ by Fourier transform; exact for all waves that the grid resolves."""
    factor = (1j * wavenumbers(u.shape[-1])) ** order
    return jnp.fft.irfft(factor * jnp.fft.rfft(u), u.shape[-1])


k3 = 2 * np.pi * 3 / ks.DOMAIN
error = jnp.abs(derivative(jnp.sin(k3 * x)) - k3 * jnp.cos(k3 * x)).max()
assert error < 1e-5, error  # float32 rounding


def smooth(u, length):
    """Gaussian filter of width `length`: each wave is multiplied by exp(−½ (k·length)²)."""
    return jnp.fft.irfft(jnp.exp(-0.5 * (wavenumbers(u.shape[-1]) * length) ** 2) * jnp.fft.rfft(u), u.shape[-1])


figure, axes = plt.subplots(figsize=(7, 2.5), layout="constrained")
axes.plot(x, u, label="u at the start: long waves only")
axes.plot(x, smooth(u, 4.0), label="filtered over 4 units")
axes.set(xlabel="x", ylabel="u")
axes.legend()

# %% [markdown]
# ## 3. `jit`: compile
#
# `jax.jit(f)` runs `f` once with placeholders that have a shape and a type but no values ("tracing"), records what it
# does to arrays, compiles that, and from then on runs the compiled program. Consequences:
#
# - the first call is slow, later ones are fast; a new *shape* compiles again;
# - Python side effects happen at tracing only, as the counter below shows;
# - `if u[0] > 0:` cannot work, since there is no value yet: write `jnp.where`;
# - results arrive later than the call returns. For timing, wait with `.block_until_ready()`.

# %%
traced = []


@jax.jit
def tendency(u):
    """u_t of the KS equation, with the nonlinear term in conservation form ½(u²)_x."""
    traced.append(u.shape)
    return -0.5 * derivative(u**2) - derivative(u, 2) - derivative(u, 4)


tendency(u)
tendency(2 * u)
assert traced == [(N_POINTS,)]  # traced once, run twice
tendency(u[::2])
assert len(traced) == 2  # another shape, another program

# The mean is conserved: every term of the equation is a derivative.
assert abs(float(tendency(u).mean())) < 1e-5


# %%
def seconds(function, *arguments, repeat=50):
    function(*arguments).block_until_ready()  # compile first
    started = time.perf_counter()
    for _ in range(repeat):
        result = function(*arguments)
    result.block_until_ready()
    return (time.perf_counter() - started) / repeat


without_jit = seconds(tendency.__wrapped__, u, repeat=5)
with_jit = seconds(tendency, u)
print(f"one tendency: {1e6 * without_jit:.0f} µs operation by operation, {1e6 * with_jit:.0f} µs compiled")

# %% [markdown]
# ## 4. `scan`: time loops
#
# A Python `for` loop inside `jit` is unrolled into a program with as many copies of its body as it has turns.
# `jax.lax.scan` compiles the body once and loops over it. The body takes the state (and one element of an input
# sequence) and returns the new state and something to collect.
#
# The fourth derivative is stiff: an explicit step would need Δt ~ Δx⁴. The usual cure treats the linear terms
# implicitly,
#
#     û′ = (û + Δt·N(u)^) / (1 − Δt·λ),   λ(k) = k² − k⁴,   N = −½(u²)_x.


# %%
def step_ks(u, step_size):
    """One semi-implicit Euler step."""
    k = wavenumbers(u.shape[-1])
    explicit = jnp.fft.rfft(u - step_size * 0.5 * derivative(u**2))
    return jnp.fft.irfft(explicit / (1 - step_size * (k**2 - k**4)), u.shape[-1])


@jax.jit
def trajectory(u, step_size):
    def body(u, _):
        u = step_ks(u, step_size)
        return u, u

    return jax.lax.scan(body, u, length=N_STEPS)[1]


STEP = 0.05
path = trajectory(u, STEP)
assert path.shape == (N_STEPS, N_POINTS)
assert bool(jnp.isfinite(path).all())

figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
image = axes.pcolormesh(x, STEP * np.arange(N_STEPS), path, cmap="RdBu_r", vmin=-3, vmax=3, rasterized=True)
axes.set(xlabel="x", ylabel="time", title="KS: long waves break up into chaotic cells")
figure.colorbar(image, label="u")

# %% [markdown]
# This integrator is first order in Δt. That is a statement about errors, so we can test it: halving the step should
# halve the error against Subgrid's own fourth-order solver, over one of its intervals of 12.5 time units, begun on a
# smooth field.

# %%
smooth_start = 0.3 * ks.initial_condition(192, key=jr.key(0))
reference = jax.jit(ks.spectral_solver(192))(smooth_start)


def error_of(n_steps):
    def body(v, _):
        return step_ks(v, ks.INTERVAL / n_steps), None

    final = jax.jit(lambda v: jax.lax.scan(body, v, length=n_steps)[0])(smooth_start)
    return float(jnp.sqrt(jnp.mean((final - reference) ** 2)))


coarse_error, fine_error = error_of(500), error_of(1000)
print(
    f"error with 500 steps {coarse_error:.2e}, with 1000 steps {fine_error:.2e}: ratio {coarse_error / fine_error:.2f}"
)
assert 1.7 < coarse_error / fine_error < 2.3  # first order

# %% [markdown]
# ## 5. `vmap`: write for one, run for many
#
# `jax.vmap(f)` adds a batch axis to a function of one field. Every function in Subgrid takes *one* sample; the caller
# maps. The result is as fast as hand-written batch code, and there is no axis bookkeeping inside.

# %%
keys = jr.split(jr.key(1), N_RUNS)
starts = jax.vmap(lambda key: ks.initial_condition(N_POINTS, key=key))(keys)
ensemble = jax.vmap(trajectory, in_axes=(0, None))(starts, STEP)  # map over the field, not over the step
assert ensemble.shape == (N_RUNS, N_STEPS, N_POINTS)
# A batch of one and a field of its own agree to rounding at the start; chaos separates them later.
np.testing.assert_allclose(ensemble[0, :5], trajectory(starts[0], STEP)[:5], atol=1e-4)

# %% [markdown]
# ## 6. `grad`, `jvp` and `vjp`: derivatives of programs
#
# `jax.grad(f)` of a scalar function returns its gradient, exact to rounding, at the cost of a few evaluations
# whatever the number of inputs. Beneath it are two more general tools:
#
# - `jax.jvp` pushes a perturbation forward, J·v: the tangent-linear model of data assimilation;
# - `jax.vjp` pulls a sensitivity back, Jᵀ·w: the adjoint model.
#
# Their consistency, ⟨w, J v⟩ = ⟨Jᵀ w, v⟩, is the classical adjoint test. Here it is for 20 steps of the KS model.


# %%
def forecast(u):
    return jax.lax.fori_loop(0, 20, lambda _, v: step_ks(v, STEP), u)


@jax.jit
def forecast_and_derivatives(u, v, w):
    value, pushed = jax.jvp(forecast, (u,), (v,))
    _, pull = jax.vjp(forecast, u)
    return value, pushed, pull(w)[0]


v, w = jr.normal(jr.key(2), (2, N_POINTS))
_, pushed, pulled = forecast_and_derivatives(path[-1], v, w)
np.testing.assert_allclose(jnp.vdot(w, pushed), jnp.vdot(pulled, v), rtol=1e-3, atol=1e-3)

# %% [markdown]
# The sensitivity of one value of the forecast to the whole initial field is one `grad`. It is local: in one time unit
# information travels only a few units of length.


# %%
@jax.jit
def sensitivity(u):
    return jax.grad(lambda v: forecast(v)[N_POINTS // 2])(u)


gradient = sensitivity(path[-1])
near = jnp.abs(x - x[N_POINTS // 2]) < 10
assert float(jnp.abs(gradient)[near].sum() / jnp.abs(gradient).sum()) > 0.95

figure, axes = plt.subplots(figsize=(7, 2.5), layout="constrained")
axes.plot(x, gradient)
axes.axvline(float(x[N_POINTS // 2]), color="grey", linestyle=":")
axes.set(xlabel="x", ylabel="∂u(x₀, t = 1)/∂u(x, 0)")

# %% [markdown]
# Subgrid's guidance uses `vjp` in the same way: it pulls the misfit between C′D(x) and the coarse field back through
# the network D. And its coarsening operators C′ pass the same adjoint test:

# %%
coarsen = Subsample((N_POINTS,), 8)
y = jr.normal(jr.key(3), (N_POINTS // 8,))
np.testing.assert_allclose(jnp.vdot(y, coarsen(v)), jnp.vdot(coarsen.adjoint(y), v), rtol=1e-4)
np.testing.assert_array_equal(coarsen(coarsen.pseudo_inverse(y)), y)

# %% [markdown]
# ## 7. Random numbers: keys, not a hidden state
#
# A JAX random function is a pure function of its *key*: same key, same numbers, on every machine of the same kind and
# whatever ran before. New numbers need a new key, made with `split` or `fold_in`. Using a key twice is a bug, as the
# correlation below shows.
#
# Subgrid's ensembles rest on it: member m of condition i uses `fold_in(fold_in(key, i), m)` and nothing else, so an
# ensemble can be enlarged later, or computed in another order, without changing a member.

# %%
key = jr.key(7)
a, b = jr.normal(key, (1000,)), jr.normal(key, (1000,))
assert (a == b).all()  # same key, same "random" numbers
first, second = jr.split(key)
correlation = jnp.corrcoef(jr.normal(first, (1000,)), jr.normal(second, (1000,)))[0, 1]
assert abs(correlation) < 0.13  # four standard errors of 1/√1000

# %% [markdown]
# ## 8. Pytrees and Equinox modules
#
# Transformations act on *pytrees*: any nesting of tuples, lists, dictionaries and registered classes with arrays at the
# leaves. `jax.tree.map` acts on all leaves, and `grad` returns a tree of the same structure.
#
# An Equinox module is a frozen dataclass that is a pytree: its fields are the leaves, its methods are plain
# functions. A neural network is such a module, and so are Subgrid's operators, debiasers and samplers. Fields marked
# static are part of the program, not of the data.
#
# As a small example, we learn a filter. The model below multiplies each wave by a number, and we ask for the numbers
# that turn a noisy field back into a clean one. For independent waves the best linear answer is known: the Wiener
# filter, S/(S + σ²) with S the variance of the wave. This is also a denoiser, the central object of the next
# tutorial.


# %%
class SpectralFilter(eqx.Module):
    """û ↦ g(k) û(k), with learnable gains g."""

    gains: jax.Array
    n_points: int = eqx.field(static=True)

    def __init__(self, n_points):
        self.n_points, self.gains = n_points, jnp.ones(n_points // 2 + 1)

    def __call__(self, u):
        return jnp.fft.irfft(self.gains * jnp.fft.rfft(u), self.n_points)


SIGMA = 1.0
clean = ensemble[:, N_STEPS // 2 :: 20].reshape(-1, N_POINTS)
noisy = clean + SIGMA * jr.normal(jr.key(8), clean.shape)


def loss(model):
    return jnp.mean((jax.vmap(model)(noisy) - clean) ** 2)


optimiser = optax.adam(0.02)


@eqx.filter_jit
def descend(model, state):
    gradient = eqx.filter_grad(loss)(model)  # a SpectralFilter whose gains are derivatives
    updates, state = optimiser.update(gradient, state)
    return eqx.apply_updates(model, updates), state


model = SpectralFilter(N_POINTS)
before, state = float(loss(model)), optimiser.init(model)
for _ in range(300):
    model, state = descend(model, state)
print(f"mean squared error: {before:.3f} before, {float(loss(model)):.3f} after")

variance = jnp.mean(jnp.abs(jnp.fft.rfft(clean)) ** 2, axis=0)
wiener = variance / (variance + SIGMA**2 * N_POINTS)  # white noise has variance σ²n in every coefficient
# On a finite sample the learned filter may beat the Wiener filter a little; it must not be far behind.
wiener_error = float(loss(eqx.tree_at(lambda m: m.gains, model, wiener)))
assert float(loss(model)) < 1.02 * wiener_error
assert before > 0.9 * SIGMA**2  # doing nothing leaves the noise in

figure, axes = plt.subplots(figsize=(7, 2.5), layout="constrained")
axes.plot(wiener, "k", label="Wiener filter S/(S + σ²)")
axes.plot(model.gains, "C1--", label="learned gains")
axes.set(xlabel="waves per domain", ylabel="gain", xlim=(0, min(40, N_POINTS // 2)))
axes.legend()

# %% [markdown]
# ## What to remember
#
# | you write | JAX gives |
# |---|---|
# | a pure function of one field | `jit`: compiled; `vmap`: for many fields; `grad`, `jvp`, `vjp`: its derivatives |
# | a loop body | `lax.scan`: a compiled loop, differentiable too |
# | a key per random number | results that do not depend on what else ran |
# | an Equinox module | parameters as a pytree: every transformation applies |
#
# Next: [a diffusion model from scratch](diffusion_from_scratch.md).
