"""The main job on xarray fields: train a prior, fit a debiaser, downscale.

Dimensions go by name: those in `SAMPLE_DIMS` count samples, "channel" is a channel, all others are space. Inputs are
never changed; values are computed in float32.
"""

import difflib
from collections.abc import Callable, Hashable, Mapping
from dataclasses import fields
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Array, Float

from subgrid.data.alignment import check_aligned
from subgrid.data.fields import (
    CONDITION_DIM,
    DataError,
    Samples,
    channel_dims,
    sample_dims,
    samples_of,
    space_dims,
)
from subgrid.data.store import OutputExists
from subgrid.diffusion.gaussian_conditional import condition
from subgrid.diffusion.gaussian_steps import GaussianSDE
from subgrid.diffusion.guidance.moment_matching import moment_matching
from subgrid.diffusion.noise_levels import exponential_grid
from subgrid.diffusion.objective import Quantile
from subgrid.diffusion.samplers import Method
from subgrid.downscaling.debias import NoDebiasing
from subgrid.downscaling.field_training import TrainingSettings
from subgrid.downscaling.fit_debias import DebiasMethod, apply_debiaser, fit_debiaser_array
from subgrid.downscaling.particle_upsampler import ParticleUpsampler, sample_with_diagnostics
from subgrid.downscaling.prior import Prior, PriorSettings, is_trained, train_prior
from subgrid.downscaling.upsample import DiffusionUpsampler, Guide, MethodFor, method_for
from subgrid.numerics.operators import BlockMean, Subsample
from subgrid.training.log import Report
from subgrid.types import Coarsening, Debiaser, Key

Diagnostics = Mapping[str, Float[np.ndarray, "n member"]]
"""What `sample_with_diagnostics` tells of each member."""


def train(
    fine: xr.DataArray,
    *,
    folder: str | Path,
    periodic: bool = True,
    noise_levels: Quantile | None = None,
    report: Report | None = None,
    key: Key,
    **settings: Any,
) -> Prior:
    """The generative prior p(x) of fine fields, trained on them alone.

    **Arguments:**

    - `fine`, samples of the fine field, physical units;
    - `folder`, of the model: an unfinished training in it is resumed, to the same bits;
    - `periodic`, whether all space axes wrap around;
    - `noise_levels`, u → σ drawn in training, by default log-uniform between `sigma_min` and `sigma_max`;
    - `report(step, metrics)`, called after each dispatch;
    - `settings`, of the network (`channels`, `n_blocks`, `patch`, …: see `PriorSettings`) and of the training
      (`n_steps`, `batch_size`, `learning_rate`, `translation_invariant`, …: see `TrainingSettings`).

    **Returns:** the prior, also saved in `folder`, where `load_prior` finds it.

    **Raises:** `OutputExists` if the folder holds a finished model; `TypeError` for a setting that does not exist;
    `DataError` and `ValueError` for fields that cannot be used.

        prior = train(fine, folder="model", n_steps=4000, key=jax.random.key(0))
    """
    if is_trained(folder):
        raise OutputExists(f"{folder}: holds a trained model already; use load_prior or choose another folder.")
    samples = samples_of(fine, source="fine")
    if len(samples) < 2:
        raise DataError(f"fine: holds {len(samples)} sample; training needs at least 2.")
    network, training = _split_settings(settings)
    if training.get("translation_invariant") and not periodic:
        raise ValueError("translation_invariant needs periodic=True, as it shifts fields; set both or neither.")
    shape = {"n_channels": samples.values.shape[1], "space": samples.values.shape[2:]}
    return train_prior(
        samples.values,
        PriorSettings(**shape, padding=("periodic" if periodic else "reflect",), **network),
        TrainingSettings(**training),
        folder=folder,
        noise_levels=noise_levels,
        report=report,
        key=key,
    )


