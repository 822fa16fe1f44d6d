"""How far samples are from the truth on one grid: spectrum within and beyond the band of the training, and values.

Shells count waves per domain, whatever the boundary: between walls a cosine is half a wave, so that two modes share a
shell.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from subgrid.downscaling.prior.functions import on_grid
from subgrid.experiments.function_space.config import FunctionsTable, SystemName
from subgrid.experiments.function_space.systems import Fields, regime, system_box
from subgrid.numerics.modes import Box
from subgrid.verification.distributions import wasserstein_1
from subgrid.verification.level_sets import area, eikonal_residual, perimeter
from subgrid.verification.tails import kurtosis

FIELDS_AT_ONCE = 32
EMPTY = 1e-10
"""Of the energy of all shells: less is rounding of float32 fields."""
N_VALUES = 1_000_000
"""Of all points of all fields, that distributions of values are compared by."""

N_BLOCKS = 8
"""Of fields, each of which the jackknife leaves out once: standard errors that are right to a quarter."""

Metric = Callable[[Fields, Fields], float]
"""Of samples and truth on one grid."""


class Score(NamedTuple):
    """A metric, and its standard error over fields."""

    value: float
    error: float | None = None


def metrics_of(system: SystemName, n: int, n_points: int) -> dict[str, Metric]:
    """The metrics of a system on n points an axis, n_points those of the training."""
    shape = (n,) * (1 if system == "ramp-mixture" else 2)
    box = system_box(system, len(shape))
    last = last_shell(box, n_points)
    found: dict[str, Metric] = {
        "MELR in the band": lambda x, y: log_ratio(x, y, box, 1, last),
        "variance": lambda x, y: float(np.var(x) / np.var(y)),
        "W1 of values": value_distance,
    }
    if n > n_points:
        found["MELR"] = lambda x, y: log_ratio(x, y, box, 1, last_shell(box, n))
        found["energy beyond"] = lambda x, y: energy_beyond(x, box, last) / energy_beyond(y, box, last)
    mean = regime(system, n)
    if mean is not None:
        found["weight of a mode"] = lambda x, y: float(
            np.mean(np.sum(x[:, 0] * mean, axis=tuple(range(1, x.ndim - 1))) > 0)
        )
    if system == "forced-vorticity":
        found["kurtosis"] = lambda x, y: kurtosis(x) / kurtosis(y)
    if system == "digits":
        found |= _of_shapes()
    return found


def _of_shapes() -> dict[str, Metric]:
    each = lambda measure, x: np.array([measure(u) for u in x[:, 0]])  # noqa: E731
    distance = lambda measure: lambda x, y: float(wasserstein_1(each(measure, x)[:, None], each(measure, y)[:, None]))  # noqa: E731
    return {
        "eikonal residual": lambda x, y: float(np.nanmean(each(eikonal_residual, x))),
        "W1 of area": distance(area),
        "W1 of perimeter": distance(perimeter),
    }


COST = "evaluations"
"""The name of what a sample costs."""
TARGETS: Mapping[str, str] = {"variance": "1", "energy beyond": "1", "kurtosis": "1", "weight of a mode": "0.5"}
"""Of metrics whose best value is not 0."""
ABOUT: Mapping[str, str] = {
    "MELR in the band": "mean |ln| of the ratio of energies, a shell each, up to the last wave of the training grid",
    "MELR": "the same up to the last wave of the grid that is sampled on",
    "energy beyond": "energy of the shells after the last whole one of the training grid, over that of the truth",
    "variance": "of all values, over that of the truth",
    "W1 of values": "distance of the distributions of values at points, over the truth's standard deviation",
    "weight of a mode": "share of samples on the side of the first of two components, which is a half of the truth",
    "kurtosis": "of all values, over that of the truth",
    "eikonal residual": "mean of | |∇u| − 1 | where |u| < .1: distances have slope 1, but for their ridges",
    "W1 of area": "distance of the distributions of the areas of digits, a share of the square",
    "W1 of perimeter": "distance of the distributions of the lengths of their outlines, in sides of the square",
    COST: "of the velocity, by an adaptive solver, for one sample",
    "drift": "change of the training grid’s modes between samples of one key, root mean square over that of fields",
}


def last_shell(box: Box, n: int) -> int:
    """The last shell all of whose modes a grid of n points an axis holds."""
    return (n - 1) // 2


def spectrum(fields: Fields, box: Box) -> Float[np.ndarray, " shell"]:
    """Energy of shells 0, 1, …, mean over fields and channels."""
    shape = fields.shape[2:]
    waves = [n / (2 if box.boundary == "neumann" else 1) for n in box.numbers(shape)]
    radius = np.sqrt(sum(np.square(axis) for axis in np.meshgrid(*waves, indexing="ij")))
    parts = range(0, len(fields), FIELDS_AT_ONCE)
    energies = sum(
        np.sum(np.abs(np.asarray(box.to_modes(jnp.asarray(fields[i : i + FIELDS_AT_ONCE])))) ** 2, (0, 1))
        for i in parts
    )
    mean = box.weights(shape) * energies / (len(fields) * fields.shape[1])
    return np.bincount(np.floor(radius + 0.5).astype(int).ravel(), mean.ravel())


def log_ratio(x: Fields, y: Fields, box: Box, first: int, last: int) -> float:
    """Mean |ln E_x/E_y| of shells `first` to `last`; what is rounding in both counts 0."""
    energies = [spectrum(fields, box) for fields in (x, y)]
    raised = [np.maximum(e, EMPTY * energies[1].sum())[first : last + 1] for e in energies]
    return float(np.mean(np.abs(np.log(raised[0] / raised[1]))))


def energy_beyond(x: Fields, box: Box, last: int) -> float:
    """Energy of the shells after `last`."""
    return float(spectrum(x, box)[last + 1 :].sum())


def value_distance(x: Fields, y: Fields) -> float:
    """W₁ of the values at points, over the standard deviation of the truth."""
    thin = lambda fields: np.sort(fields.ravel())[:: max(1, fields.size // N_VALUES)]  # noqa: E731
    a, b = thin(x), thin(y)
    levels = (np.arange(1000) + 0.5) / 1000
    return float(np.mean(np.abs(np.quantile(a, levels) - np.quantile(b, levels))) / np.std(y))


def drift(
    coarse: Float[np.ndarray, "n channel *coarse"], fine: Float[np.ndarray, "n channel *fine"], box: Box
) -> float:
    """How far the modes of a coarse grid are from those that fine samples of the same keys have."""
    cut, kept = (on_grid(fields, coarse.shape[2:], box) for fields in (fine, coarse))
    return float(np.sqrt(np.mean((cut - kept) ** 2) / np.mean(kept**2)))


def scores(table: FunctionsTable, x: Fields, y: Fields) -> dict[str, Score]:
    """All metrics of samples on one grid."""
    metrics = metrics_of(table.system, y.shape[-1], table.n_points)
    return {name: Score(metric(x, y), standard_error(metric, x, y)) for name, metric in metrics.items()}


def standard_error(metric: Metric, x: Fields, y: Fields, *, n_blocks: int = N_BLOCKS) -> float:
    """Of a metric, by the jackknife: σ² = (B − 1) mean (θ_b − θ̄)², θ_b without block b of the samples and of the truth.

    References:
        Efron & Tibshirani (1993), An Introduction to the Bootstrap, chapter 11.
    """
    blocks = zip(*(np.array_split(np.arange(len(fields)), n_blocks) for fields in (x, y)), strict=True)
    left_out = [metric(np.delete(x, of_x, 0), np.delete(y, of_y, 0)) for of_x, of_y in blocks]
    return float(np.sqrt((n_blocks - 1) * np.var(left_out)))
