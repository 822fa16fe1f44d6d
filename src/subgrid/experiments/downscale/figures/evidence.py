"""What figures are drawn from: host arrays, nothing computed yet."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped

from subgrid.report.comparison import Comparison


@dataclass(frozen=True)
class Evidence:
    """Fields of a run and of its reference, in physical units; any set but the references may be empty.

    **Arguments:**

    - `fine_reference`, `fine_independent`: two independent reference sets on the fine grid.
    - `generated`, `cubic`: ensembles sampled from debiased coarse fields, and cubic interpolation of the same fields.
    - `coarse_reference`, `coarse_independent`: C′x of the references.
    - `raw`, `debiased`: coarse fields before and after the transport, in the same order.
    - `perfect_truth`, `perfect_ensemble`, `perfect_target`: perfect-model mode; the ensemble was conditioned on the
      coarsened truth, `perfect_target`.
    - `rank_counts`: how often the truth fell at each rank among the members.
    - `loss_curve`: rows step and loss.

    **Raises:** `ValueError` where shapes do not fit together, naming the arrays.
    """

    variable: str
    units: str
    fine_reference: Float[np.ndarray, "n channel ..."]
    fine_independent: Float[np.ndarray, "n2 channel ..."]
    generated: Float[np.ndarray, "condition member channel ..."]
    cubic: Float[np.ndarray, "condition channel ..."]
    coarse_reference: Float[np.ndarray, "n channel ..."]
    coarse_independent: Float[np.ndarray, "n2 channel ..."]
    raw: Float[np.ndarray, "m channel ..."]
    debiased: Float[np.ndarray, "debiased channel ..."]
    perfect_truth: Float[np.ndarray, "case channel ..."]
    perfect_ensemble: Float[np.ndarray, "case ensemble channel ..."]
    perfect_target: Float[np.ndarray, "case channel ..."]
    rank_counts: Shaped[np.ndarray, " rank"]
    loss_curve: Float[np.ndarray, "2 logged"]

    def __post_init__(self):
        if self.fine_reference.ndim - 2 not in (1, 2):
            raise ValueError(
                f"fine_reference must be (n, channel, *space), 1-D or 2-D, got {self.fine_reference.shape}."
            )
        self._check_grid(
            "fine_reference", "fine_independent", "generated", "cubic", "perfect_truth", "perfect_ensemble"
        )
        self._check_grid("coarse_reference", "coarse_independent", "raw", "debiased", "perfect_target")
        if self.raw.shape != self.debiased.shape:
            raise ValueError(f"raw and debiased must match, got {self.raw.shape} and {self.debiased.shape}.")
        fine, coarse = self.fine_reference.shape[2:], self.coarse_reference.shape[2:]
        if len(fine) != len(coarse) or any(f % c for f, c in zip(fine, coarse, strict=True)):
            raise ValueError(f"the fine grid {fine} must be a multiple of the coarse grid {coarse}, axis by axis.")

    def _check_grid(self, first: str, *others: str) -> None:
        grid = getattr(self, first).shape[1:]
        for name in others:
            shape = getattr(self, name).shape
            if shape[-len(grid) :] != grid:
                raise ValueError(f"{name} must end in the axes of {first}, {grid}, got shape {shape}.")

    @property
    def n_space(self) -> int:
        return self.fine_reference.ndim - 2

    @property
    def factors(self) -> tuple[int, ...]:
        """Fine points to a coarse one, along each axis."""
        fine, coarse = self.fine_reference.shape[2:], self.coarse_reference.shape[2:]
        return tuple(f // c for f, c in zip(fine, coarse, strict=True))

    @property
    def coarse_offset(self) -> tuple[float, ...]:
        """Where the first coarse value sits on the fine grid, seen from the data: on a point, or mid-block."""
        n = min(len(self.fine_reference), len(self.coarse_reference), 8)
        strides = tuple(slice(None, None, factor) for factor in self.factors)
        subsampled = self.fine_reference[(slice(n), slice(None), *strides)]
        if np.allclose(subsampled, self.coarse_reference[:n], rtol=1e-4, atol=1e-4 * self.coarse_reference[:n].std()):
            return (0.0,) * self.n_space
        return tuple((factor - 1) / 2 for factor in self.factors)

    def coarse_comparison(self, channel: int = 0) -> Comparison:
        """Raw and debiased fields against the coarsened reference."""
        candidates = {"raw": self.raw, "debiased": self.debiased}
        return _compare(self.coarse_reference, self.coarse_independent, candidates, channel)

    def fine_comparison(self, channel: int = 0) -> Comparison:
        """Cubic interpolation and all members, pooled, against the fine reference."""
        pooled = self.generated.reshape(-1, *self.generated.shape[2:])
        return _compare(self.fine_reference, self.fine_independent, {"cubic": self.cubic, "generated": pooled}, channel)

    def not_finite(self) -> dict[str, int]:
        """How many fields of each set hold a NaN or an infinity, where any do; figures leave them out."""
        names = ("raw", "debiased", "cubic", "generated", "perfect_ensemble")
        axes = -1 - self.n_space
        counts = {name: int(np.sum(~_is_finite(getattr(self, name), axes))) for name in names}
        return {name: count for name, count in counts.items() if count}


def _compare(
    reference: np.ndarray, independent: np.ndarray, candidates: dict[str, np.ndarray], channel: int
) -> Comparison:
    chosen = {role: _finite_channel(fields, channel) for role, fields in candidates.items()}
    return Comparison(
        _finite_channel(reference, channel),
        _finite_channel(independent, channel),
        {role: fields for role, fields in chosen.items() if len(fields)},
    )


def _finite_channel(fields: np.ndarray, channel: int) -> np.ndarray:
    chosen = np.asarray(fields)[:, channel]
    return chosen[_is_finite(chosen, 1)]


def _is_finite(fields: np.ndarray, first_axis: int) -> np.ndarray:
    """Whether each field is finite throughout, its axes being those from `first_axis` on."""
    return np.asarray(np.isfinite(fields).all(axis=tuple(range(first_axis % fields.ndim, fields.ndim))))


def warnings_of(evidence: Evidence) -> list[str]:
    """Notes on fields that figures leave out, and on channels that they do not show."""
    n_channels = evidence.fine_reference.shape[1]
    notes = [
        f"{count} field{'s' if count > 1 else ''} of the set “{name}” held a NaN or an infinity; figures leave "
        f"{'them' if count > 1 else 'it'} out."
        for name, count in evidence.not_finite().items()
    ]
    if n_channels > 1:
        notes.append(f"Figures show {evidence.variable}, the first of {n_channels} channels.")
    return notes