def fit_debiaser(
    coarse: xr.DataArray,
    fine: xr.DataArray,
    operator: Coarsening | int,
    *,
    method: DebiasMethod = "entropic-ot",
    key: Key,
    **settings: Any,
) -> Debiaser:
    """The transport T from biased coarse fields to coarsened fine fields, C′x; the two archives share no dates.

    **Arguments:** `coarse`, `fine`, samples of both, same units; `operator`, C′, or a factor f for every f-th point;
    `method`; `key`; `settings`, as for `fit_debiaser_array`.

    **Returns:** a map of one coarse field, usable on unseen fields.

    **Raises:** as `fit_debiaser_array`, and `DataError` if C′ does not connect the two grids, or as `check_aligned`.

        debiaser = fit_debiaser(coarse, fine, Subsample((192,), 8), key=jax.random.key(0))
    """
    source, target = samples_of(coarse, source="coarse"), samples_of(fine, source="fine")
    coarsen = _connecting(operator, target.values.shape[2:], source.values.shape[2:])
    check_aligned(source, target, coarsen)
    return fit_debiaser_array(source.values, target.values, coarsen, method=method, key=key, **settings)[0]


def downscale(
    coarse: xr.DataArray,
    prior: Prior,
    debiaser: Debiaser | None,
    operator: Coarsening | int,
    *,
    n_members: int = 16,
    n_particles: int = 1,
    guide: Guide | None = None,
    method: MethodFor | Method = GaussianSDE,
    noise_levels: Float[Array, " level"] | None = None,
    chunk: int = 256,
    report: Callable[[int, int], None] | None = None,
    key: Key,
) -> xr.DataArray:
    """An ensemble of fine fields for every coarse field y: draws from p(x | C′x = T(y)).

    **Arguments:**

    - `coarse`, the fields to downscale; any subset of the archive, seen by `debiaser` or not;
    - `prior`, from `train` or `load_prior`; `debiaser`, from `fit_debiaser`, or None for unbiased fields;
    - `operator`, C′, or a factor f for every f-th point;
    - `n_members`; `guide`, by default moment matching; `method`, a sampler or what makes one from the Gaussian
      conditional (`GaussianSDE`, the default, and `GaussianODE`); `noise_levels`, decreasing, by default 32 from the
      prior's largest to its smallest;
    - `n_particles`, more than one to draw each member from as many weighted particles of `GaussianSDE`, which is right
      for any prior as they grow (`subgrid.diffusion.particles`), at as many times the cost;
    - `chunk`, fields sampled at a time; `report(done, total)`; `key`.

    **Returns:** dimensions of the samples as in `coarse`, then "member", then the space dimensions on the fine grid;
    attributes and sample coordinates of `coarse`, space coordinates where they can be told (`fine_coordinates`); with
    particles their `effective_size` and `effective_fraction` as coordinates.

    **Raises:** `DataError` for fields that cannot be used or a C′ that does not connect the two grids; `ValueError` for
    particles of another method.

        ensemble = downscale(coarse, prior, debiaser, operator, n_members=16, key=jax.random.key(0))
    """
    if n_particles > 1 and method is not GaussianSDE:
        raise ValueError(
            f"n_particles = {n_particles} needs method=GaussianSDE, whose steps have a density to weigh by."
        )
    samples = samples_of(coarse, source="coarse")
    settings = prior.settings
    coarsen = _connecting(operator, settings.space, samples.values.shape[2:])
    ensemble_coordinates(coarse, coarsen)  # complains before anything is drawn
    if noise_levels is None:
        noise_levels = exponential_grid(32, sigma_max=settings.sigma_max, sigma_min=settings.sigma_min)
    conditional = condition(prior.gaussian, coarsen, (settings.n_channels, *coarsen.coarse_shape))
    guide = guide or partial(moment_matching, prior=prior.gaussian)
    parts = prior.denoiser, conditional, prior.standardiser, guide, noise_levels
    with_particles = n_particles > 1
    upsampler = (
        ParticleUpsampler(*parts, n_particles) if with_particles else DiffusionUpsampler(*parts, method_for(method))
    )
    targets = apply_debiaser(debiaser or NoDebiasing(), samples.values)
    ensemble, diagnostics = sample_with_diagnostics(upsampler, targets, n_members, chunk=chunk, report=report, key=key)
    dataset = ensemble_dataset(coarse, ensemble, targets, coarsen, diagnostics=diagnostics).set_coords(diagnostics)
    return dataset["ensemble"].rename(coarse.name)


