"""The main job on xarray fields: train a prior, fit a debiaser, downscale; and the array functions they stand on.

Dimensions go by name: "trajectory", "sample", "time" and "member" count samples, all others are space. Inputs are
never changed; values are computed in float32.
"""

import difflib
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import xarray as xr
from jaxtyping import Array, Float

from subgrid.data.batches import draw_batch, random_shifts
from subgrid.data.fields import SAMPLE_DIMS, DataError, samples_of
from subgrid.data.store import OutputExists
from subgrid.diffusion.guidance.moment_matching import moment_matching
from subgrid.diffusion.noise_levels import karras_grid
from subgrid.diffusion.objective import Quantile
from subgrid.diffusion.samplers import Ancestral, Method, Resampled
from subgrid.downscaling.debias import Composed, NoDebiasing, fit_quantile_mapping
from subgrid.downscaling.evaluation import draw_conditions
from subgrid.downscaling.prior import Prior, PriorSettings, TrainingSettings, is_trained, train_prior
from subgrid.downscaling.upsample import DiffusionUpsampler, Guide, sample_ensemble
from subgrid.numerics.operators import BlockMean, Subsample
from subgrid.training.log import Report
from subgrid.transport.gaussian import fit_gaussian_map
from subgrid.types import Coarsening, Debiaser, Key

DebiasMethod: TypeAlias = Literal["none", "quantile-mapping", "gaussian", "entropic-ot"]
Correction: TypeAlias = Literal["covariance", "marginals"]
CORRECTION_SAMPLES = 65_536
"""Shifted fields that the corrections of a translation-invariant transport are fitted on: a covariance of 24 points is
then known to half a percent, and every per-mille quantile by some sixty values."""


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

    **Raises:** as `fit_debiaser_array`, and `DataError` if C′ does not connect the two grids.

        debiaser = fit_debiaser(coarse, fine, Subsample((192,), 8), key=jax.random.key(0))
    """
    source, target = samples_of(coarse, source="coarse"), samples_of(fine, source="fine")
    coarsen = _connecting(operator, target.values.shape[2:], source.values.shape[2:])
    return fit_debiaser_array(source.values, target.values, coarsen, method=method, key=key, **settings)[0]


def downscale(
    coarse: xr.DataArray,
    prior: Prior,
    debiaser: Debiaser | None,
    operator: Coarsening | int,
    *,
    n_members: int = 16,
    guide: Guide = moment_matching,
    method: Method | None = None,
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
    - `n_members`; `guide`, `method`, `noise_levels` (decreasing): how to sample, by default moment matching with
      four ancestral descents at each of 32 levels, which measured best on Kuramoto–Sivashinsky;
    - `chunk`, fields sampled at a time; `report(done, total)`; `key`.

    **Returns:** dimensions of the samples as in `coarse`, then "member", then the space dimensions on the fine grid;
    attributes and sample coordinates of `coarse`, space coordinates where they can be told (`fine_coordinates`).

    **Raises:** `DataError` for fields that cannot be used or a C′ that does not connect the two grids.

        ensemble = downscale(coarse, prior, debiaser, operator, n_members=16, key=jax.random.key(0))
    """
    samples = samples_of(coarse, source="coarse")
    settings = prior.settings
    coarsen = _connecting(operator, settings.space, samples.values.shape[2:])
    if noise_levels is None:
        noise_levels = karras_grid(32, sigma_max=settings.sigma_max, sigma_min=settings.sigma_min)
    upsampler = DiffusionUpsampler(
        prior.denoiser, coarsen, prior.standardiser, guide, noise_levels, method or Resampled(Ancestral(), 4)
    )
    targets = apply_debiaser(debiaser or NoDebiasing(), samples.values)
    ensemble = sample_ensemble(upsampler, targets, n_members, chunk=chunk, report=report, key=key)
    return ensemble_dataset(coarse, ensemble, targets, coarsen)["ensemble"].rename(coarse.name)


def fit_debiaser_array(
    coarse: Float[np.ndarray, "n channel *coarse"],
    fine: Float[np.ndarray, "m channel *fine"],
    operator: Coarsening,
    *,
    method: DebiasMethod = "entropic-ot",
    translation_invariant: bool = False,
    n_samples: int = 4096,
    epsilon: float = 0.1,
    tolerance: float = 1e-2,
    max_iterations: int = 5000,
    corrections: Sequence[Correction] = ("covariance", "marginals"),
    n_quantiles: int = 200,
    key: Key,
) -> tuple[Debiaser, dict[str, Any]]:
    """The transport from coarse fields to coarsened fine fields, and what its solver reports.

    **Arguments:** `coarse`, `fine`, physical units; `operator`, C′; `method`: none, quantile mapping point by point, the
    linear map that matches mean and covariance, or entropic transport of whole fields. For the last: `n_samples`, drawn
    of each set (time and memory grow with the square); `translation_invariant`, whether each is shifted at random,
    which multiplies the samples; `epsilon`, in units of the squared field, `tolerance`, `max_iterations`, as for
    `fit_entropic_map`; `corrections`, in this order, see `correct`. For quantile mapping and the correction of
    marginals: `n_quantiles`.

    **Returns:** the debiaser and a dictionary, empty except for entropic transport.

    **Raises:** as the `fit_…` it calls.
    """
    source, target = jnp.asarray(coarse), operator(jnp.asarray(fine))
    match method:
        case "none":
            return NoDebiasing(), {}
        case "quantile-mapping":
            return fit_quantile_mapping(source, target, n_quantiles=n_quantiles), {}
        case "gaussian":
            return fit_gaussian_map(source, target), {}
        case "entropic-ot":
            from subgrid.transport.sinkhorn import fit_entropic_map

            n_space = len(operator.coarse_shape) if translation_invariant else 0
            source_key, target_key = jr.split(key)
            first, source_rest = _draw_set(source, n_samples, n_space, key=source_key)
            second, target_rest = _draw_set(target, n_samples, n_space, key=target_key)
            debiaser, summary = fit_entropic_map(
                first, second, epsilon=epsilon, tolerance=tolerance, max_iterations=max_iterations
            )
            debiaser = correct(debiaser, source_rest, target_rest, corrections, n_quantiles=n_quantiles)
            return debiaser, asdict(summary)
    raise ValueError(f"method must be one of {get_args(DebiasMethod)}, got {method!r}.")


