"""Who goes with whom: couplings of two minibatches of equal size, as index pairs.

A coupling returns (i, j); the caller takes x₀[i], x₁[j] and whatever else belongs to either sample — labels, contexts —
with the same indices, so that nothing is left behind when the plan permutes.
"""

from typing import Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float, Int

from subgrid.types import Key

OPERAND_BYTES = 96 * 1024
"""Of what is given to the host at a time (`assignment`); XLA's CPU client copies below 100 KiB in place (0.10)."""
Indices = tuple[Int[Array, " n"], Int[Array, " n"]]


@runtime_checkable
class Coupling(Protocol):
    """From two batches (flattened inside) to the indices of n pairs."""

    def __call__(self, x0: Float[Array, "n *shape"], x1: Float[Array, "n *shape"], *, key: Key) -> Indices:
        """(i, j), so that x0[i] and x1[j] go together."""
        ...


class Independent(eqx.Module):
    """Pairs as they come: X₀ and X₁ independent."""

    def __call__(self, x0: Float[Array, "n *shape"], x1: Float[Array, "n *shape"], *, key: Key) -> Indices:
        order = jnp.arange(len(x0))
        return order, order


class ExactTransport(eqx.Module):
    """The assignment of least Σ‖x₀ − x₁‖², by scipy's solver on the host.

    The marginals stay exact. Time grows like n³: some 10 ms for 256 pairs.

    References:
        Tong et al. (2023), arXiv:2302.00482.

    Examples:
        >>> pairs = draw_pairs(ends, 256, coupling=ExactTransport(), key=key)
    """

    def __call__(self, x0: Float[Array, "n *shape"], x1: Float[Array, "n *shape"], *, key: Key) -> Indices:
        return jnp.arange(len(x0)), assignment(squared_distances(x0, x1))


class EntropicTransport(eqx.Module):
    """Pairs drawn from the entropic plan of cost ‖x₀ − x₁‖² and regularisation ε, one for each x₀.

    Every x₀ is used once; the x₁ are drawn from the rows of the plan. ε = 2σ² gives the static Schrödinger bridge of
    σ·Brownian motion (between all fields; between minibatches it is biased, as all minibatch plans are).

    Args:
        epsilon: ε > 0, in units of the squared field.
        tolerance: on the mass that the plan's rows misplace, default 1 %.
        max_iterations: of Sinkhorn, default 2000.

    Raises:
        ValueError: ε ≤ 0.
        EquinoxRuntimeError: when called, for a plan that does not converge, which is never used silently.

    Examples:
        >>> pairs = draw_pairs(ends, 256, coupling=EntropicTransport(2 * sigma**2), key=key)
    """

    epsilon: float = eqx.field(static=True)
    tolerance: float = eqx.field(static=True, default=1e-2)
    max_iterations: int = eqx.field(static=True, default=2000)

    def __check_init__(self):
        if self.epsilon <= 0:
            raise ValueError(f"epsilon must be positive, got {self.epsilon}.")

    def __call__(self, x0: Float[Array, "n *shape"], x1: Float[Array, "n *shape"], *, key: Key) -> Indices:
        log_plan, error = sinkhorn_plan(
            squared_distances(x0, x1) / self.epsilon, tolerance=self.tolerance, max_iterations=self.max_iterations
        )
        log_plan = eqx.error_if(
            log_plan,
            ~(error <= self.tolerance),
            f"the minibatch plan has not converged after {self.max_iterations} Sinkhorn iterations at epsilon = "
            f"{self.epsilon}; raise either.",
        )
        return jnp.arange(len(x0)), draw_columns(jnp.exp(log_plan), key=key)


