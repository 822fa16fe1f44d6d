"""Classical bias adjustment through xsdba: empirical quantile mapping, quantile delta mapping, and dOTC.

xsdba fits them on xarray series with a common time axis. Here they take plain arrays of any lengths, since the archives
share no dates: both get one fictitious axis, the shorter one filled up with NaN, which xsdba leaves out of every
statistic. Fields are flattened to points; for precipitation, fit on transformed fields (`series.InTransformedSpace`).

Empirical quantile mapping is a table a point, so it is handed back as a `QuantileMapping`, usable field by field.
Quantile delta mapping and dOTC rank a value within its own series, so they satisfy `SeriesDebiaser` only: adjusting a
part of a series is *not* the part of the adjusted series. That limitation is *mathematical*.

xsdba takes 10 s to import and is imported on first use.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal
from unittest.mock import patch

import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Float

from subgrid.downscaling.debiasing.static import QuantileMapping


def fit_empirical_quantile_mapping(
    source: Float[np.ndarray, "n *coarse"], target: Float[np.ndarray, "m *target_coarse"], *, n_quantiles: int = 100
) -> QuantileMapping:
    """xsdba's `EmpiricalQuantileMapping` (additive factors, linear between quantiles, constant beyond) as one table.

    Args:
        source: (n, *coarse), samples to adjust.
        target: (m, *coarse), samples of the reference, same unit.
        n_quantiles: levels (i + ½)/n, default 100.

    Returns:
        A map of one field. It is `xsdba…adjust(interp="linear")` point by point, since a factor that is linear in the
            value between two quantiles makes the mapped value linear too.

    Raises:
        ValueError: for shapes that do not match or fewer samples than quantiles.

    References:
        Déqué (2007), doi:10.1016/j.gloplacha.2006.11.030.

    Examples:
        >>> transport = fit_empirical_quantile_mapping(coarse, target)
        >>> debiased = jax.vmap(transport)(coarse)
    """
    from xsdba import EmpiricalQuantileMapping

    trained = _train(EmpiricalQuantileMapping, source, target, n_quantiles, "+")
    tables = trained.ds.isel(group=0).transpose("quantiles", "point")
    quantiles, factors = tables["hist_q"].values, tables["af"].values
    return QuantileMapping(*(jnp.asarray(table, jnp.float32) for table in (quantiles, quantiles + factors)))


@dataclass(frozen=True)
class QuantileDeltaMapping:
    """y + F′⁻¹(τ) − F⁻¹(τ) with τ the rank of y *in the series that is adjusted*: every quantile keeps its change."""

    trained: Any
    """xsdba's trained object."""
    shape: tuple[int, ...]

    def adjust(self, fields: Float[np.ndarray, "time *coarse"]) -> Float[np.ndarray, "time *coarse"]:
        """The adjusted series; its length is free, but a part of it would be ranked otherwise."""
        _check_shape(fields, self.shape)
        flat = fields.reshape(len(fields), -1)
        still = np.ptp(flat, axis=0) == 0
        adjusted = np.array(flat, np.float64)
        if not still.all():
            # Points without ranks are given some, as what is made of them is not used: of NaN, xsdba warns.
            ranked = np.where(still, np.arange(len(flat))[:, None], flat)
            found = self.trained.adjust(_series(ranked, len(flat)), interp="linear", skip_input_checks=True)
            adjusted[:, ~still] = found.transpose("time", "point").values[:, ~still]
        adjusted[:, still] = self._of_median(flat[:, still], still)
        return adjusted.reshape(fields.shape).astype(np.float32)

    def _of_median(self, values: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Points that never change have no ranks: all of their values count as the median."""
        tables = self.trained.ds.isel(group=0).transpose("quantiles", "point")
        levels, factors = tables["quantiles"].values, tables["af"].values[:, points]
        median = np.array([np.interp(0.5, levels, factor) for factor in factors.T])
        if str(self.trained.kind) == "+":
            return values + median
        return np.where(np.isfinite(median), values * median, values)


def fit_quantile_delta_mapping(
    source: Float[np.ndarray, "n *coarse"],
    target: Float[np.ndarray, "m *target_coarse"],
    *,
    n_quantiles: int = 100,
    kind: Literal["+", "*"] = "+",
) -> QuantileDeltaMapping:
    """Quantile delta mapping through xsdba: y + F′⁻¹(τ) − F⁻¹(τ), τ the rank of y in the series that is adjusted.

    F and F′ are the distribution functions of source and target, point by point; multiplicative it is y F′⁻¹(τ)/F⁻¹(τ).
    It preserves the change of every quantile by itself: do not remove the change signal before.

    Args:
        source: (n, *coarse), the model's own past.
        target: (m, *coarse), samples of the reference, same unit; any number of them.
        n_quantiles: levels, default 100.
        kind: whether changes of quantiles add, "+", or multiply, "*".

    Returns:
        A `SeriesDebiaser`: `adjust(fields)` of a whole series (time, *coarse).

    Raises:
        ValueError: for shapes that do not match or fewer samples than quantiles.

    References:
        Cannon et al. (2015), doi:10.1175/JCLI-D-14-00754.1.

    Examples:
        >>> mapping = fit_quantile_delta_mapping(historical, target)
        >>> debiased = mapping.adjust(rcp85)
    """
    from xsdba import QuantileDeltaMapping as Method

    return QuantileDeltaMapping(_train(Method, source, target, n_quantiles, kind), source.shape[1:])


@dataclass(frozen=True)
class DynamicalTransport:
    """dOTC: the source's evolution from its own past to the series, carried over to the target by optimal transport."""

    source: Float[np.ndarray, "n point"]
    target: Float[np.ndarray, "m point"]
    shape: tuple[int, ...]
    bin_width: float
    seed: int

    def adjust(self, fields: Float[np.ndarray, "time *coarse"]) -> Float[np.ndarray, "time *coarse"]:
        """The adjusted series. Memory grows with the square of its length and of the samples, time with the cube."""
        _check_shape(fields, self.shape)
        flat = fields.reshape(len(fields), -1)
        parts = self.source, self.target, flat
        moving = np.all([np.ptp(part, axis=0) > 0 for part in parts], axis=0)
        moved = self._shifted(flat)
        if moving.any():
            moved[:, moving] = self._transported(*(part[:, moving] for part in parts))
        return moved.reshape(fields.shape).astype(np.float32)

    def _shifted(self, flat: np.ndarray) -> np.ndarray:
        """What points get that never change in one of the series: the difference of means, and no transport."""
        source, target = self.source.mean(0), self.target.mean(0)
        fixed = np.ptp(self.target, axis=0) == 0
        return np.where(fixed, target + flat.mean(0) - source, flat + target - source)

    def _transported(self, source: np.ndarray, target: np.ndarray, flat: np.ndarray) -> np.ndarray:
        from xsdba import dOTC

        length = max(len(flat), len(source), len(target))
        series = partial(_series, length=length, point="multivar")
        # xsdba loses the end of a series filled up with NaN: its fields are repeated, which keeps their distribution.
        repeated = np.arange(length) * len(flat) // length
        first = np.searchsorted(repeated, np.arange(len(flat)))
        width = {j: self.bin_width * float(s) for j, s in enumerate(target.std(0))}
        with _seeded(self.seed):
            adjusted = dOTC.adjust(
                series(target),
                series(source),
                series(flat[repeated]),
                bin_width=width,
                jitter_inside_bins=False,
                normalization="standardize",
                skip_input_checks=True,
            )
        return np.asarray(adjusted.transpose("time", "multivar"))[first]


def fit_dynamical_transport(
    source: Float[np.ndarray, "n *coarse"],
    target: Float[np.ndarray, "m *target_coarse"],
    *,
    bin_width: float = 0.01,
    seed: int = 0,
) -> DynamicalTransport:
    """Dynamical optimal transport correction (dOTC) through xsdba: the model's evolution carried over to the target.

    It carries the model's change over by itself: do not remove the change signal before. Every image is a target sample
    moved by the model's evolution, so the dependence between points is the target's.

    Args:
        source: (n, *coarse), the model's own past.
        target: (m, *coarse), samples of the reference, same unit; any number of them.
        bin_width: of the histograms that xsdba transports between, in standard deviations of the target; default 1 %:
            with more than some ten points every sample has a cell of its own anyway, and wide ones would only round it.
        seed: of the choice among several images of one sample.

    Returns:
        A `SeriesDebiaser`: `adjust(fields)` of a whole series (time, *coarse).

    Raises:
        ValueError: for shapes that do not match, fewer than 2 samples, or bins that are not positive.

    References:
        Robin et al. (2019), doi:10.5194/hess-23-773-2019.

    Examples:
        >>> transport = fit_dynamical_transport(historical, target)
        >>> debiased = transport.adjust(rcp85)
    """
    _check_pair(source, target, 2)
    if bin_width <= 0:
        raise ValueError(f"bin_width must be positive, got {bin_width}; .01 standard deviations is the default.")
    first, second = (np.asarray(a, np.float64).reshape(len(a), -1) for a in (source, target))
    return DynamicalTransport(first, second, source.shape[1:], bin_width, seed)


def _train(method: Any, source: np.ndarray, target: np.ndarray, n_quantiles: int, kind: str) -> Any:
    """xsdba's trained object of a univariate method, point by point."""
    _check_pair(source, target, n_quantiles)
    length = max(len(source), len(target))
    pair = (_series(target, length), _series(source, length))
    return method.train(*pair, nquantiles=n_quantiles, kind=kind, group="time", skip_input_checks=True)


def _series(fields: np.ndarray, length: int, point: str = "point") -> xr.DataArray:
    """(time, point) on a fictitious axis of `length` hours, the end filled up with NaN."""
    flat = np.full((length, int(np.prod(fields.shape[1:]))), np.nan)
    flat[: len(fields)] = fields.reshape(len(fields), -1)
    times = np.datetime64("2000-01-01", "ns") + np.arange(length) * np.timedelta64(1, "h")
    coords = {"time": times, point: np.arange(flat.shape[1])}
    return xr.DataArray(flat, coords, ("time", point), attrs={"units": "1"})


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Makes xsdba's draws repeatable: it takes them from NumPy's global state and from generators without a seed.

    Not for several threads at once: a limitation that is *merely convenient*.
    """
    state, fresh, generators = np.random.get_state(), np.random.default_rng, iter(range(seed, 2**62))  # noqa: NPY002
    np.random.seed(seed % 2**32)  # noqa: NPY002
    try:
        with patch("numpy.random.default_rng", lambda given=None: fresh(next(generators) if given is None else given)):
            yield
    finally:
        np.random.set_state(state)  # noqa: NPY002


def _check_pair(source: np.ndarray, target: np.ndarray, fewest: int) -> None:
    if source.shape[1:] != target.shape[1:]:
        raise ValueError(
            f"source fields have shape {source.shape[1:]}, target fields {target.shape[1:]}; they must agree."
        )
    if min(len(source), len(target)) < fewest:
        raise ValueError(
            f"at least {fewest} samples of each are needed; got {len(source)} coarse and {len(target)} fine. "
            "Lower n_quantiles or bring more data."
        )


def _check_shape(fields: np.ndarray, shape: tuple[int, ...]) -> None:
    if fields.shape[1:] != shape:
        raise ValueError(f"the adjustment was fitted on fields of shape {shape}, but these have {fields.shape[1:]}.")
