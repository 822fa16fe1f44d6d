"""The two sides of a model: from fields of the coarse archive to what is drawn for, and from draws to fine fields.

    coarse file ─chain▶ anomalies ─debiaser▶ y′        C′ z = y′        z ─chain⁻¹▶ fine field

C′ acts on the inner fields z of the fine chain: on anomalies where there are some, else on the fields themselves.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Bool, Float

from subgrid.data.fields import DataError
from subgrid.data.pooling.members import shared_labels
from subgrid.data.times.steps import Step
from subgrid.data.variables.quantities import Described
from subgrid.data.variables.wanted import Variable
from subgrid.downscaling.debiasing.series import SeriesDebiaser
from subgrid.downscaling.debiasing.tried import DebiasingChoice
from subgrid.downscaling.model.seen import SeenFields
from subgrid.downscaling.preparation.chain import Chain
from subgrid.downscaling.preparation.climatology import ChangeSignal, Climatology, fit_climatology
from subgrid.downscaling.preparation.pairing import MemberClimates, pairing_sentence
from subgrid.downscaling.preparation.series import Series
from subgrid.downscaling.preparation.steps import Bounded, Cells, Changed, Filled, Masked
from subgrid.types import Coarsening

CHANGE_HARMONICS = 1
"""Of the climates between which a change is taken; see `fit_change_signal`."""


@dataclass(frozen=True)
class Reading:
    """How files of the same variables are opened: as what the model took them to be, whatever they say.

    Args:
        names: of the channels.
        descriptions: what each of them is taken to be.
        units: of each channel in the model.
        wanted: what was said of the variables when the archives were opened.
        time_step: of the archives in words, such as "daily"; None where it is not known.
        step: to which they were averaged when they were opened; None where they were not.
        dated: whether fields have dates and places on the earth; else they are plain arrays.
        period: first and last season year of the coarse archive; None for fields without dates.
        changes: how each channel changes with climate, "additive" or "multiplicative"; those of the quantities where
            it is empty.
        notes: what was done to the archives that the model was fitted on, and what is said of them, a sentence each;
            they stand in the history of every output.
    """

    names: tuple[str, ...]
    descriptions: tuple[Described, ...]
    units: tuple[str, ...] = ()
    wanted: Mapping[str, Variable] = field(default_factory=dict)
    time_step: str | None = None
    step: Step | None = None
    dated: bool = True
    period: tuple[int, int] | None = None
    changes: tuple[Any, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class CoarseClimate:
    """The smooth course of the year that changes of climate count from, physical units, on the whole coarse grid.

    Args:
        archive: of the whole coarse archive.
        members: of each member, where they have labels by which a change is paired.
    """

    archive: Climatology
    members: MemberClimates | None = None


@dataclass(frozen=True)
class CoarseSide:
    """From fields of the coarse archive to what fine fields are drawn for.

    Args:
        reading: how its files are opened.
        grid: coordinates of the coarse grid; the attribute "space" names its dimensions.
        chain: from fields to what is debiased.
        debiaser: T.
        climate: what changes count from; None for fields without dates.
        choice: by which the debiaser was found; None where method and strength were given.
        seen: the distribution of the fields that the debiaser was fitted on; None where they were too few, or the model
            is older than this.
    """

    reading: Reading
    grid: xr.Dataset
    chain: Chain
    debiaser: SeriesDebiaser
    climate: CoarseClimate | None = None
    choice: DebiasingChoice | None = None
    seen: SeenFields | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Of the channels."""
        return self.reading.names

    @property
    def kept(self) -> Bool[np.ndarray, "*coarse"] | None:
        """Coarse cells in the constraint; None where all are."""
        cells = self.chain.find(Cells)
        return None if cells is None else cells.kept

    def targets(self, series: Series) -> Float[np.ndarray, "n channel *kept"]:
        """y′ = T(y) of a series on the whole coarse grid, of the climate that everything was fitted in.

        Args:
            series: fields of the coarse archive.

        Returns:
            Debiased inner fields.

        Raises:
            DataError: if a cell that the model was trained with holds no value.
        """
        return self.debiaser.adjust(self.prepared(series))

    def prepared(self, series: Series) -> Float[np.ndarray, "n channel *kept"]:
        """What is debiased of a series on the whole coarse grid.

        Args:
            series: fields of the coarse archive.

        Returns:
            Inner fields, as they are in the coarse model.

        Raises:
            DataError: as `targets`.
        """
        self._require_values(series.values)
        return self.chain.forward(series.values, series.phase)

    def change_to(self, series: Series) -> ChangeSignal:
        """The coarse archive's own smoothed change from its climate to that of a series, on its grid.

        Between the members that both have by their labels, or between all where no label is common.

        Args:
            series: of another period.

        Returns:
            The change.

        Raises:
            DataError: for fields without dates.
        """
        if self.climate is None:
            raise DataError('coarse: the model knows no dates, so there is no change of climate; use change = "none".')
        before, members = self.climate.archive, self.climate.members
        shared = shared_labels(None if members is None else members.labels, series.labels)
        if shared and members is not None:
            paired = np.isin(np.asarray(series.labels)[series.member], shared)
            series = series if paired.all() else series[paired]
            before = before if len(shared) == len(members.labels) else members.of(shared)
        climate = fit_climatology(series.values, series.phase, n_harmonics=CHANGE_HARMONICS)
        kinds: Any = tuple(each.kind.change for each in self.reading.descriptions)
        return ChangeSignal(before, climate, self.reading.changes or kinds)

    def pairing_to(self, series: Series) -> str | None:
        """What is to be said of the members between which `change_to` takes a change, if anything."""
        members = None if self.climate is None else self.climate.members
        return pairing_sentence(None if members is None else members.labels, series.labels)

    def targets_without(self, change: ChangeSignal, series: Series) -> Float[np.ndarray, "n channel *kept"]:
        """y′ of a series of another climate, less the archive's change and the debiaser's own.

        With the change of mean already removed, what is left of a change of mean is not the model's: the debiaser made
        it of a changed variance.

        Args:
            change: from `change_to`.
            series: of the other period.

        Returns:
            Debiased inner fields.
        """
        moved = self.targets(without_change(change, series))
        fitted = self.debiaser.adjust(self.debiaser.source)  # pyright: ignore[reportAttributeAccessIssue]
        return moved - (moved.mean(0) - fitted.mean(0))

    def _require_values(self, values: Float[np.ndarray, "n channel *coarse"]) -> None:
        kept = self.kept
        if kept is None:
            return
        lost = np.isnan(values[:, :, kept]).any((0, 1))
        if lost.any():
            places = np.argwhere(kept)[np.argmax(lost)]
            raise DataError(
                f"coarse: {int(lost.sum())} of the {lost.size} cells that the model was trained with hold no value, "
                f"the first at {place_of_cell(self.grid, places)}; bring fields with the mask of the training "
                "archive, or train with these."
            )