def ensemble_coordinates(coarse: xr.DataArray, operator: Coarsening) -> xr.Dataset:
    """The coordinates that the ensemble of `coarse` will have: what is known of the result before anything is drawn.

    **Arguments:** `coarse`, the field to downscale; `operator`, C′.

    **Returns:** a dataset without variables: coordinates of the samples as in `coarse`, of space on the fine grid where
    they can be told (`fine_coordinates`), and the coarse ones as "…_coarse"; without the encoding of the files they
    came from, which need not suit the file they go to.

    **Raises:** `DataError` if a dimension or coordinate of the coarse field has a name that the result needs.
    """
    lead, space = sample_dims(coarse), space_dims(coarse)
    _require_free_names(coarse, space)
    kept = {name: coord for name, coord in coarse.coords.items() if set(coord.dims) <= set(lead) and name != "member"}
    old = {f"{d}_coarse": (f"{d}_coarse", coarse[d].values, coarse[d].attrs) for d in space if d in coarse.coords}
    return xr.Dataset(coords={**kept, **fine_coordinates(coarse, space, operator), **old}).drop_encoding()


def ensemble_dataset(
    coarse: xr.DataArray,
    ensemble: Float[np.ndarray, "n member channel *fine"],
    targets: Float[np.ndarray, "n channel *coarse"],
    operator: Coarsening,
    *,
    diagnostics: Diagnostics = MappingProxyType({}),
) -> xr.Dataset:
    """The arrays of a downscaling as a dataset: `ensemble` on the fine grid and `target`, what it was conditioned on.

    **Arguments:** `coarse`, the field that was downscaled; `ensemble`, `targets`, the debiased fields, both with
    samples in the order of `samples_of`; `operator`, C′; `diagnostics` of the members, variables of their own.

    **Returns:** sample dimensions as in `coarse`, "member" (and "channel" if `coarse` has it) and space; the space of
    `target` is named "…_coarse". **Raises:** as `ensemble_coordinates`.
    """
    coordinates, lead, space = ensemble_coordinates(coarse, operator), sample_dims(coarse), space_dims(coarse)
    channel, sizes = channel_dims(coarse), [coarse.sizes[d] for d in lead]
    values, conditions = (ensemble, targets) if channel else (ensemble[:, :, 0], targets[:, 0])
    on_coarse = (*channel, *(f"{d}_coarse" for d in space))
    variables = {
        "ensemble": ((*lead, "member", *channel, *space), values.reshape(*sizes, *values.shape[1:]), coarse.attrs),
        "target": ((*lead, *on_coarse), conditions.reshape(*sizes, *conditions.shape[1:]), coarse.attrs),
        **{name: ((*lead, "member"), each.reshape(*sizes, -1)) for name, each in diagnostics.items()},
    }
    as_in_coarse = [d for d in coarse.dims if d in lead]  # samples_of puts runs first, wherever the field has them
    return coordinates.assign(variables).transpose(*as_in_coarse, ...)


def conditions_dataset(
    conditions: Samples,
    ensemble: Float[np.ndarray, "n member channel *fine"],
    targets: Float[np.ndarray, "n channel *coarse"],
    *,
    fine: Samples,
    coarse: Samples,
    truth: Float[np.ndarray, "n channel *fine"] | None = None,
    diagnostics: Diagnostics = MappingProxyType({}),
) -> xr.Dataset:
    """Ensembles of single samples, taken here and there from an archive, as a dataset along "condition".

    **Arguments:** `conditions`, the samples that were downscaled, which say when and in which run each was; `ensemble`;
    `targets`; `fine`, `coarse`, the archives, for the coordinates of space, names and units; `truth`, if it is known;
    `diagnostics` of the members.

    **Returns:** `ensemble` (condition, member, channel, *space), `target`, `truth` and the diagnostics.

        chosen = coarse.take(indices)
        conditions_dataset(chosen, ensemble, targets, fine=fine, coarse=coarse).to_zarr("ensemble.zarr")
    """
    on_fine, on_coarse = fine.space_dims, tuple(f"{d}_coarse" for d in fine.space_dims)
    renamed = dict(zip(coarse.space_dims, on_coarse, strict=True))
    taken = {"ensemble", "target", "truth", "member", "channel", *diagnostics} & set(conditions.coords)
    of_samples = conditions.coords.rename({name: f"{name}_of_condition" for name in taken})
    coordinates = {
        **_along(of_samples, {CONDITION_DIM: CONDITION_DIM}),
        **_along(fine.coords, {d: d for d in on_fine}),
        **_along(coarse.coords, renamed),
    }
    fields = {
        "ensemble": ((CONDITION_DIM, "member", "channel", *on_fine), ensemble, fine.attrs),
        "target": ((CONDITION_DIM, "channel", *on_coarse), targets, coarse.attrs),
        **{name: ((CONDITION_DIM, "member"), each) for name, each in diagnostics.items()},
    }
    if truth is not None:
        fields["truth"] = ((CONDITION_DIM, "channel", *on_fine), truth, fine.attrs)
    return xr.Dataset(fields, coordinates)


