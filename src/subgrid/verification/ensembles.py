"""Scores of ensembles: against a paired truth (CRPS, spread/skill, ranks), a constraint, or only themselves."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float, Int

from subgrid.types import Key


def _require_axis(ensemble: Array, axis: int, what: str, minimum: int) -> None:
    if ensemble.ndim <= axis or ensemble.shape[axis] < minimum:
        got = ensemble.shape[axis] if ensemble.ndim > axis else f"shape {ensemble.shape}"
        raise ValueError(f"needs at least {minimum} {what}{'s' * (minimum > 1)} on axis {axis}, got {got}.")


def _require_truth(expected: tuple[int, ...], truth: Array) -> None:
    if truth.shape != expected:
        raise ValueError(
            f"truth must have the ensemble's shape without the member axis, {expected}, got {truth.shape}."
        )


@jax.jit
def crps(ensemble: Float[Array, "member *shape"], truth: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Continuous ranked probability score of the ensemble's empirical distribution.

    CRPS = Σ_i |x_i − y| / M − Σ_ij |x_i − x_j| / (2M²) = ∫ (F(z) − 1{z ≥ y})² dz, F the empirical distribution.

    Args:
        ensemble: M ≥ 1 members x on axis 0, any unit.
        truth: what happened, y, same unit.

    Returns:
        One score ≥ 0 an entry, in the unit of the data: average it yourself. It favours ensembles sharper than the
        truth when M is small; `fair_crps` does not.

    Raises:
        ValueError: no members, or shapes that do not match.

    References:
        Gneiting & Raftery (2007), Eq. 21, doi:10.1198/016214506000001437.

    Examples:
        >>> x = jnp.array([0.0, 2.0])
        >>> crps(x, jnp.array(1.0))  # 1 − 4/8 = 1/2
    """
    _require_axis(ensemble, 0, "member", 1)
    _require_truth(ensemble.shape[1:], truth)
    n_members = ensemble.shape[0]
    return _mean_error(ensemble, truth) - _half_pair_sum(ensemble - truth) / n_members**2


