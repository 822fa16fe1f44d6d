"""The metrics of this package on `xarray.DataArray`: the same names, dimensions by name.

Results keep the attributes of the array evaluated and the coordinates of the dimensions that remain; the name is the
metric, and where the input states ``units`` the result states its own. Inputs are never changed. Values are computed
in float32. Dimensions of the two inputs may come in any order, but shared coordinates must be equal.
"""

from collections.abc import Sequence
from typing import Any

import xarray as xr
from jaxtyping import Array, Float

from subgrid.verification import distributions, spectra
from subgrid.verification.wrappers.alignment import (
    labelled,
    names_of,
    require_aligned,
    require_dims,
    sample_sets,
    values_of,
)


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

    Examples:
        >>> ref = xr.DataArray(np.random.default_rng(0).normal(size=(1000, 8)), dims=("sample", "x"))
        >>> covariance_rmse(2 * ref, ref)  # 3
    """
    x, y, _ = sample_sets(pred, ref, sample_dim)
    return labelled(distributions.covariance_rmse(x, y), pred, "covariance_rmse", units="1")


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

    Examples:
        >>> ref = xr.DataArray(np.random.default_rng(0).normal(size=(10_000, 8)), dims=("sample", "x"))
        >>> kl_divergence_per_point(ref, ref + 1.0)  # about 1/2 at each x
    """
    x, y, points = sample_sets(pred, ref, sample_dim)
    divergence = distributions.kl_divergence_per_point(y, x, n_grid=n_grid)
    return labelled(divergence, pred, "kl_divergence_per_point", points, units="1")


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

    Examples:
        >>> ref = xr.DataArray(np.random.default_rng(0).normal(size=(10_000, 8)), dims=("sample", "x"))
        >>> kl_divergence(ref, ref + 1.0)  # about 4
    """
    x, y, _ = sample_sets(pred, ref, sample_dim)
    return labelled(distributions.kl_divergence(y, x, n_grid=n_grid), pred, "kl_divergence", units="1")


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

    Examples:
        >>> ref = xr.DataArray(np.random.default_rng(0).normal(size=(1000, 8)), dims=("sample", "x"))
        >>> wasserstein_1(ref + 0.5, ref)  # 0.5
    """
    x, y, _ = sample_sets(pred, ref, sample_dim)
    return labelled(distributions.wasserstein_1(x, y), pred, "wasserstein_1")


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

    Examples:
        >>> ref = xr.DataArray(np.random.default_rng(0).normal(size=(500, 8)), dims=("sample", "x"))
        >>> maximum_mean_discrepancy(ref + 1.0, ref, bandwidth=4.0)
    """
    x, y, _ = sample_sets(pred, ref, sample_dim)
    discrepancy = distributions.maximum_mean_discrepancy(x, y, bandwidth=bandwidth)
    return labelled(discrepancy, pred, "maximum_mean_discrepancy", units="1")


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

    Examples:
        >>> u = xr.DataArray(np.random.default_rng(0).normal(size=(100, 64)), dims=("sample", "x"))
        >>> energy_spectrum(u, space_dims="x").sum()  # the variance over x
    """
    array, others = _channelled(samples, "samples", sample_dim, names_of(space_dims))
    energy = spectra.energy_spectrum(array, len(names_of(space_dims)))
    shape = [samples.sizes[dim] for dim in others] + [energy.shape[-1]]
    unit = f"({samples.attrs.get('units', '1')})^2"
    result = labelled(energy.reshape(shape), samples, "energy_spectrum", (*others, "wavenumber"), units=unit)
    return result.assign_coords(wavenumber=range(1, energy.shape[-1] + 1))


def _channelled(
    array: xr.DataArray, what: str, sample_dim: str, space: tuple[str, ...]
) -> tuple[Float[Array, "n channel *space"], tuple[Any, ...]]:
    """Values with every dimension that is neither sample nor space folded into one channel axis."""
    require_dims(what, array, [sample_dim, *space])
    others = tuple(dim for dim in array.dims if dim not in (sample_dim, *space))
    shape = [array.sizes[sample_dim], -1, *(array.sizes[dim] for dim in space)]
    return values_of(array, (sample_dim, *others, *space)).reshape(shape), others


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

    Examples:
        >>> u = xr.DataArray(np.random.default_rng(0).normal(size=(100, 64)), dims=("sample", "x"))
        >>> mean_energy_log_ratio(2 * u, u, space_dims="x")  # both 2 ln 2
    """
    space = names_of(space_dims)
    require_aligned(pred, ref, "pred and ref", sample_dim)
    y, others = _channelled(ref, "ref", sample_dim, space)
    x, _ = _channelled(pred.transpose(sample_dim, *others, *space), "pred", sample_dim, space)
    plain, weighted = spectra.mean_energy_log_ratio(x, y, len(space))
    return (
        labelled(plain, pred, "mean_energy_log_ratio_unweighted", units="1"),
        labelled(weighted, pred, "mean_energy_log_ratio_weighted", units="1"),
    )
