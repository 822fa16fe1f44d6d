"""What a Gaussian law cannot hold of censored variables: a spread that grows with the mean, and their marginals.

MODEL/draw_law.zarr   plain arrays: the table of the spread, quantiles of the draws and of the training fields
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float

from subgrid.data.fields import DataError
from subgrid.data.store import write_zarr
from subgrid.downscaling.climate import PaddedCoarsening
from subgrid.downscaling.climate_prior import ClimatePrior
from subgrid.downscaling.debias import QuantileMapping, fit_quantile_mapping
from subgrid.downscaling.dispersion import Dispersion, fit_dispersion
from subgrid.downscaling.transforms import CensoredRoot, default_transforms
from subgrid.types import Coarsening

DRAW_LAW = "draw_law.zarr"
FORMAT = 2
"""1 (not written) had the spread by the expected anomaly alone."""
N_QUANTILES = 200


def fit_field_dispersion(
    prior: ClimatePrior,
    operator: Coarsening,
    fields: Float[np.ndarray, "n channel y x"],
    climatology: Float[np.ndarray, "n channel y x"],
    groups: np.ndarray,
    drawn: Float[np.ndarray, "nm channel y x"],
    variables: Sequence[str],
) -> Dispersion:
    """`fit_dispersion` of anomalies, and draws m in a row for each, on the grid of C′; of the censored channels."""
    shape = prior.denoiser.base.mean.shape[1:]
    inside = np.asarray(prior.denoiser.base.support)
    normal = lambda x: prior.normalised(x) * inside  # noqa: E731
    grouped = normal(drawn).reshape(len(fields), -1, *inside.shape)
    active = tuple(isinstance(part, CensoredRoot) for part in default_transforms(variables).parts)
    padded = PaddedCoarsening(operator, shape)
    law = prior.denoiser.base
    return fit_dispersion(law, padded, normal(fields), normal(climatology), groups, grouped, active=active)


def fit_marginals(
    drawn: Float[np.ndarray, "n channel y x"], training: Float[np.ndarray, "m channel y x"], mask: np.ndarray
) -> QuantileMapping:
    """Quantile mapping of the prior's draws, conditioned on coarsened *training* fields, onto the training fields.

    What a Gaussian law cannot hold, an atom at zero and a heavy tail, is put into every cell's marginal; the order of
    the values, and so their dependence, stays the prior's.
    """
    cells = lambda fields: jnp.asarray(fields[:, :, mask])  # noqa: E731
    levels = min(N_QUANTILES, len(drawn), len(training))
    return fit_quantile_mapping(cells(drawn), cells(training), n_quantiles=levels)


@dataclass(frozen=True)
class DrawLaw:
    """What a Gaussian law cannot hold of censored channels: a spread that grows with the mean, and the marginals."""

    dispersion: Dispersion
    marginals: QuantileMapping


def save_draw_law(folder: Path, law: DrawLaw) -> None:
    """Writes what `load_draw_law` reads."""
    tables: dict[str, Any] = {
        "source": (("quantile", "point"), np.asarray(law.marginals.source_quantiles)),
        "target": (("quantile", "point"), np.asarray(law.marginals.target_quantiles)),
        "level": (("channel", "mean"), np.asarray(law.dispersion.levels)),
        "scale": (("channel", "mean"), np.asarray(law.dispersion.scales)),
    }
    write_zarr(xr.Dataset(tables, attrs={"format": FORMAT}), folder / DRAW_LAW, overwrite=True)


def load_draw_law(folder: Path, variables: Sequence[str]) -> DrawLaw | None:
    """What `save_draw_law` wrote; None where no variable needs it.

    **Raises:** `DataError` if it is not there, or an earlier version wrote it.
    """
    if not needs_draw_law(variables):
        return None
    if not (folder / DRAW_LAW).exists():
        raise DataError(f"{folder}: has no {DRAW_LAW}; training was not finished: the same command goes on.")
    with xr.open_zarr(folder / DRAW_LAW, chunks=None) as stored:
        if stored.attrs.get("format") != FORMAT:
            raise DataError(
                f"{folder / DRAW_LAW}: of an earlier version; remove it and all ensembles drawn with it, and run again."
            )
        found = {str(name): jnp.asarray(values.values) for name, values in stored.items()}
    return DrawLaw(Dispersion(found["level"], found["scale"]), QuantileMapping(found["source"], found["target"]))


def needs_draw_law(variables: Sequence[str]) -> bool:
    """Whether a variable is far from Gaussian after its transform: censored ones are."""
    return any(isinstance(part, CensoredRoot) for part in default_transforms(variables).parts)


def apply_marginals(
    mapping: QuantileMapping, fields: Float[np.ndarray, "n channel y x"], mask: np.ndarray, variables: Sequence[str]
) -> Float[np.ndarray, "n channel y x"]:
    """The mapping on the censored channels; the others stay as they are."""
    moved = np.asarray(_map_each(mapping, jnp.asarray(fields[:, :, mask])))
    result = fields.copy()
    for c, part in enumerate(default_transforms(variables).parts):
        if isinstance(part, CensoredRoot):
            result[:, c, mask] = moved[:, c]
    return result


@eqx.filter_jit
def _map_each(mapping: QuantileMapping, cells: Float[Array, "n channel cell"]) -> Float[Array, "n channel cell"]:
    """Compiled once, not once a work item."""
    return jax.lax.map(mapping, cells, batch_size=min(64, len(cells)))
