"""The baselines that a climate run is scored beside, fitted on its training years."""

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from subgrid.downscaling.climate.baselines import (
    Anomaly,
    fit_analogues,
    fit_interpolated_quantile_mapping,
    fit_spatial_disaggregation,
)
from subgrid.downscaling.debiasing.static import fit_quantile_mapping
from subgrid.downscaling.interpolation.linear import bilinear

if TYPE_CHECKING:
    from subgrid.experiments.climate.scored_fields import ScoredFields


def baselines(scores: "ScoredFields") -> dict[str, np.ndarray]:
    """Raw interpolation, quantile mapping, BCSD and analogues on the season years that nothing was fitted on."""
    domain, (_, trained) = scores.run.domain, scores.split
    kept = domain.regridding.kept
    whole, over_kept = bilinear(*scores.grids), bilinear(*scores.grids, valid=kept)
    first, unseen = scores.coarse[trained], scores.coarse[~trained]
    few = min(len(first), len(scores.training))  # samples may be fewer than quantiles
    mapping = fit_interpolated_quantile_mapping(
        first, scores.training, whole, n_quantiles=min(200, few), mask=domain.mask
    )
    mapped = mapping(unseen)
    coarsened = domain.coarsen(scores.training)
    table = fit_quantile_mapping(jnp.asarray(first[..., kept]), jnp.asarray(coarsened), n_quantiles=min(100, few))
    debiased = domain.regridding.scatter(np.asarray(jax.vmap(table)(jnp.asarray(unseen[..., kept]))))
    coarsened = domain.regridding.scatter(coarsened)
    kinds: tuple[Anomaly, ...] = tuple(
        "ratio" if each.kind.change == "multiplicative" else "difference" for each in domain.descriptions
    )
    bcsd = fit_spatial_disaggregation(coarsened, scores.training, over_kept, anomaly=kinds)
    analogues = fit_analogues(coarsened, scores.training)
    series = {"raw": whole(unseen), "quantile mapping": mapped}
    series |= {"bcsd": bcsd(debiased), "analogues": analogues(debiased)}
    return {name: np.where(domain.mask, fields, np.nan) for name, fields in series.items()}
