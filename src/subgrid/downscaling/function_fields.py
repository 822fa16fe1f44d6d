"""Models of functions for labelled arrays: fields come with coordinates, and samples are asked for by coordinates."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import equinox as eqx
import jax
import jax.random as jr
import numpy as np
import xarray as xr
from jaxtyping import Array, Float

from subgrid.downscaling.prior.functions import suited_noise
from subgrid.functional.function_diffusion import FunctionDiffusion
from subgrid.functional.preconditioning import n_features
from subgrid.functional.preparation import FunctionSettings
from subgrid.networks.unet import UNet, UNetSettings
from subgrid.numerics.modes import Boundary, Box
from subgrid.training.log import MetricsReport
from subgrid.types import Key

UNEVEN = 1e-3
"""Of a step: coordinates are kept with some digits."""
Target: TypeAlias = Mapping[str, Any] | xr.Dataset | xr.DataArray
"""Coordinates by dimension."""


@dataclass(frozen=True)
class Axis:
    """One side of the box: where it begins, how long it is, and whether points lie at its beginning or in cells.

    Args:
        name: of the dimension.
        start: of the first point where space wraps around, of the wall else.
        length: of the side, in the unit of the coordinate.
        boundary: "periodic" or "neumann".
    """

    name: str
    start: float
    length: float
    boundary: Boundary

    def places(self, n: int) -> Float[np.ndarray, " n"]:
        """The coordinates of n points.

        Args:
            n: number of points.

        Returns:
            Uniform coordinates.
        """
        offset = 0.0 if self.boundary == "periodic" else 0.5
        return self.start + (np.arange(n) + offset) * self.length / n

    def n_points(self, values: Any) -> int:
        """How many points coordinates are, if they are a grid of this side.

        Args:
            values: coordinates.

        Returns:
            Their number.

        Raises:
            ValueError: for coordinates that are not uniform, or not those of the whole side.
        """
        x = np.asarray(values, np.float64)
        step = _step(self.name, x)
        expected = self.places(len(x))
        if np.abs(x - expected).max() > UNEVEN * step:
            raise ValueError(
                f"{self.name} goes from {x[0]:g} to {x[-1]:g} in {len(x)} points; the model lives on a side of "
                f"{self.length:g} that begins at {self.start:g}, of which {len(x)} points go from {expected[0]:g} to "
                f"{expected[-1]:g}."
            )
        return len(x)


def axis_of(name: str, values: Any, boundary: Boundary) -> Axis:
    """The side of the box that uniform coordinates fill.

    Args:
        name: of the dimension.
        values: rising coordinates; n of them at a distance h fill a side of n·h.
        boundary: "periodic", or "neumann", with walls half a step before the first and after the last point.

    Returns:
        The side.

    Raises:
        ValueError: for less than 4 coordinates, or ones that are not uniform or do not rise.
    """
    x = np.asarray(values, np.float64)
    step = _step(name, x)
    start = x[0] - (0.0 if boundary == "periodic" else step / 2)
    return Axis(name, float(start), float(step * len(x)), boundary)


def _step(name: str, x: np.ndarray) -> float:
    if x.ndim != 1 or len(x) < 4:
        raise ValueError(f"{name} needs at least 4 coordinates along one dimension, got the shape {x.shape}.")
    steps = np.diff(x)
    step = float(steps.mean())
    if step <= 0 or np.abs(steps - step).max() > UNEVEN * step:
        raise ValueError(
            f"{name} is not uniform and rising: its steps lie between {steps.min():g} and {steps.max():g}; a function "
            "is known by its waves on a uniform grid, so sort the fields by it (sortby), or interpolate them to one."
        )
    return step


@dataclass(frozen=True)
class FunctionFields:
    """A model of functions with the coordinates of the fields that it has learned from.

    Args:
        model: of fields (1, *space).
        axes: the sides, in the order of the model's axes.
        name: of the variable.
        attrs: of the variable.

    Examples:
        >>> model = fit_functions(temperature, key=k1)
        >>> fine = model.sample({"x": np.arange(384) / 384}, n_samples=8, key=k2)
    """

    model: FunctionDiffusion
    axes: tuple[Axis, ...]
    name: str | None
    attrs: Mapping[str, Any]

    def sample(self, target: Target, *, n_samples: int = 1, n_levels: int = 32, key: Key) -> xr.DataArray:
        """Samples at given coordinates; the same key at others gives the same functions.

        Args:
            target: uniform coordinates of every dimension, over the box of the training.
            n_samples: default 1.
            n_levels: of noise, default 32.
            key: random key.

        Returns:
            (realization, *space), in the units of the training's fields.

        Raises:
            ValueError: for coordinates that are missing, not uniform, not of the same box, or too few.
        """
        shape = self.shape_of(target)
        drawn = _draw(self.model, shape, n_levels, jr.split(key, n_samples))
        return self._labelled(np.asarray(drawn), target, ("realization",))

    def super_resolve(self, field: xr.DataArray, target: Target, *, n_levels: int = 32, key: Key) -> xr.DataArray:
        """A field continued to finer coordinates, its own waves kept (`FunctionDiffusion.super_resolve`).

        Args:
            field: at uniform coordinates of the box, at least as many as the training's.
            target: finer coordinates.
            n_levels: of noise, there and back, default 32.
            key: random key, of the waves beyond.

        Returns:
            The field there; its attribute `drift` tells how far the given waves have moved.

        Raises:
            ValueError: as `sample`, and as `FunctionDiffusion.super_resolve`.
        """
        self.shape_of(field)
        shape, dims = self.shape_of(target), [axis.name for axis in self.axes]
        given = np.asarray(field.transpose(*dims).values, np.float32)[None]
        found = self.model.super_resolve(jax.numpy.asarray(given), shape, n_levels=n_levels, key=key)
        return self._labelled(np.asarray(found.field[0]), target, ()).assign_attrs(drift=float(found.drift))

    def shape_of(self, target: Target) -> tuple[int, ...]:
        """The grid that coordinates are.

        Args:
            target: coordinates by dimension.

        Returns:
            Points along every axis of the model.

        Raises:
            ValueError: as `sample`.
        """
        found = target if not isinstance(target, xr.Dataset | xr.DataArray) else target.coords
        if missing := [axis.name for axis in self.axes if axis.name not in found]:
            raise ValueError(f"the target has no coordinate {missing[0]!r}; it needs {[a.name for a in self.axes]}.")
        return tuple(axis.n_points(found[axis.name]) for axis in self.axes)

    def _labelled(self, values: np.ndarray, target: Target, lead: tuple[str, ...]) -> xr.DataArray:
        """With the coordinates that were asked for, to the bit: what xarray aligns by."""
        found = target.coords if isinstance(target, xr.Dataset | xr.DataArray) else target
        names = [axis.name for axis in self.axes]
        coords = {name: found[name] for name in names}
        return xr.DataArray(values, coords, (*lead, *names), name=self.name, attrs=dict(self.attrs))


@eqx.filter_jit
def _draw(model: FunctionDiffusion, shape: tuple[int, ...], n_levels: int, keys: Array) -> Array:
    return jax.vmap(lambda own: model.sample(shape, n_levels=n_levels, key=own)[0])(keys)


def fit_functions(
    fields: xr.DataArray,
    *,
    sample_dim: str,
    boundary: Boundary = "periodic",
    network: eqx.Module | None = None,
    settings: FunctionSettings | None = None,
    report: MetricsReport | None = None,
    key: Key,
) -> FunctionFields:
    """Trains a model of functions on a labelled array.

    Args:
        fields: (sample, *space), with uniform coordinates of every space dimension.
        sample_dim: the dimension of samples; all others are space.
        boundary: "periodic" (default), or "neumann" for fields between walls.
        network: from two channels of the training grid to one (`functional.n_features`); default a UNet of the
            default size with patches of 2 points.
        settings: of the training.
        report: called as for `training.fit`.
        key: random key.

    Returns:
        The model.

    Raises:
        ValueError: for coordinates that are missing or not uniform, and as `FunctionDiffusion.fit`.

    Examples:
        >>> model = fit_functions(archive.u, sample_dim="time", key=key)
    """
    dims = [str(dim) for dim in fields.dims if dim != sample_dim]
    if sample_dim not in fields.dims or not dims:
        raise ValueError(f"fields need the dimension {sample_dim!r} of samples and one of space, got {fields.dims}.")
    if bare := [dim for dim in dims if dim not in fields.coords]:
        raise ValueError(f"{bare[0]} has no coordinates; assign uniform ones, fields.assign_coords({bare[0]}=…).")
    axes = tuple(axis_of(dim, fields[dim].values, boundary) for dim in dims)
    values = fields.transpose(sample_dim, *dims).values[:, None]
    box = Box(tuple(axis.length for axis in axes), boundary)
    model_key, fit_key = jr.split(key)
    if network is None:
        padding = "periodic" if boundary == "periodic" else "reflect"
        network = UNet(n_features(1), 1, len(dims), UNetSettings(patch=2, padding=padding), key=model_key)
    noise = suited_noise(values, box)
    model = FunctionDiffusion.fit(values, noise=noise, network=network, settings=settings, report=report, key=fit_key)
    return FunctionFields(model, axes, None if fields.name is None else str(fields.name), fields.attrs)
