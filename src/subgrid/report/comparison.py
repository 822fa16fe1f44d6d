"""What is compared in one figure: a reference, an independent reference, and candidates."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True)
class Comparison:
    """Sets of fields of one variable on one grid, to be held against a reference.

    Args:
        reference: a set of the reference.
        independent: another one, independent of it: their difference is the noise floor.
        candidates: by role (a key of `subgrid.report.style.COLOURS`).
    """

    reference: Float[np.ndarray, "n *space"]
    independent: Float[np.ndarray, "n2 *space"]
    candidates: dict[str, np.ndarray]

    @property
    def n_space(self) -> int:
        return self.reference.ndim - 1
