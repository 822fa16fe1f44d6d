"""The modes of a box, the same at every resolution: waves of a periodic one, cosines of one with walls.

    u(x) = Σ_k c_k φ_k(x),      mean over the box of |φ_k|² = 1

φ_k = exp(2πi k·x/L) where space wraps around; products of φ₀ = 1 and φ_n = √2 cos(πn x/L) where the normal derivative
vanishes at the walls (Neumann). With this normalisation a coefficient means the same on every grid: a finer grid adds
modes and changes none. Points are those of cells, x_i = iL/N where space wraps around and (i + ½)L/N between walls;
a grid that holds both ends of a side, as `linspace` makes it, is another function at every resolution.

Even periodic grids hold the Nyquist wave N/2 by its cosine alone, so that it has no place on a finer grid. It is left
out wherever modes are drawn, multiplied or moved to another grid: sums over modes give it no weight.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float, Int, Num

from subgrid.types import Key, Spatial

Boundary: TypeAlias = Literal["periodic", "neumann"]
"""What happens at the sides: space wraps around, or the normal derivative vanishes."""


@dataclass(frozen=True)
class Box:
    """A box, and its modes on any grid.

    Args:
        length: L, one length a side, in any unit; their number is the dimension d.
        boundary: "periodic" (default) or "neumann", of all sides.

    Raises:
        ValueError: for no side, a length that is not positive, or another boundary.

    Examples:
        >>> box = Box((1.0, 1.0))
        >>> box.from_modes(box.to_modes(fields), (64, 64))  # the fields, less their Nyquist waves
    """

    length: tuple[float, ...]
    boundary: Boundary = "periodic"

    def __post_init__(self):
        if not self.length or not all(side > 0 for side in self.length):
            raise ValueError(f"length needs a positive number for each side, got {self.length}.")
        if self.boundary not in ("periodic", "neumann"):
            raise ValueError(f"boundary must be 'periodic' or 'neumann', got {self.boundary!r}.")

    @property
    def n_space(self) -> int:
        """d, the number of axes."""
        return len(self.length)

    @property
    def volume(self) -> float:
        """|L|, the product of the sides."""
        return float(np.prod(self.length))

    def require_shape(self, shape: Sequence[int], what: str = "shape") -> Spatial:
        """The shape of a grid of this box.

        Args:
            shape: points along each axis.
            what: the name of it in the complaint, "shape" by default.

        Returns:
            The shape, a tuple.

        Raises:
            ValueError: for another number of axes, or an axis without points.
        """
        if len(shape) != self.n_space or min(shape) < 1:
            raise ValueError(f"{what} needs {self.n_space} numbers of points, one for each side, got {tuple(shape)}.")
        return tuple(int(n) for n in shape)

    def numbers(self, shape: Spatial) -> list[Int[np.ndarray, " mode"]]:
        """The wavenumbers of the stored modes along each axis.

        Args:
            shape: of the grid.

        Returns:
            Integers: 0, 1, …, −1 where a wave has both signs, 0, 1, … along the last axis and between walls.
        """
        if self.boundary == "neumann":
            return [np.arange(n) for n in shape]
        return [*(np.rint(np.fft.fftfreq(n, 1 / n)).astype(int) for n in shape[:-1]), np.arange(shape[-1] // 2 + 1)]

    def weights(self, shape: Spatial) -> Float[np.ndarray, "*mode"]:
        """How many modes each stored coefficient stands for: Σ_k |c_k|² = Σ weights·|c|², the mean square of a field.

        Args:
            shape: of the grid.

        Returns:
            2 where a wave stands for its conjugate too, 0 for Nyquist waves, else 1.
        """
        counts = [np.ones(len(k)) for k in self.numbers(shape)]
        if self.boundary == "periodic":
            counts[-1][1:] = 2
            for n, k, count in zip(shape, self.numbers(shape), counts, strict=True):
                count[2 * np.abs(k) == n] = 0
        return _outer(np.multiply, counts)

    def squared_wavenumbers(self, shape: Spatial) -> Float[np.ndarray, "*mode"]:
        """κ², the eigenvalues of −Δ: |2πk/L|² where space wraps around, |πn/L|² between walls.

        Args:
            shape: of the grid.

        Returns:
            κ² of the stored modes, in 1/length².
        """
        turn = 2 * np.pi if self.boundary == "periodic" else np.pi
        sides = zip(self.numbers(shape), self.length, strict=True)
        return _outer(np.add, [(turn * k / side) ** 2 for k, side in sides])

    def largest_wavenumber(self, shape: Spatial) -> float:
        """κ² of the last wave that a grid holds along every axis: inside it no direction is cut.

        Args:
            shape: of the grid.

        Returns:
            The smallest over axes of their largest κ², in 1/length².
        """
        alone = [tuple(n if i == axis else 1 for i, n in enumerate(shape)) for axis in range(self.n_space)]
        return min(float(np.max(self.squared_wavenumbers(line) * (self.weights(line) > 0))) for line in alone)

    def to_modes(self, fields: Float[Array, "..."]) -> Num[Array, "..."]:
        """The coefficients c_k of fields.

        Args:
            fields: on a grid along the last d axes.

        Returns:
            The stored modes, complex where space wraps around.
        """
        return _to_modes(self, fields)

    def from_modes(self, modes: Num[Array, "..."], shape: Spatial) -> Float[Array, "..."]:
        """The fields of given coefficients, without Nyquist waves.

        Args:
            modes: the stored modes of `shape`.
            shape: of the grid.

        Returns:
            The fields.
        """
        return _from_modes(self, modes, shape)

    def multiply(self, fields: Float[Array, "..."], gain: Float[Array | np.ndarray, "..."]) -> Float[Array, "..."]:
        """Fields with every mode multiplied by its gain, and without Nyquist waves.

        Args:
            fields: on a grid along the last d axes.
            gain: of the stored modes.

        Returns:
            The fields, on the same grid.
        """
        shape = fields.shape[fields.ndim - self.n_space :]
        return self.from_modes(self.to_modes(fields) * gain, shape)

    def resize_modes(self, modes: Num[Array, "..."], shape: Spatial, target: Spatial) -> Num[Array, "..."]:
        """The modes of one grid as those of another: cut, or continued by zeros.

        Args:
            modes: the stored modes of `shape`.
            shape: of their grid.
            target: of the other grid.

        Returns:
            The stored modes of `target`.
        """
        for axis, (n, m) in enumerate(zip(shape, target, strict=True)):
            wanted, last = self.numbers(target)[axis], min(_last_wave(self, n), _last_wave(self, m))
            there = np.abs(wanted) <= last
            source = np.where(there, wanted, 0) % n  # the stored place of a wave of either sign
            place = axis - self.n_space
            mask = np.expand_dims(there, tuple(range(1, -place)))
            modes = jnp.take(modes, source, axis=modes.ndim + place) * mask
        return modes

    def resize(self, fields: Float[Array, "..."], target: Spatial) -> Float[Array, "..."]:
        """The fields of another grid with the same modes: Fourier interpolation, or the cut of a low-pass.

        Args:
            fields: on a grid along the last d axes.
            target: of the other grid; waves that it does not hold are left out.

        Returns:
            The fields on that grid.
        """
        shape = fields.shape[fields.ndim - self.n_space :]
        return self.from_modes(self.resize_modes(self.to_modes(fields), shape, target), target)

    def holds(self, shape: Spatial, band: Spatial) -> bool:
        """Whether a grid holds every mode of another.

        Args:
            shape: of the grid.
            band: of the other.

        Returns:
            True if no mode is lost in `resize` from `band` to `shape`.
        """
        return all(_last_wave(self, n) >= _last_wave(self, m) for n, m in zip(shape, band, strict=True))

    def white_modes(self, shape: Spatial, *, key: Key) -> Num[Array, "*mode"]:
        """Independent standard normal coefficients, E|c_k|² = 1, each drawn from its wavenumber alone.

        Whatever the grid, a key gives a wave the same number: draws at several resolutions are one random function.

        Args:
            shape: of the grid.
            key: random key.

        Returns:
            The stored modes, with c_{−k} the conjugate of c_k where space wraps around; 0 for Nyquist waves.

        Examples:
            >>> box.white_modes((64,), key=key)[:16] == box.white_modes((256,), key=key)[:16]  # all True
        """
        numbers = np.meshgrid(*self.numbers(shape), indexing="ij")
        if self.boundary == "neumann":
            return _normals(key, numbers, 1)[..., 0]
        sign = _sign_of_half(numbers)
        pair = _normals(key, [sign * k for k in numbers], 2)
        self_conjugate = sign == 0
        real = jnp.where(self_conjugate, pair[..., 0], pair[..., 0] / np.sqrt(2))
        return jax.lax.complex(real, sign * pair[..., 1] / np.sqrt(2)) * (self.weights(shape) > 0)


# Programs of their own: outside of others, a transform would be some five, each compiled for every shape.


@functools.partial(jax.jit, static_argnums=0)
def _to_modes(box: Box, fields: Array) -> Array:
    axes = tuple(range(-box.n_space, 0))
    if box.boundary == "periodic":
        return jnp.fft.rfftn(fields, axes=axes, norm="forward")
    size = np.prod(fields.shape[fields.ndim - box.n_space :])
    return jax.scipy.fft.dctn(fields, axes=axes, norm="ortho") / np.sqrt(size)


@functools.partial(jax.jit, static_argnums=(0, 2))
def _from_modes(box: Box, modes: Array, shape: Spatial) -> Array:
    axes = tuple(range(-box.n_space, 0))
    if box.boundary == "periodic":
        kept = modes * (box.weights(shape) > 0)
        return jnp.fft.irfftn(kept, s=shape, axes=axes, norm="forward")
    return jax.scipy.fft.idctn(modes * np.sqrt(np.prod(shape)), axes=axes, norm="ortho")


def _outer(combine: np.ufunc, parts: Sequence[np.ndarray]) -> np.ndarray:
    total = parts[0]
    for part in parts[1:]:
        total = combine.outer(total, part)
    return total


def _last_wave(box: Box, n: int) -> int:
    """The largest wavenumber that n points hold with both of its phases."""
    return (n - 1) // 2 if box.boundary == "periodic" else n - 1


def _sign_of_half(numbers: Sequence[Int[np.ndarray, "*mode"]]) -> Int[np.ndarray, "*mode"]:
    """1 in one half of the waves, −1 in that of their conjugates, 0 for the mean: the sign of the last number ≠ 0."""
    sign = np.zeros_like(numbers[0])
    for k in reversed(numbers):
        sign = np.where(sign == 0, np.sign(k), sign)
    return sign


def _normals(key: Key, numbers: Sequence[Int[np.ndarray, "*mode"]], n: int) -> Float[Array, "*mode n"]:
    """n standard normal numbers for each wave, from the key folded with its wavenumbers one after the other."""

    def of_wave(*wave):
        own = key
        for k in wave:
            own = jr.fold_in(own, k)
        return jr.normal(own, (n,), jnp.result_type(float))

    flat = [jnp.asarray(k.reshape(-1), jnp.int32) for k in numbers]
    return jax.vmap(of_wave)(*flat).reshape(*numbers[0].shape, n)
