"""Scores cell by cell on masked grids: marginal distances of unpaired sets, and ensembles against a paired truth.

Fields have axes "channel *space"; a mask of the space axes says which cells count, and the maps returned hold NaN
elsewhere. Means over cells count every cell alike; weigh the maps yourself where cells differ much in area.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from subgrid.verification.distributions import CHUNK_VALUES, quantile_steps
from subgrid.verification.ensembles import fair_crps
from subgrid.verification.masks import AnyFloat, Mask, restore_cells, select_cells


def wasserstein_1_per_cell(pred: AnyFloat, ref: AnyFloat, *, mask: Mask | None = None) -> Float[np.ndarray, "..."]:
    """Exact Wasserstein-1 distance ∫ |F_pred − F_ref| dx between the marginal distributions of every cell.

    Args:
        pred: samples to evaluate on axis 0, any unit; n ≥ 1.
        ref: reference samples, same unit and grid; their number may differ.
        mask: cells that count, of the trailing axes; default all but the first.

    Returns:
        A map in the unit of the samples, NaN outside the mask; `np.nanmean` of it is the W1 of the reports.

    Raises:
        ValueError: different grids, or as `masks.select_cells`.

    References:
        Ramdas, García Trillos & Cuturi (2017), Prop. 1, doi:10.3390/e19020047.

    Examples:
        >>> ref = np.random.default_rng(0).normal(size=(1000, 2, 2))
        >>> wasserstein_1_per_cell(ref + 0.5, ref)  # 0.5 everywhere
    """
    if pred.shape[1:] != ref.shape[1:]:
        raise ValueError(f"pred and ref must share their space axes, got {pred.shape[1:]} and {ref.shape[1:]}.")
    mask = np.ones(ref.shape[1:], bool) if mask is None else mask
    x, y = select_cells(pred, mask, name="pred"), select_cells(ref, mask, name="ref")
    lead = x.shape[1:]
    distance = _wasserstein_1(x.reshape(len(x), -1), y.reshape(len(y), -1))
    return restore_cells(np.asarray(distance).reshape(lead), mask)


@jax.jit
def _wasserstein_1(pred: Float[Array, "n cell"], ref: Float[Array, "m cell"]) -> Float[Array, " cell"]:
    rank_pred, rank_ref, widths = quantile_steps(pred.shape[0], ref.shape[0])

    def distance(pair: tuple[Array, Array]) -> Array:
        gap = jnp.sort(pair[0])[rank_pred] - jnp.sort(pair[1])[rank_ref]
        return jnp.sum(widths * jnp.abs(gap))

    return lax.map(distance, (pred.T, ref.T), batch_size=max(1, CHUNK_VALUES // len(widths)))


def _paired(
    ensemble: AnyFloat, truth: AnyFloat, mask: Mask | None
) -> tuple[Float[Array, "case member channel cell"], Float[Array, "case channel cell"], Mask]:
    if ensemble.ndim < 4 or ensemble.shape[1] < 2:
        raise ValueError(f'the ensemble needs axes "case member channel *space" and 2 members, got {ensemble.shape}.')
    if truth.shape != ensemble.shape[:1] + ensemble.shape[2:]:
        raise ValueError(
            f"truth must have the ensemble's shape without members, got {truth.shape} and {ensemble.shape}."
        )
    mask = np.ones(truth.shape[2:], bool) if mask is None else mask
    return select_cells(ensemble, mask, name="the ensemble"), select_cells(truth, mask, name="truth"), mask


def fair_crps_per_cell(
    ensemble: AnyFloat, truth: AnyFloat, *, mask: Mask | None = None
) -> Float[np.ndarray, "channel *space"]:
    """Fair continuous ranked probability score, mean over cases, of every cell of every channel.

    Args:
        ensemble: axes "case member channel *space", at least 2 members, any unit.
        truth: axes "case channel *space", same unit.
        mask: cells that count, default all.

    Returns:
        Maps in the unit of the data, NaN outside the mask. `np.nanmean` over space gives the score of a channel.

    Raises:
        ValueError: axes that do not match, fewer than 2 members, or as `masks.select_cells`.

    References:
        Ferro (2014), doi:10.1002/qj.2270.

    Examples:
        >>> x = np.random.default_rng(0).normal(size=(500, 11, 1, 4))
        >>> fair_crps_per_cell(x[:, 1:], x[:, 0])  # 1/√π = .564, the score of a standard normal against itself
    """
    x, y, mask = _paired(ensemble, truth, mask)
    return restore_cells(np.asarray(_mean_fair_crps(x, y)), mask)


@jax.jit
def _mean_fair_crps(
    ensemble: Float[Array, "case member channel cell"], truth: Float[Array, "case channel cell"]
) -> Float[Array, "channel cell"]:
    return jnp.mean(lax.map(lambda case: fair_crps(case[0], case[1]), (ensemble, truth)), axis=0)


def spread_skill_per_channel(
    ensemble: AnyFloat, truth: AnyFloat, *, mask: Mask | None = None
) -> Float[np.ndarray, " channel"]:
    """Spread over skill of every channel, √((M + 1)/M ⟨s²⟩) / √⟨(x̄ − y)²⟩, averaged over cases and cells.

    Args:
        ensemble: axes "case member channel *space", at least 2 members, any unit.
        truth: axes "case channel *space", same unit.
        mask: cells that count, default all.

    Returns:
        1 for a reliable ensemble, below for too little spread; one number a channel.

    Raises:
        ValueError: axes that do not match, fewer than 2 members, or as `select_cells`.

    References:
        Fortin, Abaza, Anctil & Turcotte (2014), Eq. 15, doi:10.1175/JHM-D-14-0008.1.

    Examples:
        >>> x = np.random.default_rng(0).normal(size=(500, 11, 1, 4))
        >>> spread_skill_per_channel(x[:, 1:], x[:, 0])  # 1 within some percent
    """
    x, y, _ = _paired(ensemble, truth, mask)
    n_members = x.shape[1]
    deviation = x - y[:, None]
    variance = jnp.mean(jnp.var(deviation, axis=1, ddof=1), axis=(0, 2))
    squared_error = jnp.mean(jnp.mean(deviation, axis=1) ** 2, axis=(0, 2))
    return np.asarray(jnp.sqrt((n_members + 1) / n_members * variance / squared_error))
