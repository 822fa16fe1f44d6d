"""The Gaussian of periodic fields whose distribution no translation changes: its components are Fourier modes.

    Σ = F* diag(Ŝ_k) F,   Ŝ_k = E x̂_k x̂_k*    (channel × channel, one for each wavenumber k)

A shifted field is as likely as the field, so the covariance is circulant and a spectrum states it: as many numbers as
points, where principal components would fit as many as pairs of points. Where translations along some axes alone leave
the fields as likely, points along the others are further channels. Real components are the cosine and the sine of
every eigenvector of Ŝ_k, so the result is a `GaussianPrior` like any other.
"""

import numpy as np
from jaxtyping import Complex, Float

from subgrid.diffusion.gaussian_prior import GaussianPrior
from subgrid.numerics.from_numpy import from_numpy

EMPTY = 1e-15
"""Of the largest variance of a component: less is rounding of float32 fields. Waves of Kolmogorov flow that dealiasing
empties have 2e-16; Kuramoto–Sivashinsky fields of 192 points have energy down to 1e-15 in waves to 60."""
AT_ONCE = 2**22
"""Values whose modes are held at a time: 64 MiB of complex numbers, however long the archive."""


def fit_stationary_prior(
    fields: Float[np.ndarray, "n channel *space"],
    n_components: int | None = None,
    *,
    along: tuple[int, ...] | None = None,
) -> GaussianPrior:
    """The maximum-likelihood Gaussian of periodic fields that translations along some axes leave as likely.

    Args:
        fields: samples, periodic along these axes of space.
        n_components: number r of leading components that are kept, at most d − 1; by default all. Components without
            variance, as of waves that no field has, are never kept.
        along: axes of space, from 0; all by default. Along the others the distribution may differ from place to place,
            and their points are what several channels are: for each wavenumber one covariance of all.

    Returns:
        N(m, Σ), m constant along these axes.

    Raises:
        ValueError: for fewer than one component, and for axes that are none.

    Examples:
        >>> prior = fit_stationary_prior(fine)
        >>> of_channel_flow = fit_stationary_prior(vorticity, along=(1,))  # y, x: homogeneous in x alone
    """
    shape, n_space = fields.shape[1:], fields.ndim - 2
    free = tuple(range(n_space)) if along is None else along
    if not free or len({*free}) < len(free) or not {*free} <= {*range(n_space)}:
        raise ValueError(f"along must name some of the axes 0 to {n_space - 1} of space, each once, got {along}.")
    fixed = tuple(axis for axis in range(n_space) if axis not in free)
    size, order = fields[0].size, (0, *(1 + axis for axis in fixed + free))  # of a field: channel, fixed, free
    wanted = min(size - 1, n_components or size - 1)
    if wanted < 1:
        raise ValueError(f"fields of {size} values have no component beside a remainder.")
    moved = fields.transpose(0, *(1 + axis for axis in order))
    laid = moved.shape[1:]
    mean, components, found = _components(moved.reshape(len(fields), -1, *laid[1 + len(fixed) :]), wanted)
    rest = max(found.sum() - found[:wanted].sum(), 0.0) / (size - len(components))
    back = lambda parts: parts.reshape(-1, *laid).transpose(0, *(1 + np.argsort(order)))  # noqa: E731
    parts = (back(mean)[0], back(components), found[: len(components)], rest, np.ones(shape))
    return GaussianPrior(*map(from_numpy, parts))


def _components(
    fields: Float[np.ndarray, "n channel *space"], wanted: int
) -> tuple[Float[np.ndarray, "channel *space"], Float[np.ndarray, "k channel *space"], Float[np.ndarray, " all"]]:
    """Mean, at most `wanted` leading components that have a variance, and the variances of all, the largest first."""
    n, space = len(fields), fields.shape[2:]
    size, axes = fields[0].size, tuple(range(2, fields.ndim))
    mean = fields.mean((0, *axes), dtype=np.float64)
    each = max(1, AT_ONCE // size)
    spectrum = np.asarray(sum(_spectrum(fields[i : i + each], mean, axes) for i in range(0, n, each))) / n
    own = [k for k in range(len(spectrum)) if _is_its_own_mirror(k, space)]
    spectrum[own] = spectrum[own].real  # but for rounding, which would turn eigenvectors of equal variance
    variances, vectors = np.linalg.eigh(spectrum)
    least = EMPTY * variances.max()
    once = _one_of_each_pair(space)
    components, found = [], []
    for column in np.argsort(-variances, axis=None, kind="stable"):
        k, j = divmod(int(column), len(mean))
        if not once[k]:
            continue
        waves = 1 if _is_its_own_mirror(k, space) else 2
        found += [max(variances[k, j], 0.0)] * waves
        if len(components) < wanted and variances[k, j] > least:
            components += _real_components(vectors[k, :, j], k, space)
    constant = np.broadcast_to(mean.reshape(-1, *(1,) * len(space)), fields.shape[1:])
    kept = np.stack(components[:wanted]) if components else np.zeros((0, *fields.shape[1:]))
    return constant, kept, np.array(found)


def _spectrum(
    fields: Float[np.ndarray, "n channel *space"], mean: Float[np.ndarray, " channel"], axes: tuple[int, ...]
) -> Complex[np.ndarray, "wavenumber channel channel"]:
    """Σₙ x̂_k x̂_k*, not divided by n, so that blocks add up."""
    centred = fields - mean.reshape(-1, *(1,) * len(axes))
    modes = np.fft.fftn(centred, axes=axes, norm="ortho").reshape(len(fields), len(mean), -1).transpose(2, 1, 0)
    return modes @ modes.conj().transpose(0, 2, 1)


def _one_of_each_pair(space: tuple[int, ...]) -> np.ndarray:
    """Of the wavenumbers k and −k, which stand for the same two real components, the first."""
    index = np.indices(space).reshape(len(space), -1)
    mirrored = np.ravel_multi_index(tuple((-row) % size for row, size in zip(index, space, strict=True)), space)
    return np.arange(index.shape[1]) <= mirrored


def _is_its_own_mirror(k: int, space: tuple[int, ...]) -> bool:
    """Whether a wave has one real component, as those of the wavenumber 0 and of Nyquist's."""
    return all((2 * ki) % size == 0 for ki, size in zip(np.unravel_index(k, space), space, strict=True))


def _real_components(
    vector: Complex[np.ndarray, " channel"], k: int, space: tuple[int, ...]
) -> list[Float[np.ndarray, "channel *space"]]:
    """Cosine and sine of one eigenvector's wave, of unit length; one of them where k = −k."""
    wavenumber = np.unravel_index(k, space)
    angle = (
        2
        * np.pi
        * sum(
            ki * np.arange(size).reshape([-1 if a == axis else 1 for a in range(len(space))]) / size
            for axis, (ki, size) in enumerate(zip(wavenumber, space, strict=True))
        )
    )
    wave = vector.reshape(-1, *(1,) * len(space)) * np.exp(1j * angle) / np.sqrt(np.prod(space))
    if _is_its_own_mirror(k, space):
        real = (wave / vector[np.argmax(np.abs(vector))]).real  # an eigenvector of a real matrix, up to its phase
        return [real / np.linalg.norm(real)]
    return [np.sqrt(2) * wave.real, np.sqrt(2) * wave.imag]
