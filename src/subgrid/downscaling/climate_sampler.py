"""Ensembles of fine climate fields for targets on disk: the sampler that work items call, in any process.

RUN/domain.zarr    the mask, C′ as a sparse matrix, the fine climatology, the model's change on the fine grid
RUN/model/         the prior, and draw_law.zarr: spread by the mean; quantiles of its draws and of the training fields
RUN/TARGETS.zarr   target(sample, channel, kept): debiased anomalies; phase(sample)
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float, Int, PRNGKeyArray, Shaped
from scipy.sparse import csr_array

from subgrid.data.store import write_zarr
from subgrid.diffusion.gaussian_conditional import ConditionalGaussian, condition
from subgrid.diffusion.gaussian_steps import GaussianSDE
from subgrid.diffusion.guidance.gaussian import gaussian_gain
from subgrid.diffusion.noise_levels import exponential_grid
from subgrid.diffusion.samplers import draw
from subgrid.downscaling.climate import Anomalies, Domain, PaddedCoarsening
from subgrid.downscaling.climate_prior import ClimatePrior, load_climate_prior
from subgrid.downscaling.climatology import ChangeSignal, Climatology
from subgrid.downscaling.dispersion import Dispersion, disperse
from subgrid.downscaling.draw_law import DrawLaw, apply_marginals, load_draw_law
from subgrid.downscaling.noise_range import leading_std, sampling_range
from subgrid.downscaling.transforms import default_transforms
from subgrid.numerics.operators import SparseCoarsening
from subgrid.types import Coarsening

LARGEST_CHUNK, VALUES_AT_ONCE = 256, 2**20
"""Fields, and numbers in them, that are drawn at once: a network holds some hundred times as much in between."""


@dataclass(frozen=True)
class FineDomain:
    """What turns sampled anomalies into fields."""

    variables: tuple[str, ...]
    mask: np.ndarray
    operator: Coarsening
    anomalies: Anomalies
    change: ChangeSignal | None


def save_domain(folder: Path, domain: Domain, anomalies: Anomalies, change: ChangeSignal | None) -> None:
    """Writes what `load_domain` reads: plain arrays, no code."""
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
    attributes = {"variables": list(domain.variables), "kinds": list(change.kinds) if change else []}
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
    return FineDomain(variables, mask, operator, Anomalies(default_transforms(variables), climatology), change)


def gaussian_conditional(prior: ClimatePrior, operator: Coarsening) -> ConditionalGaussian:
    """The prior's Gaussian under C′, on the prior's own grid; made once for all targets."""
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
    dispersion: tuple[Dispersion, Float[np.ndarray, "n channel y x"]] | None = None,
    chunk: int | None = None,
) -> Float[np.ndarray, "n channel y x"]:
    """One draw of p(x | C′x = y) for every target and key, `chunk` at a time, cut to the grid of C′.

    A Gaussian prior's draws are exact and need no levels; where a network refines it, its residual is discretised.
    With a `dispersion`, and the climatology of every target, its distance from the conditional mean is scaled (see
    `dispersion.py`).
    """
    settings = prior.settings
    chunk = chunk or max(1, min(LARGEST_CHUNK, VALUES_AT_ONCE // prior.denoiser.base.mean.size))
    trained = settings.sigma_min, settings.sigma_max
    sigma_min, sigma_max = sampling_range(leading_std(prior.denoiser.base), trained, GaussianSDE)
    levels = exponential_grid(n_levels, sigma_max=sigma_max, sigma_min=sigma_min)
    denoiser = prior.denoiser if prior.refined else None
    table, climatology = dispersion if dispersion is not None else (None, None)
    parts = []
    for first in range(0, len(targets), chunk):
        part = slice(first, first + chunk)
        wanted = len(targets[part])
        full = np.arange(chunk) % wanted  # one shape, one compilation, the same bits
        scaled = jnp.asarray(targets[part][full] / prior.scale[:, None])
        normal = None if climatology is None else jnp.asarray(prior.normalised(climatology[part][full]))
        drawn = _draw(denoiser, conditional, levels, table, scaled, normal, keys[part][full])
        parts.append(np.asarray(drawn)[:wanted])
    padded: Any = conditional.operator
    cells = tuple(slice(0, size) for size in padded.operator.fine_shape)
    return np.concatenate(parts)[(slice(None), slice(None), *cells)] * prior.scale[:, None, None]


@eqx.filter_jit
def _draw(
    denoiser,
    conditional: ConditionalGaussian,
    levels,
    dispersion,
    targets: Array,
    climatology: Array | None,
    keys: Shaped[PRNGKeyArray, " n"],
) -> Array:
    def one(y, c, key):
        base, operator, gaussian = conditional.prior, conditional.operator, conditional.given(y)
        if denoiser is None:
            drawn = gaussian.sample(key=key)
        else:
            guided = gaussian_gain(denoiser, operator, y, prior=base)
            drawn = draw(guided, base.mean.shape, levels, method=GaussianSDE(gaussian), key=key)
        return drawn if dispersion is None else disperse(dispersion, base, operator, y, drawn, c)

    return jax.vmap(one)(targets, climatology, keys)


@dataclass(frozen=True)
class FieldSampler:
    """Draws in physical units: the prior, spread and marginals of its draws, the way back from anomalies, the mask."""

    prior: ClimatePrior
    domain: FineDomain
    law: DrawLaw | None
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
        dispersion = None if self.law is None else (self.law.dispersion, domain.anomalies.mean(when))
        fields = draw_anomalies(
            self.prior, self.conditional, y, keys.reshape(-1), n_levels=self.n_levels, dispersion=dispersion
        )
        if self.law is not None:
            fields = apply_marginals(self.law.marginals, fields, domain.mask, domain.variables)
        fields = domain.anomalies.back(fields, when)
        if change is not None:
            fields = np.asarray(change.add(jnp.asarray(fields), jnp.asarray(when, jnp.float32)))
        fields = np.where(domain.mask, fields, np.nan).astype(np.float32)
        return fields.reshape(t, m, *fields.shape[1:])


def climate_sampler(*, folder: str, targets: str, n_levels: int, with_change: bool):
    """The sampler of a run folder, for `execution`: loaded once in every process that samples.

    **Arguments:** `folder`, of the run; `targets`, which of its stores to condition on; `n_levels`, of noise;
    `with_change`, whether the model's change is put back.

    **Returns:** `sample(times, members, *, keys)`, physical fields, NaN outside the mask.
    """
    run = Path(folder)
    prior, domain = load_climate_prior(run / "model"), load_domain(run)
    sampler = FieldSampler(prior, domain, load_draw_law(run / "model", domain.variables), n_levels)
    source = xr.open_zarr(run / f"{targets}.zarr", chunks=None)

    def draw(
        times: Int[np.ndarray, " t"], members: Int[np.ndarray, " m"], *, keys: Shaped[PRNGKeyArray, "t m"]
    ) -> Float[np.ndarray, "t m channel *space"]:
        chosen = source.isel(sample=times)
        change = domain.change if with_change else None
        return sampler(chosen.target.values, chosen.phase.values, keys=keys, change=change)

    return draw
