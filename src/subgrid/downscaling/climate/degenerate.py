"""Data from which nothing can be learned, and fields that are no numbers: said in a sentence before they do harm."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Bool, Float

from subgrid.data.checks.places import place, show_time
from subgrid.data.fields import DataError
from subgrid.data.pooling.pooling import file_of
from subgrid.downscaling.model.sides import place_of_cell
from subgrid.downscaling.preparation.series import Series
from subgrid.downscaling.preparation.transforms import ChannelTransforms
from subgrid.transport.sinkhorn import SinkhornNotConverged

LOG = logging.getLogger("subgrid")
FEWEST = 10
"""Fields to fit on: a climatology has seven coefficients a cell, and a covariance needs some more."""


def require_variation(
    dataset: xr.Dataset,
    series: Series,
    transforms: ChannelTransforms,
    *,
    name: str,
    fewest_years: int = 1,
    cells: Bool[np.ndarray, "*space"] | None = None,
    chosen: Bool[np.ndarray, " n"] | None = None,
) -> tuple[str, ...]:
    """Passes if every variable changes in the fields to fit on, on the scale on which it is modelled.

    Args:
        dataset: canonical and checked.
        series: its values.
        transforms: of the variables.
        name: of the archive, where the file is not known.
        fewest_years: season years to fit on; the prior is chosen by leaving some out, and needs 2.
        cells: (*space), those that are looked at; all that have values by default.
        chosen: (n,), the samples to fit on; all by default.

    Returns:
        A sentence on every variable that never changes at some cells, which stay as they are.

    Raises:
        DataError: naming file and variable, for one that never changes at any cell, or changes below what counts as
            dry; and for fewer than 10 fields, or too few season years.

    Examples:
        >>> require_variation(fine, series_of(fine, ["pr"]), domain.transforms, name="fine")
    """
    values = series.values if chosen is None else series.values[chosen]
    files = [file_of(dataset[variable], name) for variable in dataset.data_vars]
    if len(values) < FEWEST:
        raise DataError(f"{files[0]}: holds {len(values)} fields to fit on; {FEWEST} are the fewest: bring more days.")
    years = np.unique(series.season_year if chosen is None else series.season_year[chosen])
    if len(years) < fewest_years:
        raise DataError(
            f"{files[0]}: holds one season year to fit on ({years[0]}), of which none can be left out to choose by; "
            "bring two or more."
        )
    low, high = (np.where(True if cells is None else cells, each, np.nan) for each in (values.min(0), values.max(0)))
    moves = np.asarray(transforms.forward(jnp.asarray(high)) > transforms.forward(jnp.asarray(low)))
    said = []
    for c, (variable, file) in enumerate(zip(dataset.data_vars, files, strict=True)):
        held = np.isfinite(low[c])
        units = dataset[variable].attrs.get("units", "")
        if not moves[c].any():
            raise DataError(f"{_never(str(variable), file, low[c][held], high[c][held], units)} {_years(chosen)}")
        still = held & ~moves[c]
        if still.any():
            first = dict(zip(_space(dataset[variable]), map(int, np.argwhere(still)[0]), strict=True))
            said.append(
                f"{variable} never changes at {int(still.sum())} of {int(held.sum())} cells of {file}, the first at "
                f"{place(dataset[variable], first)}"
            )
    for sentence in said:
        LOG.info("%s: %s", name, sentence)
    return tuple(said)


def require_finite_fields(
    fields: Float[np.ndarray, "t m channel *space"],
    mask: Bool[np.ndarray, "*space"],
    variables: Sequence[str],
    times: Sequence[object] | np.ndarray,
    grid: xr.Dataset,
) -> None:
    """Passes if sampled fields have a value at every cell of the mask.

    Args:
        fields: of some times and members.
        mask: where fields have values.
        variables: names of the channels.
        times: of the fields.
        grid: with the coordinates of the fine grid.

    Raises:
        DataError: naming the first variable, time and cell without.
    """
    bad = ~np.isfinite(fields) & mask
    if not bad.any():
        return
    time, member, channel, *cell = (int(i) for i in np.argwhere(bad)[0])
    raise DataError(
        f"the sampled {variables[channel]} is no number ({fields[(time, member, channel, *cell)]}) at time = "
        f"{show_time(times[time])}, {place_of_cell(grid, cell)} ({int(bad.sum())} such values): this coarse "
        "field is far outside of what the model was trained on, or the model is damaged; leave this time out, or train "
        "again with another debias.method."
    )


@contextmanager
def faults_in_words(what: str) -> Iterator[None]:
    """Failures of linear algebra and of transport as a `DataError`, without the words of a routine.

    Args:
        what: was being done, such as "the fit of the prior".

    Yields:
        Nothing.

    Raises:
        DataError: in place of `LinAlgError`, `SinkhornNotConverged` and `FloatingPointError`.
    """
    try:
        yield
    except (np.linalg.LinAlgError, FloatingPointError, SinkhornNotConverged) as error:
        raise DataError(
            f"{what} has no solution for these fields: too many of them are alike, or single values lie far from all "
            "others; look at their ranges with `subgrid inspect`, bring more days, or choose another debias.method, "
            "such as quantile-mapping."
        ) from error


def _never(variable: str, file: str, low: Array | np.ndarray, high: Array | np.ndarray, units: str) -> str:
    if np.array_equal(low, high):
        one = len(np.unique(low)) == 1
        held = f"it is {float(low[0]):.6g} {units} everywhere" if one else "each cell has one value at all times"
        return f"{variable} never changes in {file}: {held}, so there is nothing to learn; bring"
    return (
        f"{variable} never exceeds {float(np.max(high)):.3g} {units} in {file}, which counts as dry, so there is "
        "nothing to learn; check its units, or bring"
    )


def _years(chosen: np.ndarray | None) -> str:
    return "other data." if chosen is None or chosen.all() else "training years in which it changes."


def _space(field: xr.DataArray) -> tuple[str, ...]:
    return tuple(str(d) for d in field.dims if d not in ("realization", "time"))
