"""Entropic optimal transport between two unpaired sets, and the map it induces on unseen points.

    min_γ Σ_ij γ_ij ‖y_i − y′_j‖² + ε Σ_ij γ_ij (log γ_ij − 1),    γ1 = 1/n,  γᵀ1 = 1/m

What of the cost belongs to y_i alone or to y′_j alone is the same for all plans: only the interaction −2 y_i·y′_j of
centred fields decides, and ε is to be seen beside it (`suggested_epsilon`).

Convention: the cost is the *full* squared distance, so ε = 2σ² where σ is the length over which the plan blurs
(with cost ½‖·‖² it would be σ²). Solved by ott-jax (Cuturi et al. 2022, arXiv:2201.12324).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from subgrid.transport.unpaired import require_same_fields

# Accelerators multiply in fewer than 24 bits by default, and distances here are differences of large numbers.
HIGHEST = jax.lax.Precision.HIGHEST
INTERACTION_SHARE = 0.0045
"""ε beside the standard deviation of the interaction: .1 on Kuramoto–Sivashinsky 8×, where it is 22.7, which was chosen
there by scores. Of few or many fields it is the same."""


class SinkhornNotConverged(ArithmeticError):
    """The marginals of the plan are still wrong after the allowed iterations."""


@dataclass(frozen=True)
class SinkhornSummary:
    """What the solver did: for reports."""

    epsilon: float
    """ε, in units of the squared field."""
    n_source: int
    """Number of source samples."""
    n_target: int
    """Number of target samples."""
    iterations: int
    """Sinkhorn iterations that were made."""
    marginal_error: float
    """L1 error of the source marginal of the plan."""


class EntropicMap(eqx.Module):
    """T(y) = Σ_j p_j(y) y′_j,  p(y) = softmax_j((g_j − ‖y − y′_j‖²)/ε): the barycentric map, continued to any y.

    All distances are taken between fields less c, the mean of the y′_j: in float32, ‖y‖² of temperatures near 300 K
    would leave nothing of differences of tenths. On a training point it is the barycentric projection of the plan.
    Every image is a convex combination of target points: far outside the source's range it says so by saturating.

    Args:
        target: y′_j − c.
        centre: c.
        potential: g.
        epsilon: ε > 0.

    References:
        Pooladian & Niles-Weed (2021), arXiv:2109.12004.
    """

    target: Float[Array, "m d"]
    centre: Float[Array, " d"]
    potential: Float[Array, " m"]
    epsilon: float = eqx.field(static=True)

    @eqx.filter_jit
    def __call__(self, y: Float[Array, "*coarse"]) -> Float[Array, "*coarse"]:
        # ‖y‖² is common to all j and drops out of the softmax.
        anomaly = y.reshape(-1) - self.centre
        cost = jnp.sum(self.target**2, axis=1) - 2 * jnp.matmul(self.target, anomaly, precision=HIGHEST)
        weights = jax.nn.softmax((self.potential - cost) / self.epsilon)
        return (self.centre + jnp.matmul(weights, self.target, precision=HIGHEST)).reshape(y.shape)


def suggested_epsilon(source: Float[Array, "n *coarse"], target: Float[Array, "m *target_coarse"]) -> float:
    """ε that suits two sets: a small part of the standard deviation of what couples them.

        ε = .0045 · 2 √tr(Σ Σ′),    tr(Σ Σ′) = 1/nm Σ_ij ((y_i − ȳ)·(y′_j − ȳ′))²

    It goes with the square of the unit, and takes no notice of a shift between the sets. In d independent directions
    it grows as √d, as differences between costs do, where costs themselves grow as d: a part of the distance to the
    nearest neighbour would blur all of 64 × 64 values of white noise into their mean.

    Args:
        source: samples y.
        target: samples y′ in the same units and of the same shape.

    Returns:
        ε, in units of the squared field; 1 where a set has no spread, since every ε gives the same plan then.

    Raises:
        ValueError: for shapes that do not match.

    Examples:
        >>> transport, summary = fit_entropic_map(coarse, fine, epsilon=suggested_epsilon(coarse, fine))
    """
    require_same_fields(source, target)
    (y, of_y), (z, of_z) = _normalised(source), _normalised(target)
    interaction = 2 * of_y * of_z * float(np.sqrt(np.mean(np.square(y @ z.T), dtype=np.float64)))
    return INTERACTION_SHARE * interaction or 1.0


def _normalised(samples: Float[Array, "n *shape"]) -> tuple[Float[np.ndarray, "n d"], float]:
    """Less their mean and over one scale, so that squares fit into float32 in any unit; and that scale."""
    flat = np.asarray(samples, np.float64).reshape(len(samples), -1)
    flat = flat - flat.mean(0)
    scale = float(flat.std())
    return (flat / (scale or 1.0)).astype(np.float32), scale


def fit_entropic_map(
    source: Float[Array, "n *coarse"],
    target: Float[Array, "m *target_coarse"],
    *,
    epsilon: float = 0.1,
    tolerance: float = 1e-2,
    max_iterations: int = 5000,
    report: Callable[[int, float], None] | None = None,
) -> tuple[EntropicMap, SinkhornSummary]:
    """Solves the entropic problem between two sets and returns the map from source to target.

        min_γ Σ_ij γ_ij ‖y_i − y′_j‖² + ε Σ_ij γ_ij (log γ_ij − 1),    γ1 = 1/n,  γᵀ1 = 1/m

    Args:
        source: samples y.
        target: samples y′ in the same units and of the same shape.
        epsilon: ε in those units squared, default .1 for some dozen values of unit order; `suggested_epsilon` for
            others.
        tolerance: on the L1 error of the marginals (twice the mass misplaced), default 1e-2.
        max_iterations: default 5000.
        report: called as report(iterations, error) every 20 iterations: each call with one compiles anew, a second or
            so, and every iteration then passes by the host. Default none.

    Returns:
        The map and a summary of the solve. Memory n·m floats, time n·m a iteration.

    Raises:
        ValueError: shapes that do not match, or ε ≤ 0.
        SinkhornNotConverged: with the error reached, instead of a map that is silently wrong.

    References:
        Cuturi et al. (2022), arXiv:2201.12324 (the solver).

    Examples:
        >>> transport, summary = fit_entropic_map(coarse, coarsened_fine, epsilon=0.05)
        >>> debiased = jax.vmap(transport)(coarse)
    """
    require_same_fields(source, target)
    if epsilon <= 0:
        raise ValueError(f"epsilon must be positive, got {epsilon}.")
    flat_source, flat_target = source.reshape(len(source), -1), target.reshape(len(target), -1)
    centre = flat_target.mean(0)
    flat_source, flat_target = flat_source - centre, flat_target - centre
    potential, iterations, error = _solve(flat_source, flat_target, epsilon, tolerance, max_iterations, report)
    jax.effects_barrier()  # no report comes after the answer
    summary = SinkhornSummary(epsilon, len(source), len(target), int(iterations), float(error))
    if not (summary.marginal_error <= tolerance and bool(jnp.isfinite(potential).all())):
        raise SinkhornNotConverged(
            f"Sinkhorn reached a marginal error of {summary.marginal_error:.2e} (wanted {tolerance:.0e}) after "
            f"{summary.iterations} iterations at epsilon = {epsilon}; raise epsilon or max_iterations."
        )
    return EntropicMap(flat_target, centre, potential, epsilon), summary


@eqx.filter_jit
def _solve(source, target, epsilon, tolerance, max_iterations, report):
    from ott.geometry import geometry
    from ott.problems.linear import linear_problem
    from ott.solvers.linear import sinkhorn

    products = jnp.matmul(source, target.T, precision=HIGHEST)
    squared = jnp.sum(source**2, 1)[:, None] + jnp.sum(target**2, 1)[None, :] - 2 * products
    problem = linear_problem.LinearProblem(geometry.Geometry(jnp.maximum(squared, 0.0), epsilon=epsilon))
    solver = sinkhorn.Sinkhorn(
        threshold=tolerance,
        inner_iterations=20,
        max_iterations=max_iterations,
        progress_fn=None if report is None else _reporting(report),
    )
    result = solver(problem)
    errors = jnp.asarray(result.errors)
    last = jnp.max(jnp.where(errors >= 0, jnp.arange(errors.shape[0]), 0))
    return result.g, result.n_iters, errors[last]


def _reporting(report: Callable[[int, float], None]) -> Callable[[Any], None]:
    """`report` as the solver calls its own: with the iteration, those between two calls, their limit and its state."""

    def tell(status: Any) -> None:
        iteration, inner_iterations, _, state = status
        error = float(np.asarray(state.errors)[int(iteration) // int(inner_iterations), 0])
        if np.isfinite(error):
            report(int(iteration) + 1, error)

    return tell
