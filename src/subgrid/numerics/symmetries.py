"""Symmetries of a distribution of periodic fields: shifts, reflections and changes of sign that leave it alone.

An element moves a field by a, mirrors axes and may change the sign,

    (g w)(z) = s·w(ρ(z − a)),      s = ±1,   ρ = ±1 for each axis

on fields sampled at the points 0, h, 2h, … of a periodic domain, which it permutes: nothing is interpolated. Images of
samples are further samples, free ones where the distribution has the symmetry and wrong ones elsewhere. Shifts are
counted in parts of the domain, not in points: an element acts on the coarse and on the fine grid as one and the same
map, so that (every f-th point of g w) = g(every f-th point of w).

Block means stand half a block away from the points and commute with shifts by whole blocks only, not with ρ.
"""

import itertools
import math
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float, Int

from subgrid.types import Key


class Symmetry(eqx.Module):
    """One element g, or a batch of them for `jax.vmap`: (g w)(z) = s·w(ρ(z − a)).

    Args:
        shift: a of each of the last axes, in parts of the domain.
        orientation: ρ, 1 or −1 for each axis.
        sign: s, 1 or −1.
        parts: in how many parts the domain is divided along each axis.

    Examples:
        >>> g = kolmogorov_symmetries(4, n_shifts=16).draw(key=key)
        >>> again = g.inverse()(g(field))  # field
    """

    shift: Int[Array, "*batch axis"]
    orientation: Int[Array, "*batch axis"]
    sign: Int[Array, "*batch"]
    parts: tuple[int, ...] = eqx.field(static=True)

    @eqx.filter_jit
    def __call__(self, field: Float[Array, "*channel_space"]) -> Float[Array, "*channel_space"]:
        """g w, on any grid that the parts divide.

        Args:
            field: w, space axes last, as many as there are parts.

        Returns:
            The image.

        Raises:
            ValueError: for a grid whose points cannot be moved by one part.
        """
        points = _points(field.shape, self.parts)
        for axis, (n, parts) in enumerate(zip(points, self.parts, strict=True)):
            read = self.orientation[axis] * (jnp.arange(n) - self.shift[axis] * (n // parts))
            field = jnp.take(field, read % n, axis=field.ndim - len(points) + axis)
        return self.sign.astype(field.dtype) * field

    def inverse(self) -> "Symmetry":
        """g⁻¹: as (g w)(z) = s·w(ρ(z − a)), it is w(z) = s·(g w)(ρ(z + ρa)).

        Returns:
            The element that takes g back.
        """
        return Symmetry(-self.orientation * self.shift, self.orientation, self.sign, self.parts)

    def after(self, other: "Symmetry") -> "Symmetry":
        """The product g∘g′: (s s′, ρρ′, a + ρa′).

        Args:
            other: g′, which acts first; of the same parts.

        Returns:
            The element.
        """
        shift = self.shift + self.orientation * other.shift
        return Symmetry(shift, self.orientation * other.orientation, self.sign * other.sign, self.parts)


@dataclass(frozen=True)
class SymmetryGroup:
    """A finite group of `Symmetry`s: shifts by multiples of `strides`, after one of some `representatives`.

    Args:
        parts: in how many parts the domain is divided along each of the last axes.
        strides: shifts by how many parts are symmetries by themselves, one number an axis; divisors of the parts.
        representatives: (a, ρ, s) of one element for each coset of those shifts; the identity alone by default.

    Raises:
        ValueError: for strides that do not divide their parts.

    Examples:
        >>> group = shifts((24,))
        >>> len(group)
        24
    """

    parts: tuple[int, ...]
    strides: tuple[int, ...]
    representatives: tuple[tuple[tuple[int, ...], tuple[int, ...], int], ...] = ()

    def __post_init__(self):
        for parts, stride in zip(self.parts, self.strides, strict=True):
            if parts < 1 or stride < 1 or parts % stride:
                raise ValueError(f"shifts by {stride} of {parts} parts never come back; use a divisor of {parts}.")
        if not self.representatives:
            zeros, ones = (0,) * len(self.parts), (1,) * len(self.parts)
            object.__setattr__(self, "representatives", ((zeros, ones, 1),))

    def __len__(self) -> int:
        return len(self.representatives) * math.prod(self._n_shifts())

    def elements(self) -> Symmetry:
        """All elements, the identity first, those of one representative together.

        Returns:
            A batch of as many as `len`.
        """
        shifts = np.array(list(itertools.product(*map(range, self._n_shifts()))))
        which = np.arange(len(self.representatives)).repeat(len(shifts))
        return self._of(which, np.tile(shifts, (len(self.representatives), 1)))

    def draw(self, n: int | None = None, *, key: Key) -> Symmetry:
        """Elements at random, each as likely as any other.

        Args:
            n: how many; one element, not a batch, by default.
            key: random key.

        Returns:
            A batch, or one element.
        """
        return _draw(self, () if n is None else (n,), key)

    def _n_shifts(self) -> tuple[int, ...]:
        return tuple(parts // stride for parts, stride in zip(self.parts, self.strides, strict=True))

    @eqx.filter_jit
    def _of(self, which: Int[Array | np.ndarray, "*batch"], shifts: Int[Array | np.ndarray, "*batch axis"]) -> Symmetry:
        shift, orientation, sign = (jnp.asarray(column) for column in zip(*self.representatives, strict=True))
        return Symmetry(shift[which] + shifts * jnp.asarray(self.strides), orientation[which], sign[which], self.parts)


@eqx.filter_jit
def _draw(group: SymmetryGroup, batch: tuple[int, ...], key: Key) -> Symmetry:
    shift_key, which_key = (key, key) if len(group.representatives) == 1 else jr.split(key)
    shifts = jr.randint(shift_key, (*batch, len(group.parts)), 0, jnp.asarray(group._n_shifts()))
    if len(group.representatives) == 1:
        return group._of(jnp.zeros(batch, int), shifts)
    return group._of(jr.randint(which_key, batch, 0, len(group.representatives)), shifts)


def shifts(space: tuple[int, ...]) -> SymmetryGroup:
    """Shifts along every axis, as of the Kuramoto–Sivashinsky equation on n points: n of them.

    Args:
        space: shifts along each axis, by multiples of the domain divided by this number: the points of a grid, or
            those of a coarse grid, so that every element acts on both.

    Returns:
        The group.

    Examples:
        >>> random_images(fields, shifts((24,)), key=key)
    """
    return SymmetryGroup(tuple(space), (1,) * len(space))


def kolmogorov_symmetries(wavenumber: int, *, n_shifts: int = 1) -> SymmetryGroup:
    """Those of the vorticity ω[y, x] of Kolmogorov flow under the force sin(k_f y): 4 k_f images, times shifts along x.

        ω(x, y + 2π/k_f)      −ω(−x, y + π/k_f)      ω(−x, −y)      and their products

    There are no others: a quarter turn or a plain mirror image belongs to another force. The grid must be divisible by
    2 k_f along y, and by n_shifts along x.

    Args:
        wavenumber: k_f.
        n_shifts: shifts along x by multiples of 2π/n_shifts, 1 (none) by default: the points of the coarsest grid
            along x, so that every element acts on all grids.

    Returns:
        The group, of 4 k_f n_shifts elements.

    References:
        Chandler & Kerswell (2013), doi:10.1017/jfm.2013.122, section 2.

    Examples:
        >>> group = kolmogorov_symmetries(4, n_shifts=32)
        >>> g = group.draw(key=key)
        >>> moved = g.inverse()(transport(g(y)))
    """
    still, turned = (1, 1), (-1, -1)
    identity, half_turn = ((0, 0), still, 1), ((0, 0), turned, 1)
    shift_reflect, both = ((1, 0), (1, -1), -1), ((1, 0), (-1, 1), -1)
    return SymmetryGroup((2 * wavenumber, n_shifts), (2, 1), (identity, half_turn, shift_reflect, both))


@eqx.filter_jit
def random_images(fields: Float[Array, "n *shape"], group: SymmetryGroup, *, key: Key) -> Float[Array, "n *shape"]:
    """Each field under an element of its own, drawn at random: the augmentation of batches and of archives.

    Args:
        fields: space axes last.
        group: of the distribution that they are drawn from.
        key: random key.

    Returns:
        One image of each.

    Raises:
        ValueError: for a grid that the group does not act on.

    Examples:
        >>> random_images(batch, kolmogorov_symmetries(4, n_shifts=64), key=key)
    """
    return jax.vmap(lambda g, field: g(field))(group.draw(len(fields), key=key), fields)


@eqx.filter_jit
def augmented(
    fields: Float[Array, "n *shape"], size: int, group: SymmetryGroup, *, key: Key
) -> Float[Array, "size *shape"]:
    """A larger archive: random images of every field, as many as of any other, give or take one.

    Args:
        fields: space axes last.
        size: how many images; the i-th is one of field i modulo n.
        group: of the distribution that the fields are drawn from.
        key: random key.

    Returns:
        The images.

    Raises:
        ValueError: for a grid that the group does not act on.

    Examples:
        >>> augmented(fields, 20_000, kolmogorov_symmetries(4, n_shifts=32), key=key)
    """
    return random_images(fields[jnp.arange(size) % len(fields)], group, key=key)


def _points(shape: tuple[int, ...], parts: tuple[int, ...]) -> tuple[int, ...]:
    """The points along each of the last axes."""
    if len(shape) < len(parts):
        raise ValueError(f"symmetries of {len(parts)} axes need a field with as many, got the shape {shape}.")
    space = shape[len(shape) - len(parts) :]
    for axis, (n, divisor) in enumerate(zip(space, parts, strict=True)):
        if n % divisor:
            raise ValueError(
                f"the symmetries shift by 1/{divisor} of the domain along axis {axis - len(parts)}, which {n} points "
                f"do not allow; use a number of points that {divisor} divides."
            )
    return space
