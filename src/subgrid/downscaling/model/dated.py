"""Fitting a model on archives with dates and places: units, masks, day-of-year anomalies, and what is left of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import xarray as xr
from jaxtyping import Float

from subgrid.data.canonical import check_climate, open_climate
from subgrid.data.fields import DataError
from subgrid.data.pooling.pooling import notes_of
from subgrid.data.sources.sources import Source
from subgrid.data.variables.wanted import Variable
from subgrid.data.variables_of_archives import agreed
from subgrid.downscaling.climate.coarse_fit import AnomalyDebiasing, fit_coarse
from subgrid.downscaling.climate.degenerate import require_variation
from subgrid.downscaling.climate.domain import Domain, connect, fine_side, fit_anomalies
from subgrid.downscaling.climate.orography import orography_in_words, static_predictors
from subgrid.downscaling.debiasing.choice import AnomalySample, n_fits
from subgrid.downscaling.model.anomalies import dated_anomalies
from subgrid.downscaling.model.digests import digest_of_coordinates
from subgrid.downscaling.model.inner import InnerFields
from subgrid.downscaling.model.settings import FitSettings
from subgrid.downscaling.model.sides import CoarseSide, FineSide
from subgrid.downscaling.preparation.chain import Chain
from subgrid.downscaling.preparation.series import Series, series_of
from subgrid.training.origin import digest
from subgrid.types import ProgressReport

SAY_WHICH = "say which with variables=[…], on the command line --variable."
"""The end of what is said where several variables are there to choose from."""


@dataclass(frozen=True)
class DatedPair:
    """Two archives with dates, opened, checked and prepared; nothing of it takes long.

    Args:
        fine: the canonical fine archive.
        coarse: the canonical coarse archive.
        domain: mask and C′ between them.
        series: the fine fields.
        anomalies: from fine fields to their anomalies.
        predictors: (p, *fine), static fields for the network; None for none.
        still: what is said of fine cells that never change.
        decisions: what is said of variables that one archive knows better than the other.
        orography: which variable of which file the predictors are, in words; None for none.
    """

    fine: xr.Dataset
    coarse: xr.Dataset
    domain: Domain
    series: Series
    anomalies: Chain
    predictors: Float[np.ndarray, "p y x"] | None
    still: tuple[str, ...] = ()
    decisions: tuple[str, ...] = ()
    orography: str | None = None

    def digests(self) -> list[str]:
        """What names both archives, their coordinates and predictors."""
        static = [] if self.predictors is None else [digest(self.predictors)]
        coarse = digest(*(self.coarse[name].values for name in self.domain.variables))
        places = [digest_of_coordinates(each) for each in (self.fine, self.coarse)]
        return [digest(self.series.values), coarse, *places, *static]

    @property
    def notes(self) -> tuple[str, ...]:
        """What was done to the archives when they were opened, a sentence each."""
        pairs = (("fine", self.fine), ("coarse", self.coarse))
        static = () if self.orography is None else (f"orography: {self.orography}",)
        return (*self.decisions, *(f"{name}: {note}" for name, dataset in pairs for note in notes_of(dataset)), *static)

    def sides(
        self, settings: FitSettings, given: Mapping[str, Variable], update: ProgressReport
    ) -> tuple[CoarseSide, FineSide]:
        """Debiasing, chosen and fitted, and the way back to fine fields.

        Args:
            settings: of the fit.
            given: what is said of the variables.
            update: of the choice of a debiaser, called as update(done, total) with pairs of folds.

        Returns:
            Both sides.

        Raises:
            DataError: for archives from which nothing can be learned.
        """
        names, domain = list(self.domain.variables), self.domain
        coarse = series_of(self.coarse, names)
        transforms, kept = domain.transforms, domain.regridding.kept
        still = require_variation(self.coarse[names], coarse, transforms, name="coarse", cells=kept)
        target = AnomalySample(domain.coarsen(self.inner), self.series.phase, self.series.season_year)
        debiasing = AnomalyDebiasing.of({"method": settings.debias, **settings.debias_options})
        total = n_fits(coarse.season_year, self.series.season_year, debiasing.methods)
        side = fit_coarse(
            self.coarse,
            coarse,
            domain,
            target,
            debiasing,
            n_harmonics=settings.n_harmonics,
            report=lambda done, _: update(done, total),
        )
        notes = self.decisions + fitted_on(
            {"fine": (*notes_of(self.fine), *self.still), "coarse": (*notes_of(self.coarse), *still)}
        )
        reading = replace(side.reading, wanted=dict(given), step=settings.step, notes=notes)
        fine = fine_side(self.fine, domain, self.anomalies)
        return replace(side, reading=reading), replace(fine, orography=self.orography)

    @cached_property
    def inner(self) -> Float[np.ndarray, "n channel y x"]:
        """Anomalies of the fine fields, 0 outside the mask."""
        return np.nan_to_num(self.anomalies.forward(self.series.values, self.series.phase))

    def inner_fields(self) -> InnerFields:
        """What a prior is trained on: anomalies, with what a network sees beside them."""
        domain = self.domain
        return InnerFields(
            self.inner,
            domain.regridding.operator,
            "zero",
            lambda: dated_anomalies(domain, self.anomalies, self.series, self.predictors),
            self._raw,
            1 if self.predictors is None else 1 + len(self.predictors),
        )

    def _raw(self, side: CoarseSide) -> Float[np.ndarray, "n channel kept"]:
        """Anomalies of the coarse archive before they are debiased."""
        coarse = series_of(self.coarse, list(self.domain.variables))
        return side.chain.forward(coarse.values, coarse.phase)


def open_dated(fine: Source, coarse: Source, given: Mapping[str, Variable], settings: FitSettings) -> DatedPair:
    """Opens, checks and connects two archives with dates.

    Args:
        fine: a path or Dataset, as for `open_climate`.
        coarse: the same of the coarse archive.
        given: the channels, and what is said of them.
        settings: of the fit.

    Returns:
        The pair.

    Raises:
        DataError: for archives that cannot be used or do not fit together.
    """
    names = list(given)
    found = agreed(given, {"fine": fine, "coarse": coarse})
    opened = lambda source, name: check_climate(  # noqa: E731
        open_climate(source, found.variables, name=name, step=settings.step), name=name, gaps=settings.gaps
    )
    fine_data, coarse_data = opened(fine, "fine"), opened(coarse, "coarse")
    domain = connect(fine_data, coarse_data, names, minimum_valid=settings.minimum_valid)
    predictors = static = None
    if settings.orography is not None:
        static = orography_in_words(settings.orography, settings.orography_variable)
        predictors = static_predictors(settings.orography, fine_data, variable=settings.orography_variable)
    series = series_of(fine_data, names)
    still = require_variation(
        fine_data[names], series, domain.transforms, name="fine", fewest_years=2, cells=domain.mask
    )
    anomalies = fit_anomalies(series, domain.transforms, n_harmonics=settings.n_harmonics)
    return DatedPair(fine_data, coarse_data, domain, series, anomalies, predictors, still, found.notes, static)


def fitted_on(notes: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """What is said of the archives of a fit, as the history of its outputs says it.

    Args:
        notes: sentences on each archive, by its name.

    Returns:
        A line each.
    """
    return tuple(f"{name} archive of the model: {note}" for name, said in notes.items() for note in said)


def require_given(
    given: Mapping[str, Variable] | None, fine: Callable[[], list[str]], coarse: Callable[[], list[str]]
) -> Mapping[str, Variable]:
    """The variables that were named, or the one that there is in both archives.

    Args:
        given: what was named.
        fine: gives the names of the variables of the fine archive.
        coarse: the same of the coarse one.

    Returns:
        The variables.

    Raises:
        DataError: if there are several to choose from, or none.
    """
    if given:
        return given
    held, others = fine(), coarse()
    common = [name for name in held if name in others]
    if len(common) == 1 or (len(held) == 1 and not common):
        return {name: Variable() for name in common or held}
    if common:
        raise DataError(f"fine and coarse hold the variables {', '.join(common)}; {SAY_WHICH}")
    ours, theirs = (names[0] if names else "NAME" for names in (others, held))
    raise DataError(
        f"fine holds {', '.join(held) or 'no variable'} and coarse {', '.join(others) or 'none'}, which have no name "
        f"in common; if they mean the same, say so: variables = {{{ours} = '{theirs}'}}, on the command line "
        f"--variable {ours}={theirs}."
    )
