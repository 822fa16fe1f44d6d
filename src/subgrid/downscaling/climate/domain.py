"""Real climate fields: what lies between canonical datasets and the arrays that debiasing and the prior work on.

Fields go through z = g(x) − c(φ): a transform g of each variable (`transforms.py`), and anomalies from the smooth
day-of-year climatology c that each archive has itself. On fine anomalies the prior is learned; C′ of them is what
coarse anomalies are transported onto; and a sampled anomaly comes back as x = g⁻¹(z + c(φ)) with the fine climatology.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import jax.numpy as jnp
import numpy as np
import xarray as xr
from jax.experimental import sparse
from jaxtyping import Bool, Float

from subgrid.data.canonical import valid_mask
from subgrid.data.fields import DataError
from subgrid.data.grids.bounds import with_variables
from subgrid.data.grids.cells import grid_of
from subgrid.data.grids.regrid import Regridding, conservative_coarsening
from subgrid.data.inspection.together import check_together
from subgrid.data.variables.quantities import Described, describe
from subgrid.downscaling.interpolation.linear import bilinear
from subgrid.downscaling.model.sides import FineSide, grid_of_fields
from subgrid.downscaling.preparation.chain import Chain
from subgrid.downscaling.preparation.climatology import Climatology, fit_climatology
from subgrid.downscaling.preparation.series import Series
from subgrid.downscaling.preparation.steps import Anomaly, Bounded, Masked, Transformed
from subgrid.downscaling.preparation.transforms import ChannelTransforms, transforms_of
from subgrid.downscaling.refined.conditions import coarsen_each
from subgrid.verification.dependence import EARTH_RADIUS, great_circle_distances


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
        return np.asarray(coarsen_each(self.regridding.operator, inside))


def connect(fine: xr.Dataset, coarse: xr.Dataset, variables: Sequence[str], *, minimum_valid: float = 0.5) -> Domain:
    """The common domain of a fine and a coarse canonical dataset.

    Raises:
        DataError: if a variable lacks in either; and as `check_together` and `conservative_coarsening`.
    """
    for name, dataset in (("fine", fine), ("coarse", coarse)):
        if missing := [v for v in variables if v not in dataset]:
            raise DataError(f"{name}: holds no variable {missing[0]!r}, only {', '.join(map(str, dataset.data_vars))}.")
    coarse, fine = with_variables(coarse, variables), with_variables(fine, variables)
    check_together(coarse, fine)
    mask, coarse_mask = (np.asarray(valid_mask(data).values, bool) for data in (fine, coarse))
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


def fit_anomalies(series: Series, transforms: ChannelTransforms, *, n_harmonics: int = 3) -> Chain:
    """z = g(x) − c(φ): a transform of each channel, and anomalies from the climatology of a (training) series.

    Args:
        series: physical units.
        transforms: g.
        n_harmonics: of the climatology, default 3.

    Returns:
        Both steps.

    Raises:
        ValueError: as `fit_climatology`.
    """
    z = np.asarray(transforms.forward_series(series.values))
    climatology = fit_climatology(z, series.phase, n_harmonics=n_harmonics)
    return Chain((Transformed(transforms), Anomaly(climatology)))


def fine_side(fine: xr.Dataset, domain: "Domain", anomalies: Chain) -> FineSide:
    """The fine side of a model of climate fields.

    Args:
        fine: a canonical dataset, for its grid and attributes.
        domain: of both archives.
        anomalies: from `fit_anomalies`, of the fine archive.

    Returns:
        The side: bounds, transforms, anomalies and the mask.
    """
    transformed, anomaly = anomalies.steps
    clean = Anomaly(Climatology(jnp.nan_to_num(anomaly.climatology.mean_coefficients)))
    steps = (bounds_of(domain.descriptions), transformed, clean, Masked(domain.mask))
    return FineSide(grid_of_fields(fine, domain.variables), Chain(steps), domain.regridding.operator)


def bounds_of(descriptions: Sequence[Described]) -> Bounded:
    """What values of the channels are possible.

    Args:
        descriptions: of the channels.

    Returns:
        The step that keeps them.
    """
    low = np.array([-np.inf if each.bounds[0] is None else each.bounds[0] for each in descriptions], np.float32)
    high = np.array([np.inf if each.bounds[1] is None else each.bounds[1] for each in descriptions], np.float32)
    return Bounded(low, high)


def interpolation(coarse: xr.Dataset, fine: xr.Dataset):
    """Bilinear interpolation of one coarse field (channel, *coarse), on a grid of any kind, to the fine grid."""
    interpolate = bilinear(coarse["lat"].values, coarse["lon"].values, fine["lat"].values, fine["lon"].values)
    weights = sparse.BCOO.from_scipy_sparse(interpolate.weights.astype(np.float32))
    shape = interpolate.inside.shape
    return lambda fields: (weights @ fields.reshape(len(fields), -1).T).T.reshape(len(fields), *shape)
