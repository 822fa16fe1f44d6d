"""Real climate fields: what lies between canonical datasets and the arrays that debiasing and the prior work on.

Fields go through z = g(x) − c(φ): a transform g of each variable (`transforms.py`), and anomalies from the smooth
day-of-year climatology c that each archive has itself. On fine anomalies the prior is learned; C′ of them is what
coarse anomalies are transported onto; and a sampled anomaly comes back as x = g⁻¹(z + c(φ)) with the fine climatology.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, TypeAlias, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jax.experimental import sparse
from jaxtyping import Array, Bool, Float, Int

from subgrid.data.canonical import valid_mask
from subgrid.data.fields import DataError
from subgrid.data.grids.cells import grid_of
from subgrid.data.grids.regrid import Regridding, conservative_coarsening
from subgrid.data.inspection.together import check_together
from subgrid.data.pooling.members import available_samples
from subgrid.data.pooling.pooling import member_labels
from subgrid.data.times.calendars import day_of_year_phase, season_years
from subgrid.data.variables.quantities import Described, describe
from subgrid.downscaling.climate.climatology import Climatology, fit_climatology
from subgrid.downscaling.climate.series import Fieldwise, SeriesDebiaser, Weakened
from subgrid.downscaling.debiasing.bias_adjustment import fit_dynamical_transport, fit_quantile_delta_mapping
from subgrid.downscaling.debiasing.dynamic import TransportMethod, fit_transport
from subgrid.downscaling.debiasing.settings import TransportSettings
from subgrid.downscaling.debiasing.static import Composed, NoDebiasing, fit_quantile_mapping
from subgrid.downscaling.interpolation.linear import bilinear
from subgrid.downscaling.preparation.transforms import ChannelTransforms, transforms_of
from subgrid.numerics.streams import stream
from subgrid.transport.ends import Ends
from subgrid.transport.reduced import fit_reduced_map
from subgrid.transport.shrinkage import fit_shrunk_gaussian_map
from subgrid.types import Coarsening
from subgrid.verification.dependence import EARTH_RADIUS, great_circle_distances

ClimateDebiasMethod: TypeAlias = Literal[
    "none",
    "quantile-mapping",
    "quantile-delta-mapping",
    "dotc",
    "gaussian",
    "reduced-ot",
    "flow-matching",
    "interpolant",
    "rectified-flow",
    "schrodinger-bridge",
]
POOLED = ("gaussian", "reduced-ot")
"""Methods whose strength is that of the correlations that they move."""
THEN_MARGINALS = ("gaussian", "reduced-ot", *get_args(TransportMethod))
"""Methods that quantile mapping may follow."""
DYNAMIC = TransportSettings(n_steps=500, batch_size=128, learning_rate=5e-4, channels=(128, 128))
"""Of dynamic transports of some thousand days: a small network and a short training, next to the linear transport."""


@dataclass(frozen=True)
class Series:
    """A canonical dataset as arrays: (time, channel, *space), NaN outside the mask, members pooled along time.

    Args:
        values: (time, channel, *space), canonical units, float32.
        phase: (time,), of the year, in [0, 1).
        season_year: (time,): one number for a season that spans the turn of the year.
        time: (time,), dates.
        member: (time,), number of the member.
        labels: of the members, by their numbers; None where they have none.
    """

    values: Float[np.ndarray, "time channel *space"]
    phase: Float[np.ndarray, " time"]
    season_year: Int[np.ndarray, " time"]
    time: np.ndarray
    member: Int[np.ndarray, " time"]
    labels: tuple[str, ...] | None = None

    def __getitem__(self, chosen: Any) -> "Series":
        parts = (self.values, self.phase, self.season_year, self.time, self.member)
        return Series(*(part[chosen] for part in parts), labels=self.labels)


def series_of(dataset: xr.Dataset, variables: Sequence[str]) -> Series:
    """The variables of a canonical dataset as channels, in this order, read into memory.

    Args:
        dataset: canonical, with "time" and, if there are members, "realization".
        variables: names of the channels.

    Returns:
        The series, one member after the other; of members of unequal lengths, the times that each has.

    Raises:
        DataError: for a variable that is not there.

    Examples:
        >>> series_of(coarse, ["tas", "pr"]).values.shape  # (time, 2, lat, lon)
    """
    for name in variables:
        if name not in dataset:
            raise DataError(f"there is no variable {name!r} among {', '.join(map(str, dataset.data_vars))}.")
    stacked = xr.concat([dataset[name] for name in variables], "channel", coords="minimal", compat="override")
    if "realization" not in stacked.dims:
        stacked = stacked.expand_dims("realization")
    space = [str(d) for d in stacked.dims if d not in ("realization", "time", "channel")]
    values = stacked.transpose("realization", "time", "channel", *space).values.astype(np.float32)
    tile, time = lambda a: np.tile(np.asarray(a), len(values)), dataset["time"]
    series = Series(
        values.reshape(-1, *values.shape[2:]),
        tile(day_of_year_phase(time)),
        tile(season_years(time)),
        tile(time.values),
        np.repeat(np.arange(len(values)), time.size),
        member_labels(dataset),
    )
    return series if (there := available_samples(dataset)).all() else series[there]


@dataclass(frozen=True)
class Domain:
    """Two grids, the mask, and C′ between them.

    Args:
        variables: names of the channels.
        regridding: C′, and which coarse cells it keeps.
        mask: (*fine), fine cells with values.
        descriptions: what each channel is taken to be.
        lat: (*fine), of every fine cell, degrees.
        lon: (*fine), of every fine cell, degrees.
    """

    variables: tuple[str, ...]
    regridding: Regridding
    mask: Bool[np.ndarray, "*fine"]
    descriptions: tuple[Described, ...]
    lat: Float[np.ndarray, "*fine"]
    lon: Float[np.ndarray, "*fine"]

    @property
    def transforms(self) -> ChannelTransforms:
        """Of the channels, by what they are."""
        return transforms_of(self.descriptions)

    @cached_property
    def rows(self) -> Float[np.ndarray, "kept cell"]:
        """C′ of one channel as a dense matrix on the cells of the mask."""
        operator = self.regridding.operator
        dense = np.zeros((operator.coarse_shape[0], self.mask.size))
        kept, cell = np.asarray(operator.matrix.indices).T
        dense[kept, cell] = np.asarray(operator.matrix.data)
        return dense[:, self.mask.ravel()]

    @cached_property
    def constrained(self) -> Bool[np.ndarray, "*fine"]:
        """Cells of the mask that a kept coarse cell covers, in part at least."""
        result = np.zeros(self.mask.shape, bool)
        result[self.mask] = (self.rows != 0).any(0)
        return result

    @cached_property
    def distances(self) -> Float[np.ndarray, "cell cell"]:
        """Kilometres along chords between the cells of the mask: the distances that tapers are positive definite in."""
        arcs = great_circle_distances(self.lat[self.mask], self.lon[self.mask])
        return 2 * EARTH_RADIUS * np.sin(arcs / (2 * EARTH_RADIUS))

    def coarsen(self, fields: Float[np.ndarray, "n channel *fine"]) -> Float[np.ndarray, "n channel kept"]:
        """C′ of fine fields; values outside the mask do not matter."""
        inside = jnp.asarray(np.where(self.mask, fields, 0.0), jnp.float32)
        return np.asarray(_coarsen_each(self.regridding.operator, inside))


@eqx.filter_jit
def _coarsen_each(operator: Coarsening, fields: Float[Array, "n channel *fine"]) -> Float[Array, "n channel kept"]:
    return jax.lax.map(operator, fields, batch_size=min(64, len(fields)))


def connect(fine: xr.Dataset, coarse: xr.Dataset, variables: Sequence[str], *, minimum_valid: float = 0.5) -> Domain:
    """The common domain of a fine and a coarse canonical dataset.

    Raises:
        DataError: if a variable lacks in either; and as `check_together` and `conservative_coarsening`.
    """
    for name, dataset in (("fine", fine), ("coarse", coarse)):
        if missing := [v for v in variables if v not in dataset]:
            raise DataError(f"{name}: holds no variable {missing[0]!r}, only {', '.join(map(str, dataset.data_vars))}.")
    check_together(coarse[list(variables)], fine[list(variables)])
    mask = np.asarray(valid_mask(fine[list(variables)]).values, bool)
    coarse_mask = np.asarray(valid_mask(coarse[list(variables)]).values, bool)
    regridding = conservative_coarsening(
        grid_of(fine, source="fine"),
        grid_of(coarse, source="coarse"),
        mask=mask,
        coarse_mask=coarse_mask,
        minimum_valid=minimum_valid,
    )
    lat, lon = fine["lat"].values, fine["lon"].values
    if lat.ndim == 1:
        lat, lon = np.meshgrid(lat, lon, indexing="ij")
    descriptions = tuple(describe(fine[name]) for name in variables)
    return Domain(tuple(variables), regridding, mask, descriptions, lat, lon)


@dataclass(frozen=True)
class Anomalies:
    """One archive's transform g and climatology c: between physical values and the anomalies that everything works on.

    z = g(x) − c(φ), φ the phase of the year.

    Args:
        transforms: g, of the channels.
        climatology: c, of transformed values.
    """

    transforms: ChannelTransforms
    climatology: Climatology

    def of(self, series: Series) -> Float[np.ndarray, "time channel *space"]:
        """g(x) − c(φ)."""
        z = self.transforms.forward_series(series.values)
        return np.asarray(self.climatology.remove(z, jnp.asarray(series.phase, jnp.float32)))

    def back(
        self, anomalies: Float[np.ndarray, "time channel *space"], phase: Float[np.ndarray, " time"]
    ) -> Float[np.ndarray, "time channel *space"]:
        """g⁻¹(z + c(φ))."""
        z = self.climatology.restore(jnp.asarray(anomalies, jnp.float32), jnp.asarray(phase, jnp.float32))
        return np.asarray(self.transforms.inverse_series(z))

    def mean(self, phase: Float[np.ndarray, " time"]) -> Float[np.ndarray, "time channel *space"]:
        """c(φ), 0 outside the mask."""
        return np.nan_to_num(self.climatology.mean(jnp.asarray(phase, jnp.float32)))


def fit_anomalies(series: Series, transforms: ChannelTransforms, *, n_harmonics: int = 3) -> Anomalies:
    """The climatology of a (training) series, after its transform. Errors as `fit_climatology`."""
    z = np.asarray(transforms.forward_series(series.values))
    return Anomalies(transforms, fit_climatology(z, series.phase, n_harmonics=n_harmonics))


def fit_climate_debiaser(
    source: Float[np.ndarray, "n channel kept"],
    target: Float[np.ndarray, "m channel kept"],
    *,
    method: ClimateDebiasMethod = "gaussian",
    strength: float = 1.0,
    marginals: bool = True,
    n_quantiles: int = 100,
    explained_variance: float = 0.9,
    hidden: Sequence[int] = DYNAMIC.channels,
    **training: Any,
) -> SeriesDebiaser:
    """The transport from coarse anomalies to coarsened fine anomalies.

    Args:
        source: (n, channel, kept), training anomalies of the coarse archive.
        target: (m, channel, kept), of the fine archive, coarsened.
        method: see the guide "Debiasing" for what each assumes; default "gaussian".
        strength: from 0 to 1, the default: of "gaussian" and "reduced-ot" how much of the difference of correlations is
            moved, while means, variances and marginals are moved whole; of all others how far each field is moved.
        marginals: whether quantile mapping follows a transport; default True.
        n_quantiles: of quantile mapping, default 100.
        explained_variance: of "reduced-ot", the share of variance that its components hold; default .9.
        hidden: layers of the perceptron of dynamic transports.
        **training: other fields of `TransportSettings` for them, by default those of `DYNAMIC`.

    Returns:
        A map of a whole series: `adjust(fields)`, (time, channel, kept).

    Raises:
        ValueError: for an unknown method or a strength outside 0 to 1; and as the `fit_…` that it calls.
        TypeError: for an unknown setting.

    Examples:
        >>> debiaser = fit_climate_debiaser(source, target, method="quantile-mapping")
        >>> debiased = debiaser.adjust(source)
    """
    if not 0 <= strength <= 1:
        raise ValueError(f"strength must lie between 0 and 1, got {strength}.")
    settings = replace(DYNAMIC, channels=tuple(hidden), **training)
    first, second = jnp.asarray(source), jnp.asarray(target)
    match method:
        case "none":
            return Fieldwise(NoDebiasing())
        case "quantile-mapping":
            mapping = fit_quantile_mapping(first, second, n_quantiles=n_quantiles)
            return _weakened(Fieldwise(mapping), strength)
        case "quantile-delta-mapping":
            return _weakened(fit_quantile_delta_mapping(source, target, n_quantiles=n_quantiles), strength)
        case "dotc":
            return _weakened(fit_dynamical_transport(source, target), strength)
        case "gaussian":
            transport, _ = fit_shrunk_gaussian_map(first, second, strength=strength)
        case "reduced-ot":
            transport, _ = fit_reduced_map(first, second, explained_variance=explained_variance, strength=strength)
        case "flow-matching" | "interpolant" | "rectified-flow" | "schrodinger-bridge":
            # Of no run's seed: a model that is loaded fits its debiaser again, to the same bits.
            key = stream(0, "climate", "debiasing")
            transport, _ = fit_transport(Ends(first, second), settings, method=method, padding=None, key=key)
        case _:
            raise ValueError(f"method must be one of {get_args(ClimateDebiasMethod)}, got {method!r}.")
    series = Fieldwise(transport)
    if marginals:
        mapping = fit_quantile_mapping(jnp.asarray(series.adjust(source)), second, n_quantiles=n_quantiles)
        series = Fieldwise(Composed((transport, mapping)))
    return series if method in POOLED else _weakened(series, strength)


def _weakened(series: SeriesDebiaser, strength: float) -> SeriesDebiaser:
    return series if strength == 1 else Weakened(series, strength)


def check_quantiles(
    n_source: int,
    n_target: int,
    *,
    method: ClimateDebiasMethod = "gaussian",
    marginals: bool = True,
    n_quantiles: int = 100,
    **_: Any,
) -> None:
    """Passes if there are as many days as quantiles, where `fit_climate_debiaser` would fit some.

    Raises:
        DataError: with the number of days, `n_quantiles` and what to do.
    """
    maps_quantiles = method.startswith("quantile") or (marginals and method in THEN_MARGINALS)
    if maps_quantiles and min(n_source, n_target) < n_quantiles:
        raise DataError(
            f"debias: n_quantiles = {n_quantiles} quantiles need as many samples; to fit on there are {n_source} "
            f"coarse and {n_target} fine days. Lower debias.n_quantiles (in Python debias_options) to "
            f"{min(n_source, n_target)} or less, or bring more days."
        )


def change_kinds(descriptions: Sequence[Described]) -> tuple[Any, ...]:
    """How variables change with climate, by what they are: precipitation by a factor, temperature by a difference.

    Args:
        descriptions: of the channels.

    Returns:
        "multiplicative" or "additive" for each.

    Examples:
        >>> change_kinds([describe_name("tas"), describe_name("pr")])
        ('additive', 'multiplicative')
    """
    return tuple(each.kind.change for each in descriptions)


def without_drift(
    moved: Float[np.ndarray, "n channel kept"], fitted: Float[np.ndarray, "m channel kept"]
) -> Float[np.ndarray, "n channel kept"]:
    """Debiased anomalies of another period, less the mean change that the debiaser itself made of a changed variance.

    With the model's change of mean already removed, what is left of a change of mean is not the model's.
    """
    return moved - (moved.mean(0) - fitted.mean(0))


def interpolation(coarse: xr.Dataset, fine: xr.Dataset):
    """Bilinear interpolation of one coarse field (channel, *coarse), on a grid of any kind, to the fine grid."""
    interpolate = bilinear(coarse["lat"].values, coarse["lon"].values, fine["lat"].values, fine["lon"].values)
    weights = sparse.BCOO.from_scipy_sparse(interpolate.weights.astype(np.float32))
    shape = interpolate.inside.shape
    return lambda fields: (weights @ fields.reshape(len(fields), -1).T).T.reshape(len(fields), *shape)


class PaddedCoarsening(eqx.Module):
    """C′ on a grid padded for the network: it reads the part of the field that exists."""

    operator: Coarsening
    fine_shape: tuple[int, ...] = eqx.field(static=True)
    coarse_shape: tuple[int, ...] = eqx.field(static=True)

    def __init__(self, operator: Coarsening, padded: tuple[int, ...]):
        self.operator, self.fine_shape, self.coarse_shape = operator, tuple(padded), tuple(operator.coarse_shape)

    def __call__(self, x: Float[Array, "*fine"]) -> Float[Array, "*coarse"]:
        return self.operator(x[..., : self.operator.fine_shape[0], : self.operator.fine_shape[1]])

    def adjoint(self, y: Float[Array, "*coarse"]) -> Float[Array, "*fine"]:
        return self._pad(self.operator.adjoint(y))

    def pseudo_inverse(
        self, y: Float[Array, "*coarse"], ridge: float | Float[Array, ""] = 0.0
    ) -> Float[Array, "*fine"]:
        return self._pad(self.operator.pseudo_inverse(y, ridge))

    def _pad(self, x: Array) -> Array:
        grow = [(0, 0)] * (x.ndim - 2)
        grow += [(0, wide - n) for wide, n in zip(self.fine_shape, self.operator.fine_shape, strict=True)]
        return jnp.pad(x, grow)
