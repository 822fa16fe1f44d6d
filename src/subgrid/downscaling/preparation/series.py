"""The fields of an archive as one array, and what is known of each: when it was, of which member and which group."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float, Int

from subgrid.data.fields import DataError
from subgrid.data.pooling.members import available_samples
from subgrid.data.pooling.pooling import member_labels
from subgrid.data.times.calendars import day_of_year_phase, season_years


@dataclass(frozen=True)
class Series:
    """Fields (time, channel, *space), NaN outside the mask, members pooled along time.

    Args:
        values: (time, channel, *space), canonical units, float32.
        phase: (time,), of the year, in [0, 1); None for fields without dates.
        season_year: (time,): one number for a season that spans the turn of the year; of fields without dates a number
            for each stretch or run.
        time: (time,), dates, or positions.
        member: (time,), number of the member.
        labels: of the members, by their numbers; None where they have none.
    """

    values: Float[np.ndarray, "time channel *space"]
    phase: Any
    season_year: Int[np.ndarray, " time"]
    time: np.ndarray
    member: Int[np.ndarray, " time"]
    labels: tuple[str, ...] | None = None

    def __getitem__(self, chosen: Any) -> "Series":
        parts = (self.values, self.phase, self.season_year, self.time, self.member)
        taken: Any = [None if part is None else part[chosen] for part in parts]
        return Series(*taken, labels=self.labels)

    def __len__(self) -> int:
        return len(self.values)


def series_of(dataset: xr.Dataset, variables: Sequence[str]) -> Series:
    """The variables of a canonical dataset as channels, in this order, read into memory.

    Args:
        dataset: canonical, with "time" and, if there are members, "realization".
        variables: names of the channels.

    Returns:
        The series, one member after the other; of members of unequal lengths, the times that each has.

    Raises:
        DataError: for a variable that is not there.

    Examples:
        >>> series_of(coarse, ["tas", "pr"]).values.shape  # (time, 2, lat, lon)
    """
    for name in variables:
        if name not in dataset:
            raise DataError(f"there is no variable {name!r} among {', '.join(map(str, dataset.data_vars))}.")
    stacked = xr.concat([dataset[name] for name in variables], "channel", coords="minimal", compat="override")
    if "realization" not in stacked.dims:
        stacked = stacked.expand_dims("realization")
    space = [str(d) for d in stacked.dims if d not in ("realization", "time", "channel")]
    values = stacked.transpose("realization", "time", "channel", *space).values.astype(np.float32)
    tile, time = lambda a: np.tile(np.asarray(a), len(values)), dataset["time"]
    series = Series(
        values.reshape(-1, *values.shape[2:]),
        tile(day_of_year_phase(time)),
        tile(season_years(time)),
        tile(time.values),
        np.repeat(np.arange(len(values)), time.size),
        member_labels(dataset),
    )
    return series if (there := available_samples(dataset)).all() else series[there]