def without_change(change: ChangeSignal, series: Series) -> Series:
    """A series of another climate, less the coarse archive's own change.

    Args:
        change: from `CoarseSide.change_to`.
        series: of the other period.

    Returns:
        The series, of the climate of the fit.
    """
    stationary = change.remove(jnp.asarray(series.values), jnp.asarray(series.phase, jnp.float32))
    return replace(series, values=np.asarray(stationary))


def place_of_cell(grid: xr.Dataset, index: Sequence[int] | np.ndarray) -> str:
    """A cell of a grid by its coordinates, or by its numbers where it has none.

    Args:
        grid: its attribute "space" names the dimensions.
        index: of the cell, a number along each.

    Returns:
        Words such as "lat = 40.25, lon = -3.75".
    """
    at = dict(zip(grid.attrs["space"], map(int, index), strict=True))
    names = [name for name in ("lat", "lon") if name in grid] or [name for name in at if name in grid.coords]
    if not names:
        return f"position {list(at.values())}"
    return ", ".join(f"{name} = {float(grid[name].isel({d: at[d] for d in grid[name].dims})):.4g}" for name in names)


@dataclass(frozen=True)
class FineSide:
    """From inner fields to fine fields as files have them, and C′ of inner fields.

    Args:
        grid: coordinates of the fine grid, and empty variables with the attributes of the channels; its attribute
            "space" names the dimensions.
        chain: from fields to inner fields.
        operator: C′.
        window: what of the fields is given out, as `model.windows` makes it; None for all. `grid` is that of this part.
        orography: which variable of which file was given as the height of the ground, in words; None for none.
    """

    grid: xr.Dataset
    chain: Chain
    operator: Coarsening
    window: Any = None
    orography: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Of the channels."""
        return tuple(map(str, self.grid.data_vars))

    @property
    def space(self) -> tuple[int, ...]:
        """Points along each dimension of space."""
        return tuple(self.operator.fine_shape)

    @property
    def mask(self) -> Bool[np.ndarray, "*fine"]:
        """Cells with values."""
        masked = self.chain.find(Masked) or self.chain.find(Filled)
        return np.ones(self.space, bool) if masked is None else masked.mask

    @property
    def given_mask(self) -> Bool[np.ndarray, "*given"]:
        """Where what is given out has values."""
        return self.mask if self.window is None else self.window(self.mask.astype(np.float32)) > 0

    def restore(
        self, fields: Float[np.ndarray, "n channel *fine"], phase: Float[np.ndarray, " n"] | None
    ) -> Float[np.ndarray, "n channel *given"]:
        """Fine fields as files have them, of what is given out.

        Args:
            fields: (n, channel, *fine), inner fields.
            phase: (n,), of the year; None for fields without dates.

        Returns:
            Fields, NaN outside the mask.
        """
        whole = self.chain.inverse(fields, phase)
        if self.window is None:
            return whole
        return np.where(self.given_mask, self.window(np.where(self.mask, whole, 0.0)), np.nan).astype(np.float32)

    def given_out(self, grid: xr.Dataset, window: Any) -> "FineSide":
        """The same, of which a part is given out.

        Args:
            grid: of this part.
            window: from fields of the whole grid to those of the part.

        Returns:
            The side.
        """
        return replace(self, grid=grid, window=window)

    def with_change(self, signal: ChangeSignal) -> "FineSide":
        """The same, which puts a change of climate back on the way out, before bounds are kept.

        Args:
            signal: on the fine grid.

        Returns:
            The side.
        """
        steps = self.chain.steps
        n = 1 if steps and isinstance(steps[0], Bounded) else 0
        return replace(self, chain=Chain((*steps[:n], Changed(signal), *steps[n:])))


def grid_of_fields(fields: xr.Dataset, names: tuple[str, ...]) -> xr.Dataset:
    """The coordinates of space of a dataset, and empty variables with its attributes.

    Args:
        fields: with times or samples, and members or not.
        names: of the channels.

    Returns:
        A dataset whose attribute "space" names the dimensions.
    """
    from subgrid.data.fields import space_dims

    space = list(space_dims(fields[names[0]]))
    kept = {n: c for n, c in fields.coords.items() if set(map(str, c.dims)) <= set(space) and n != "realization"}
    empty = {name: ((), np.float32(0), fields[name].attrs) for name in names}
    grid = xr.Dataset(empty, kept, {**fields.attrs, "space": space}).drop_encoding()
    for coordinate in grid.coords.values():
        if (
            "bounds" in coordinate.attrs and coordinate.attrs["bounds"] not in grid.coords
        ):  # a dimension more, which no field has
            del coordinate.attrs["bounds"]
    return grid
