"""Ensemble scores on `xarray.DataArray`: the same names as on arrays, dimensions by name."""

from collections.abc import Callable, Sequence

import xarray as xr
from jaxtyping import Array

from subgrid.types import Key
from subgrid.verification import ensembles
from subgrid.verification.wrappers.alignment import (
    labelled,
    names_of,
    require_aligned,
    require_dims,
    truth_pair,
    values_of,
)


def crps(ensemble: xr.DataArray, truth: xr.DataArray, *, member_dim: str = "member") -> xr.DataArray:
    """Continuous ranked probability score Σ|x_i − y|/M − ΣΣ|x_i − x_j|/(2M²) of the empirical distribution.

    Args:
        ensemble: forecasts with a member dimension, any unit.
        truth: what happened, same unit, without it.
        member_dim: dimension of the members, default "member".

    Returns:
        A score at each entry of truth, in the unit of the data.

    Raises:
        ValueError: as `ensembles.crps`, or dimensions or coordinates that do not match.

    References:
        Gneiting & Raftery (2007), doi:10.1198/016214506000001437.

    Examples:
        >>> x = xr.DataArray([0.0, 2.0], dims="member")
        >>> crps(x, xr.DataArray(1.0))  # 1/2
    """
    x, y, dims = truth_pair(ensemble, truth, member_dim)
    return labelled(ensembles.crps(x, y), ensemble, "crps", dims)


def fair_crps(ensemble: xr.DataArray, truth: xr.DataArray, *, member_dim: str = "member") -> xr.DataArray:
    """Continuous ranked probability score Σ|x_i − y|/M − ΣΣ|x_i − x_j|/(2M(M − 1)), unbiased in M.

    Args:
        ensemble: forecasts with a member dimension, any unit.
        truth: what happened, same unit, without it.
        member_dim: dimension of the members, default "member".

    Returns:
        A score at each entry of truth, in the unit of the data.

    Raises:
        ValueError: as `ensembles.fair_crps`, or dimensions or coordinates that do not match.

    References:
        Ferro (2014), doi:10.1002/qj.2270.

    Examples:
        >>> x = xr.DataArray([0.0, 2.0], dims="member")
        >>> fair_crps(x, xr.DataArray(1.0))  # 0
    """
    x, y, dims = truth_pair(ensemble, truth, member_dim)
    return labelled(ensembles.fair_crps(x, y), ensemble, "fair_crps", dims)


def spread_skill_ratio(ensemble: xr.DataArray, truth: xr.DataArray, *, member_dim: str = "member") -> xr.DataArray:
    """Spread over skill, sqrt((M + 1)/M ⟨s²⟩) / sqrt(⟨(x̄ − y)²⟩), over all entries.

    Args:
        ensemble: forecasts with a member dimension, any unit.
        truth: what happened, same unit, without it.
        member_dim: dimension of the members, default "member".

    Returns:
        A dimensionless scalar, 1 if reliable.

    Raises:
        ValueError: as `ensembles.spread_skill_ratio`, or dimensions or coordinates that do not match.

    References:
        Fortin, Abaza, Anctil & Turcotte (2014), doi:10.1175/JHM-D-14-0008.1.

    Examples:
        >>> x = xr.DataArray(np.random.default_rng(0).normal(size=(10, 1000)), dims=("member", "time"))
        >>> spread_skill_ratio(x.isel(member=slice(9)), x.isel(member=9))  # about 1
    """
    x, y, _ = truth_pair(ensemble, truth, member_dim)
    # The array function pools all entries, so one case that holds them all is as good as many.
    return labelled(ensembles.spread_skill_ratio(x[None], y[None]), ensemble, "spread_skill_ratio", units="1")