def fine_coordinates(coarse: xr.DataArray, space: tuple[str, ...], operator: Coarsening) -> dict[str, Any]:
    """Space coordinates of the fine grid, told from equally spaced coarse ones.

    A coarse point is the first of its f fine points (`Subsample`) or their middle (`BlockMean`). Axes without a
    coordinate, with unequal spacing or under another operator get none.
    """
    if not isinstance(operator, Subsample | BlockMean):
        return {}
    found = {}
    for dim, factor in zip(space, operator.factors, strict=True):
        x = coarse[dim].values if dim in coarse.coords else np.empty(0)
        if len(x) < 2 or not np.issubdtype(x.dtype, np.number):
            continue
        spacing = (x[-1] - x[0]) / (len(x) - 1)
        if np.allclose(np.diff(x), spacing, rtol=1e-3, atol=0):
            offset = (factor - 1) / 2 if isinstance(operator, BlockMean) else 0.0
            fine = x[0] + (np.arange(len(x) * factor) - offset) * spacing / factor
            found[dim] = (dim, fine, coarse[dim].attrs)
    return found


def _along(coords: xr.Dataset, names: dict[str, str]) -> dict[Hashable, Any]:
    """The coordinates along the dimensions in `names`, renamed; dimension coordinates take the new name too."""
    along = {name: coord for name, coord in coords.variables.items() if coord.dims and set(coord.dims) <= set(names)}
    return {
        names.get(str(name), name): (tuple(names[str(d)] for d in coord.dims), coord.values, coord.attrs)
        for name, coord in along.items()
    }


def _require_free_names(coarse: xr.DataArray, space: tuple[str, ...]) -> None:
    if "member" in coarse.dims:
        raise DataError("coarse: has a dimension 'member', which the ensemble will have; rename it to 'realization'.")
    for name in ("ensemble", "target", *(f"{d}_coarse" for d in space)):
        if name in coarse.dims or name in coarse.coords:
            raise DataError(f"coarse: has a coordinate {name!r}, a name that the result needs; rename or drop it.")


def _connecting(operator: Coarsening | int, fine_shape: tuple[int, ...], coarse_shape: tuple[int, ...]) -> Coarsening:
    coarsen = Subsample(fine_shape, operator) if isinstance(operator, int) else operator
    if (tuple(coarsen.fine_shape), tuple(coarsen.coarse_shape)) != (tuple(fine_shape), tuple(coarse_shape)):
        raise DataError(
            f"the operator takes fields of {tuple(coarsen.fine_shape)} points to {tuple(coarsen.coarse_shape)}, but "
            f"the fine fields have {tuple(fine_shape)} and the coarse ones {tuple(coarse_shape)}; build it for those."
        )
    return coarsen


def _split_settings(settings: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings of the network and of the training, by their names."""
    network = {f.name for f in fields(PriorSettings)} - {"n_channels", "space", "padding"}
    training = {f.name for f in fields(TrainingSettings)}
    for name in settings:
        if name not in network | training:
            near = difflib.get_close_matches(name, network | training, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(network | training))}."
            raise TypeError(f"train has no setting {name!r}; {hint}")
    return {k: v for k, v in settings.items() if k in network}, {k: v for k, v in settings.items() if k in training}
