"""The main job on xarray fields: train a prior or a conditional model, fit a debiaser, downscale.

Dimensions go by name: those in `SAMPLE_DIMS` count samples, "channel" is a channel, all others are space. Inputs are
never changed; values are computed in float32.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
import xarray as xr
from jaxtyping import Array, Float

from subgrid.data.fields import DataError, Samples, samples_of
from subgrid.data.grids.alignment import check_aligned
from subgrid.data.store import OutputExists
from subgrid.diffusion.gaussian_conditional import condition
from subgrid.diffusion.gaussian_steps import GaussianSDE
from subgrid.diffusion.guidance.moments import moment_matching
from subgrid.diffusion.noise_levels import exponential_grid
from subgrid.diffusion.objective import Quantile
from subgrid.diffusion.samplers import Method
from subgrid.downscaling.conditional import model as conditional_model
from subgrid.downscaling.conditional.model import NOISE_RANGE, ConditionalModel, ConditionalSettings, Kind
from subgrid.downscaling.conditional.upsample import ConditionalUpsampler, FlowUpsampler, conditional_upsampler
from subgrid.downscaling.debiasing.fit import DebiasMethod, apply_debiaser, fit_debiaser_array
from subgrid.downscaling.debiasing.settings import debias_settings
from subgrid.downscaling.debiasing.static import NoDebiasing
from subgrid.downscaling.ensemble_datasets import ensemble_coordinates, ensemble_dataset
from subgrid.downscaling.prior.model import Prior, PriorSettings, is_trained, train_prior
from subgrid.downscaling.prior.noise_range import leading_std, sampling_range
from subgrid.downscaling.prior.training import TrainingSettings
from subgrid.downscaling.settings import sort_settings
from subgrid.downscaling.upsampling.guided import DiffusionUpsampler, Guide, MethodFor, method_for
from subgrid.downscaling.upsampling.level_checks import warn_of_levels
from subgrid.downscaling.upsampling.particles import ParticleUpsampler, sample_with_diagnostics
from subgrid.numerics.operators import Subsample
from subgrid.training.log import MetricsReport
from subgrid.types import Coarsening, Debiaser, Key, NotedReport, ProgressReport


def train(
    fine: xr.DataArray,
    *,
    folder: str | Path,
    periodic: bool = True,
    noise_levels: Quantile | None = None,
    report: MetricsReport | None = None,
    key: Key,
    **settings: Any,
) -> Prior:
    """The generative prior p(x) of fine fields, trained on them alone.

    Args:
        fine: samples of the fine field, physical units; at least 2.
        folder: of the model: an unfinished training in it is resumed, to the same bits.
        periodic: whether all space axes wrap around; default True.
        noise_levels: u → σ drawn in training, by default log-uniform between `sigma_min` and `sigma_max`.
        report: `report(step, metrics)`, called after each dispatch.
        key: of weights, batches and noise.
        **settings: of the network (`channels`, `n_blocks`, `patch`, …: see `PriorSettings`) and of the training
            (`n_steps`, `batch_size`, `learning_rate`, `translation_invariant`, …: see `TrainingSettings`).

    Returns:
        The prior, also saved in `folder`, where `load_prior` finds it.

    Raises:
        OutputExists: if the folder holds a finished model.
        TypeError: for a setting that does not exist.
        DataError: for fields that cannot be used.
        ValueError: for settings that do not go together, or a grid that does not fit the network.

    Examples:
        >>> prior = train(fine, folder="model", n_steps=4000, key=jax.random.key(0))
    """
    samples = _trainable(fine, folder)
    network, training = _split_settings("train", settings)
    _require_periodic(training, periodic)
    return train_prior(
        samples.values,
        PriorSettings(**_shape_of(samples, periodic=periodic), **network),
        TrainingSettings(**training),
        folder=folder,
        noise_levels=noise_levels,
        report=report,
        key=key,
    )


def train_conditional(
    fine: xr.DataArray,
    operator: Coarsening | int,
    *,
    folder: str | Path,
    kind: Kind = "diffusion",
    periodic: bool = True,
    jitter: float = 0.0,
    report: MetricsReport | None = None,
    key: Key,
    **settings: Any,
) -> ConditionalModel:
    """A model of p(x | C′x = y) for one C′, trained on the free pairs (C′x, x) of fine fields.

    Args:
        fine: samples of the fine field, physical units; at least 2.
        operator: C′, or a factor f for every f-th point; the model is good for no other.
        folder: of the model: an unfinished training in it is resumed, to the same bits.
        kind: "diffusion", or "flow", which needs fewer evaluations.
        periodic: whether all space axes wrap around; default True.
        jitter: standard deviation of the noise added to C′x, in units of the field: the error that debiased fields are
            believed to have; default 0.
        report: `report(step, metrics)`, called after each dispatch.
        key: of everything random.
        **settings: as for `train`; of the kind "diffusion" `sigma_min` is .003 by default, and `sigma_max` 10, or 3√λ
            of the leading component of Σ_y where that is more.

    Returns:
        The model, also saved in `folder`, where `load_conditional` finds it.

    Raises:
        OutputExists: if the folder holds a finished model.
        TypeError: for a setting that does not exist.
        DataError: for fields that cannot be used, or a C′ of another grid.
        ValueError: for an unknown kind, a negative jitter, or settings that do not go together.

    Examples:
        >>> operator = Subsample((192,), 8)
        >>> model = train_conditional(fine, operator, folder="model", n_steps=4000, key=jax.random.key(0))
    """
    samples = _trainable(fine, folder)
    network, training = _split_settings("train_conditional", settings)
    _require_periodic(training, periodic)
    if kind not in get_args(Kind):
        raise ValueError(f'kind must be "diffusion" or "flow", got {kind!r}.')
    if not (np.isfinite(jitter) and jitter >= 0):
        raise ValueError(f"jitter must be a standard deviation, zero or more, got {jitter}.")
    space = samples.values.shape[2:]
    coarsen = Subsample(space, operator) if isinstance(operator, int) else operator
    if tuple(coarsen.fine_shape) != tuple(space):
        raise DataError(f"the operator takes fields of {tuple(coarsen.fine_shape)} points, the fine ones have {space}.")
    keep_levels = "sigma_max" in network
    network = {"sigma_min": NOISE_RANGE[0], "sigma_max": NOISE_RANGE[1], **network}
    return conditional_model.train_conditional(
        samples.values,
        coarsen,
        ConditionalSettings(kind, PriorSettings(**_shape_of(samples, periodic=periodic), **network), float(jitter)),
        TrainingSettings(**training),
        folder=folder,
        report=report,
        keep_levels=keep_levels,
        key=key,
    )


def fit_debiaser(
    coarse: xr.DataArray,
    fine: xr.DataArray,
    operator: Coarsening | int,
    *,
    method: DebiasMethod = "entropic-ot",
    folder: str | Path | None = None,
    report: NotedReport | None = None,
    key: Key,
    **settings: Any,
) -> Debiaser:
    """The transport T from biased coarse fields to coarsened fine fields, C′x; the two archives share no dates.

    Args:
        coarse: samples of the biased coarse field.
        fine: samples of the fine field, same unit.
        operator: C′, or a factor f for every f-th point.
        method: see `fit_debiaser_array`; default entropic transport of whole fields.
        key: of the samples that are used, and of trained transports.
        folder: of trained transports, for checkpoints, from which the same call resumes; none by default.
        report: `report(done, total, note)`, of transports.
        **settings: of transports and quantile mapping (`translation_invariant`, `corrections`, `n_samples`, `epsilon`,
            `n_steps`, …: see `DebiasSettings`, `EntropicSettings` and `TransportSettings`).

    Returns:
        A map of one coarse field, usable on unseen fields.

    Raises:
        DataError: if C′ does not connect the two grids, or as `check_aligned`.
        TypeError: for a setting that does not exist.
        ValueError: as `fit_debiaser_array`.

    Examples:
        >>> debiaser = fit_debiaser(coarse, fine, Subsample((192,), 8), key=jax.random.key(0))
    """
    chosen = debias_settings(**settings)
    source, target = samples_of(coarse, source="coarse"), samples_of(fine, source="fine")
    coarsen = _connecting(operator, target.values.shape[2:], source.values.shape[2:])
    check_aligned(source, target, coarsen)
    options = {"method": method, "folder": folder, "report": report, "key": key}
    return fit_debiaser_array(source.values, target.values, coarsen, chosen, **options)[0]


def downscale(
    coarse: xr.DataArray,
    model: Prior | ConditionalModel,
    debiaser: Debiaser | None,
    operator: Coarsening | int,
    *,
    n_members: int = 16,
    n_evaluations: int | None = None,
    n_particles: int = 1,
    guide: Guide | None = None,
    method: MethodFor | Method = GaussianSDE,
    noise_levels: Float[Array, " level"] | None = None,
    chunk: int = 256,
    report: ProgressReport | None = None,
    key: Key,
) -> xr.DataArray:
    """An ensemble of fine fields for every coarse field y: draws from p(x | C′x = T(y)).

    Args:
        coarse: the fields to downscale; any subset of the archive, seen by `debiaser` or not.
        model: a prior from `train` or `load_prior`, which is guided, or a conditional model from `train_conditional` or
            `load_conditional`.
        debiaser: T, from `fit_debiaser`, or None for unbiased fields.
        operator: C′, or a factor f for every f-th point; of a conditional model its own.
        n_members: draws for each field, default 16.
        n_evaluations: of the network of a conditional model, a member; default 16, of a flow 8.
        n_particles: of a prior; more than one to draw each member from as many weighted particles of `GaussianSDE`,
            which is right for any prior as they grow (`subgrid.diffusion.particles`), at as many times the cost.
        guide: of a prior, by default moment matching.
        method: a sampler, or what makes one from the Gaussian conditional (`GaussianSDE`, the default, and
            `GaussianODE`).
        noise_levels: (level,), of a prior, decreasing; default 32, exponential, of its `sampling_range`.
        chunk: fields sampled at a time, on which the memory of the device depends.
        report: `report(done, total)`, called after each chunk.
        key: of all draws.

    Returns:
        Dimensions of the samples as in `coarse`, then "member", then the space dimensions on the fine grid; attributes
            and sample coordinates of `coarse`, space coordinates where they follow from the coarse ones
            (`fine_coordinates`); with particles their `effective_size` and `effective_fraction` as coordinates.

    Raises:
        DataError: for fields that cannot be used, a C′ that does not connect the two grids, or one that a conditional
            model was not trained for.
        ValueError: for particles of another method, and for options of another kind of model.

    Warns:
        LevelWarning: where the noise levels do not suffice.

    Examples:
        >>> ensemble = downscale(coarse, model, debiaser, operator, n_members=16, key=jax.random.key(0))
    """
    samples = samples_of(coarse, source="coarse")
    guided = isinstance(model, Prior)
    space = model.settings.space if guided else model.settings.network.space
    coarsen = _connecting(operator, space, samples.values.shape[2:])
    ensemble_coordinates(coarse, coarsen)  # complains before anything is drawn
    if guided:
        _refuse("a prior", {"n_evaluations": n_evaluations}, "give noise_levels, one evaluation each")
        upsampler = _guided_upsampler(model, coarsen, n_particles, guide, method, noise_levels)
    else:
        particles = n_particles if n_particles > 1 else None
        of_priors = {"guide": guide, "n_particles": particles, "noise_levels": noise_levels}
        _refuse("a conditional model", of_priors, "give n_evaluations, or use a prior, from train or load_prior")
        conditional_model.require_own_operator("model", conditional_model.identity(model.conditional.operator), coarsen)
        upsampler = _conditional_upsampler(model, n_evaluations, method)
    warn_of_levels(upsampler)
    targets = apply_debiaser(debiaser or NoDebiasing(), samples.values)
    ensemble, diagnostics = sample_with_diagnostics(upsampler, targets, n_members, chunk=chunk, report=report, key=key)
    dataset = ensemble_dataset(coarse, ensemble, targets, coarsen, diagnostics=diagnostics).set_coords(diagnostics)
    return dataset["ensemble"].rename(coarse.name)


def _refuse(kind: str, options: Mapping[str, Any], instead: str) -> None:
    for name, value in options.items():
        if value is not None:
            raise ValueError(f"{name} does not go with {kind}; {instead}.")


def _guided_upsampler(
    prior: Prior,
    operator: Coarsening,
    n_particles: int,
    guide: Guide | None,
    method: MethodFor | Method,
    noise_levels: Float[Array, " level"] | None,
) -> DiffusionUpsampler | ParticleUpsampler:
    if n_particles > 1 and method is not GaussianSDE:
        raise ValueError(
            f"n_particles = {n_particles} needs method=GaussianSDE, whose steps have a density to weigh by."
        )
    settings = prior.settings
    if noise_levels is None:
        trained = settings.sigma_min, settings.sigma_max
        sigma_min, sigma_max = sampling_range(leading_std(prior.gaussian), trained, method_for(method))
        noise_levels = exponential_grid(32, sigma_max=sigma_max, sigma_min=sigma_min)
    conditional = condition(prior.gaussian, operator, (settings.n_channels, *operator.coarse_shape))
    guide = guide or partial(moment_matching, prior=prior.gaussian)
    parts = prior.denoiser, conditional, prior.standardiser, guide, noise_levels
    if n_particles > 1:
        return ParticleUpsampler(*parts, n_particles)
    return DiffusionUpsampler(*parts, method_for(method))


def _conditional_upsampler(
    model: ConditionalModel, n_evaluations: int | None, method: MethodFor | Method
) -> ConditionalUpsampler | FlowUpsampler:
    if model.settings.kind == "flow" and method is not GaussianSDE:
        raise ValueError('method does not go with a conditional model of the kind "flow", which steps by itself.')
    return conditional_upsampler(model, n_evaluations=n_evaluations, method=method_for(method))


def _connecting(operator: Coarsening | int, fine_shape: tuple[int, ...], coarse_shape: tuple[int, ...]) -> Coarsening:
    coarsen = Subsample(fine_shape, operator) if isinstance(operator, int) else operator
    if (tuple(coarsen.fine_shape), tuple(coarsen.coarse_shape)) != (tuple(fine_shape), tuple(coarse_shape)):
        raise DataError(
            f"the operator takes fields of {tuple(coarsen.fine_shape)} points to {tuple(coarsen.coarse_shape)}, but "
            f"the fine fields have {tuple(fine_shape)} and the coarse ones {tuple(coarse_shape)}; build it for those."
        )
    return coarsen


def _trainable(fine: xr.DataArray, folder: str | Path) -> Samples:
    if is_trained(folder) or conditional_model.is_conditional(folder):
        raise OutputExists(
            f"{folder}: holds a trained model already; use load_prior or load_conditional, or choose another folder."
        )
    samples = samples_of(fine, source="fine")
    if len(samples) < 2:
        raise DataError(f"fine: holds {len(samples)} sample; training needs at least 2.")
    return samples


def _require_periodic(training: Mapping[str, Any], periodic: bool) -> None:
    if training.get("translation_invariant") and not periodic:
        raise ValueError("translation_invariant needs periodic=True, as it shifts fields; set both or neither.")


def _shape_of(samples: Samples, *, periodic: bool) -> dict[str, Any]:
    """Those settings of a network that the data decide."""
    shape = samples.values.shape
    return {"n_channels": shape[1], "space": shape[2:], "padding": ("periodic" if periodic else "reflect",)}


def _split_settings(caller: str, settings: dict[str, Any]) -> list[dict[str, Any]]:
    """Settings of the network and of the training, by their names; the data decide the others."""
    return sort_settings(caller, settings, PriorSettings, TrainingSettings, without=("n_channels", "space", "padding"))
