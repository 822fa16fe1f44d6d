"""Fitting a model on plain arrays: no dates, no places on the earth; fields as they are, standardised in the prior."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Bool, Float

from subgrid.data.fields import DataError, Samples, samples_of
from subgrid.data.grids.alignment import check_aligned
from subgrid.data.plain import Fields, check_plain, open_plain, stacked
from subgrid.data.pooling.pooling import notes_of
from subgrid.data.stream import StreamedFields
from subgrid.data.variables.quantities import Described
from subgrid.data.variables.wanted import Variable, Variables, wanted_variables
from subgrid.downscaling.debiasing.dynamic import TransportMethod
from subgrid.downscaling.debiasing.fit import fit_debiaser_array
from subgrid.downscaling.debiasing.series import Fieldwise
from subgrid.downscaling.debiasing.settings import debias_settings
from subgrid.downscaling.model.anomalies import plain_anomalies
from subgrid.downscaling.model.coarsening import coarsening_of, looks_periodic
from subgrid.downscaling.model.digests import digest_of_coordinates, digest_of_operator
from subgrid.downscaling.model.inner import InnerFields
from subgrid.downscaling.model.large import is_streamed, seen_by_debiaser, streamed_fields
from subgrid.downscaling.model.masks import MaskedField, masked_coarsening, without_mask
from subgrid.downscaling.model.seen import seen_fields
from subgrid.downscaling.model.settings import FitSettings
from subgrid.downscaling.model.sides import CoarseSide, FineSide, Reading, grid_of_fields
from subgrid.downscaling.preparation.chain import Chain
from subgrid.downscaling.preparation.steps import Cells, Centred, Filled, Masked
from subgrid.training.origin import digest
from subgrid.types import Coarsening, Debiaser, Key, NotedReport


@dataclass(frozen=True)
class PlainPair:
    """Two archives of plain fields, opened, checked and connected; nothing of it takes long.

    Args:
        fine: the fine archive, a variable a channel.
        coarse: the coarse one, in the units of the fine one.
        fine_samples: fine fields; of an archive that stays on disk some, evenly out of all of it.
        coarse_samples: its fields.
        operator: C′.
        periodic: whether space wraps around.
        streamed: the fine archive, where it stays on disk.
        chains: of the coarse and the fine fields: what of them is masked.
        notes: what was assumed, a sentence each.
        wanted: what was said of the variables, by which other files are opened.
    """

    fine: xr.Dataset
    coarse: xr.Dataset
    fine_samples: Samples
    coarse_samples: Samples
    operator: Coarsening
    periodic: bool
    streamed: StreamedFields | None = None
    chains: tuple[Chain, Chain] = (Chain(), Chain())
    notes: tuple[str, ...] = ()
    wanted: Mapping[str, Variable] = field(default_factory=dict)

    def digests(self) -> list[Any]:
        """What names both archives, their coordinates and C′."""
        fine = self.fine_samples.values if self.streamed is None else json.dumps(self.streamed.facts(), default=str)
        values = [fine if isinstance(fine, str) else digest(fine), digest(self.coarse_samples.values)]
        places = [digest_of_coordinates(each) for each in (self.fine, self.coarse)]
        return [*values, *places, digest_of_operator(self.operator)]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the channels."""
        return tuple(map(str, self.fine.data_vars))

    def centred(self) -> "PlainPair":
        """The same pair, whose inner fields are departures from the mean fine field, 0 where there are no values.

        Coarse fields depart from C′ of that mean, so that the debiaser moves what it would move without it.
        """
        mean = self.fine_samples.values.mean(0, dtype=np.float64).astype(np.float32)
        filled = self.chains[1].find(Filled)
        masked = () if filled is None else (Masked(filled.mask),)
        coarse = Centred(np.asarray(self.operator(jnp.asarray(mean))))
        return replace(self, chains=(Chain((*self.chains[0].steps, coarse)), Chain((Centred(mean), *masked))))

    @property
    def mask(self) -> Bool[np.ndarray, "*fine"]:
        """Fine points with values."""
        found = self.chains[1].find(Masked) or self.chains[1].find(Filled)
        return np.ones(tuple(self.operator.fine_shape), bool) if found is None else np.asarray(found.mask)

    def inner_fields(self) -> InnerFields:
        """What a prior is trained on: fields as they are, or departures of `centred` ones from their mean."""
        values = self.inner if self.streamed is None else self.streamed
        trajectory, mask, periodic = self.fine_samples.trajectory, self.mask, self.periodic
        return InnerFields(
            values,
            self.operator,
            "periodic" if periodic else "reflect",
            lambda: plain_anomalies(self.inner, trajectory, self.operator, mask, periodic=periodic),
            lambda side: side.chain.forward(self.coarse_samples.values),
        )

    @cached_property
    def inner(self) -> Float[np.ndarray, "n channel *fine"]:
        """Fine fields, prepared; of an archive that stays on disk some."""
        return self.chains[1].forward(self.fine_samples.values)

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
        few = self._few_to_correct()
        corrections = {"corrections": ("marginals",)} if settings.debias == "auto" and few and not shifted else {}
        chosen = debias_settings(
            **{**corrections, "translation_invariant": shifted, "periodic": self.periodic, **settings.debias_options}
        )
        if self.chains[0].steps and method in get_args(TransportMethod):
            raise ValueError(f'debias = "{method}" is of whole grids; for fields with a mask take "entropic-ot".')
        prepared = self.chains[0].forward(self.coarse_samples.values)
        debiaser, summary = fit_debiaser_array(
            prepared, self.inner, self.operator, chosen,
            method=method, folder=folder / "debias", report=report, key=key,
        )  # fmt: skip
        coarse, fine = plain_sides(self.fine, self.coarse, self.operator, debiaser, self.chains)
        reading = replace(coarse.reading, wanted=dict(self.wanted), notes=self.notes)
        return replace(coarse, reading=reading, seen=seen_fields(prepared)), fine, summary

    def _few_to_correct(self) -> bool:
        """Whether the half of an archive that is held back cannot tell a covariance of all coarse values."""
        values = self.fine_samples.values.shape[1] * int(np.prod(self.operator.coarse_shape))
        return min(len(self.coarse_samples), len(self.fine_samples)) // 2 <= values

    @property
    def corrections_in_words(self) -> str | None:
        """What is said of corrections that few fields leave out."""
        if not self._few_to_correct():
            return None
        return "too few fields to correct the covariance of debiased ones, of which the marginals alone are corrected"


