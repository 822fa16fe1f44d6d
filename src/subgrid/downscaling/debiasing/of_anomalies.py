"""Debiasing of anomalies: what two archives of anomalies have left to differ in is their distributions alone."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from inspect import signature
from typing import Any, assert_never, get_args

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from subgrid.data.fields import DataError
from subgrid.downscaling.debiasing.bias_adjustment import fit_dynamical_transport, fit_quantile_delta_mapping
from subgrid.downscaling.debiasing.dynamic import TransportMethod, fit_transport
from subgrid.downscaling.debiasing.series import Fieldwise, SeriesDebiaser, Weakened
from subgrid.downscaling.debiasing.settings import ClimateDebiasMethod, TransportSettings
from subgrid.downscaling.debiasing.static import Composed, NoDebiasing, fit_quantile_mapping, fit_variance_scaling
from subgrid.numerics.streams import stream
from subgrid.transport.ends import Ends
from subgrid.transport.reduced import fit_reduced_map
from subgrid.transport.shrinkage import fit_shrunk_gaussian_map

POOLED = ("gaussian", "reduced-ot")
"""Methods whose strength is that of the correlations that they move."""
THEN_MARGINALS = ("gaussian", "reduced-ot", *get_args(TransportMethod))
"""Methods that quantile mapping may follow."""
DYNAMIC = TransportSettings(n_steps=500, batch_size=128, learning_rate=5e-4, channels=(128, 128))
"""Of dynamic transports of some thousand days: a small network and a short training, next to the linear transport."""


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
    if method not in get_args(ClimateDebiasMethod):
        raise ValueError(f"method must be one of {get_args(ClimateDebiasMethod)}, got {method!r}.")
    if not 0 <= strength <= 1:
        raise ValueError(f"strength must lie between 0 and 1, got {strength}.")
    settings = replace(DYNAMIC, channels=tuple(hidden), **training)
    first, second = jnp.asarray(source), jnp.asarray(target)
    match method:
        case "none":
            return Fieldwise(NoDebiasing())
        case "variance-scaling":
            return _weakened(Fieldwise(fit_variance_scaling(first, second)), strength)
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
            assert_never(method)
    series = Fieldwise(transport)
    if marginals:
        mapping = fit_quantile_mapping(jnp.asarray(series.adjust(source)), second, n_quantiles=n_quantiles)
        series = Fieldwise(Composed((transport, mapping)))
    return series if method in POOLED else _weakened(series, strength)


def settled_options(**given: Any) -> dict[str, Any]:
    """Arguments of `fit_climate_debiaser`, those that were not given with their defaults of now.

    Args:
        **given: by their names.

    Returns:
        All that decide the debiaser: kept with a model, they mean the same in a version with other defaults.

    Examples:
        >>> settled_options(method="gaussian")["n_quantiles"]
        100
    """
    arguments = signature(fit_climate_debiaser).parameters.values()
    found = {each.name: each.default for each in arguments if each.kind is each.KEYWORD_ONLY} | given
    if found["method"] not in get_args(TransportMethod):
        return found
    return {name: value for name, value in asdict(DYNAMIC).items() if name not in ("channels", "patch")} | found


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