@jax.jit
def fair_crps(ensemble: Float[Array, "member *shape"], truth: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Continuous ranked probability score of the distribution that the members were drawn from.

    fCRPS = Σ_i |x_i − y| / M − Σ_ij |x_i − x_j| / (2M(M − 1)): unbiased in M, so ensembles of any size compare.

    Args:
        ensemble: M ≥ 2 members x on axis 0, any unit.
        truth: what happened, y, same unit.

    Returns:
        One score an entry, in the unit of the data: average it yourself (single scores may fall below 0). Sorting
        the members replaces the double sum, so the cost is M log M.

    Raises:
        ValueError: fewer than two members, or shapes that do not match.

    References:
        Ferro (2014), doi:10.1002/qj.2270; sorted form: Zamo & Naveau (2018), doi:10.1007/s11004-017-9709-7.

    Examples:
        >>> x = jnp.array([0.0, 2.0])
        >>> fair_crps(x, jnp.array(1.0))  # 1 − 4/4 = 0
    """
    _require_axis(ensemble, 0, "member", 2)
    _require_truth(ensemble.shape[1:], truth)
    n_members = ensemble.shape[0]
    return _mean_error(ensemble, truth) - _half_pair_sum(ensemble - truth) / (n_members * (n_members - 1))


def _mean_error(ensemble: Float[Array, "member *shape"], truth: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    return jnp.mean(jnp.abs(ensemble - truth), axis=0)


def _half_pair_sum(x: Float[Array, "member *shape"]) -> Float[Array, "*shape"]:
    """½ Σ_ij |x_i − x_j| = Σ_i (2i − M − 1) x_(i), i = 1 … M in rising order."""
    n_members = x.shape[0]
    rank_weights = 2.0 * np.arange(1, n_members + 1, dtype=np.float32) - n_members - 1
    return jnp.sum(rank_weights.reshape((-1,) + (1,) * (x.ndim - 1)) * jnp.sort(x, axis=0), axis=0)


@jax.jit
def spread_skill_ratio(
    ensemble: Float[Array, "case member *shape"], truth: Float[Array, "case *shape"]
) -> Float[Array, ""]:
    """Spread of the members over the error of their mean, corrected for the size of the ensemble.

    sqrt((M + 1)/M · ⟨s²⟩) / sqrt(⟨(x̄ − y)²⟩), s² the unbiased variance of the members; ⟨·⟩ runs over cases and all
    other entries *before* the roots. It is 1 if truth and members are exchangeable, < 1 if the spread is too small.

    Args:
        ensemble: M ≥ 2 members x on axis 1, cases on axis 0, any unit. Many independent cases: the relative sampling
            error is about 1/sqrt(2·cases).
        truth: what happened, y, same unit.

    Returns:
        A dimensionless scalar ≥ 0; infinite if the ensemble mean is never wrong.

    Raises:
        ValueError: no cases, fewer than two members, or shapes that do not match.

    References:
        Fortin, Abaza, Anctil & Turcotte (2014), Eq. 15, doi:10.1175/JHM-D-14-0008.1.

    Examples:
        >>> x, y = jr.normal(jr.key(0), (1000, 10)), jr.normal(jr.key(1), (1000,))
        >>> spread_skill_ratio(x, y)  # 1 within about 2 %
    """
    _require_axis(ensemble, 0, "case", 1)
    _require_axis(ensemble, 1, "member", 2)
    _require_truth(ensemble.shape[:1] + ensemble.shape[2:], truth)
    n_members = ensemble.shape[1]
    x = ensemble - truth[:, None]
    variance = jnp.mean(jnp.var(x, axis=1, ddof=1))
    squared_error = jnp.mean(jnp.mean(x, axis=1) ** 2)
    return jnp.sqrt((n_members + 1) / n_members * variance / squared_error)


@jax.jit
def rank_histogram(
    ensemble: Float[Array, "case member *shape"], truth: Float[Array, "case *shape"], *, key: Key
) -> Int[Array, " bin"]:
    """How often the truth falls at each rank among the members.

    counts[r] = #{entries with r members below the truth}, r = 0 … M; among members equal to the truth the place is
    drawn uniformly. Flat if reliable, ∪ if underdispersed, ∩ if overdispersed, sloped if biased.

    Args:
        ensemble: M ≥ 1 members on axis 1, cases on axis 0, any unit.
        truth: what happened, same unit.
        key: randomness of the ties.

    Returns:
        M + 1 counts over cases and all other entries. An entry with a NaN, in truth or members, is not counted.

    Raises:
        ValueError: no cases, no members, or shapes that do not match.

    References:
        Hamill (2001), doi:10.1175/1520-0493(2001)129<0550:IORHFV>2.0.CO;2.

    Examples:
        >>> x, y = jr.normal(jr.key(0), (1000, 9)), jr.normal(jr.key(1), (1000,))
        >>> rank_histogram(x, y, key=jr.key(2))  # ten counts near 100
    """
    _require_axis(ensemble, 0, "case", 1)
    _require_axis(ensemble, 1, "member", 1)
    _require_truth(ensemble.shape[:1] + ensemble.shape[2:], truth)
    n_bins = ensemble.shape[1] + 1
    y = truth[:, None]
    n_below, n_equal = jnp.sum(ensemble < y, axis=1), jnp.sum(ensemble == y, axis=1)
    rank = n_below + jr.randint(key, truth.shape, 0, n_equal + 1)
    missing = jnp.isnan(truth) | jnp.any(jnp.isnan(ensemble), axis=1)
    return jnp.bincount(jnp.where(missing, n_bins, rank).ravel(), length=n_bins + 1)[:n_bins]


def constraint_rmse(
    operator: Callable[[Float[Array, "*fine"]], Float[Array, "*coarse"]],
    fields: Float[Array, "n *fine"],
    targets: Float[Array, "n *coarse"],
) -> Float[Array, ""]:
    """Relative misfit of the coarsened fields to their targets, mean over samples.

    ⟨ ‖C′x − y′‖₂ / ‖C′x‖₂ ⟩. It is 0 for a *wrong* posterior too, whenever the constraint is imposed exactly: read it
    as a check of the machinery, never of the distribution.

    Args:
        operator: C′, a `subgrid.types.Coarsening` or any map of one field; applied under `jax.vmap`.
        fields: n ≥ 1 fine fields x, any unit.
        targets: the coarse field y′ each was conditioned on, same unit (repeat it for several members).

    Returns:
        A dimensionless scalar ≥ 0; infinite or NaN if a coarsened field vanishes.

    Raises:
        ValueError: no samples, different numbers of fields and targets, or C′x and y′ of different shape.

    References:
        Wan et al. (2023), arXiv:2305.15618.

    Examples:
        >>> x = jr.normal(jr.key(0), (10, 1, 64))
        >>> constraint_rmse(lambda u: u[:, ::8], x, x[:, :, ::8])  # 0
    """
    _require_axis(fields, 0, "sample", 1)
    if fields.shape[0] != targets.shape[0]:
        raise ValueError(f"needs one target a field, got {fields.shape[0]} fields and {targets.shape[0]} targets.")
    coarse = jax.vmap(operator)(fields)
    if coarse.shape != targets.shape:
        raise ValueError(f"operator(field) has shape {coarse.shape[1:]}, but a target has {targets.shape[1:]}.")
    other_axes = tuple(range(1, coarse.ndim))
    misfit = jnp.sqrt(jnp.sum((coarse - targets) ** 2, axis=other_axes))
    return jnp.mean(misfit / jnp.sqrt(jnp.sum(coarse**2, axis=other_axes)))


@jax.jit
def sample_variability(ensemble: Float[Array, "condition member *shape"]) -> Float[Array, ""]:
    """How much members with the same condition differ.

    ⟨ sqrt( mean over entries of s² ) ⟩ over conditions, s² the unbiased variance across members of each entry.

    Args:
        ensemble: M ≥ 2 members on axis 1 for each condition on axis 0, any unit; all other axes are entries.

    Returns:
        A scalar ≥ 0 in the unit of the data; 0 for a deterministic method.

    Raises:
        ValueError: no conditions or fewer than two members.

    References:
        Wan et al. (2023), arXiv:2305.15618.

    Examples:
        >>> x = 3 * jr.normal(jr.key(0), (20, 50, 1, 64))
        >>> sample_variability(x)  # about 3
    """
    _require_axis(ensemble, 0, "condition", 1)
    _require_axis(ensemble, 1, "member", 2)
    variance = jnp.var(ensemble, axis=1, ddof=1).reshape(ensemble.shape[0], -1)
    return jnp.mean(jnp.sqrt(jnp.mean(variance, axis=1)))
