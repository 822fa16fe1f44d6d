"""Flow matching: regress the velocity (and the noise) of an interpolant, then move samples along it.

    min_v E‖v(X_t, t) − Ẋ_t‖²,      min_η E‖η(X_t, t) − Z‖²,      t ~ U(δ, 1 − δ)

One fitted model gives a deterministic map and a family of diffusions with the same distributions at all times. What the
choice of interpolant and coupling makes of it:

| interpolant | coupling | name |
|---|---|---|
| linear | independent | flow matching, first rectified flow (Lipman et al. 2023; Liu et al. 2023) |
| linear | minibatch exact transport | OT-CFM (Tong et al. 2023, arXiv:2302.00482) |
| linear, σ > 0 | minibatch entropic, ε = 2σ² | [SF]²M, a simulation-free bridge (Tong et al. 2023, arXiv:2307.03672) |
| any with γ > 0 | independent | stochastic interpolant (Albergo et al. 2023) |
"""

import math
from collections.abc import Callable
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Scalar

from subgrid.numerics.divergence import Divergence, exact_divergence
from subgrid.numerics.integration import Step, euler_maruyama, heun_step, integrate
from subgrid.numerics.noise import standard_normal
from subgrid.numerics.stratified import stratified_uniforms
from subgrid.training.checkpoint import Checkpoints
from subgrid.training.fitting import TrainingSchedule, fit
from subgrid.training.log import MetricsReport
from subgrid.transport.couplings import Coupling, Independent
from subgrid.transport.ends import Ends, Pairs, draw_pairs, take_pairs
from subgrid.transport.interpolants import (
    Interpolant,
    LinearInterpolant,
    interpolate,
    rates,
    require_times_where_regular,
)
from subgrid.types import Key, Velocity

TIME_MARGIN = 1e-3
"""δ: how far training stays from the ends, where γ̇ may be infinite."""
FLOW_SCHEDULE = TrainingSchedule(10_000, steps_per_dispatch=50)
"""By default. Velocities are mostly small networks, of which a call costs as much as several steps: 50 of them."""


class Flow(eqx.Module):
    """A velocity with the interpolant that it was fitted to.

    Args:
        velocity: v(x, t, context).
        interpolant: α, β and γ; default the straight line without noise.
        noise: η(x, t, context) = E[Z | X_t = x], where it was fitted too; default none.
    """

    velocity: Any
    interpolant: Interpolant = LinearInterpolant()
    noise: Any = None

    def score(self, x: Float[Array, "*shape"], t: Scalar, context: Any = None) -> Float[Array, "*shape"]:
        """∇ log p_t(x) = −η(x, t)/γ(t).

        Args:
            x: a field.
            t: time, where γ > 0.
            context: given to the noise, default none.

        Returns:
            The score, of the shape of `x`.

        Raises:
            ValueError: if no noise was fitted.
        """
        if self.noise is None:
            raise ValueError(
                "this flow has no score: fit it with a network for the noise, and an interpolant with one."
            )
        return -self.noise(x, t, context) / self.interpolant(t).gamma


def flow_matching_loss(flow: Flow, pairs: Pairs, *, time_margin: float = TIME_MARGIN, key: Key) -> Scalar:
    """Mean squared error of the velocity, and of the noise where the flow has one, over a batch of pairs.

        ⟨‖v(X_t, t) − Ẋ_t‖²/d⟩ + ⟨‖η(X_t, t) − Z‖²/d⟩,      t stratified on (δ, 1 − δ)

    Args:
        flow: v, and η or none, with the interpolant.
        pairs: a batch.
        time_margin: δ, default 1e-3.
        key: random key.

    Returns:
        A scalar.

    References:
        Lipman et al. (2023), arXiv:2210.02747; Albergo, Boffi & Vanden-Eijnden (2023), arXiv:2303.08797.
    """
    time_key, noise_key = jr.split(key)
    n = len(pairs.x0)
    t = time_margin + (1 - 2 * time_margin) * stratified_uniforms(n, key=time_key)
    z = standard_normal(pairs.x0.shape, pairs.x0.dtype, key=noise_key)

    def error(x0, x1, context, t, z):
        x = interpolate(flow.interpolant(t), x0, x1, z)
        target = interpolate(rates(flow.interpolant, t), x0, x1, z)
        missed = jnp.mean((flow.velocity(x, t, context) - target) ** 2)
        return missed if flow.noise is None else missed + jnp.mean((flow.noise(x, t, context) - z) ** 2)

    return jnp.mean(jax.vmap(error)(pairs.x0, pairs.x1, pairs.context, t, z))


