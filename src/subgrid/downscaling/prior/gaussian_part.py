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
from subgrid.numerics.evenly import evenly_spaced
from subgrid.numerics.streams import stream
from subgrid.numerics.symmetries import SymmetryGroup, random_images

MOST_COMPONENTS = 512
"""Of fields with more values: what is beyond is one mean variance. A step then costs some 2·512·d operations, less than
a network does; the components of a 64 × 64 field take 8 MiB.
"""
MOST_FIELDS = 2048
"""From which components are found, evenly over the archive: their decomposition takes seconds."""
MOST_VALUES = 2**26
"""From which a spectrum is found, evenly over the archive: 256 MiB, 16384 fields of 64 × 64."""
STRETCHES = 64
"""Chunks of an archive on disk that those fields come from, or more where a chunk holds few: the archive is seen in all
its parts, and no more of it is read than that."""
FOR_CHOICE = 1024
"""From which the number of components is chosen, in five parts: six decompositions of that size."""


def fit_gaussian_part(fields: Float[np.ndarray, "n channel *space"], *, translation_invariant: bool) -> GaussianPrior:
    """N(m, Σ) of normalised fields: by their spectrum where translations change nothing, else by components.

    Args:
        fields: (n, channel, *space), normalised, n at least 2.
        translation_invariant: whether a shifted field is as likely as the field; space is then periodic.

    Returns:
        The Gaussian, of up to `MOST_COMPONENTS` components; their number is that under which left-out fifths of the
            archive, each a stretch of it, are likeliest, since few fields determine few components.

    Examples:
        >>> gaussian = fit_gaussian_part(standardiser.normalise(fields, 1), translation_invariant=True)
    """
    size = fields[0].size
    if translation_invariant:
        return fit_stationary_prior(fields, min(size - 1, MOST_COMPONENTS))
    kept = _evenly(fields, MOST_FIELDS)
    return fit_gaussian_prior(kept, _n_components(_evenly(kept, FOR_CHOICE).reshape(-1, size)))


def gaussian_part_of(fields: Fields, standardiser: Standardiser, training: TrainingSettings) -> GaussianPrior:
    """N(m, Σ) of the fields of a training: of an archive on disk `MOST_FIELDS` of them, of one in memory what is used.

    Args:
        fields: (n, channel, *space), physical units, or `StreamedFields`.
        standardiser: physical ↔ normalised.
        training: says whether translations change nothing; the Gaussian then has the fields' spectrum, else their
            components, or those of random images where there are other symmetries.

    Returns:
        The Gaussian, of normalised fields, of up to `MOST_COMPONENTS` components.

    Examples:
        >>> gaussian = gaussian_part_of(fields, standardiser_of(fields), TrainingSettings())
    """
    if isinstance(fields, StreamedFields):
        few = stretches(fields, MOST_FIELDS)
    else:
        of_spectrum = max(MOST_FIELDS, MOST_VALUES // fields[0].size)
        few = _evenly(fields, of_spectrum if training.translation_invariant else MOST_FIELDS)
    normalised = np.asarray(standardiser.normalise(jnp.asarray(few), few.ndim - 2))
    if training.symmetries is not None:
        normalised = _images(normalised, training.symmetries)
    return fit_gaussian_part(normalised, translation_invariant=training.translation_invariant)


def _images(
    fields: Float[np.ndarray, "n channel *space"], group: SymmetryGroup
) -> Float[np.ndarray, "m channel *space"]:
    """Random images of fields, `MOST_FIELDS` in all, those of one beside each other: left-out fifths share no field."""
    size, key = max(len(fields), MOST_FIELDS), stream(0, "gaussian part", "images")
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
