"""What is said of a variable of a file: its range, gaps and times, by all of its values or by a few looks."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import xarray as xr

from subgrid.data.checks.checks import LOOKED_AT, check_values, counted, empty_times, show_time
from subgrid.data.checks.fills import STEP_DAYS
from subgrid.data.checks.open_bounds import never_negative
from subgrid.data.inspection.reports import PeriodReport, VariableReport
from subgrid.data.pooling.pooling import ClimateField
from subgrid.data.times.calendars import calendar_of, count_years, months_of, season_name, step_days, step_name
from subgrid.data.variables.heights import role_of

WHOLE_BELOW = 64 * 2**20
"""Variables up to this many bytes are read whole, while all that were read stay below `READ_AT_MOST`; of others a few
times are looked at."""
READ_AT_MOST = 512 * 2**20
N_LOOKS = 9
"""Times looked at in a large archive, evenly spread; fewer where one look is more than a few MB."""
LOOK_BYTES = 32 * 2**20
"""Of all looks at one variable together."""


@dataclass
class Budget:
    """How much is read: everything, or small variables until enough is."""

    everything: bool
    read: int = 0

    def samples(self, n_bytes: int) -> bool:
        """Whether of a variable of so many bytes a few times are looked at in any case."""
        return not self.everything and n_bytes > WHOLE_BELOW

    def whole(self, n_bytes: int) -> bool:
        """Whether a variable of so many bytes is read whole."""
        if self.everything:
            return True
        if self.samples(n_bytes) or self.read + n_bytes > READ_AT_MOST:
            return False
        self.read += n_bytes
        return True


def variable_report(field: xr.DataArray, found: ClimateField, file: str, budget: Budget) -> VariableReport:
    """A variable of a file, by all of its values or by some times.

    Args:
        field: canonical.
        found: what was found of it.
        file: for messages.
        budget: of what is read.

    Returns:
        The report.

    Raises:
        DataError: as `check_values`; `NoValue` for a variable without any.
    """
    looked_at = field
    if "time" in field.dims and not budget.whole(4 * field.size):
        n_times = field.sizes["time"]
        n_looks = int(np.clip(LOOK_BYTES // max(4 * field.size // n_times, 1), 3, N_LOOKS))
        looked_at = field.isel(time=np.unique(np.linspace(0, n_times - 1, n_looks).astype(int)))
        looked_at.encoding = {**field.encoding, STEP_DAYS: step_days(field["time"])}
        if looked_at.sizes["time"] < n_times:
            looked_at.encoding[LOOKED_AT] = looked_at.sizes["time"]
    census = check_values(looked_at, name=file, gaps="drop")
    return VariableReport(
        found.name,
        found.units,
        str(field.attrs.get("units", "")),
        census.low,
        census.high,
        float(np.mean(census.missing == census.total)),
        int(census.apart.sum()),
        looked_at.sizes.get("time", 1),
        found.described,
        census.bridges,
        "" if "time" in field.dims else role_of(field),
        empty_times(looked_at, census) if census.empty else "",
    )


def report_without_values(field: xr.DataArray, found: ClimateField, looked_at: int | None = None) -> VariableReport:
    """A variable that has no value in a file, though it has some in others of its archive: each time is a gap.

    Args:
        field: canonical.
        found: what was found of it.
        looked_at: how many of its times were, where not all were.

    Returns:
        The report, its smallest value above its largest.
    """
    where = "anywhere in this file" if looked_at is None else f"at any of the {looked_at} times looked at in this file"
    empty = f"has no value (NaN) {where}; drop its times with gaps = 'drop', or fill them."
    units, n_times = str(field.attrs.get("units", "")), looked_at or field.sizes.get("time", 1)
    nothing = (np.inf, -np.inf, 1.0, 0, n_times)
    return VariableReport(found.name, found.units, units, *nothing, found.described, ("drop",), "", empty)


def advice_on(report: VariableReport) -> Iterator[str]:
    """What may be wrong with a variable and stops nothing.

    Args:
        report: of it.

    Yields:
        Sentences.
    """
    if report.empty:
        yield f"{report.name} {report.empty}"
    if report.low > report.high:
        return
    if report.gappy:
        mask = "" if report.empty else "leave these cells out with gaps = 'mask', "
        yield (
            f"{report.name} has gaps: {counted(report.gappy, 'cell')} with values at some times only; fill them, "
            f"{mask}or leave out the times that lack them with gaps = 'drop'."
        )
    if report.low == report.high and report.n_looked_at > 1:
        yield f"{report.name} never changes: it is {report.low:.6g} {report.units}; nothing is to be learned."
    elif report.units == "mm day-1" and report.n_looked_at > 100 and report.high < 0.05:
        yield (
            f"{report.name} never exceeds {report.high:.2g} mm day-1, which would be a desert; are the values in "
            f"kg m-2 s-1 and not in {report.units_found!r}?"
        )
    if said := never_negative(report.name, report.described, report.low, report.high):
        yield said
    low, high = report.described.bounds
    beyond = [report.low] if low is not None and report.low < low else []
    beyond += [report.high] if high is not None and report.high > high else []
    if beyond:
        yield f"{report.name} reaches {beyond[-1]:.4g} {report.units}, beyond its bound, which is taken instead."


def period_report(time: xr.DataArray) -> PeriodReport:
    """The times of a file.

    Args:
        time: canonical.

    Returns:
        The report.
    """
    first, last = (show_time(time.values[i]) for i in (0, -1))
    return PeriodReport(
        calendar_of(time),
        first,
        last,
        step_name(step_days(time)),
        season_name(months_of(time)),
        time.size,
        count_years(time),
    )