def fit_flow(
    flow: Flow,
    ends: Ends | Pairs,
    schedule: TrainingSchedule = FLOW_SCHEDULE,
    *,
    coupling: Coupling = Independent(),  # noqa: B008 no state
    batch_size: int = 256,
    checkpoints: Checkpoints | None = None,
    report: MetricsReport | None = None,
    key: Key,
) -> Flow:
    """Trains a flow between two archives, or along given pairs.

    Args:
        flow: the velocity, a module (`NetworkVelocity`), the interpolant, and a module for the noise if diffusions are
            wanted too.
        ends: two unpaired archives; or `Pairs`, drawn as they are (`coupling` is then not used).
        schedule: of the training; default 10,000 steps, 50 a call.
        coupling: of minibatches, default independent.
        batch_size: pairs of a step, default 256.
        checkpoints: where to save and resume, as for `fit`; default nowhere.
        report: called as for `fit`, after each dispatch.
        key: random key.

    Returns:
        The flow, with averaged weights.

    Raises:
        ValueError: a network for the noise of an interpolant that has none; and as `fit`.

    Examples:
        >>> velocity = NetworkVelocity(MLP((2,), (2,), key=k1))
        >>> flow = fit_flow(Flow(velocity), Ends(x0, x1), coupling=ExactTransport(), key=k2)
        >>> moved = jax.vmap(flow_map(flow.velocity))(x0)
    """
    if flow.noise is not None and float(flow.interpolant(jnp.asarray(0.5)).gamma) == 0:
        name = type(flow.interpolant).__name__
        raise ValueError(f"{name} has no noise to fit; choose one with gamma > 0 (sigma > 0).")
    draw = (
        (lambda data, key: take_pairs(data, batch_size, key=key))
        if isinstance(ends, Pairs)
        else (lambda data, key: draw_pairs(data, batch_size, coupling=coupling, key=key))
    )
    loss = lambda flow, pairs, key: flow_matching_loss(flow, pairs, key=key)  # noqa: E731
    return fit(flow, loss, ends, draw, schedule, checkpoints=checkpoints, report=report, key=key)


def flow_map(
    velocity: Velocity, *, n_steps: int = 32, step: Step = heun_step, backward: bool = False
) -> Callable[..., Float[Array, "*shape"]]:
    """Φ: x₀ ↦ x₁ along dx/dt = v(x, t); backward, its inverse.

    Args:
        velocity: v(x, t, context).
        n_steps: equal steps, default 32.
        step: of integration, default Heun's.
        backward: whether to go from t = 1 to 0, default not.

    Returns:
        A function of (x, context = None) that gives the other end, of the shape of x.

    Raises:
        ValueError: n_steps < 1.

    Examples:
        >>> moved = jax.vmap(flow_map(flow.velocity))(coarse)
    """
    if n_steps < 1:
        raise ValueError(f"n_steps must be at least 1, got {n_steps}.")
    times = jnp.linspace(1.0, 0.0, n_steps + 1) if backward else jnp.linspace(0.0, 1.0, n_steps + 1)

    def move(x, context=None):
        return integrate(lambda x, t: velocity(x, t, context), x, times, step=step)

    return move


def diffuse(
    flow: Flow,
    x: Float[Array, "*shape"],
    times: Float[Array, " time"],
    *,
    epsilon: float,
    context: Any = None,
    key: Key,
) -> Float[Array, "*shape"]:
    """Carries x along the diffusion dX = (v ± ε∇log p) dt + √(2ε) dW, whose distributions are those of the flow.

    Plus in rising time, minus in falling time. ε = σ²/2 on the path of a Schrödinger bridge of diffusion σ gives the
    bridge itself. Euler–Maruyama without noise on the last step.

    Args:
        flow: with a score.
        x: at `times[0]`.
        times: rising or falling, all but the last where γ > 0 and no coefficient is singular: δ instead of 0, or 1 − δ
            instead of 1.
        epsilon: ε ≥ 0.
        context: given to velocity and noise, default none.
        key: random key.

    Returns:
        x at the last time, of the same shape.

    Raises:
        ValueError: other times, ε < 0, or a flow without a score.

    References:
        Albergo, Boffi & Vanden-Eijnden (2023), arXiv:2303.08797, Corollary 18.

    Examples:
        >>> moved = diffuse(flow, coarse, jnp.linspace(1e-3, 1, 101), epsilon=0.5, key=key)
    """
    if epsilon < 0:
        raise ValueError(f"epsilon must not be negative, got {epsilon}; 0 is the flow itself.")
    times = require_times_where_regular(flow.interpolant, times, score=True, last=False)
    sign = jnp.sign(times[-1] - times[0])
    drift = lambda x, t: flow.velocity(x, t, context) + sign * epsilon * flow.score(x, t, context)  # noqa: E731
    return euler_maruyama(drift, x, times, diffusion=math.sqrt(2 * epsilon), key=key)


def flow_log_likelihood(
    velocity: Velocity,
    x: Float[Array, "*shape"],
    *,
    log_density: Callable[[Array], Scalar],
    context: Any = None,
    divergence: Divergence = exact_divergence,
    tolerance: float = 1e-4,
) -> Scalar:
    """log p₁(x) = log p₀(Φ⁻¹(x)) − ∫₀¹ div v dt, in nats.

    Args:
        velocity: v(x, t, context).
        x: a field at t = 1.
        log_density: log p₀, of a field.
        context: given to the velocity, default none.
        divergence: `exact_divergence` (default) or `hutchinson_divergence(n, key=key)`.
        tolerance: relative and absolute, of the adaptive solver (Tsit5), default 1e-4.

    Returns:
        A scalar in nats.

    Examples:
        >>> flow_log_likelihood(flow.velocity, x, log_density=lambda z: jnp.sum(norm.logpdf(z)))
    """

    def backward(t, state, args):
        return divergence(lambda z: velocity(z, t, context), state[0])

    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(backward),  # pyright: ignore[reportArgumentType]
        diffrax.Tsit5(),
        t0=1.0,
        t1=0.0,
        dt0=None,
        y0=(x, jnp.zeros((), x.dtype)),
        stepsize_controller=diffrax.PIDController(rtol=tolerance, atol=tolerance),
    )
    assert solution.ys is not None  # saved at the end by default
    start, integral = (leaf[-1] for leaf in solution.ys)
    return log_density(start) + integral
