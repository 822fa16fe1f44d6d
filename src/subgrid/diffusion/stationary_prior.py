"""The Gaussian of periodic fields whose distribution no translation changes: its components are Fourier modes.

    Σ = F* diag(Ŝ_k) F,   Ŝ_k = E x̂_k x̂_k*    (channel × channel, one for each wavenumber k)

A shifted field is as likely as the field, so the covariance is circulant and a spectrum states it: as many numbers as
points, where principal components would fit as many as pairs of points. Real components are the cosine and the sine of
every eigenvector of Ŝ_k, so the result is a `GaussianPrior` like any other.
"""

import numpy as np
from jaxtyping import Complex, Float

from subgrid.diffusion.gaussian_prior import GaussianPrior
from subgrid.numerics.from_numpy import from_numpy

AT_ONCE = 2**22
"""Values whose modes are held at a time: 64 MiB of complex numbers, however long the archive."""


def fit_stationary_prior(
    fields: Float[np.ndarray, "n channel *space"], n_components: int | None = None
) -> GaussianPrior:
    """The maximum-likelihood Gaussian of periodic, translation-invariant fields.

    Args:
        fields: samples, periodic along all axes of space.
        n_components: number r of leading components that are kept, at most d − 1; by default all.

    Returns:
        N(m, Σ), m constant in space.

    Raises:
        ValueError: for fewer than one component.

    Examples:
        >>> prior = fit_stationary_prior(fine)
    """
    n, space = len(fields), fields.shape[2:]
    size = fields[0].size
    wanted = min(size - 1, n_components or size - 1)
    if wanted < 1:
        raise ValueError(f"fields of {size} values have no component beside a remainder.")
    axes = tuple(range(2, fields.ndim))
    mean = fields.mean((0, *axes), dtype=np.float64)
    each = max(1, AT_ONCE // size)
    spectrum = sum(_spectrum(fields[i : i + each], mean, axes) for i in range(0, n, each)) / n
    variances, vectors = np.linalg.eigh(spectrum)
    columns = np.argsort(-variances, axis=None, kind="stable")
    kept = _one_of_each_pair(space)
    components, found = [], []
    for column in columns:
        k, j = divmod(int(column), len(mean))
        if not kept[k]:
            continue
        for component in _real_components(vectors[k, :, j], k, space):
            components.append(component)
            found.append(max(variances[k, j], 0.0))
        if len(found) >= wanted:
            break
    found, components = np.array(found[:wanted]), np.stack(components[:wanted])
    rest = max(variances.sum() - found.sum(), 0.0) / (size - wanted)
    constant = np.broadcast_to(mean.reshape(-1, *(1,) * len(space)), fields.shape[1:])
    parts = (constant, components, found, rest, np.ones(fields.shape[1:]))
    return GaussianPrior(*map(from_numpy, parts))


def _spectrum(
    fields: Float[np.ndarray, "n channel *space"], mean: Float[np.ndarray, " channel"], axes: tuple[int, ...]
) -> Complex[np.ndarray, "wavenumber channel channel"]:
    """Σₙ x̂_k x̂_k*, not divided by n, so that blocks add up."""
    centred = fields - mean.reshape(-1, *(1,) * len(axes))
    modes = np.fft.fftn(centred, axes=axes, norm="ortho").reshape(len(fields), len(mean), -1)
    return np.einsum("nck,ndk->kcd", modes, modes.conj())


def _one_of_each_pair(space: tuple[int, ...]) -> np.ndarray:
    """Of the wavenumbers k and −k, which stand for the same two real components, the first."""
    index = np.indices(space).reshape(len(space), -1)
    mirrored = np.ravel_multi_index(tuple((-row) % size for row, size in zip(index, space, strict=True)), space)
    return np.arange(index.shape[1]) <= mirrored


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
    if all((2 * ki) % size == 0 for ki, size in zip(wavenumber, space, strict=True)):
        real = (wave / vector[np.argmax(np.abs(vector))]).real  # an eigenvector of a real matrix, up to its phase
        return [real / np.linalg.norm(real)]
    return [np.sqrt(2) * wave.real, np.sqrt(2) * wave.imag]
