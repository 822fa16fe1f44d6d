"""What was tried by years left out, and what was chosen: in numbers and in sentences."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from subgrid.downscaling.debiasing.settings import ClimateDebiasMethod

FEW_YEARS = 4
"""With fewer the choice is made, and said to rest on little."""


@dataclass(frozen=True)
class Candidate:
    """A method at a strength, and how it did on left-out years."""

    method: str
    strength: float
    marginals: float
    """√⟨(W₁/σ)²⟩."""
    correlations: float
    """√⟨(ΔZ)²⟩."""
    correlations_unbiased: float
    """⟨ΔZ_a ΔZ_b⟩, by which strengths are weighted."""
    score: float
    beyond_none: float
    """Score less that of no debiasing: below 0 is better."""
    uncertainty: float
    """Standard error of that difference, from how folds differ."""


@dataclass(frozen=True)
class DebiasingChoice:
    """What was tried, the best of it, and how much it rests on.

    Args:
        method: the chosen one.
        strength: the chosen one, from 0 to 1.
        tried: every method at every strength, with its scores; empty where there was nothing to choose by.
        years: of the coarse and of the fine archive.
        effective_fields: how many independent fields the coarse and the fine archive are worth.
        n_cells: values of a field.
    """

    method: ClimateDebiasMethod
    strength: float
    tried: tuple[Candidate, ...]
    years: tuple[int, int]
    effective_fields: tuple[float, float]
    n_cells: int

    @property
    def nearest(self) -> Candidate:
        """Of what was tried of the chosen method, the strength nearest to the chosen one."""
        own = [c for c in self.tried if c.method == self.method]
        return min(own, key=lambda c: abs(c.strength - self.strength))

    def sentences(self) -> list[str]:
        """What was chosen and what that rests on, for the terminal and the page."""
        coarse, fine = self.effective_fields
        rests = (
            f"some {coarse:.0f} independent coarse and {fine:.0f} fine fields of {self.n_cells} values, "
            f"{self.years[0]} and {self.years[1]} years"
        )
        if not self.tried:
            return [
                f"debiasing {self.method} at strength {self.strength:g}, not chosen: {rests} leave none to choose by"
            ]
        best = self.nearest
        tried = "" if best.strength == self.strength else f" at {best.strength:g}"
        found = [
            f"debiasing {self.method} at strength {self.strength:g}, chosen by left-out years: score{tried} "
            f"{best.score:.4f}, {best.beyond_none:+.4f} ± {best.uncertainty:.4f} from none, on {rests}"
        ]
        if min(self.years) < FEW_YEARS:
            found.append(f"{min(self.years)} years are few to choose by; the choice may be an accident of theirs")
        if min(coarse, fine) < self.n_cells:
            found.append(
                f"there are more values ({self.n_cells}) than independent fields ({min(coarse, fine):.0f}): of "
                "correlations only what stands out from their noise is moved"
            )
        return found

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "DebiasingChoice":
        """What `as_dict` gave."""
        tried = tuple(Candidate(**each) for each in stored["tried"])
        pairs: Any = {name: tuple(stored[name]) for name in ("years", "effective_fields")}
        return cls(stored["method"], stored["strength"], tried, n_cells=stored["n_cells"], **pairs)
