"""The systems: fields of the training grid, and the truth on every grid."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import jax.random as jr
import numpy as np
from jaxtyping import Float

from subgrid.data.digits import digit_shapes, read_digits
from subgrid.data.fields import DataError
from subgrid.downscaling.prior.functions import box_of, on_grid
from subgrid.experiments.function_space.config import FunctionsTable, SystemName
from subgrid.numerics.modes import Box
from subgrid.numerics.signed_distance import signed_distance
from subgrid.simulate.forced_vorticity import vorticity_fields
from subgrid.simulate.gaussian_mixture_fields import ramp, ramp_mixture, wave, wave_mixture
from subgrid.types import Key, NotedReport

Fields = Float[np.ndarray, "n channel *space"]
WALLS = ("ramp-mixture", "digits")
"""Systems whose fields do not wrap around."""


@dataclass(frozen=True)
class Made:
    """What candidates are trained on and compared with.

    Args:
        train: on the training grid.
        truth: by points an axis; the same functions on every grid, none of them trained on.
    """

    train: Fields
    truth: Mapping[int, np.ndarray]


def system_box(system: SystemName, n_space: int) -> Box:
    """Where fields live, sides of 1."""
    return box_of(n_space, periodic=system not in WALLS)


def regime(system: SystemName, n: int) -> Float[np.ndarray, "*space"] | None:
    """The mean of one of the two components, on n points an axis; None where there are none."""
    match system:
        case "ramp-mixture":
            return ramp(n)
        case "wave-mixture":
            return wave(n)
    return None


def make(table: FunctionsTable, *, report: NotedReport, key: Key) -> Made:
    """All fields of a run."""
    if table.system == "digits":
        return _digits(table, report, key)
    train_key, test_key = jr.split(key)
    draw = _drawer(table, report)
    train = draw(table.n_train, table.n_points, train_key, "training fields")
    truth = {n: draw(table.n_test, n, test_key, f"truth on {n} points an axis") for n in table.grids}
    return Made(train, truth)


def _drawer(table: FunctionsTable, report: NotedReport) -> Callable[[int, int, Key, str], Fields]:
    def draw(n: int, n_points: int, key: Key, what: str) -> Fields:
        if table.system == "forced-vorticity":
            return vorticity_fields(n, n_points, report=lambda done, total: report(done, total, what), key=key)
        report(0, 1, what)
        if table.system == "wave-mixture":
            return wave_mixture(n, (n_points, n_points), key=key)[0]
        # A ramp that is sampled at few points is another function: its kinks at the walls are folded into their waves.
        whole = ramp_mixture(n, (max(table.grids),), key=key)[0]
        return on_grid(whole, (n_points,), system_box(table.system, 1))

    return draw


def _digits(table: FunctionsTable, report: NotedReport, key: Key) -> Made:
    """Signed distances of handwritten digits; those that are not trained on are the truth."""
    assert table.digits is not None
    shapes = digit_shapes(read_digits(Path(table.digits))[0])
    if table.n_train + table.n_test > len(shapes):
        raise DataError(
            f"{table.digits}: holds {len(shapes)} digits, and functions.n_train + functions.n_test = "
            f"{table.n_train + table.n_test}; ask for fewer."
        )
    order = np.asarray(jr.permutation(key, len(shapes)))
    test, train = order[: table.n_test], order[table.n_test : table.n_test + table.n_train]
    wanted = [(train, table.n_points), *((test, n) for n in table.grids)]
    parts = []
    for i, (which, n) in enumerate(wanted):
        report(i, len(wanted), f"signed distances on {n} × {n}")
        parts.append(np.stack([signed_distance(shapes[k], n) for k in which])[:, None].astype(np.float32))
    return Made(parts[0], dict(zip(table.grids, parts[1:], strict=True)))
