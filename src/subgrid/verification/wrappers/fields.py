"""The metrics of this package on `xarray.DataArray`: the same names, dimensions by name.

Results keep the attributes of the array evaluated and the coordinates of the dimensions that remain; the name is the
metric, and where the input states ``units`` the result states its own. Inputs are never changed. Values are computed
in float32. Dimensions of the two inputs may come in any order, but shared coordinates must be equal.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float

from subgrid.types import Key
from subgrid.verification import distributions, ensembles, spectra


def _require_dims(what: str, array: xr.DataArray, dims: Sequence[str]) -> None:
    missing = [dim for dim in dims if dim not in array.dims]
    if missing:
        raise ValueError(f"{what} has no dimension {missing[0]!r}; its dimensions are {tuple(array.dims)}.")


def _values(array: xr.DataArray, dims: Sequence[Any]) -> Float[Array, "..."]:
    return jnp.asarray(array.transpose(*dims).values, dtype=jnp.float32)


def _names(dims: str | Sequence[str]) -> tuple[str, ...]:
    return (dims,) if isinstance(dims, str) else tuple(dims)


def _require_aligned(left: xr.DataArray, right: xr.DataArray, what: str, *apart: str) -> None:
    """Apart from the dimensions `apart`, both arrays live on the same grid."""
    if set(left.dims) - set(apart) != set(right.dims) - set(apart):
        raise ValueError(f"{what} must have the same dimensions, got {left.dims} and {right.dims}.")
    try:
        xr.align(left, right, join="exact", copy=False, exclude=apart)
    except ValueError as error:
        raise ValueError(f"{what} differ in their coordinates or sizes; select or regrid first: {error}") from error


def _sample_sets(
    pred: xr.DataArray, ref: xr.DataArray, sample_dim: str
) -> tuple[Float[Array, "..."], Float[Array, "..."], tuple[Any, ...]]:
    """Both sets with samples on axis 0, and the other dimensions in the order of ref."""
    _require_dims("pred", pred, [sample_dim])
    _require_dims("ref", ref, [sample_dim])
    _require_aligned(pred, ref, "pred and ref", sample_dim)
    points = tuple(dim for dim in ref.dims if dim != sample_dim)
    return _values(pred, (sample_dim, *points)), _values(ref, (sample_dim, *points)), points


def _truth_pair(
    ensemble: xr.DataArray, truth: xr.DataArray, member_dim: str
) -> tuple[Float[Array, "member ..."], Float[Array, "..."], tuple[Any, ...]]:
    _require_dims("ensemble", ensemble, [member_dim])
    if member_dim in truth.dims:
        raise ValueError(f"truth must not have the member dimension {member_dim!r}, got {truth.dims}.")
    _require_aligned(ensemble, truth, "ensemble and truth", member_dim)
    return _values(ensemble, (member_dim, *truth.dims)), _values(truth, truth.dims), truth.dims


def _labelled(
    values: Array, like: xr.DataArray, name: str, dims: Sequence[Any] = (), *, units: str | None = None
) -> xr.DataArray:
    """Values with the coordinates of `like` along `dims` and its attributes; `units` None keeps the unit."""
    attrs = dict(like.attrs)
    if units is not None and "units" in attrs:
        attrs["units"] = units
    kept = {key: coord for key, coord in like.coords.items() if set(coord.dims) <= set(dims)}
    return xr.DataArray(np.array(values), dims=tuple(dims), coords=kept, attrs=attrs, name=name)


def covariance_rmse(pred: xr.DataArray, ref: xr.DataArray, *, sample_dim: str = "sample") -> xr.DataArray:
    """Relative Frobenius error of the covariance between points, ‖Cov(pred) − Cov(ref)‖_F / ‖Cov(ref)‖_F.

    Args:
        pred: samples to evaluate, any unit.
        ref: reference samples, same unit; as many samples as it likes.
        sample_dim: dimension of the samples, default "sample"; all others are points.

    Returns:
        A dimensionless scalar.

    Raises:
        ValueError: as `distributions.covariance_rmse`, or dimensions or coordinates that do not match.

    References:
        Wan et al. (2023), arXiv:2305.15618.

    Example:
        >>> ref = xr.DataArray(np.random.default_rng(0).normal(size=(1000, 8)), dims=("sample", "x"))
        >>> covariance_rmse(2 * ref, ref)  # 3
    """
    x, y, _ = _sample_sets(pred, ref, sample_dim)
    return _labelled(distributions.covariance_rmse(x, y), pred, "covariance_rmse", units="1")


def kl_divergence_per_point(
    ref: xr.DataArray, pred: xr.DataArray, *, sample_dim: str = "sample", n_grid: int = 512
) -> xr.DataArray:
    """Kullback–Leibler divergence ∫ p ln(p/q) dx of the marginals at each point, p of ref and q of pred.

    Args:
        ref: reference samples, any unit.
        pred: samples to evaluate, same unit.
        sample_dim: dimension of the samples, default "sample"; all others are points.
        n_grid: quadrature points, ≥ 16, default 512.

    Returns:
        Nats, on the dimensions and coordinates of ref without samples.

    Raises:
        ValueError: as `distributions.kl_divergence_per_point`, or dimensions or coordinates that do not match.

    References:
        Wan et al. (2023), arXiv:2305.15618; Scott (1992), doi:10.1002/9780470316849.

    Example:
        >>> ref = xr.DataArray(np.random.default_rng(0).normal(size=(10_000, 8)), dims=("sample", "x"))
        >>> kl_divergence_per_point(ref, ref + 1.0)  # about 1/2 at each x
    """
    x, y, points = _sample_sets(pred, ref, sample_dim)
    divergence = distributions.kl_divergence_per_point(y, x, n_grid=n_grid)
    return _labelled(divergence, pred, "kl_divergence_per_point", points, units="1")


def kl_divergence(
    ref: xr.DataArray, pred: xr.DataArray, *, sample_dim: str = "sample", n_grid: int = 512
) -> xr.DataArray:
    """Kullback–Leibler divergence Σ_points ∫ p ln(p/q) dx of the marginals, p of ref and q of pred.

    Args:
        ref: reference samples, any unit.
        pred: samples to evaluate, same unit.
        sample_dim: dimension of the samples, default "sample"; all others are points.
        n_grid: quadrature points, ≥ 16, default 512.

    Returns:
        A scalar in nats.

    Raises:
        ValueError: as `distributions.kl_divergence`, or dimensions or coordinates that do not match.

    References:
        Wan et al. (2023), arXiv:2305.15618.

    Example:
        >>> ref = xr.DataArray(np.random.default_rng(0).normal(size=(10_000, 8)), dims=("sample", "x"))
        >>> kl_divergence(ref, ref + 1.0)  # about 4
    """
    x, y, _ = _sample_sets(pred, ref, sample_dim)
    return _labelled(distributions.kl_divergence(y, x, n_grid=n_grid), pred, "kl_divergence", units="1")


def wasserstein_1(pred: xr.DataArray, ref: xr.DataArray, *, sample_dim: str = "sample") -> xr.DataArray:
    """Wasserstein-1 distance ∫ |F_pred − F_ref| dx between marginals, exact, mean over points.

    Args:
        pred: samples to evaluate, any unit.
        ref: reference samples, same unit.
        sample_dim: dimension of the samples, default "sample"; all others are points.

    Returns:
        A scalar in the unit of the data.

    Raises:
        ValueError: as `distributions.wasserstein_1`, or dimensions or coordinates that do not match.

    References:
        Ramdas, García Trillos & Cuturi (2017), doi:10.3390/e19020047.

    Example:
        >>> ref = xr.DataArray(np.random.default_rng(0).normal(size=(1000, 8)), dims=("sample", "x"))
        >>> wasserstein_1(ref + 0.5, ref)  # 0.5
    """
    x, y, _ = _sample_sets(pred, ref, sample_dim)
    return _labelled(distributions.wasserstein_1(x, y), pred, "wasserstein_1")


def maximum_mean_discrepancy(
    pred: xr.DataArray, ref: xr.DataArray, *, sample_dim: str = "sample", bandwidth: float | None = None
) -> xr.DataArray:
    """Squared maximum mean discrepancy, unbiased, kernel exp(−‖x − y‖²/(2ℓ²)) between whole fields.

    Args:
        pred: samples to evaluate, any unit.
        ref: reference samples, same unit.
        sample_dim: dimension of the samples, default "sample"; all others are points.
        bandwidth: ℓ > 0; default the median distance between reference samples.

    Returns:
        A dimensionless scalar.

    Raises:
        ValueError: as `distributions.maximum_mean_discrepancy`, or dimensions or coordinates that do not match.

    References:
        Gretton et al. (2012), JMLR 13, 723–773, Eq. 3 (arXiv:0805.2368).

    Example:
        >>> ref = xr.DataArray(np.random.default_rng(0).normal(size=(500, 8)), dims=("sample", "x"))
        >>> maximum_mean_discrepancy(ref + 1.0, ref, bandwidth=4.0)
    """
    x, y, _ = _sample_sets(pred, ref, sample_dim)
    discrepancy = distributions.maximum_mean_discrepancy(x, y, bandwidth=bandwidth)
    return _labelled(discrepancy, pred, "maximum_mean_discrepancy", units="1")


def energy_spectrum(
    samples: xr.DataArray, *, space_dims: str | Sequence[str], sample_dim: str = "sample"
) -> xr.DataArray:
    """Energy E(k) = ⟨Σ_{round|κ| = k} |û(κ)|²⟩ in each shell of wavenumbers, averaged over samples.

    Args:
        samples: fields on a uniform grid, any unit.
        space_dims: the one, two or three dimensions to transform.
        sample_dim: dimension of the samples, default "sample"; all others remain.

    Returns:
        E on the remaining dimensions and "wavenumber" (1, 2, … waves per domain), in the unit of the data squared.

    Raises:
        ValueError: as `spectra.energy_spectrum`, or a dimension that is not there.

    References:
        Wan et al. (2023), arXiv:2305.15618.

    Example:
        >>> u = xr.DataArray(np.random.default_rng(0).normal(size=(100, 64)), dims=("sample", "x"))
        >>> energy_spectrum(u, space_dims="x").sum()  # the variance over x
    """
    array, others = _channelled(samples, "samples", sample_dim, _names(space_dims))
    energy = spectra.energy_spectrum(array, len(_names(space_dims)))
    shape = [samples.sizes[dim] for dim in others] + [energy.shape[-1]]
    unit = f"({samples.attrs.get('units', '1')})^2"
    result = _labelled(energy.reshape(shape), samples, "energy_spectrum", (*others, "wavenumber"), units=unit)
    return result.assign_coords(wavenumber=range(1, energy.shape[-1] + 1))


def _channelled(
    array: xr.DataArray, what: str, sample_dim: str, space: tuple[str, ...]
) -> tuple[Float[Array, "n channel *space"], tuple[Any, ...]]:
    """Values with every dimension that is neither sample nor space folded into one channel axis."""
    _require_dims(what, array, [sample_dim, *space])
    others = tuple(dim for dim in array.dims if dim not in (sample_dim, *space))
    shape = [array.sizes[sample_dim], -1, *(array.sizes[dim] for dim in space)]
    return _values(array, (sample_dim, *others, *space)).reshape(shape), others


def mean_energy_log_ratio(
    pred: xr.DataArray, ref: xr.DataArray, *, space_dims: str | Sequence[str], sample_dim: str = "sample"
) -> tuple[xr.DataArray, xr.DataArray]:
    """Mean absolute log ratio Σ_k w_k |ln(E_pred(k)/E_ref(k))| of two spectra, w_k even or E_ref(k)/Σ E_ref.

    Args:
        pred: fields to evaluate, any unit.
        ref: reference fields, same unit and grid.
        space_dims: the one, two or three dimensions to transform.
        sample_dim: dimension of the samples, default "sample"; the result is the mean over all others.

    Returns:
        (unweighted, weighted), dimensionless scalars.

    Raises:
        ValueError: as `spectra.mean_energy_log_ratio`, or dimensions or coordinates that do not match.

    References:
        Wan et al. (2023), arXiv:2305.15618.

    Example:
        >>> u = xr.DataArray(np.random.default_rng(0).normal(size=(100, 64)), dims=("sample", "x"))
        >>> mean_energy_log_ratio(2 * u, u, space_dims="x")  # both 2 ln 2
    """
    space = _names(space_dims)
    _require_aligned(pred, ref, "pred and ref", sample_dim)
    y, others = _channelled(ref, "ref", sample_dim, space)
    x, _ = _channelled(pred.transpose(sample_dim, *others, *space), "pred", sample_dim, space)
    plain, weighted = spectra.mean_energy_log_ratio(x, y, len(space))
    return (
        _labelled(plain, pred, "mean_energy_log_ratio_unweighted", units="1"),
        _labelled(weighted, pred, "mean_energy_log_ratio_weighted", units="1"),
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

    Example:
        >>> x = xr.DataArray([0.0, 2.0], dims="member")
        >>> crps(x, xr.DataArray(1.0))  # 1/2
    """
    x, y, dims = _truth_pair(ensemble, truth, member_dim)
    return _labelled(ensembles.crps(x, y), ensemble, "crps", dims)


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

    Example:
        >>> x = xr.DataArray([0.0, 2.0], dims="member")
        >>> fair_crps(x, xr.DataArray(1.0))  # 0
    """
    x, y, dims = _truth_pair(ensemble, truth, member_dim)
    return _labelled(ensembles.fair_crps(x, y), ensemble, "fair_crps", dims)


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

    Example:
        >>> x = xr.DataArray(np.random.default_rng(0).normal(size=(10, 1000)), dims=("member", "time"))
        >>> spread_skill_ratio(x.isel(member=slice(9)), x.isel(member=9))  # about 1
    """
    x, y, _ = _truth_pair(ensemble, truth, member_dim)
    # The array function pools all entries, so one case that holds them all is as good as many.
    return _labelled(ensembles.spread_skill_ratio(x[None], y[None]), ensemble, "spread_skill_ratio", units="1")


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

    Example:
        >>> x = xr.DataArray(np.random.default_rng(0).normal(size=(10, 1000)), dims=("member", "time"))
        >>> rank_histogram(x.isel(member=slice(9)), x.isel(member=9), key=jax.random.key(0))  # ten near 100
    """
    x, y, _ = _truth_pair(ensemble, truth, member_dim)
    counts = ensembles.rank_histogram(x[None], y[None], key=key)
    result = _labelled(counts, ensemble, "rank_histogram", ("rank",), units="1")
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

    Example:
        >>> u = xr.DataArray(np.random.default_rng(0).normal(size=(10, 64)), dims=("sample", "x"))
        >>> constraint_rmse(lambda x: x[..., ::8], u, u.isel(x=slice(None, None, 8)), space_dims="x")  # 0
    """
    fine = _names(space_dims)
    coarse = fine if coarse_dims is None else _names(coarse_dims)
    _require_dims("fields", fields, [sample_dim, *fine])
    _require_dims("targets", targets, [sample_dim, *coarse])
    first = fields.isel(dict.fromkeys(fine, 0), drop=True)
    _require_aligned(first, targets.isel(dict.fromkeys(coarse, 0), drop=True), "fields and targets")
    channels = tuple(dim for dim in first.dims if dim != sample_dim)
    x, y = _values(fields, (sample_dim, *channels, *fine)), _values(targets, (sample_dim, *channels, *coarse))
    return _labelled(ensembles.constraint_rmse(operator, x, y), fields, "constraint_rmse", units="1")


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

    Example:
        >>> x = xr.DataArray(np.random.default_rng(0).normal(size=(20, 50, 64)), dims=("condition", "member", "x"))
        >>> sample_variability(x)  # about 1
    """
    _require_dims("ensemble", ensemble, [condition_dim, member_dim])
    others = [dim for dim in ensemble.dims if dim not in (condition_dim, member_dim)]
    x = _values(ensemble, (condition_dim, member_dim, *others))
    return _labelled(ensembles.sample_variability(x), ensemble, "sample_variability")
