"""One climate run: what its stages read and fit, each once."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr

from subgrid.data.canonical import check_climate, open_climate
from subgrid.data.fields import DataError
from subgrid.data.pooling.pooling import notes_of
from subgrid.data.variables_of_archives import Agreed, agreed
from subgrid.downscaling.climate import domain as climate
from subgrid.downscaling.climate.coarse_fit import AnomalyDebiasing, fit_coarse, masked_alike
from subgrid.downscaling.climate.degenerate import require_variation
from subgrid.downscaling.climate.domain import Domain
from subgrid.downscaling.climate.orography import orography_in_words, static_predictors
from subgrid.downscaling.debiasing.choice import QUICK, AnomalySample
from subgrid.downscaling.model.dated import fitted_on
from subgrid.downscaling.model.folder import load_preparation
from subgrid.downscaling.model.sides import CoarseSide
from subgrid.downscaling.preparation.chain import Chain
from subgrid.downscaling.preparation.series import Series, series_of
from subgrid.experiments.climate.config import ClimateConfig, sources
from subgrid.runs.run import Run
from subgrid.training.log import MetricsReport


@dataclass
class ClimateRun(Run[ClimateConfig]):
    """A climate run: the archives it reads, each opened once, and what is fitted on them.

    Its folder is that of a model: `subgrid.load` reads its preparation and its prior.

    RUN/preparation.zarr       both sides of the model: chains, C′, debiasing, grids
    RUN/scenario.fine.zarr     its fine side, which puts the change of the scenario back, if there is one
    RUN/targets.zarr           debiased coarse anomalies to downscale
    RUN/perfect_targets.zarr   coarsened reference anomalies (season years not trained on)
    RUN/scenario_targets.zarr  the same for the scenario, if there is one
    RUN/model/                 the prior
    RUN/ensemble.zarr, perfect_model.zarr, scenario.zarr
    """

    n_drawn: int = 0
    """Work items of ensembles that this process has done."""
    root = "climate"
    streams = (
        "training",
        "historical",
        "perfect model",
        "scenario",
        "ranks",
        "return level",
        "change",
    )

    @cached_property
    def fine(self) -> xr.Dataset:
        """The fine reference."""
        return self._open("fine")

    @cached_property
    def coarse(self) -> xr.Dataset:
        """The coarse model; with gaps = "mask", without cells of which the scenario has gaps."""
        found = self._open("coarse")
        if self.config.climate.gaps != "mask" or self.scenario is None:
            return found
        return masked_alike(found, self.scenario)

    @cached_property
    def scenario(self) -> xr.Dataset | None:
        """The coarse model in another period."""
        return self._open("scenario") if self.config.climate.scenario else None

    @cached_property
    def domain(self) -> Domain:
        """Mask, grids and C′."""
        table = self.config.climate
        return climate.connect(self.fine, self.coarse, table.names, minimum_valid=table.minimum_valid)

    @cached_property
    def predictors(self) -> np.ndarray | None:
        """Orography on the fine grid, if there is one."""
        table = self.config.climate
        if table.orography is None:
            return None
        return static_predictors(sources(table.orography), self.fine, variable=table.orography_variable)

    @cached_property
    def orography(self) -> str | None:
        """Which variable of which file that is, in words."""
        table = self.config.climate
        if table.orography is None:
            return None
        return orography_in_words(sources(table.orography), table.orography_variable)

    @cached_property
    def fine_series(self) -> Series:
        """The reference."""
        return series_of(self.fine, self.config.climate.names)

    @cached_property
    def coarse_series(self) -> Series:
        """The coarse archive on its whole grid."""
        return series_of(self.coarse, self.config.climate.names)

    @cached_property
    def fine_anomalies(self) -> Chain:
        """From values to anomalies of the reference."""
        series = self.fine_series
        return climate.fit_anomalies(
            series[self.trained(series)], self.domain.transforms, n_harmonics=self.config.climate.n_harmonics
        )

    @cached_property
    def coarsened(self) -> np.ndarray:
        """C′ of the anomalies of the whole reference."""
        series = self.fine_series
        return self.domain.coarsen(self.fine_anomalies.forward(series.values, series.phase))

    def fit(
        self, method: str | None = None, *, quick_strengths: bool = False, report: MetricsReport | None = None
    ) -> CoarseSide:
        """What is fitted on the coarse archive, by the configured method or by another.

        With `quick_strengths` a strength "auto" is 1 for methods that take long to fit.
        """
        series = self.fine_series
        notes = self._require_variation()
        options: dict[str, Any] = self.config.debias.model_dump()
        options |= {} if method is None else {"method": method}
        if quick_strengths and options["strength"] == "auto" and options["method"] not in QUICK:
            options["strength"] = 1.0
        chosen = self.trained(series)
        side = fit_coarse(
            self.coarse,
            self.coarse_series,
            self.domain,
            AnomalySample(self.coarsened[chosen], series.phase[chosen], series.season_year[chosen]),
            AnomalyDebiasing.of(options),
            trained=self.trained(self.coarse_series),
            n_harmonics=self.config.climate.n_harmonics,
            report=report,
        )
        return replace(side, reading=replace(side.reading, notes=notes))

    def _require_variation(self) -> tuple[str, ...]:
        """What is said of both archives; a `DataError` if there is nothing to learn from one of them."""
        names, domain = list(self.config.climate.names), self.domain
        looks = (
            ("fine", 2, self.fine, self.fine_series, domain.mask),
            ("coarse", 1, self.coarse, self.coarse_series, domain.regridding.kept),
        )
        said = {}
        for name, years, dataset, series, cells in looks:
            still = require_variation(
                dataset[names], series, domain.transforms,
                name=name, fewest_years=years, cells=cells, chosen=self.trained(series),
            )  # fmt: skip
            said[name] = (*notes_of(dataset), *still)
        return self.agreed.notes + fitted_on(said)

    @cached_property
    def fitted(self) -> CoarseSide:
        """What `prepare` fitted on the coarse archive."""
        return load_preparation(self.folder)[0]

    def trained(self, series: Series) -> np.ndarray:
        """Which samples everything is fitted on."""
        training = self.config.climate.training
        if training == "all":
            return np.ones(len(series.season_year), bool)
        chosen = series.season_year % 2 == (1 if training == "odd-winters" else 0)
        if chosen.all() or not chosen.any():
            raise DataError(
                f'climate.training = "{training}" needs odd and even season years, but the archive holds only '
                f'{sorted(set(series.season_year.tolist()))}; bring more or set it to "all".'
            )
        return chosen

    @cached_property
    def agreed(self) -> Agreed:
        """What the variables are, decided once for all archives."""
        table = self.config.climate
        given = {name: getattr(table, name) for name in ("fine", "coarse", "scenario")}
        return agreed(table.wanted, {name: sources(each) for name, each in given.items() if each})

    def _open(self, which: str) -> xr.Dataset:
        table = self.config.climate
        dataset = open_climate(sources(getattr(table, which)), self.agreed.variables, name=which, step=table.step)
        return check_climate(dataset, name=which, gaps=table.gaps)