def sinkhorn_plan(
    scaled_cost: Float[Array, "n m"], *, tolerance: float = 1e-2, max_iterations: int = 2000
) -> tuple[Float[Array, "n m"], Float[Array, ""]]:
    """log γ of the entropic plan between uniform weights, for the cost C in units of ε, and the error of its rows.

        γ_ij = e^{f_i + g_j − C_ij},    f ← −log Σ_j e^{g_j − C_ij} − log n,    g ← −log Σ_i e^{f_i − C_ij} − log m

    One update in ten is made in the log domain, where nothing underflows; those between scale the rows and columns of
    the plan that it left, which costs a matrix–vector product and no exponentials. The columns are exact.

    Args:
        scaled_cost: C/ε.
        tolerance: iterations stop at this error, default 1 %.
        max_iterations: default 2000; made ten at a time.

    Returns:
        log γ, and the mass misplaced among the rows (a scalar), above the tolerance if it did not converge.

    References:
        Cuturi (2013), arXiv:1306.0895; Schmitzer (2019), doi:10.1137/16M1106018 (the scaling between).
    """
    n, m = scaled_cost.shape
    tiny = jnp.finfo(scaled_cost.dtype).tiny

    def ten(state):
        f, g, _, k = state
        f = -jax.nn.logsumexp(g[None] - scaled_cost, axis=1) - jnp.log(n)
        g = -jax.nn.logsumexp(f[:, None] - scaled_cost, axis=0) - jnp.log(m)
        plan = jnp.exp(f[:, None] + g[None] - scaled_cost)

        def scale(_, uv):
            u = 1 / (n * jnp.maximum(plan @ uv[1], tiny))
            return u, 1 / (m * jnp.maximum(u @ plan, tiny))

        u, v = jax.lax.fori_loop(0, 9, scale, (jnp.ones(n), jnp.ones(m)))
        error = jnp.sum(jnp.abs(u * (plan @ v) - 1 / n)) / 2
        return f + jnp.log(u), g + jnp.log(v), error, k + 10

    going_on = lambda state: (state[2] > tolerance) & (state[3] < max_iterations)  # noqa: E731
    start = (jnp.zeros(n), jnp.zeros(m), jnp.asarray(jnp.inf, scaled_cost.dtype), 0)
    f, g, error, _ = jax.lax.while_loop(going_on, ten, start)
    return f[:, None] + g[None] - scaled_cost, error


def draw_columns(plan: Float[Array, "n m"], *, key: Key) -> Int[Array, " n"]:
    """A column for each row, drawn with the row's weights by inverting their sum: one random number a row.

    Args:
        plan: weights ≥ 0; rows need not sum to 1.
        key: random key.

    Returns:
        n column indices.
    """
    sums = jnp.cumsum(plan, axis=1)
    drawn = jr.uniform(key, (len(plan), 1)) * sums[:, -1:]
    # A number below 1 times the last sum may be rounded up to it.
    return jnp.minimum(jnp.sum(sums <= drawn, axis=1), plan.shape[1] - 1)


def squared_distances(x0: Float[Array, "n *shape"], x1: Float[Array, "m *shape"]) -> Float[Array, "n m"]:
    """‖x₀ᵢ − x₁ⱼ‖² of all pairs, from one matrix product of anomalies about the mean of x₁ (for float32's sake).

    Args:
        x0: n fields.
        x1: m fields of the same shape.

    Returns:
        The matrix, ≥ 0.
    """
    a, b = x0.reshape(len(x0), -1), x1.reshape(len(x1), -1)
    a, b = a - b.mean(0), b - b.mean(0)
    products = jnp.matmul(a, b.T, precision=jax.lax.Precision.HIGHEST)
    return jnp.maximum(jnp.sum(a**2, 1)[:, None] + jnp.sum(b**2, 1)[None] - 2 * products, 0.0)


def assignment(cost: Float[Array, "n n"]) -> Int[Array, " n"]:
    """The permutation of least total cost, by scipy's solver on the host; also from within compiled code.

    The matrix goes there in blocks of rows. An operand of 100 KiB or more is copied by a task of XLA's threads, and
    where there is one core the only thread is running the computation that waits for it. Compilation grows with their
    number, from a fraction of a second for 512 fields to some seconds for 2048: couplings are of minibatches.

    Args:
        cost: of each row with each column.

    Returns:
        The column of each row, int32.

    Examples:
        >>> assignment(jnp.array([[1.0, 0.0], [0.0, 1.0]]))  # 1, 0
    """
    n, shape = len(cost), jax.ShapeDtypeStruct((len(cost),), jnp.int32)
    rows = max(1, OPERAND_BYTES // (cost.itemsize * n))
    blocks = [cost[i : i + rows] for i in range(0, n, rows)]
    return jax.pure_callback(_solved, shape, *blocks, vmap_method="sequential")


def _solved(*blocks: Array) -> np.ndarray:
    from scipy.optimize import linear_sum_assignment

    return linear_sum_assignment(np.concatenate(blocks))[1].astype(np.int32)
