"""Fitting a model on plain arrays: no dates, no places on the earth; fields as they are, standardised in the prior."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import xarray as xr

from subgrid.data.fields import DataError, Samples, samples_of
from subgrid.data.grids.alignment import check_aligned
from subgrid.data.plain import Fields, open_plain, stacked
from subgrid.data.variables.quantities import Described
from subgrid.data.variables.wanted import Variables
from subgrid.downscaling.conditional.model import NOISE_RANGE, ConditionalSettings, train_conditional
from subgrid.downscaling.debiasing.fit import fit_debiaser_array
from subgrid.downscaling.debiasing.series import Fieldwise
from subgrid.downscaling.debiasing.settings import debias_settings
from subgrid.downscaling.model.coarsening import coarsening_of, looks_periodic
from subgrid.downscaling.model.settings import FitSettings
from subgrid.downscaling.model.sides import CoarseSide, FineSide, Reading, grid_of_fields
from subgrid.downscaling.preparation.chain import Chain
from subgrid.downscaling.prior.model import PriorSettings, build_network, train_prior
from subgrid.downscaling.prior.training import TrainingSettings
from subgrid.training.log import MetricsReport
from subgrid.types import Coarsening, Key, NotedReport

BY_DATA = ("n_channels", "space", "padding")
"""Settings of a network that the data decide."""


@dataclass(frozen=True)
class PlainPair:
    """Two archives of plain fields, opened, checked and connected; nothing of it takes long.

    Args:
        fine: the fine archive, a variable a channel.
        coarse: the coarse one.
        fine_samples: its fields.
        coarse_samples: its fields.
        operator: C′.
        periodic: whether space wraps around.
        notes: what was assumed, a sentence each.
    """

    fine: xr.Dataset
    coarse: xr.Dataset
    fine_samples: Samples
    coarse_samples: Samples
    operator: Coarsening
    periodic: bool
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Of the channels."""
        return tuple(map(str, self.fine.data_vars))

    def network(self, settings: FitSettings, given: dict[str, Any]) -> PriorSettings:
        """The network that fits the fields, built once so that what does not go together is said before training.

        Args:
            settings: of the fit.
            given: settings of the network.

        Returns:
            All its settings.

        Raises:
            ValueError: for a grid that the network cannot take.
        """
        shape, conditional = self.fine_samples.values.shape, settings.prior.startswith("conditional")
        levels: dict[str, Any] = {"sigma_min": NOISE_RANGE[0], "sigma_max": NOISE_RANGE[1]} if conditional else {}
        padding = ("periodic" if self.periodic else "reflect",)
        network = PriorSettings(shape[1], shape[2:], padding=padding, **(levels | given))
        import equinox as eqx
        import jax.random as jr

        eqx.filter_eval_shape(partial(build_network, network, shape[1]), key=jr.key(0))
        return network

    def sides(
        self, settings: FitSettings, *, folder: Path, report: NotedReport | None, key: Key, shifted: bool
    ) -> tuple[CoarseSide, FineSide, dict[str, Any]]:
        """Debiasing, fitted, and the way back to fine fields.

        Args:
            settings: of the fit.
            folder: of transports that are trained, for checkpoints.
            report: of the fit.
            key: of samples, weights and training.
            shifted: whether a shifted field is as likely as the field.

        Returns:
            Both sides, and what the solver reports.

        Raises:
            ValueError: as `fit_debiaser_array`.
        """
        method: Any = "entropic-ot" if settings.debias == "auto" else settings.debias
        chosen = debias_settings(
            **{"translation_invariant": shifted, "periodic": self.periodic, **settings.debias_options}
        )
        debiaser, summary = fit_debiaser_array(
            self.coarse_samples.values, self.fine_samples.values, self.operator, chosen,
            method=method, folder=folder / "debias", report=report, key=key,
        )  # fmt: skip
        units = tuple(str(self.coarse[n].attrs.get("units", "")) for n in self.names)
        described = tuple(Described("other", "plain fields", (None, None), "none") for _ in self.names)
        reading = Reading(self.names, described, units, dated=False)
        coarse_grid = grid_of_fields(self.coarse, self.names)
        coarse = CoarseSide(reading, coarse_grid[list(coarse_grid.coords)], Chain(), Fieldwise(debiaser))
        return coarse, FineSide(grid_of_fields(self.fine, self.names), Chain(), self.operator), summary

    def train(
        self,
        folder: Path,
        settings: FitSettings,
        network: PriorSettings,
        training: TrainingSettings,
        *,
        keep_levels: bool,
        report: MetricsReport | None,
        key: Key,
    ) -> None:
        """The prior, or the conditional model, in FOLDER/model; resumes."""
        options: Any = {"folder": folder / "model", "report": report, "key": key}
        fields = self.fine_samples.values
        if settings.prior == "network":
            train_prior(fields, network, training, **options)
            return
        kind = "flow" if settings.prior == "conditional-flow" else "diffusion"
        conditional = ConditionalSettings(kind, network, settings.jitter)
        train_conditional(fields, self.operator, conditional, training, keep_levels=keep_levels, **options)


def open_plain_pair(
    fine: Fields, coarse: Fields, variables: Variables | None, operator: Any, settings: FitSettings
) -> PlainPair:
    """Opens, checks and connects two archives of plain fields.

    Args:
        fine: a DataArray, Dataset or path.
        coarse: the same of the coarse archive.
        variables: the channels; by default the only variable.
        operator: C′, as for `coarsening_of`.
        settings: of the fit.

    Returns:
        The pair.

    Raises:
        DataError: for archives that cannot be used or do not fit together.
    """
    fine_data = open_plain(fine, variables, name="fine")
    coarse_data = open_plain(coarse, variables or list(map(str, fine_data.data_vars)), name="coarse")
    samples = samples_of(stacked(fine_data), source=_source(fine, "fine"))
    coarse_samples = samples_of(stacked(coarse_data), source=_source(coarse, "coarse"))
    for each in (samples, coarse_samples):
        if len(each) < 2:
            raise DataError(f"{each.source}: holds {len(each)} sample; training needs at least 2.")
    connecting = coarsening_of(samples, coarse_samples, operator)
    check_aligned(coarse_samples, samples, connecting)
    if settings.periodic is None:
        periodic, note = looks_periodic(samples)
        return PlainPair(fine_data, coarse_data, samples, coarse_samples, connecting, periodic, (note,))
    return PlainPair(fine_data, coarse_data, samples, coarse_samples, connecting, settings.periodic)


def _source(given: object, name: str) -> str:
    return str(given) if isinstance(given, str | Path) else name