def plain_sides(
    fine: xr.Dataset,
    coarse: xr.Dataset,
    operator: Coarsening,
    debiaser: Debiaser,
    chains: tuple[Chain, Chain] = (Chain(), Chain()),
) -> tuple[CoarseSide, FineSide]:
    """Both sides of a model of plain arrays: fields as they are.

    Args:
        fine: the fine archive, a variable a channel, for its grid and attributes.
        coarse: the coarse one.
        operator: C′.
        debiaser: T, a map of one field.
        chains: of the coarse and the fine fields.

    Returns:
        The sides.
    """
    names = tuple(map(str, fine.data_vars))
    units = tuple(str(fine[name].attrs.get("units") or coarse[name].attrs.get("units", "")) for name in names)
    described = tuple(Described("other", "plain fields", (None, None), "none") for _ in names)
    reading = Reading(names, described, units, dated=False)
    grid = grid_of_fields(coarse, names)
    side = CoarseSide(reading, grid[list(grid.coords)], chains[0], Fieldwise(debiaser))
    return side, FineSide(grid_of_fields(fine, names), chains[1], operator)


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
    units = [str(each.attrs.get("units", "")) for each in fine_data.data_vars.values()]
    names = variables or list(map(str, fine_data.data_vars))
    coarse_data = open_plain(coarse, names, name="coarse", units=units)
    for each, given, name in ((fine_data, fine, "fine"), (coarse_data, coarse, "coarse")):
        check_plain(each, name=_source(given, name))
    samples, streamed, fine_mask = _fine_samples(fine, fine_data, variables, settings.stream)
    coarse_field = without_mask(stacked(coarse_data))
    coarse_samples = samples_of(coarse_field.field, source=_source(coarse, "coarse"))
    for each in (samples, coarse_samples):
        if len(each) < 2:
            raise DataError(f"{each.source}: holds {len(each)} sample; training needs at least 2.")
    connecting = coarsening_of(samples, coarse_samples, operator)
    check_aligned(coarse_samples, samples, connecting)
    masked = fine_mask is not None or coarse_field.mask is not None
    chains, notes = (Chain(), Chain()), _streaming_in_words(samples, streamed)
    if masked:
        masks = None if fine_mask is None else fine_mask.mask, coarse_field.mask
        connecting, kept = masked_coarsening(connecting, *masks, minimum_valid=settings.minimum_valid)
        inside = () if fine_mask is None else (Filled(np.asarray(fine_mask.mask), fine_mask.fill),)
        chains = Chain((Cells(kept),)), Chain(inside)
        notes += [f"masked: {_share(masks[0])} of the fine and {_share(masks[1])} of the coarse points hold values"]
    periodic, note = (settings.periodic, None) if settings.periodic is not None else looks_periodic(samples)
    notes += [note] if note else []
    for name, unit in zip(fine_data.data_vars, units, strict=True):
        own = str(coarse_data[name].attrs.get("units", ""))
        if own and not unit:
            notes.append(f"fine: {name}: no attribute 'units', taken to be in {own!r} as coarse is")
    said = {"fine": notes_of(fine_data), "coarse": notes_of(coarse_data)}
    notes += [f"{which}: {each}" for which, every in said.items() for each in every]
    return PlainPair(
        fine_data,
        coarse_data,
        samples,
        coarse_samples,
        connecting,
        periodic,
        streamed,
        chains,
        tuple(notes),
        wanted_variables(variables) or {},
    )


def _share(mask: np.ndarray | None) -> str:
    return "all" if mask is None else f"{int(mask.sum())} of {mask.size}"


def _fine_samples(
    fine: Fields, opened: xr.Dataset, variables: Variables | None, wanted: bool | None
) -> tuple[Samples, StreamedFields | None, MaskedField | None]:
    """All fine fields, and their mask; or some of them, and all on disk."""
    source = _source(fine, "fine")
    if not is_streamed(fine, opened, wanted):
        found = without_mask(stacked(opened))
        return samples_of(found.field, source=source), None, None if found.mask is None else found
    streamed = streamed_fields(source, opened, variables)
    return seen_by_debiaser(streamed, opened, source=source), streamed, None


def _streaming_in_words(samples: Samples, streamed: StreamedFields | None) -> list[str]:
    if streamed is None:
        return []
    n = streamed.shape[0]
    return [f"{samples.source}: is trained on from the disk; debiasing sees {len(samples)} of its {n} fields"]


def _source(given: object, name: str) -> str:
    return str(given) if isinstance(given, str | Path) else name
