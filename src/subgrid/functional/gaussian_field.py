"""Gaussian measures on functions: N(0, C) with C = s² (−Δ + τ²)^{−α}, drawn on any grid of a box.

    u = Σ_k √(λ_k/|L|) W_k φ_k,      λ_k = s² (κ² + τ²)^{−α}

A measure on functions needs tr C = Σ λ_k < ∞, that is α > d/2; else the variance at a point grows with the number of
points, and what a network learns on one grid means nothing on another. W_k are drawn from the wavenumber alone
(`Box.white_modes`), so that a key is one random function, at whatever resolution it is drawn: noise at several grids is
coupled.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num, Scalar

from subgrid.numerics.from_numpy import from_numpy
from subgrid.numerics.modes import Boundary, Box
from subgrid.numerics.spectra import Flat, PowerLaw, Spectrum, limit_variance, measure_spectrum, point_variance
from subgrid.types import Key


@dataclass(frozen=True, init=False, eq=False)
class GaussianField:
    """The Gaussian measure N(0, C), C = s² (−Δ + τ²)^{−α}, of functions on a box.

    Others than of this power law are made by `fit_gaussian_field` and `white_field`.

    Args:
        alpha: α > d/2. Samples have α − d/2 derivatives (nearly): at 1 in one dimension they are as rough as Brownian
            motion.
        tau: τ ≥ 0, the inverse of the correlation length, in 1/length.
        length: L, one length a side, in any unit; a number is one side, 1 by default. Their number is the dimension d.
        boundary: "periodic" (default), or "neumann" for cosines between walls.
        variance: at a point, on a grid refined without end (between walls, its mean over the box): it sets s. Default
            None, which leaves s to `scale`.
        scale: s, default 1; not used where a variance is given.
        zero_mean: whether the mean over the box is 0 in every sample, default not; needed where τ = 0.

    Raises:
        ValueError: α ≤ d/2, saying which α would do; and as `Box` and `PowerLaw`.

    Examples:
        >>> noise = GaussianField(1.5, 5.0, (1.0, 1.0), variance=1.0)
        >>> coarse, fine = noise.sample((32, 32), key=key), noise.sample((128, 128), key=key)  # one function
    """

    spectrum: Spectrum
    """The variances of the modes."""
    box: Box
    """Where the functions live."""

    def __init__(
        self,
        alpha: float,
        tau: float,
        length: float | Sequence[float] = 1.0,
        boundary: Boundary = "periodic",
        *,
        variance: float | None = None,
        scale: float = 1.0,
        zero_mean: bool = False,
    ):
        box = _box(length, boundary)
        if alpha <= box.n_space / 2:
            raise ValueError(
                f"alpha = {alpha:g} is not trace class in {box.n_space} dimensions: its variance at a point grows "
                f"without bounds as the grid is refined; choose alpha above d/2 = {box.n_space / 2:g}, such as "
                f"{box.n_space / 2 + 0.5:g}."
            )
        law = PowerLaw(alpha, tau, scale, zero_mean)
        if variance is not None:
            if variance <= 0:
                raise ValueError(f"variance must be positive, got {variance}.")
            unit = limit_variance(PowerLaw(alpha, tau, 1.0, zero_mean), box)
            law = PowerLaw(alpha, tau, float(np.sqrt(variance / unit)), zero_mean)
        object.__setattr__(self, "spectrum", law)
        object.__setattr__(self, "box", box)

    def mode_variances(self, shape: Sequence[int]) -> Float[np.ndarray, "..."]:
        """E|c_k|² = λ_k/|L| of the modes that the box stores for a grid.

        Args:
            shape: points along each axis.

        Returns:
            Variances, float64, on the host; with an axis of channels first where the spectrum has one.
        """
        return self.spectrum(self.box, self.box.require_shape(shape))

    def variance(self, shape: Sequence[int]) -> np.ndarray | np.floating:
        """The variance at a point of a grid, Σ_k λ_k/|L| (between walls, its mean over points).

        Args:
            shape: points along each axis.

        Returns:
            A number, or one for each channel.

        Examples:
            >>> GaussianField(2.0, 5.0).variance((64,))  # .0021637
        """
        return point_variance(self.mode_variances(shape), self.box, self.box.require_shape(shape))

    def sample(
        self, shape: Sequence[int], *, n_channels: int = 1, modes: Sequence[int] | None = None, key: Key
    ) -> Float[Array, "channel *space"]:
        """One draw. The same key on another grid is the same function there, as far as that grid holds its modes.

        Args:
            shape: points along each axis, odd or even.
            n_channels: independent channels, default 1.
            modes: the grid whose modes are drawn, default that of `shape`; with fewer points the function is
                band-limited.
            key: random key.

        Returns:
            A field.

        Raises:
            ValueError: for another number of axes.

        Examples:
            >>> noise.sample((64,), key=key).shape  # (1, 64)
        """
        shape = self.box.require_shape(shape)
        drawn = shape if modes is None else self.box.require_shape(modes, "modes")
        coefficients = self.sample_modes(drawn, n_channels=n_channels, key=key)
        return self.box.from_modes(self.box.resize_modes(coefficients, drawn, shape), shape)

    def sample_modes(self, shape: Sequence[int], *, n_channels: int = 1, key: Key) -> Num[Array, "channel *mode"]:
        """The coefficients of one draw.

        Args:
            shape: of the grid whose modes are drawn.
            n_channels: independent channels, default 1.
            key: random key.

        Returns:
            The stored modes.
        """
        keys = jnp.stack([key]) if n_channels == 1 else jax.random.split(key, n_channels)
        white = jax.vmap(lambda own: self.box.white_modes(self.box.require_shape(shape), key=own))(keys)
        return white * as_gain(np.sqrt(self.mode_variances(shape)))

    def multiply(self, v: Float[Array, "channel *space"], power: float) -> Float[Array, "channel *space"]:
        """C^power v, mode by mode. A negative power leaves out modes of no variance; Nyquist waves are left out.

        Args:
            v: a field.
            power: any number: ½ colours white noise, −½ whitens.

        Returns:
            A field on the same grid.

        Examples:
            >>> noise.multiply(noise.multiply(v, 0.5), -0.5)  # v
        """
        return self.box.multiply(v, as_gain(self.eigenvalues(v.shape[1:], power)))

    def eigenvalues(self, shape: Sequence[int], power: float = 1.0) -> Float[np.ndarray, "..."]:
        """λ_k^power, 0 where λ_k is.

        Args:
            shape: points along each axis.
            power: default 1.

        Returns:
            Powers of the eigenvalues of C, float64, on the host.
        """
        eigenvalues = self.box.volume * self.mode_variances(shape)
        return np.where(eigenvalues > 0, np.where(eigenvalues > 0, eigenvalues, 1.0) ** power, 0.0)

    def inner_product(
        self, u: Float[Array, "channel *space"], v: Float[Array, "channel *space"], *, power: float = 0.0
    ) -> Scalar:
        """∫ u C^power v dx over box and channels: of L² for power 0, of the Cameron–Martin space for power −1.

        Args:
            u: a field.
            v: a field on the same grid.
            power: default 0.

        Returns:
            A scalar.

        Examples:
            >>> noise.inner_product(u, u, power=-1.0)  # the squared Cameron–Martin norm
        """
        n_space = self.box.n_space
        weighted = u if power == 0 else self.multiply(u, power)
        return self.box.volume * jnp.sum(jnp.mean(weighted * v, axis=tuple(range(-n_space, 0))))


def white_field(
    length: float | Sequence[float] = 1.0, boundary: Boundary = "periodic", *, scale: float = 1.0
) -> GaussianField:
    """White noise, C = s²: the negative control. It is no measure on functions: variances at points grow with the grid.

    Args:
        length: one length a side, default one side of 1.
        boundary: "periodic" (default) or "neumann".
        scale: s, default 1; the variance at a point of N cells is s²·N/|L| (less that of Nyquist waves).

    Returns:
        The field.

    Examples:
        >>> white_field(1.0).variance((257,)) / white_field(1.0).variance((65,))  # about 4
    """
    return field_of(Flat(scale), length, boundary)


def fit_gaussian_field(
    fields: Float[np.ndarray, "n channel *space"],
    length: float | Sequence[float] = 1.0,
    boundary: Boundary = "periodic",
) -> GaussianField:
    """The Gaussian measure whose modes have the mean squares of those of given fields.

    Beyond the modes of the fields' grid the spectrum goes on by the power law of its last octave.

    Args:
        fields: samples of zero mean.
        length: one length a side, default one side of 1.
        boundary: "periodic" (default) or "neumann".

    Returns:
        The field, with a spectrum for each channel.

    Raises:
        ValueError: as `measure_spectrum`.

    Examples:
        >>> data = fit_gaussian_field(fields)
        >>> data.sample((256,), n_channels=fields.shape[1], key=key)
    """
    box = _box(length, boundary)
    return field_of(measure_spectrum(np.asarray(fields), box), length, boundary)


def field_of(
    spectrum: Spectrum, length: float | Sequence[float] = 1.0, boundary: Boundary = "periodic"
) -> GaussianField:
    """The Gaussian measure of any spectrum; it is not asked whether its variances can be summed.

    Args:
        spectrum: of the modes.
        length: one length a side, default one side of 1.
        boundary: "periodic" (default) or "neumann".

    Returns:
        The field.

    Examples:
        >>> field_of(PowerLaw(0.4, 5.0))  # rougher than any function
    """
    field = object.__new__(GaussianField)
    object.__setattr__(field, "spectrum", spectrum)
    object.__setattr__(field, "box", _box(length, boundary))
    return field


def as_gain(values: Float[np.ndarray, "..."]) -> Float[Array, "..."]:
    """Numbers of the host in the precision of the fields.

    Args:
        values: float64.

    Returns:
        The same as a JAX array of the default precision.
    """
    return from_numpy(values, jnp.result_type(float))


def _box(length: float | Sequence[float], boundary: Boundary) -> Box:
    return Box(tuple(map(float, length)) if isinstance(length, Sequence) else (float(length),), boundary)