def correct(
    debiaser: Debiaser,
    source: Float[Array, "n *coarse"],
    target: Float[Array, "m *target_coarse"],
    corrections: Sequence[Correction],
    *,
    n_quantiles: int,
) -> Debiaser:
    """T followed by simple maps that restore on *unseen* fields what the entropic map takes from them.

    An entropic map is a conditional mean: it lowers variances, and the finite sets that it was fitted on leave their
    accidents in every image. Both show in the moments and marginals of mapped fields that were not used in the fit, and
    are taken back by transports between those: "covariance" the linear one, "marginals" quantile mapping.

    **Arguments:** `debiaser`; `source`, `target`, samples it was not fitted on; `corrections`, in order; `n_quantiles`,
    or as many as there are samples.

    **Raises:** `ValueError` for a covariance of more values than samples.
    """
    parts, moved = [debiaser], jax.jit(lambda y: jax.lax.map(debiaser, y, batch_size=256))(source)
    for correction in corrections:
        match correction:
            case "covariance":
                part = fit_gaussian_map(moved, target)
            case "marginals":
                levels = min(n_quantiles, len(moved), len(target))
                part = fit_quantile_mapping(moved, target, n_quantiles=levels)
        moved = jax.vmap(part)(moved)
        parts.append(part)
    return Composed(tuple(parts)) if corrections else debiaser


def _draw_set(samples: Array, n: int, n_space: int, *, key: Key) -> tuple[Array, Array]:
    """n samples to fit a transport on and others to correct it on: the rest, at least half of all.

    With `n_space` > 0 every sample is shifted at random along the last axes, and the others are fresh shifts of any.
    """
    first_key, shift_key, rest_key, other_key = jr.split(key, 4)
    if not n_space:
        order = jr.permutation(first_key, len(samples))
        n = min(n, len(samples) // 2)
        return samples[order[:n]], samples[order[n:]]
    first = samples[draw_conditions(len(samples), n, key=first_key)]
    rest = draw_batch(samples, CORRECTION_SAMPLES, key=rest_key)
    return random_shifts(first, n_space, key=shift_key), random_shifts(rest, n_space, key=other_key)


def apply_debiaser(
    debiaser: Debiaser, coarse: Float[np.ndarray, "n channel *coarse"], *, chunk: int = 256
) -> Float[np.ndarray, "n channel *coarse"]:
    """T of many fields, `chunk` at a time: memory does not grow with the archive."""
    batch_size = min(chunk, len(coarse))
    return np.asarray(jax.jit(lambda y: jax.lax.map(debiaser, y, batch_size=batch_size))(jnp.asarray(coarse)))


def ensemble_dataset(
    coarse: xr.DataArray,
    ensemble: Float[np.ndarray, "n member channel *fine"],
    targets: Float[np.ndarray, "n channel *coarse"],
    operator: Coarsening,
) -> xr.Dataset:
    """The arrays of a downscaling as a dataset: `ensemble` on the fine grid and `target`, what it was conditioned on.

    **Arguments:** `coarse`, the field that was downscaled, with samples in the order of `samples_of`; `ensemble`;
    `targets`, the debiased fields; `operator`, C′.

    **Returns:** sample dimensions, "member" and space as in `coarse`; the space of `target` is named "…_coarse".

    **Raises:** `DataError` if the coarse field has a dimension "member", which the ensemble needs.
    """
    lead = [str(d) for d in coarse.dims if d in SAMPLE_DIMS]
    space = tuple(str(d) for d in coarse.dims if d not in SAMPLE_DIMS)
    if "member" in lead:
        raise DataError("coarse: has a dimension 'member', which the ensemble will have; rename it to 'sample'.")
    sizes, coarse_dims = [coarse.sizes[d] for d in lead], [f"{d}_coarse" for d in space]
    values = ensemble[:, :, 0].reshape(*sizes, ensemble.shape[1], *ensemble.shape[3:])
    variables = {
        "ensemble": ((*lead, "member", *space), values, dict(coarse.attrs)),
        "target": ((*lead, *coarse_dims), targets[:, 0].reshape(*sizes, *targets.shape[2:]), dict(coarse.attrs)),
    }
    kept = {name: coord for name, coord in coarse.coords.items() if set(coord.dims) <= set(lead) and name != "member"}
    old = {f"{d}_coarse": (f"{d}_coarse", coarse[d].values, coarse[d].attrs) for d in space if d in coarse.coords}
    return xr.Dataset(variables, {**kept, **fine_coordinates(coarse, space, operator), **old})


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
