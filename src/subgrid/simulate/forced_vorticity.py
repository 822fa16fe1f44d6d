"""Vorticity of two-dimensional flows from rest under a fixed random forcing: a push-forward of Gaussian fields.

    ∂ω/∂t + u·∇ω = ν∇²ω + f,      f ~ N(0, s²(−Δ + 49)^{−5/2}) of zero mean,      ω(0) = 0

on the unit torus, u = (−∂ψ/∂y, ∂ψ/∂x), ∇²ψ = ω, until t = 5. A key is one forcing, whatever the grid, and so one flow:
fields at several resolutions are the same function, as far as the grids hold it. After Lim et al. (2023,
arXiv:2302.07400), whose settings are not published. Fields are indexed [y, x].
"""

from functools import partial
from typing import Any

import exponax
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Complex, Float

from subgrid.numerics.modes import Box
from subgrid.numerics.spectra import PowerLaw
from subgrid.simulate.periodic_modes import ModeGrid, grid_of, to_grid, velocity_modes
from subgrid.types import Key, ProgressReport

BOX = Box((1.0, 1.0))
FORCING = PowerLaw(2.5, 7.0, 93.0, zero_mean=True)
"""Of standard deviation .93 at a point; speeds are then .25 (root mean square), a Reynolds number of 25."""
VISCOSITY = 1e-2
END = 5.0
TIME_STEP = 0.05
"""Of a scheme of fourth order, the same at every resolution: damping νk²h grows faster with the wavenumber than the
Courant number ukh. A uniform flow is stable in all waves while u²h < 4.8ν, which is u < .98 here. Of 2,000 flows the
fastest has .87: at h = .125 it is off by a third of its size, and has 850 times the energy of others in wave 11, which
alone doubles their mean; here it is off by 1e-5."""
POINTS_AT_ONCE = 2**16
"""Of the flows that are advanced together, which two cores do without waiting for memory."""
TURN = 2 * np.pi
"""κ = 2πk on the unit torus."""


def forcing(shape: tuple[int, int], *, key: Key) -> Float[Array, "y x"]:
    """One forcing on a grid; the same key on another grid is the same function there.

    Args:
        shape: points along y and x.
        key: random key.

    Returns:
        f.

    Examples:
        >>> forcing((64, 64), key=key)
    """
    modes = BOX.white_modes(shape, key=key) * jnp.asarray(np.sqrt(FORCING(BOX, shape)), jnp.result_type(float))
    return BOX.from_modes(modes, shape)


def vorticity(
    given: Float[Array, "y x"],
    *,
    viscosity: float = VISCOSITY,
    end: float = END,
    time_step: float = TIME_STEP,
) -> Float[Array, "y x"]:
    """The vorticity that a steady forcing has made of fluid at rest.

    Products are computed on 3/2 as many points an axis, so that every mode of the grid is resolved and none aliased.

    Args:
        given: f on a square grid; without its mean, of which no flow on a torus could come.
        viscosity: ν, in unit lengths² a unit time; default .01.
        end: the time, default 5.
        time_step: default .05; stable below 4.8 ν over the square of the speed.

    Returns:
        ω on the same grid.

    Raises:
        ValueError: for a grid that is not square, numbers that are not positive, or an end that is no multiple of the
            step.

    Examples:
        >>> omega = jax.vmap(vorticity)(forcings)
    """
    n = given.shape[0]
    if given.shape != (n, n):
        raise ValueError(f"a forcing lives on a square grid, got {given.shape}.")
    if not (viscosity > 0 and end > 0 and time_step > 0):
        raise ValueError(f"viscosity, end and time_step must be positive, got {viscosity}, {end} and {time_step}.")
    steps = round(end / time_step)
    if abs(steps * time_step - end) > 1e-9 * end:
        raise ValueError(f"the end, {end}, is no multiple of the time step, {time_step}.")
    wide = 3 * ((n + 1) // 2)
    grid = grid_of(wide)
    modes = BOX.resize_modes(BOX.to_modes(given), (n, n), (wide, wide)).at[0, 0].set(0)
    decay = jnp.asarray(-viscosity * TURN**2 * grid.square + 0j)
    tendency: Any = partial(_tendency, grid, _held(grid, n), modes)  # any function of the modes will do
    stepper = exponax.etdrk.ETDRK4(time_step, decay, tendency)
    step = lambda omega, _: (stepper.step_fourier(omega), None)  # noqa: E731
    omega, _ = jax.lax.scan(step, jnp.zeros_like(modes), length=steps)
    return BOX.from_modes(BOX.resize_modes(omega, (wide, wide), (n, n)), (n, n))


def _held(grid: ModeGrid, n: int) -> np.ndarray:
    """1 for the modes that n points an axis hold."""
    return ((2 * grid.kx < n) & (2 * abs(grid.ky) < n)).astype(float)


def _tendency(
    grid: ModeGrid, held: np.ndarray, given: Complex[Array, "ky kx"], omega: Complex[Array, "ky kx"]
) -> Complex[Array, "ky kx"]:
    """f − u·∇ω, with two products: u·∇ω = ∂xy(v² − u²) + (∂xx − ∂yy)uv of velocities without divergence."""
    u, v = to_grid(velocity_modes(omega)) / TURN
    uv, difference = jnp.fft.rfft2(jnp.stack([u * v, v * v - u * u]), norm="forward")
    return given + TURN**2 * held * ((grid.kx**2 - grid.ky**2) * uv + grid.kx * grid.ky * difference)


def vorticity_fields(
    n: int, n_points: int, *, report: ProgressReport | None = None, key: Key
) -> Float[np.ndarray, "n 1 y x"]:
    """Many flows, each of a forcing of its own; the same key on another grid gives the same flows.

    Args:
        n: number of flows, at least 1.
        n_points: of the grid, an axis.
        report: `report(done, total)`.
        key: random key; of all flows, their first ones are those of a smaller number.

    Returns:
        ω at the end.

    Raises:
        ValueError: for no flows.
        ArithmeticError: as soon as a flow blew up.

    Examples:
        >>> fields = vorticity_fields(2000, 64, key=key)
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}.")
    shape = (n_points, n_points)
    at_once = min(n, max(1, POINTS_AT_ONCE // n_points**2))
    one = jax.jit(lambda keys: jax.lax.map(lambda own: vorticity(forcing(shape, key=own)), keys, batch_size=at_once))
    found = []
    for first in range(0, n, at_once):
        place = np.arange(first, first + at_once) % n  # the last batch is filled up: one compilation
        found.append(np.asarray(one(jax.vmap(partial(jr.fold_in, key))(jnp.asarray(place)))))
        if not np.isfinite(found[-1]).all():
            raise ArithmeticError(
                f"one of the flows {first} to {place.max()} blew up: the time step is too long for it."
            )
        if report is not None:
            report(min(first + at_once, n), n)
    return np.concatenate(found)[:n, None]
