"""The Gaussian part of a prior, fitted on its training fields: samplers solve it exactly, refinements start there."""

import itertools
import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from subgrid.data.normalise import Standardiser
from subgrid.data.stream import StreamedFields
from subgrid.diffusion.gaussian_prior import GaussianPrior, choose_n_components, fit_gaussian_prior
from subgrid.diffusion.stationary_prior import fit_stationary_prior
from subgrid.downscaling.prior.training import Fields, TrainingSettings
from subgrid.downscaling.settings import symmetries_of
from subgrid.numerics.evenly import evenly_spaced
from subgrid.numerics.streams import stream
from subgrid.numerics.symmetries import SymmetryGroup, random_images

MOST_COMPONENTS = 512
"""Of fields with more values: what is beyond is one mean variance. A step then costs some 2·512·d operations, less than
a network does; the components of a 64 × 64 field take 8 MiB.
"""
MOST_NUMBERS = 2**23
"""Of all components of a spectrum together, 32 MiB: all 1,848 that dealiased fields of 64 × 64 have. A spectrum falls
by orders of magnitude, and one mean variance for its end would be many times that of the shortest waves. Never fewer
components than `MOST_COMPONENTS`.
"""
MOST_FIELDS = 2048
"""From which components are found, evenly over the archive: their decomposition takes seconds."""
MOST_VALUES = 2**26
"""From which a spectrum is found, evenly over the archive: 256 MiB, 16384 fields of 64 × 64."""
IMAGES = 8
"""Of every field under other symmetries than shifts, at most, for a spectrum: more tell little that is new."""
SAMPLES = 4
"""Fields for each value of channels and axes that shifts do not leave alone, of which a spectrum has the covariances:
with fewer the smallest of their variances would be far too small. One value has no covariance, and asks for no number.
"""
STRETCHES = 64
"""Chunks of an archive on disk that those fields come from, or more where a chunk holds few: the archive is seen in all
its parts, and no more of it is read than that."""
FOR_CHOICE = 1024
"""From which the number of components is chosen, in five parts: six decompositions of that size."""


