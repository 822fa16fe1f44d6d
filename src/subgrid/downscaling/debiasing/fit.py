"""Fitting a debiaser T by name: from two unpaired archives of arrays to one map of a coarse field."""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, TypeAlias, assert_never, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float

from subgrid.downscaling.debiasing.dynamic import TransportMethod, fit_transport
from subgrid.downscaling.debiasing.settings import (
    Correction,
    DebiasSettings,
    EntropicSettings,
    require_corrections,
)
from subgrid.downscaling.debiasing.static import Composed, NoDebiasing, fit_quantile_mapping, fit_variance_scaling
from subgrid.downscaling.settings import symmetries_of
from subgrid.numerics.streams import substream
from subgrid.numerics.symmetries import SymmetryGroup, augmented
from subgrid.training.progress import say
from subgrid.transport.ends import Ends
from subgrid.transport.gaussian import fit_gaussian_map
from subgrid.types import Coarsening, Debiaser, Key, NotedReport, ProgressReport

DebiasMethod: TypeAlias = Literal[
    "none",
    "variance-scaling",
    "quantile-mapping",
    "gaussian",
    "entropic-ot",
    "flow-matching",
    "interpolant",
    "rectified-flow",
    "schrodinger-bridge",
]

MOST_DOUBLINGS = 6
"""Of an ε chosen from the fields: at 64 times of it a plan is so blurred that the method itself does not suit."""


def fit_debiaser_array(
    coarse: Float[np.ndarray, "n channel *coarse"],
    fine: Float[np.ndarray, "m channel *fine"],
    operator: Coarsening,
    settings: DebiasSettings = DebiasSettings(),  # noqa: B008 frozen
    *,
    method: DebiasMethod = "entropic-ot",
    folder: str | Path | None = None,
    report: NotedReport | None = None,
    key: Key,
) -> tuple[Debiaser, dict[str, Any]]:
    """The transport from coarse fields to coarsened fine fields, and what its solver reports.

    Args:
        coarse: (n, channel, *coarse), physical units.
        fine: (m, channel, *fine), same unit; unpaired.
        operator: C′.
        settings: of all methods.
        method: "none"; point by point "variance-scaling", of mean and standard deviation, and "quantile-mapping";
            "gaussian", the linear map that matches mean and covariance; "entropic-ot", entropic transport of whole
            fields, the default; or a dynamic transport (see `fit_transport`).
        folder: of dynamic transports, for checkpoints, from which the same call resumes; none by default.
        report: `report(done, total, note)`, of transports.
        key: of samples, weights and training.

    Returns:
        The debiaser, a map of one field, and a dictionary, empty except for transports.

    Raises:
        ValueError: for a method that does not exist, and for too few fields; and as the `fit_…` that it calls.

    Examples:
        >>> debiaser, summary = fit_debiaser_array(coarse, fine, Subsample((192,), 8), key=key)
        >>> debiased = apply_debiaser(debiaser, coarse)
    """
    if method not in get_args(DebiasMethod):
        raise ValueError(f"method must be one of {get_args(DebiasMethod)}, got {method!r}.")
    group = symmetries_of(settings, operator.coarse_shape)
    match method:
        case "none":
            return NoDebiasing(), {}
        case "variance-scaling":
            return fit_variance_scaling(*_ends(coarse, fine, operator)), {}
        case "quantile-mapping":
            source, target = _ends(coarse, fine, operator)
            return fit_quantile_mapping(source, target, n_quantiles=settings.n_quantiles), {}
        case "gaussian":
            return fit_gaussian_map(*_ends(coarse, fine, operator)), {}
        case "entropic-ot":
            ends = _ends(coarse, fine, operator, 4 if settings.corrections else 2)
            return _corrected_entropic_map(*ends, settings, group, report=report, key=key)
        case "flow-matching" | "interpolant" | "rectified-flow" | "schrodinger-bridge":
            ends = _ends(coarse, fine, operator)
            options = {"method": method, "folder": folder, "report": report}
            return _corrected_transport(*ends, settings, group, **options, key=key)
        case _:
            assert_never(method)


def _ends(coarse: np.ndarray, fine: np.ndarray, operator: Coarsening, minimum: int = 2) -> tuple[Array, Array]:
    """What is mapped, and onto what: enough coarse fields and coarsened fine ones."""
    _require_fields(len(coarse), len(fine), minimum)
    return jnp.asarray(coarse), operator(jnp.asarray(fine))


def _corrected_entropic_map(
    source: Array,
    target: Array,
    settings: DebiasSettings,
    group: SymmetryGroup | None,
    *,
    report: NotedReport | None,
    key: Key,
) -> tuple[Debiaser, dict[str, Any]]:
    """Fitted on some fields, corrected on others."""
    corrections, n = settings.corrections, settings.entropic.n_samples
    n_rest = settings.n_correction_samples if corrections else None
    sets = _fits_and_rests(source, target, n, group, n_rest=n_rest, key=key)
    (first, source_rest), (second, target_rest) = sets
    debiaser, summary = _entropic_map(first, second, settings.entropic, report)
    return correct(debiaser, source_rest, target_rest, corrections, n_quantiles=settings.n_quantiles), summary


