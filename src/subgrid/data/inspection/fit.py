"""How a coarse and a fine archive go together: overlap, ratio, common variables and dates, and what to change."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import xarray as xr

from subgrid.data.inspection.coverage import Coverage
from subgrid.data.inspection.reports import Fit
from subgrid.data.inspection.together import common_variables, covered, misfits, summarise_grid
from subgrid.data.times.calendars import calendar_of, count_years, season_years

FEW_YEARS = 10
"""Below this many season years a climate is poorly known: the mean of n has a standard error of 1/√n of the spread."""


def fit_together(
    coarse: xr.Dataset, fine: xr.Dataset, *, coarse_files: Sequence[str], fine_files: Sequence[str]
) -> Fit:
    """Overlap, resolution ratio, common variables and dates of two canonical archives, and what to change."""
    wide, narrow = summarise_grid(coarse), summarise_grid(fine)
    names = [files_in_words(files) for files in (coarse_files, fine_files)]
    problems = misfits(coarse, fine, coarse_name=names[0], fine_name=names[1])
    shared = _shared_dates(coarse["time"], fine["time"])
    inside = covered(coarse, fine)
    ratio = wide.spacing_km / narrow.spacing_km if narrow.spacing_km else 1.0
    return Fit(
        tuple(coarse_files),
        tuple(fine_files),
        ratio,
        inside.share,
        common_variables(coarse, fine),
        shared,
        tuple(problems),
        tuple(_remarks(coarse, fine, ratio, inside, shared, names)),
    )


def _shared_dates(one: xr.DataArray, other: xr.DataArray) -> int:
    days = [set(zip(t.dt.year.values, t.dt.month.values, t.dt.day.values, strict=True)) for t in (one, other)]
    return len(days[0] & days[1])


def _remarks(coarse, fine, ratio: float, inside: Coverage, shared: int, names: list[str]) -> Iterator[str]:
    if 1.0 <= ratio < 1.5:
        yield f"the cells differ by a factor of {ratio:.2f} only: there is little to downscale."
    if 0.0 < inside.share < 0.999:
        where = f" ({inside.outside})" if inside.outside else ""
        part = f"{100 * (1 - inside.share):.2g}"
        yield f"{part} % of {names[1]} lies outside {names[0]}{where}; that part has no coarse field."
    if shared:
        yield f"both hold {shared} common dates; Subgrid pairs no dates, so they need not be the same weather."
    calendars = [calendar_of(dataset["time"]) for dataset in (coarse, fine)]
    if calendars[0] != calendars[1]:
        yield f"the calendars differ ({calendars[0]}, {calendars[1]}); each is kept, days are compared by season."
    for dataset, name in ((coarse, names[0]), (fine, names[1])):
        n = count_years(dataset["time"])
        if n < FEW_YEARS:
            yield f"{name} holds {n} year{'s' if n > 1 else ''} only; a climate takes {FEW_YEARS} or more to know."
    if len(set(season_years(fine["time"]).tolist())) < 2:
        yield f"{names[1]} holds one season year only, which `subgrid fit` refuses: bring two or more to fit a model."


def files_in_words(files: Sequence[str]) -> str:
    first = Path(files[0]).name
    return first if len(files) == 1 else f"{first} and {len(files) - 1} more"