def fit_gaussian_part(fields: Float[np.ndarray, "n channel *space"], *, along: tuple[int, ...]) -> GaussianPrior:
    """N(m, Σ) of normalised fields: by their spectrum where translations change nothing, else by components.

    Args:
        fields: (n, channel, *space), normalised, n at least 2.
        along: axes of space, from 0, along which a shifted field is as likely as the field; periodic ones.

    Returns:
        The Gaussian, of up to `MOST_COMPONENTS` components, of a spectrum up to `MOST_NUMBERS` numbers. Without a
            spectrum their number is that under which left-out fifths of the archive, each a stretch of it, are
            likeliest, since few fields determine few components.

    Examples:
        >>> gaussian = fit_gaussian_part(standardiser.normalise(fields, 1), along=(0,))
    """
    size = fields[0].size
    if along:
        return fit_stationary_prior(fields, min(size - 1, max(MOST_COMPONENTS, MOST_NUMBERS // size)), along=along)
    kept = _evenly(fields, MOST_FIELDS)
    return fit_gaussian_prior(kept, _n_components(_evenly(kept, FOR_CHOICE).reshape(-1, size)))


def _rows(shape: tuple[int, ...], along: tuple[int, ...]) -> int:
    """Values of a field (channel, *space) at one place along these axes."""
    return math.prod(n for axis, n in enumerate(shape) if axis - 1 not in along)


def gaussian_part_of(fields: Fields, standardiser: Standardiser, training: TrainingSettings) -> GaussianPrior:
    """N(m, Σ) of the fields of a training: of an archive on disk `MOST_FIELDS` of them, of one in memory what is used.

    Args:
        fields: (n, channel, *space), physical units, or `StreamedFields`.
        standardiser: physical ↔ normalised.
        training: says whether translations, or which symmetries, change nothing: along axes of which all shifts do the
            Gaussian has the fields' spectrum, if there are `SAMPLES` fields for each value of the other axes, else
            their components; under symmetries, those of random images.

    Returns:
        The Gaussian, of normalised fields, as of `fit_gaussian_part`.

    Examples:
        >>> gaussian = gaussian_part_of(fields, standardiser_of(fields), TrainingSettings())
    """
    along, on_disk = invariant_axes(training, fields.shape[2:]), isinstance(fields, StreamedFields)
    n = min(fields.shape[0], MOST_FIELDS) if on_disk else fields.shape[0]
    if n < SAMPLES * (_rows(fields.shape[1:], along) - 1):
        along = ()
    most = max(MOST_FIELDS, MOST_VALUES // math.prod(fields.shape[1:])) if along else MOST_FIELDS
    few = stretches(fields, MOST_FIELDS) if on_disk else _evenly(fields, most)  # pyright: ignore[reportArgumentType]
    normalised = np.asarray(standardiser.normalise(jnp.asarray(few), few.ndim - 2))
    if training.symmetries is not None:
        size = min(most, max(MOST_FIELDS, IMAGES * len(few)))
        normalised = _images(normalised, training.symmetries, size)
    return fit_gaussian_part(normalised, along=along)


def invariant_axes(training: TrainingSettings, space: tuple[int, ...]) -> tuple[int, ...]:
    """Axes of space along which every shift by whole points leaves a field as likely.

    Args:
        training: says so, or names a group of symmetries.
        space: points along each axis.

    Returns:
        Axes, from 0.

    Examples:
        >>> invariant_axes(TrainingSettings(symmetries=kolmogorov_symmetries(4, n_shifts=64)), (64, 64))  # (1,)
    """
    group = symmetries_of(training, space)
    if group is None:
        return ()
    first = len(space) - len(group.parts)  # groups act on the last axes
    steps = enumerate(zip(group.parts, group.strides, space[first:], strict=True), first)
    return tuple(axis for axis, (parts, stride, n) in steps if stride == 1 and parts == n)


def _images(
    fields: Float[np.ndarray, "n channel *space"], group: SymmetryGroup, size: int
) -> Float[np.ndarray, "size channel *space"]:
    """Random images of fields, so many in all, those of one beside each other: left-out fifths share no field."""
    key = stream(0, "gaussian part", "images")
    repeated = fields[np.arange(size) * len(fields) // size]
    return np.asarray(random_images(jnp.asarray(repeated), group, key=key))


def blank_gaussian_part(shape: tuple[int, ...], n_components: int) -> GaussianPrior:
    """Zeros of the right shapes, to load a stored Gaussian into.

    Args:
        shape: of a field, (channel, *space).
        n_components: components with a variance of their own.

    Returns:
        A Gaussian of zeros.
    """
    zeros = jnp.zeros(shape)
    return GaussianPrior(zeros, jnp.zeros((n_components, *shape)), jnp.zeros(n_components), jnp.zeros(()), zeros)


def _n_components(values: Float[np.ndarray, "n d"]) -> int:
    n, d = values.shape
    most = min(n - 1, d - 1, MOST_COMPONENTS)
    candidates = sorted({min(most, 2**k) for k in range(12)} | {min(most, 3 * 2**k) for k in range(10)})
    if n < 10:  # a fifth of it would be no sample of anything
        return 1
    return choose_n_components(values, np.arange(n) * 5 // n, candidates=candidates)[0]


def stretches(fields: StreamedFields, n: int) -> Float[np.ndarray, "n channel *space"]:
    """Evenly out of evenly spaced chunks, in the order of the archive, so that left-out fifths are stretches of it.

    Shuffled, every field that is left out would have its neighbours in time among the others, and too many components
    would look likely. Out of all chunks, where there are few, these are the fields of an archive in memory.

    Args:
        fields: on disk.
        n: how many, at most.

    Returns:
        The fields.
    """
    blocks = fields.blocks
    chosen = _evenly(np.arange(len(blocks.lengths)), max(STRETCHES, math.ceil(n / blocks.lengths.mean())))
    edges = np.cumsum([0, *blocks.lengths[chosen]])
    wanted = _evenly(np.arange(edges[-1]), n)
    inside = [wanted[(first <= wanted) & (wanted < end)] - first for first, end in itertools.pairwise(edges)]
    return np.concatenate([blocks.read(int(i))[rows] for i, rows in zip(chosen, inside, strict=True) if len(rows)])


def _evenly(fields: np.ndarray, n: int) -> np.ndarray:
    return fields[evenly_spaced(len(fields), n)]
