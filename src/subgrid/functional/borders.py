"""Do fields wrap around? The step over the edge of a box beside the steps inside."""

import numpy as np
from jaxtyping import Float

from subgrid.numerics.modes import Box

EDGE = 1.5
"""Times the step between neighbours that the step over the edge may be: on periodic fields it is 1 but for sampling, on
others it is that of points as far apart as can be."""


def border_steps(fields: Float[np.ndarray, "n channel *space"]) -> list[tuple[float, float]]:
    """Root mean square steps over the edge and between neighbours, along each axis.

    Args:
        fields: samples on a uniform grid.

    Returns:
        (over the edge, inside) of each axis, in the unit of the fields.
    """
    steps = []
    for axis in range(2, fields.ndim):
        values = np.moveaxis(np.asarray(fields), axis, -1)
        inside = np.sqrt(np.mean(np.square(np.diff(values, axis=-1), dtype=np.float64)))
        over = np.sqrt(np.mean(np.square(values[..., 0] - values[..., -1], dtype=np.float64)))
        steps.append((float(over), float(inside)))
    return steps


def require_periodic(fields: Float[np.ndarray, "n channel *space"], box: Box) -> None:
    """Passes if the box has walls, or the fields wrap around as it does.

    Args:
        fields: samples on a uniform grid.
        box: in which they are to live.

    Raises:
        ValueError: naming the jump, for fields that are not periodic in a periodic box.
    """
    if box.boundary != "periodic":
        return
    for axis, (over, inside) in enumerate(border_steps(fields)):
        if over > EDGE * inside:
            raise ValueError(
                f"the fields do not wrap around along space axis {axis}: they jump by {over:.3g} over the edge, and by "
                f"{inside:.3g} between neighbours inside; give the noise boundary='neumann', or fields on a period "
                "(without its end point)."
            )
