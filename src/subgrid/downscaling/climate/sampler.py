"""Ensembles of fine climate fields for targets on disk: the sampler that work items call, in any process.

RUN/domain.zarr    the mask, C′ as a sparse matrix, the fine climatology, the model's change on the fine grid
RUN/model/         the prior, and post_processing.zarr: the spread of its draws, and the marginals of censored variables
RUN/TARGETS.zarr   target(sample, channel, kept): debiased anomalies; phase(sample)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Float, Int, PRNGKeyArray, Shaped
from scipy.sparse import csr_array

from subgrid.data.store import write_zarr
from subgrid.data.variables.quantities import Described
from subgrid.diffusion.gaussian_conditional import ConditionalGaussian, condition
from subgrid.downscaling.climate.climatology import ChangeSignal, Climatology
from subgrid.downscaling.climate.degenerate import require_finite_fields
from subgrid.downscaling.climate.domain import Anomalies, Domain, PaddedCoarsening
from subgrid.downscaling.climate.folder import load_grid
from subgrid.downscaling.climate.prior import ClimatePrior, load_climate_prior
from subgrid.downscaling.climate.stored import descriptions_of, written
from subgrid.downscaling.preparation.transforms import is_bounded, transforms_of
from subgrid.downscaling.spread.calibration import SpreadCalibration
from subgrid.downscaling.spread.draws import conditional_draws
from subgrid.downscaling.spread.post_processing import PostProcessing, apply_marginals, load_post_processing
from subgrid.numerics.operators import SparseCoarsening
from subgrid.types import Coarsening


@dataclass(frozen=True)
class FineDomain:
    """What turns sampled anomalies into fields."""

    variables: tuple[str, ...]
    descriptions: tuple[Described, ...]
    mask: np.ndarray
    operator: Coarsening
    anomalies: Anomalies
    change: ChangeSignal | None


def save_domain(folder: Path, domain: Domain, anomalies: Anomalies, change: ChangeSignal | None) -> None:
    """Writes FOLDER/domain.zarr, which `load_domain` reads: plain arrays, no code.

    Args:
        folder: of the run or the model.
        domain: mask and C′.
        anomalies: of the fine archive, for its climatology.
        change: the model's change on the fine grid; None where none is put back.
    """
    matrix = domain.regridding.operator.matrix
    arrays: dict[str, Any] = {
        "mask": (("y", "x"), domain.mask),
        "kept": (("yc", "xc"), domain.regridding.kept),
        "index": (("entry", "axis"), np.asarray(matrix.indices)),
        "weight": ("entry", np.asarray(matrix.data)),
        "climatology": (("basis", "channel", "y", "x"), np.nan_to_num(anomalies.climatology.mean_coefficients)),
    }
    if change is not None:
        for name in ("first", "second"):
            coefficients = getattr(change, name).mean_coefficients
            arrays[f"change_{name}"] = (("change_basis", "channel", "y", "x"), np.asarray(coefficients))
    attributes = written(domain.variables, domain.descriptions) | {"kinds": list(change.kinds) if change else []}
    write_zarr(xr.Dataset(arrays, attrs=attributes), folder / "domain.zarr", overwrite=True)


def load_domain(folder: str | Path) -> FineDomain:
    """The domain that `save_domain` wrote. Errors are those of xarray."""
    with xr.open_zarr(Path(folder) / "domain.zarr", chunks=None) as stored:
        data = stored.load()
    mask, n = data.mask.values, int(data.kept.values.sum())
    rows, columns = data["index"].values.T
    matrix = csr_array((data.weight.values, (rows, columns)), shape=(n, mask.size))
    operator = SparseCoarsening(matrix, fine_shape=mask.shape, coarse_shape=(n,))
    variables = tuple(data.attrs["variables"])
    climatology = Climatology(jnp.asarray(data.climatology.values))
    change = None
    if data.attrs["kinds"]:
        first, second = (Climatology(jnp.asarray(data[f"change_{name}"].values)) for name in ("first", "second"))
        change = ChangeSignal(first, second, tuple(data.attrs["kinds"]))
    descriptions = descriptions_of(data.attrs)
    anomalies = Anomalies(transforms_of(descriptions), climatology)
    return FineDomain(variables, descriptions, mask, operator, anomalies, change)


def gaussian_conditional(prior: ClimatePrior, operator: Coarsening) -> ConditionalGaussian:
    """The prior's Gaussian under C′, on the prior's own grid; made once for all targets.

    Args:
        prior: of the fine anomalies.
        operator: C′, of fields on their own grid.

    Returns:
        N(m_y, Σ_y) for any y, of normalised, padded fields.
    """
    shape = prior.denoiser.base.mean.shape
    coarse = (shape[0], *operator.coarse_shape)
    return condition(prior.denoiser.base, PaddedCoarsening(operator, shape[1:]), coarse)


def draw_anomalies(
    prior: ClimatePrior,
    conditional: ConditionalGaussian,
    targets: Float[np.ndarray, "n channel kept"],
    keys: Shaped[PRNGKeyArray, " n"],
    *,
    n_levels: int,
    calibration: tuple[SpreadCalibration, Float[np.ndarray, "n channel y x"]] | None = None,
    chunk: int | None = None,
) -> Float[np.ndarray, "n channel y x"]:
    """One draw of p(x | C′x = y) for every target and key, cut to the grid of C′.

    A Gaussian prior's draws are exact and need no levels; where a network refines it, its residual is discretised.
    With a `calibration`, and the climatology of every target, its distance from the conditional mean is scaled (see
    `spread_calibration.py`). Arguments are those of `conditional_draws`, in the units of the anomalies.
    """
    normal = None if calibration is None else (calibration[0], prior.normalised(calibration[1]))
    drawn = conditional_draws(
        prior.denoiser if prior.refined else None,
        conditional,
        targets / prior.scale[:, None],
        keys,
        n_levels=n_levels,
        trained=(prior.settings.sigma_min, prior.settings.sigma_max),
        calibration=normal,
        chunk=chunk,
    )
    padded: Any = conditional.operator
    cells = tuple(slice(0, size) for size in padded.operator.fine_shape)
    return drawn[(slice(None), slice(None), *cells)] * prior.scale[:, None, None]


@dataclass(frozen=True)
class FieldSampler:
    """Draws in physical units: the prior, spread and marginals of its draws, the way back from anomalies, the mask."""

    prior: ClimatePrior
    domain: FineDomain
    post: PostProcessing | None
    n_levels: int

    @cached_property
    def conditional(self) -> ConditionalGaussian:
        """Of all targets."""
        return gaussian_conditional(self.prior, self.domain.operator)

    def __call__(
        self,
        targets: Float[np.ndarray, "t channel kept"],
        phase: Float[np.ndarray, " t"],
        *,
        keys: Shaped[PRNGKeyArray, "t m"],
        change: ChangeSignal | None = None,
    ) -> Float[np.ndarray, "t m channel *space"]:
        """An ensemble for every target; `phase`, of the year; `change`, put back on the fine grid; NaN outside."""
        domain, (t, m) = self.domain, keys.shape
        y, when = np.repeat(targets, m, axis=0), np.repeat(phase, m)
        calibration = None if self.post is None else (self.post.calibration, domain.anomalies.mean(when))
        fields = draw_anomalies(
            self.prior, self.conditional, y, keys.reshape(-1), n_levels=self.n_levels, calibration=calibration
        )
        if self.post is not None and self.post.marginals is not None:
            bounded = is_bounded(domain.anomalies.transforms)
            fields = apply_marginals(self.post.marginals, fields, domain.mask, bounded)
        fields = domain.anomalies.back(fields, when)
        if change is not None:
            fields = np.asarray(change.add(jnp.asarray(fields), jnp.asarray(when, jnp.float32)))
        fields = within_bounds(fields, domain.descriptions)
        fields = np.where(domain.mask, fields, np.nan).astype(np.float32)
        return fields.reshape(t, m, *fields.shape[1:])


def within_bounds(
    fields: Float[np.ndarray, "n channel *space"], descriptions: Sequence[Described]
) -> Float[np.ndarray, "n channel *space"]:
    """Fields whose channels are taken to the nearest possible value: a change that is put back knows no bounds, and
    a transform may know one of two."""
    low = np.array([-np.inf if each.bounds[0] is None else each.bounds[0] for each in descriptions], np.float32)
    high = np.array([np.inf if each.bounds[1] is None else each.bounds[1] for each in descriptions], np.float32)
    along = (slice(None), *([None] * (fields.ndim - 2)))
    return np.clip(fields, low[along], high[along])


def climate_sampler(*, folder: str, targets: str, n_levels: int, with_change: bool):
    """The sampler of a run folder, for `execution`: loaded once in every process that samples.

    Args:
        folder: of the run.
        targets: which of its stores to condition on, RUN/TARGETS.zarr.
        n_levels: of noise.
        with_change: whether the model's change is put back.

    Returns:
        `sample(times, members, *, keys)`: physical fields (time, member, channel, *space), NaN outside the mask.

    Examples:
        >>> loader = loader_of(climate_sampler, folder="/scratch/run", targets="test", n_levels=8, with_change=False)
    """
    run = Path(folder)
    prior, domain = load_climate_prior(run / "model"), load_domain(run)
    sampler = FieldSampler(prior, domain, load_post_processing(run / "model"), n_levels)
    source, grid = xr.open_zarr(run / f"{targets}.zarr", chunks=None), load_grid(run)

    def draw(
        times: Int[np.ndarray, " t"], members: Int[np.ndarray, " m"], *, keys: Shaped[PRNGKeyArray, "t m"]
    ) -> Float[np.ndarray, "t m channel *space"]:
        chosen = source.isel(sample=times)
        change = domain.change if with_change else None
        fields = sampler(chosen.target.values, chosen.phase.values, keys=keys, change=change)
        require_finite_fields(fields, domain.mask, domain.variables, chosen.time.values, grid)
        return fields

    return draw
