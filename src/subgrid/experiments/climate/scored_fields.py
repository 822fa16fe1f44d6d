"""The fields that a climate run is evaluated on."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import xarray as xr

from subgrid.downscaling.climate.baselines import fit_local_noise, gaussian_crps
from subgrid.downscaling.interpolation.linear import bilinear
from subgrid.downscaling.preparation.pairing import paired_samples
from subgrid.downscaling.preparation.series import Series, series_of
from subgrid.experiments.climate.baselines import baselines
from subgrid.experiments.climate.metrics import PerfectModel, rank_flatness
from subgrid.experiments.climate.run import ClimateRun
from subgrid.verification.block_means import unbroken_stretches
from subgrid.verification.effective import effective_sample_size
from subgrid.verification.rank_tests import FlatnessTest

MOST_VALUES = 2**28
"""Of one ensemble of one variable in memory, 1 GiB: of larger ones, as many members are scored as fit, 3 at least."""


@dataclass
class ScoredFields:
    """The fields that a run is evaluated on, on the fine grid, physical units: (time, channel, *space)."""

    run: ClimateRun
    _flatness: dict[tuple[int, str], FlatnessTest] = field(default_factory=dict)

    @cached_property
    def split(self) -> tuple[np.ndarray, np.ndarray]:
        """Which fine and which coarse samples everything is fitted on."""
        fine, coarse = self.run.trained(self.run.fine_series), self.run.trained(self.run.coarse_series)
        return fine, coarse

    @property
    def grids(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Latitudes and longitudes, coarse and fine."""
        coarse, fine = self.run.coarse, self.run.fine
        return coarse.lat.values, coarse.lon.values, fine.lat.values, fine.lon.values

    @property
    def training(self) -> np.ndarray:
        """The reference that everything is fitted on."""
        return self.run.fine_series.values[self.split[0]]

    @property
    def reference(self) -> np.ndarray:
        """The reference that nothing is fitted on."""
        return self.run.fine_series.values[~self.split[0]]

    @property
    def season_years(self) -> np.ndarray:
        """Season years of the scored reference."""
        return self.run.fine_series.season_year[~self.split[0]]

    @cached_property
    def model_season_years(self) -> np.ndarray:
        """Season years of the coarse fields that nothing is fitted on."""
        return self.run.coarse_series.season_year[~self.split[1]]

    @property
    def coarse(self) -> np.ndarray:
        """The raw coarse fields on their whole grid, all times."""
        return self.run.coarse_series.values

    @cached_property
    def candidates(self) -> dict[str, np.ndarray]:
        """Every baseline on the season years that nothing was fitted on."""
        return baselines(self)

    def ensemble(self, product: str, name: str) -> np.ndarray:
        """One variable of an ensemble, (time, member, *space)."""
        with xr.open_zarr(self.run.path(f"{product}.zarr"), chunks=None) as stored:
            return np.moveaxis(stored[name][: self.n_scored(product)].values, 0, 1)

    def units(self, channel: int) -> str:
        """Of a variable of the reference, and so of every output."""
        return str(self.run.fine[self.run.config.climate.names[channel]].attrs.get("units", ""))

    def perfect_model(self, channel: int) -> PerfectModel:
        """The reference that nothing was fitted on, and the ensemble of its coarsened fields."""
        scored = self.run.fine_series[~self.split[0]]
        days = elapsed_days(scored.time)
        stretch = unbroken_stretches(days, scored.season_year, scored.member)
        steps = np.diff(days)[np.diff(stretch) == 0]
        return PerfectModel(
            scored.values[:, channel],
            self.ensemble("perfect_model", self.run.config.climate.names[channel]),
            scored.season_year,
            stretch,
            float(np.median(steps)) if steps.size else np.inf,
        )

    def n_scored(self, product: str) -> int:
        """How many members are read."""
        with xr.open_zarr(self.run.path(f"{product}.zarr"), chunks=None) as stored:
            first = stored[self.run.config.climate.names[0]]
            return min(len(first), max(3, MOST_VALUES // first[0].size))

    def smooth(self, fields: np.ndarray) -> np.ndarray:
        """Fine fields coarsened by C′ and interpolated back: all that a perfect coarse model would show."""
        domain = self.run.domain
        interpolate = bilinear(*self.grids, valid=domain.regridding.kept)
        return np.where(domain.mask, interpolate(domain.regridding.scatter(domain.coarsen(fields))), np.nan)

    @cached_property
    def smooth_reference(self) -> np.ndarray:
        """What a perfect coarse model would show of the scored reference."""
        return self.smooth(self.reference)

    @property
    def kinds(self) -> dict[str, np.ndarray]:
        """Sets of cells that are scored: all, and where the coarse domain covers a part only, either part."""
        domain = self.run.domain
        outside = domain.mask & ~domain.constrained
        apart = {"constrained": domain.constrained, "outside": outside} if outside.any() else {}
        return {"": domain.mask} | apart

    def independent(self, channel: int) -> float:
        """Fields that a floor rests on: the fewer of training and scored reference, by autocorrelation."""
        series, anomalies = self.run.fine_series, self.run.coarsened[:, channel]
        parts = (self.split[0], ~self.split[0])
        return min(effective_sample_size(anomalies[part], series.season_year[part]) for part in parts)

    def flatness(self, channel: int, kind: str = "") -> FlatnessTest:
        """Of the truth's ranks in perfect-model mode, computed once."""
        if (channel, kind) not in self._flatness:
            name = self.run.config.climate.names[channel]
            self._flatness[channel, kind] = rank_flatness(
                self.reference[:, channel],
                self.ensemble("perfect_model", name),
                self.season_years,
                mask=self.kinds[kind],
                key=self.run.key("ranks", name),
            )
        return self._flatness[channel, kind]

    def model_change(self, channel: int) -> np.ndarray:
        """The coarse model's own change of the mean from the unseen years to the scenario, on its grid."""
        before, after = self.changing
        first = self.coarse[before, channel].mean(0, dtype=np.float64)
        return self.scenario.values[after, channel].mean(0, dtype=np.float64) - first

    @cached_property
    def changing(self) -> tuple[np.ndarray, np.ndarray]:
        """Which unseen coarse fields and which of the scenario its change is taken between: of members in both."""
        first, second = paired_samples(self.run.coarse_series, self.scenario)
        return first & ~self.split[1], second

    @cached_property
    def scenario(self) -> Series:
        """The coarse model in the scenario's period."""
        if self.run.scenario is None:
            raise ValueError("there is no scenario, and so no change.")
        return series_of(self.run.scenario, self.run.config.climate.names)

    @cached_property
    def noise_scores(self) -> list[np.ndarray]:
        """CRPS of interpolated coarsened truth plus the best constant Gaussian noise, of every day, by channel."""
        noise, mask = fit_local_noise(self.smooth(self.training), self.training), self.run.domain.mask
        errors = (self.reference - self.smooth_reference)[..., mask]
        return [np.nanmean(gaussian_crps(errors[:, c], float(w)), axis=1) for c, w in enumerate(noise.width)]


def elapsed_days(time: np.ndarray) -> np.ndarray:
    """Days since the first time, in its own calendar."""
    if np.issubdtype(time.dtype, np.datetime64):
        return (time - time[0]) / np.timedelta64(1, "D")
    return np.array([each.total_seconds() / 86400 for each in time - time[0]])