def _corrected_transport(
    source: Array,
    target: Array,
    settings: DebiasSettings,
    group: SymmetryGroup | None,
    *,
    method: TransportMethod,
    folder: str | Path | None,
    report: NotedReport | None,
    key: Key,
) -> tuple[Debiaser, dict[str, Any]]:
    """Fitted and corrected on all fields."""
    n = max(len(source), len(target), 0 if group is None else settings.n_correction_samples)
    shifted = settings.translation_invariant
    (first, _), (second, _) = _fits_and_rests(source, target, n, group, n_rest=None, key=key)
    padding = "periodic" if settings.periodic or shifted else "reflect"
    options = {"padding": padding, "translation_invariant": shifted, "folder": folder, "report": report}
    ends, transport_key = Ends(first, second), substream(key, "transport")
    debiaser, summary = fit_transport(ends, settings.dynamic, method=method, **options, key=transport_key)
    moving = None if report is None else lambda done, n: report(1, 1, f"{done} of {n} fields moved, to correct by")
    corrected = correct(debiaser, first, second, settings.corrections, n_quantiles=settings.n_quantiles, report=moving)
    return corrected, summary


def _entropic_map(
    source: Array, target: Array, settings: EntropicSettings, report: NotedReport | None
) -> tuple[Debiaser, dict[str, Any]]:
    """With the ε that is given; or with one that suits the fields, doubled until the solver converges."""
    from subgrid.transport.sinkhorn import SinkhornNotConverged, fit_entropic_map, suggested_epsilon

    options: dict[str, Any] = {"tolerance": settings.tolerance, "max_iterations": settings.max_iterations}
    if settings.epsilon is not None:
        options["report"] = None if report is None else _error_progress(report, settings.tolerance)
        debiaser, summary = fit_entropic_map(source, target, epsilon=settings.epsilon, **options)
        return debiaser, asdict(summary)
    first = suggested_epsilon(source, target)
    for doublings in range(MOST_DOUBLINGS + 1):
        epsilon = first * 2**doublings
        note = f" at epsilon = {epsilon:.3g}"
        options["report"] = None if report is None else _error_progress(report, settings.tolerance, note)
        try:
            debiaser, summary = fit_entropic_map(source, target, epsilon=epsilon, **options)
        except SinkhornNotConverged as error:
            if doublings == MOST_DOUBLINGS:
                raise
            say(f"debias: {error} It goes on with twice that epsilon.", enabled=False)
        else:
            return debiaser, {**asdict(summary), "doublings": doublings}
    raise AssertionError("the last attempt returns or raises")


def chosen_in_words(summary: Mapping[str, Any]) -> str | None:
    """What entropic transport chose from the data.

    Args:
        summary: of `fit_debiaser_array`.

    Returns:
        A sentence; None of other methods, and of an ε that was given.

    Examples:
        >>> chosen_in_words({"epsilon": 0.2, "doublings": 1, "iterations": 340})
        'entropic transport: epsilon = 0.2, chosen from the fields and doubled 1 time to converge; 340 iterations'
    """
    if "doublings" not in summary:
        return None
    n = summary["doublings"]
    doubled = f" and doubled {n} time{'s' * (n > 1)} to converge" if n else ""
    chosen = f"epsilon = {summary['epsilon']:.3g}, chosen from the fields{doubled}"
    return f"entropic transport: {chosen}; {summary['iterations']} iterations"


def _error_progress(report: NotedReport, tolerance: float, note: str = "") -> Callable[[int, float], None]:
    """Progress in percent of the way to the tolerance: the error falls geometrically, so its logarithm keeps time."""
    start: float | None = None

    def tell(iterations: int, error: float) -> None:
        nonlocal start
        start = start or error
        way = math.log(max(start / tolerance, 1 + 1e-6))
        done = 1 - math.log(max(error / tolerance, 1.0)) / way
        report(max(0, min(100, round(100 * done))), 100, f"error {error:.0e}{note}")

    return tell


