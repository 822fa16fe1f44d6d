"""What the figures of a climate run are drawn from: fields of one variable on one masked grid, nothing computed yet."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Shaped

from subgrid.numerics.evenly import evenly_spaced
from subgrid.verification.dependence import Distances, great_circle_distances
from subgrid.verification.masks import restore_cells

CELLS_COMPARED = 1500
"""Cells of which pairs are made: their number squared, and a curve of some twenty bins needs no more. *Convenient.*"""


@dataclass(frozen=True)
class ClimateEvidence:
    """Fields of one variable in physical units, NaN outside the mask; any set but the reference may be empty or absent.

    **Arguments:**

    - `quantity`: what the variable is, a key of `subgrid.data.variables.quantities.QUANTITIES`.
    - `lat`, `lon`: cell centres in degrees, both 1-D (regular grids) or both 2-D (rotated and curvilinear ones).
    - `mask`: cells that hold values, axes (y, x).
    - `reference`: fields of the seasons that nothing was fitted on, axes (time, y, x); at least 2.
    - `candidates`: other sets of fields by role, axes (n, y, x) with any n: "raw", "quantile mapping", "bcsd",
      "analogues", and "floor" (the reference's other seasons, which the noise floor is computed from).
    - `generated`: the ensemble of the coarse model's days, axes (time, member, y, x).
    - `perfect_truth`, `perfect_ensemble`, `dates`: perfect-model mode; axes (case, y, x) and (case, member, y, x).
    - `rank_counts`, `flatness_p`, `effective_samples`: of `subgrid.verification.rank_tests.rank_flatness_test`.
    - `change`: maps "input" and "output" of the change of the season's mean to the scenario, or None.
    - `perfect_coarse`: what the perfect-model ensemble was conditioned on, on the fine grid, axes (case, y, x); without
      it the stamps show a running mean of the truth.
    - `spread`: maps "spread" (of members about their mean on a usual day) and "factor" (by which left-out years changed
      it), or None; `constrained`, cells under a coarse cell, by default all.

    **Raises:** `ValueError` where shapes do not fit together, naming the arrays.
    """

    variable: str
    quantity: str
    units: str
    lat: Float[np.ndarray, "..."]
    lon: Float[np.ndarray, "..."]
    mask: Bool[np.ndarray, "y x"]
    reference: Float[np.ndarray, "..."]
    candidates: dict[str, np.ndarray]
    generated: Float[np.ndarray, "..."]
    perfect_truth: Float[np.ndarray, "..."]
    perfect_ensemble: Float[np.ndarray, "..."]
    dates: list[str]
    rank_counts: Shaped[np.ndarray, " rank"]
    flatness_p: float | None
    change: dict[str, np.ndarray] | None
    effective_samples: float | None = None
    perfect_coarse: Float[np.ndarray, "..."] | None = None
    spread: dict[str, np.ndarray] | None = None
    constrained: Bool[np.ndarray, "y x"] | None = None

    def __post_init__(self):
        self._check_grid()
        for name, fields in self._fields().items():
            if fields.shape[-2:] != self.mask.shape:
                raise ValueError(f"{name} must end in the axes of the mask, {self.mask.shape}, got {fields.shape}.")
        if len(self.finite(self.reference)) < 2:
            raise ValueError(f"reference of {self.variable} needs at least 2 fields that are finite inside the mask.")
        cases = {"perfect_truth": len(self.perfect_truth), "dates": len(self.dates)}
        if wrong := {name: n for name, n in cases.items() if n != len(self.perfect_ensemble)}:
            raise ValueError(f"perfect_ensemble holds {len(self.perfect_ensemble)} cases, but there are {wrong}.")

    def _check_grid(self) -> None:
        if not self.mask.any():
            raise ValueError(f"the mask of {self.variable} leaves no cell; True marks the cells that count.")
        found = (self.lat.shape, self.lon.shape)
        regular = (self.mask.shape[:1], self.mask.shape[1:])
        if found not in (regular, (self.mask.shape, self.mask.shape)):
            raise ValueError(f"lat and lon must be 1-D or 2-D on the grid {self.mask.shape}, got {found}.")

    def _fields(self) -> dict[str, np.ndarray]:
        sets = {"reference": self.reference, **self.candidates, "generated": self.generated}
        sets |= {"perfect_truth": self.perfect_truth, "perfect_ensemble": self.perfect_ensemble}
        sets |= {f"change {name}": field for name, field in (self.change or {}).items()}
        return sets if self.perfect_coarse is None else sets | {"perfect_coarse": self.perfect_coarse}

    @property
    def is_precipitation(self) -> bool:
        return self.quantity == "precipitation"

    @property
    def is_regular(self) -> bool:
        """Whether the grid has even steps along latitude and longitude, as a spectrum needs."""
        return self.lat.ndim == 1 and all(
            axis.size > 3 and np.allclose(np.diff(axis), axis[1] - axis[0], rtol=1e-2) for axis in (self.lat, self.lon)
        )

    def finite(self, fields: np.ndarray) -> Float[np.ndarray, "n cell"]:
        """Cells of the mask of all fields that hold a value in each of them; leading axes become one."""
        cells = np.asarray(fields, np.float32)[..., self.mask].reshape(-1, int(self.mask.sum()))
        return cells[np.isfinite(cells).all(axis=1)]

    def on_grid(self, values: np.ndarray) -> Float[np.ndarray, "..."]:
        """Values of the cells, back on the grid."""
        return restore_cells(np.asarray(values, np.float32), self.mask)

    @cached_property
    def reference_cells(self) -> Float[np.ndarray, "n cell"]:
        return self.finite(self.reference)

    @cached_property
    def sets(self) -> dict[str, np.ndarray]:
        """Cells of each candidate, all members pooled, and the floor, in drawing order; single fields are left out."""
        floor = {role: fields for role, fields in self.candidates.items() if role == "floor"}
        others = {role: fields for role, fields in self.candidates.items() if role != "floor"}
        found = {role: self.finite(f) for role, f in (others | {"generated": self.generated} | floor).items()}
        return {role: cells for role, cells in found.items() if len(cells) > 1}

    @cached_property
    def compared_cells(self) -> np.ndarray:
        """Positions, among the cells of the mask, of those that pairs are made of."""
        return evenly_spaced(int(self.mask.sum()), CELLS_COMPARED)

    @cached_property
    def distances(self) -> Distances:
        """Kilometres between the compared cells."""
        lat, lon = self.lat, self.lon
        if lat.ndim == 1:
            lat, lon = np.meshgrid(lat, lon, indexing="ij")
        return great_circle_distances(*(axis[self.mask][self.compared_cells] for axis in (lat, lon)))

    def not_finite(self) -> dict[str, int]:
        """How many fields of each set lack a value inside the mask, where any do; figures leave them out."""
        n_cells = int(self.mask.sum())
        names = ("reference", *self.candidates, "generated", "perfect_ensemble")
        counts = {}
        for name in names:
            fields = self._fields()[name]
            counts[name] = fields[..., self.mask].size // n_cells - len(self.finite(fields))
        return {name: count for name, count in counts.items() if count}


def warnings_of(evidence: ClimateEvidence) -> list[str]:
    """Notes on fields that figures leave out."""
    return [
        f"{count} field{'s' if count > 1 else ''} of {evidence.variable} in the set “{name}” lacked a value inside the "
        f"mask; figures leave {'them' if count > 1 else 'it'} out."
        for name, count in evidence.not_finite().items()
    ]