def rank_histogram(
    ensemble: xr.DataArray, truth: xr.DataArray, *, key: Key, member_dim: str = "member"
) -> xr.DataArray:
    """How often the truth has r members below it, counts[r] for r = 0 … M, ties drawn uniformly.

    Args:
        ensemble: forecasts with a member dimension, any unit.
        truth: what happened, same unit, without it.
        key: randomness of the ties.
        member_dim: dimension of the members, default "member".

    Returns:
        Counts over all entries without a NaN, on the dimension "rank".

    Raises:
        ValueError: as `ensembles.rank_histogram`, or dimensions or coordinates that do not match.

    References:
        Hamill (2001), doi:10.1175/1520-0493(2001)129<0550:IORHFV>2.0.CO;2.

    Examples:
        >>> x = xr.DataArray(np.random.default_rng(0).normal(size=(10, 1000)), dims=("member", "time"))
        >>> rank_histogram(x.isel(member=slice(9)), x.isel(member=9), key=jax.random.key(0))  # ten near 100
    """
    x, y, _ = truth_pair(ensemble, truth, member_dim)
    counts = ensembles.rank_histogram(x[None], y[None], key=key)
    result = labelled(counts, ensemble, "rank_histogram", ("rank",), units="1")
    return result.assign_coords(rank=range(counts.shape[0]))


def constraint_rmse(
    operator: Callable[[Array], Array],
    fields: xr.DataArray,
    targets: xr.DataArray,
    *,
    space_dims: str | Sequence[str],
    coarse_dims: str | Sequence[str] | None = None,
    sample_dim: str = "sample",
) -> xr.DataArray:
    """Relative misfit ⟨‖C′x − y′‖ / ‖C′x‖⟩ of the coarsened fields to their targets.

    Args:
        operator: C′, applied to the array of one field, its space axes last in the order of space_dims.
        fields: fine fields, any unit.
        targets: coarse fields they were conditioned on, same unit; same samples in the same order.
        space_dims: space dimensions of fields.
        coarse_dims: space dimensions of targets, default those of fields.
        sample_dim: dimension of the samples, default "sample"; all others (channels) must be shared.

    Returns:
        A dimensionless scalar.

    Raises:
        ValueError: as `ensembles.constraint_rmse`, or dimensions or coordinates that do not match.

    References:
        Wan et al. (2023), arXiv:2305.15618.

    Examples:
        >>> u = xr.DataArray(np.random.default_rng(0).normal(size=(10, 64)), dims=("sample", "x"))
        >>> constraint_rmse(lambda x: x[..., ::8], u, u.isel(x=slice(None, None, 8)), space_dims="x")  # 0
    """
    fine = names_of(space_dims)
    coarse = fine if coarse_dims is None else names_of(coarse_dims)
    require_dims("fields", fields, [sample_dim, *fine])
    require_dims("targets", targets, [sample_dim, *coarse])
    first = fields.isel(dict.fromkeys(fine, 0), drop=True)
    require_aligned(first, targets.isel(dict.fromkeys(coarse, 0), drop=True), "fields and targets")
    channels = tuple(dim for dim in first.dims if dim != sample_dim)
    x, y = values_of(fields, (sample_dim, *channels, *fine)), values_of(targets, (sample_dim, *channels, *coarse))
    return labelled(ensembles.constraint_rmse(operator, x, y), fields, "constraint_rmse", units="1")


def sample_variability(
    ensemble: xr.DataArray, *, condition_dim: str = "condition", member_dim: str = "member"
) -> xr.DataArray:
    """How much members with the same condition differ, ⟨sqrt(mean of the variance across members)⟩.

    Args:
        ensemble: samples with a condition and a member dimension, any unit; all other dimensions are entries.
        condition_dim: dimension of the conditions, default "condition".
        member_dim: dimension of the members, default "member".

    Returns:
        A scalar in the unit of the data.

    Raises:
        ValueError: as `ensembles.sample_variability`, or a dimension that is not there.

    References:
        Wan et al. (2023), arXiv:2305.15618.

    Examples:
        >>> x = xr.DataArray(np.random.default_rng(0).normal(size=(20, 50, 64)), dims=("condition", "member", "x"))
        >>> sample_variability(x)  # about 1
    """
    require_dims("ensemble", ensemble, [condition_dim, member_dim])
    others = [dim for dim in ensemble.dims if dim not in (condition_dim, member_dim)]
    x = values_of(ensemble, (condition_dim, member_dim, *others))
    return labelled(ensembles.sample_variability(x), ensemble, "sample_variability")