def correct(
    debiaser: Debiaser,
    source: Float[Array, "n *coarse"],
    target: Float[Array, "m *target_coarse"],
    corrections: Sequence[Correction],
    *,
    n_quantiles: int,
    report: ProgressReport | None = None,
) -> Debiaser:
    """T followed by simple maps that restore on *unseen* fields what the entropic map takes from them.

    An entropic map is a conditional mean: it lowers variances, and the finite sets that it was fitted on leave their
    accidents in every image. Both show in the moments and marginals of mapped fields that were not used in the fit, and
    are taken back by transports between those: "covariance" the linear one, "marginals" quantile mapping.

    Args:
        debiaser: T.
        source: (n, *coarse), fields that it was not fitted on.
        target: (m, *coarse), the same of the target.
        corrections: in order.
        n_quantiles: of the marginals, or as many as there are samples.
        report: report(done, total), of the fields that T moves for it.

    Returns:
        The composed map, or `debiaser` itself without corrections.

    Raises:
        ValueError: for a correction that does not exist, or a covariance of more values than samples.

    Examples:
        >>> debiaser = correct(transport, coarse_rest, coarsened_rest, ["covariance"], n_quantiles=200)
        >>> debiased = debiaser(y)
    """
    require_corrections(corrections)
    if not corrections:
        return debiaser
    parts, moved = [debiaser], jax.device_put(apply_debiaser(debiaser, source, report=report))
    for correction in corrections:
        match correction:
            case "covariance":
                part = fit_gaussian_map(moved, target)
            case "marginals":
                levels = min(n_quantiles, len(moved), len(target))
                part = fit_quantile_mapping(moved, target, n_quantiles=levels)
        moved = jax.vmap(part)(moved)
        parts.append(part)
    return Composed(tuple(parts))


def apply_debiaser(
    debiaser: Debiaser,
    coarse: Float[np.ndarray | Array, "n *channel_coarse"],
    *,
    chunk: int = 256,
    report: ProgressReport | None = None,
) -> Float[np.ndarray, "n *channel_coarse"]:
    """T of many fields, `chunk` at a time: memory does not grow with the archive, and Ctrl-C ends it after a chunk.

    Args:
        debiaser: T, a map of one field.
        coarse: (n, channel, *coarse), physical units.
        chunk: fields at a time, default 256.
        report: report(done, total), in fields, after each chunk.

    Returns:
        The debiased fields, same shape, on the host.

    Examples:
        >>> debiased = apply_debiaser(debiaser, coarse)
        >>> debiased.shape == coarse.shape
        True
    """
    fields, n, parts = np.asarray(coarse), len(coarse), []
    for first in range(0, n, chunk):
        place = np.arange(first, first + min(chunk, n)) % n  # the last chunk is filled up: one shape, one compilation
        parts.append(np.asarray(_move(debiaser, jax.device_put(fields[place])))[: n - first])
        if report is not None:
            report(min(first + chunk, n), n)
    return np.concatenate(parts)


@eqx.filter_jit  # T as an argument: another of the same kind and shapes is not compiled again
def _move(debiaser: Debiaser, fields: Array) -> Array:
    return jax.vmap(debiaser)(fields)


def _fits_and_rests(
    source: Array, target: Array, n: int, group: SymmetryGroup | None, *, n_rest: int | None, key: Key
) -> list[tuple[Array, Array]]:
    """Of both ends, each with a key of its own."""
    keys = jr.split(substream(key, "samples"))
    ends = zip((source, target), keys, strict=True)
    return [_fit_and_rest(samples, n, group, n_rest=n_rest, key=k) for samples, k in ends]


def _fit_and_rest(
    samples: Array, n: int, group: SymmetryGroup | None, *, n_rest: int | None, key: Key
) -> tuple[Array, Array]:
    """Fields to fit a transport on, and others to correct it on: the two share no field, nor an image of one.

    Without symmetries there are at most n to fit on and the rest; half are held back at least, unless `n_rest` is None.
    With them, each set is filled up to its size, n or `n_rest`, by random images.
    """
    order_key, fit_key, rest_key = jr.split(key, 3)
    n_fit = min(n, len(samples) if n_rest is None else len(samples) // 2)
    fit, rest = _dealt(samples, n_fit, order_key)
    if group is None:
        return fit, rest
    fit = augmented(fit, n, group, key=fit_key)
    if n_rest is None:
        return fit, rest
    _require_many(rest, group)
    return fit, augmented(rest, n_rest, group, key=rest_key)


def _require_fields(n_coarse: int, n_fine: int, minimum: int) -> None:
    if min(n_coarse, n_fine) < minimum:
        raise ValueError(
            f"debiasing needs at least {minimum} fields of each archive, got {n_coarse} coarse and {n_fine} fine; "
            "bring more data, or choose debias.method = none."
        )


@functools.partial(jax.jit, static_argnums=1)
def _dealt(samples: Array, n: int, key: Key) -> tuple[Array, Array]:
    shuffled = samples[jr.permutation(key, len(samples))]
    return shuffled[:n], shuffled[n:]


def _require_many(fields: Array, group: SymmetryGroup) -> None:
    """The images of k fields are k·|G| at most, and a covariance of as many values or more is not told by them.

    Of shifts that is k > c, the number of channels: one c × c block a wavenumber, from k draws of it.
    """
    if len(fields) * len(group) <= math.prod(fields.shape[1:]):
        n_channels = math.prod(fields.shape[1 : fields.ndim - len(group.parts)])
        raise ValueError(
            f"{len(fields)} fields of {n_channels} channels are left for the corrections; images of so few cannot tell "
            "a covariance. Bring more data, or leave the corrections out (debias.corrections)."
        )
