"""C′ of plain fields, from what two archives say of their grids."""

import numpy as np

from subgrid.data.fields import DataError, Samples
from subgrid.numerics.operators import BlockMean, SparseCoarsening, Subsample
from subgrid.types import Coarsening

TOLERANCE = 0.05
"""Of a coarse cell, by which a coarse point may lie beside the place that an operator has it at."""


def coarsening_of(fine: Samples, coarse: Samples, given: Coarsening | int | object | None) -> Coarsening:
    """C′ between two archives: as given, or as their coordinates say.

    Args:
        fine: samples on the fine grid.
        coarse: samples on the coarse grid.
        given: an operator; a factor f for every f-th point; a sparse matrix (coarse points, fine points); None to find
            it from the coordinates.

    Returns:
        C′: `Subsample` where every coarse point is a fine one, `BlockMean` where it is in the middle of a block.

    Raises:
        DataError: if it does not connect the grids, or the coordinates do not tell.

    Examples:
        >>> coarsening_of(fine, coarse, None)
    """
    shapes = fine.values.shape[2:], coarse.values.shape[2:]
    if given is None:
        return _from_coordinates(fine, coarse, _factors(*shapes, coarse.source))
    operator = _operator(given, *shapes, coarse.source)
    if (tuple(operator.fine_shape), tuple(operator.coarse_shape)) != shapes:
        raise DataError(
            f"the operator takes fields of {tuple(operator.fine_shape)} points to {tuple(operator.coarse_shape)}, but "
            f"the fine fields have {shapes[0]} and the coarse ones {shapes[1]}; build it for those."
        )
    return operator


def _operator(given: object, fine: tuple[int, ...], coarse: tuple[int, ...], source: str) -> Coarsening:
    if hasattr(given, "pseudo_inverse"):
        return given  # pyright: ignore[reportReturnType]
    try:
        if isinstance(given, int | np.integer):
            return Subsample(fine, int(given))
        return SparseCoarsening(given, fine_shape=fine, coarse_shape=coarse)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{source}: operator = {_short(given)} is no C′ ({error}); give an operator, a factor or a sparse matrix "
            "(coarse points, fine points)."
        ) from error


def _short(given: object) -> str:
    return repr(given) if isinstance(given, int | np.integer | str) else f"a {type(given).__name__}"


def _factors(fine: tuple[int, ...], coarse: tuple[int, ...], source: str) -> tuple[int, ...]:
    """Fine points for each coarse one, along each axis."""
    if len(fine) != len(coarse):
        raise DataError(f"{source}: has {len(coarse)} dimensions of space, and the fine fields {len(fine)}.")
    if any(f < c for f, c in zip(fine, coarse, strict=True)):
        raise DataError(
            f"{source}: the coarse grid, {coarse}, has more points than the fine one, {fine}: are the two archives "
            "swapped?"
        )
    if any(f % c for f, c in zip(fine, coarse, strict=True)):
        raise DataError(
            f"{source}: the fine grid, {fine}, is no multiple of the coarse one, {coarse}; give C′ as a sparse matrix "
            "(operator=…), or cut one of the grids."
        )
    return tuple(f // c for f, c in zip(fine, coarse, strict=True))


def _from_coordinates(fine: Samples, coarse: Samples, factors: tuple[int, ...]) -> Coarsening:
    space, kinds = fine.values.shape[2:], set()
    for here, there, factor in zip(fine.space_dims, coarse.space_dims, factors, strict=True):
        if factor == 1:
            continue
        x, y = _axis(fine, here), _axis(coarse, there)
        if x is None or y is None:
            raise DataError(
                f"{fine.source}, {coarse.source}: no coordinates along {here}, so it is not known what a coarse value "
                f"is of its {factor} fine ones; give operator = {factor} for every {factor}-th point (in Python also "
                f"subgrid.BlockMean({space}, {factor}) for their means)."
            )
        cell = np.abs(np.diff(y)).min() if len(y) > 1 else np.ptp(x)
        at = {"points": x[::factor], "means": x.reshape(-1, factor).mean(1)}
        kinds |= {kind for kind, place in at.items() if np.abs(place - y).max() <= TOLERANCE * cell} or {"neither"}
    if kinds in ({"points"}, set()):
        return Subsample(space, factors)
    if kinds == {"means"}:
        return BlockMean(space, factors)
    raise DataError(
        f"{coarse.source}: its coordinates are neither every {max(factors)}-th of {fine.source} nor the middles of as "
        "many; give the operator C′, or sort, shift or cut one of the grids."
    )


def _axis(samples: Samples, dim: str) -> np.ndarray | None:
    """The coordinate along an axis as numbers, if there is one."""
    if dim not in samples.coords or samples.coords[dim].dims != (dim,):
        return None
    values = samples.coords[dim].values
    return values.astype(np.float64) if np.issubdtype(values.dtype, np.number) else None


def looks_periodic(fine: Samples) -> tuple[bool, str]:
    """Whether space wraps around, as the values look: the step over the edge beside the steps inside.

    Args:
        fine: samples on the fine grid; of many, some are looked at, evenly over all.

    Returns:
        Whether every axis does, and a sentence with the numbers.
    """
    n, size = len(fine.values), fine.values[0].size
    few = fine.values[np.linspace(0, n - 1, max(1, min(n, VALUES_LOOKED_AT // size))).round().astype(int)]
    steps = []
    for axis in range(2, few.ndim):
        values = np.moveaxis(few, axis, -1)
        inside = float(np.sqrt(np.mean(np.square(np.diff(values, axis=-1), dtype=np.float64))))
        over = float(np.sqrt(np.mean(np.square(values[..., 0] - values[..., -1], dtype=np.float64))))
        steps.append((over, inside))
    periodic = all(over <= EDGE * inside for over, inside in steps)
    shown = ", ".join(
        f"{dim}: {over:.3g} over the edge, {inside:.3g} inside"
        for dim, (over, inside) in zip(fine.space_dims, steps, strict=True)
    )
    said = "wraps around" if periodic else "does not wrap around"
    return periodic, f"space {said}, as the steps between neighbours look ({shown}); say periodic = True or False"


VALUES_LOOKED_AT = 2**22
"""Of an archive of any length: 16 MiB, of which some copies are made; means over as many are known to .1 %."""
EDGE = 1.5
"""Times the step between neighbours that the step over the edge may be: on periodic fields it is 1 but for sampling, on
others it is that of points as far apart as can be."""
