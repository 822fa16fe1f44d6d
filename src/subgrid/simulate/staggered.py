"""The coarse solver of Kolmogorov flow: finite volumes on a staggered grid, of low order on purpose.

    u at (ih, (j+½)h)      v at ((i+½)h, jh)      p at ((i+½)h, (j+½)h)      ω = δ_x v − δ_y u at (ih, jh)

Its bias, as a model of the fine solver, is the error of the scheme. Fluxes are upwind or limited by van Leer, viscosity
is central, time steps are Euler's, and the pressure makes the discrete divergence vanish.

Why the grid stands so: the corners, where ω lives, are the points ih of the fine grid. A coarse field then is at the
same places as every f-th point of a fine one, so C′ stays a plain `Subsample`, whose pseudo-inverse is exact. Had the
corners been at (i+½)h, either C′ or every coarse field would need `numerics.spectral.translate` by half a cell, or all
phases would be off. For C′ = `BlockMean` translate the coarse fields, once, to the middles of the blocks.

Fields are indexed [y, x].
"""

import math
from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from subgrid.simulate.kolmogorov_flow import KolmogorovFlow
from subgrid.simulate.limiters import van_leer_mean

Y, X = 0, 1
"""The axes of fields."""
Advection = Literal["van-leer", "upwind"]


class Velocity(NamedTuple):
    """(u, v) on the faces of cells."""

    u: Float[Array, "y x"]
    """At (ih, (j+½)h)."""
    v: Float[Array, "y x"]
    """At ((i+½)h, jh)."""


class StaggeredSolver(eqx.Module):
    """Finite volumes for (u, v), forward Euler, projected: first order in time and, upwind, in space.

    Args:
        flow: the system, its grid and time step.
        advection: "van-leer" (a Lax–Wendroff flux, limited) by default, or "upwind".

    References:
        Harlow & Welch (1965), doi:10.1063/1.1761178, for the grid; Chorin (1968),
        doi:10.1090/S0025-5718-1968-0242392-2, for the projection; van Leer (1974),
        doi:10.1016/0021-9991(74)90019-9, for the limiter.

    Examples:
        >>> flow = KolmogorovFlow(32, 4e-3, time_step=0.02)
        >>> later, n_finite = StaggeredSolver(flow).advance(initial_vorticity(flow, key=key), 50)
    """

    flow: KolmogorovFlow = eqx.field(static=True)
    """The system, its grid and time step."""
    advection: Advection = eqx.field(static=True, default="van-leer")
    """How advected values are found at faces."""

    def __check_init__(self):
        if self.advection not in ("van-leer", "upwind"):
            raise ValueError(f'advection must be "van-leer" or "upwind", got {self.advection!r}.')

    def advance(
        self, vorticity: Float[Array, "y x"], n_steps: int | Int[Array, ""]
    ) -> tuple[Float[Array, "y x"], Int[Array, ""]]:
        """The vorticity n_steps later, and how many of the steps ended in finite numbers.

        Args:
            vorticity: ω at the corners; its mean is removed. The mean flow is zero, and remains so.
            n_steps: how many.

        Returns:
            ω, and the number of finite steps: less than n_steps if the flow blew up.
        """

        def body(_, carry):
            velocity, n_finite = carry
            velocity = self.step(velocity)
            return velocity, n_finite + jnp.isfinite(jnp.sum(velocity.u**2 + velocity.v**2))

        start = velocity_of(vorticity), jnp.zeros((), int)
        velocity, n_finite = jax.lax.fori_loop(0, n_steps, body, start)
        return vorticity_of(velocity), n_finite

    def step(self, velocity: Velocity) -> Velocity:
        """One `time_step` of forward Euler, then the projection.

        Args:
            velocity: (u, v), free of discrete divergence.

        Returns:
            (u, v) one step later, free of divergence.
        """
        h, dt = self.flow.spacing, self.flow.time_step
        y = (jnp.arange(self.flow.n_points) + 0.5) * h
        force = self.flow.amplitude * jnp.sin(self.flow.wavenumber * y)[:, None], 0.0
        carriers = _at_faces_of_u(velocity), _at_faces_of_v(velocity)

        def explicit(w, carrier, force):
            rate = -self._flux_divergence(w, carrier) + self.flow.viscosity * _laplacian(w, h) - self.flow.drag * w
            return w + dt * (rate + force)

        return project(Velocity(*map(explicit, velocity, carriers, force)))

    def _flux_divergence(self, w: Array, carrier: Velocity) -> Array:
        """∇·(w u) of the volumes around the points of w; `carrier` is (u, v) at their upper faces in x and in y."""
        courant = self.flow.time_step / self.flow.spacing
        at_face = upwind_value if self.advection == "upwind" else limited_value
        flux_x = carrier.u * at_face(w, courant * carrier.u, X)
        flux_y = carrier.v * at_face(w, courant * carrier.v, Y)
        return (flux_x - _before(flux_x, X) + flux_y - _before(flux_y, Y)) / self.flow.spacing

    def largest_time_step(self, speed: float) -> float:
        """1/(√2 speed/h + 4ν/h² + μ): a value stays a mean of itself and its neighbours, of positive weights.

        Args:
            speed: the greatest |u|; |u| + |v| is at most √2 times as large.

        Returns:
            The largest stable step.
        """
        h = self.flow.spacing
        rate = math.sqrt(2) * speed / h + 4 * self.flow.viscosity / h**2 + self.flow.drag
        return 1 / rate if rate > 0 else math.inf


def upwind_value(w: Float[Array, "y x"], courant: Float[Array, "y x"], axis: int) -> Float[Array, "y x"]:
    """w at the upper face of each volume: that of the side which the flow comes from.

    Args:
        w: advected values.
        courant: C = u dt/h at the faces.
        axis: `X` or `Y`.

    Returns:
        The values at the faces.
    """
    return jnp.where(courant > 0, w, _after(w, axis))


def limited_value(w: Float[Array, "y x"], courant: Float[Array, "y x"], axis: int) -> Float[Array, "y x"]:
    """w at the upper face of each volume, w_up + ½(1 − |C|) φ(r) (w_down − w_up).

    r is the ratio of successive differences. For φ = 1 this is Lax–Wendroff, of second order; van Leer's
    φ(r) = 2r/(1 + r), 0 for r < 0, makes no new extremes.

    Args:
        w: advected values.
        courant: C = u dt/h at the faces.
        axis: `X` or `Y`.

    Returns:
        The values at the faces.
    """
    difference = _after(w, axis) - w
    from_below = van_leer_mean(_before(difference, axis), difference)
    from_above = -van_leer_mean(_after(difference, axis), difference)
    slope = jnp.where(courant > 0, from_below, from_above)
    return upwind_value(w, courant, axis) + 0.5 * (1 - jnp.abs(courant)) * slope


def vorticity_of(velocity: Velocity) -> Float[Array, "y x"]:
    """ω = δ_x v − δ_y u, at the corners (ih, jh).

    Args:
        velocity: (u, v) at the faces.

    Returns:
        ω.
    """
    u, v = velocity
    return (v - _before(v, X) - u + _before(u, Y)) / _spacing(u)


def velocity_of(vorticity: Float[Array, "y x"]) -> Velocity:
    """The flow without mean or discrete divergence whose `vorticity_of` is ω: u = −δ_y ψ, v = δ_x ψ, δ²ψ = ω.

    Args:
        vorticity: ω at the corners; its mean, which no periodic flow has, is removed.

    Returns:
        (u, v) at the faces.
    """
    psi, h = _inverse_laplacian(vorticity), _spacing(vorticity)
    return Velocity((psi - _after(psi, Y)) / h, (_after(psi, X) - psi) / h)


def divergence(velocity: Velocity) -> Float[Array, "y x"]:
    """δ_x u + δ_y v of the cells, at ((i+½)h, (j+½)h).

    Args:
        velocity: (u, v) at the faces.

    Returns:
        The divergence.
    """
    u, v = velocity
    return (_after(u, X) - u + _after(v, Y) - v) / _spacing(u)


def project(velocity: Velocity) -> Velocity:
    """(u, v) − δp with δ²p = δ·(u, v): the nearest flow without discrete divergence.

    Args:
        velocity: (u, v) at the faces.

    Returns:
        The projected flow, of the same mean and vorticity.
    """
    pressure, h = _inverse_laplacian(divergence(velocity)), _spacing(velocity.u)
    return Velocity(
        velocity.u - (pressure - _before(pressure, X)) / h, velocity.v - (pressure - _before(pressure, Y)) / h
    )


def _at_faces_of_u(velocity: Velocity) -> Velocity:
    """(u, v) at the upper faces of the volumes around the points of u: cell centres in x, corners in y."""
    u, v = velocity
    return Velocity((u + _after(u, X)) / 2, _after(v + _before(v, X), Y) / 2)


def _at_faces_of_v(velocity: Velocity) -> Velocity:
    """(u, v) at the upper faces of the volumes around the points of v: corners in x, cell centres in y."""
    u, v = velocity
    return Velocity(_after(u + _before(u, Y), X) / 2, (v + _after(v, Y)) / 2)


def _after(w: Array, axis: int) -> Array:
    return jnp.roll(w, -1, axis)


def _before(w: Array, axis: int) -> Array:
    return jnp.roll(w, 1, axis)


def _spacing(w: Array) -> float:
    return 2 * math.pi / w.shape[X]


def _laplacian(w: Array, h: float) -> Array:
    return (_after(w, X) + _before(w, X) + _after(w, Y) + _before(w, Y) - 4 * w) / h**2


def _inverse_laplacian(w: Float[Array, "y x"]) -> Float[Array, "y x"]:
    """The field of zero mean whose five-point Laplacian is w less its mean."""
    n, h = w.shape[X], _spacing(w)
    second = -(2 - 2 * np.cos(h * np.arange(n))) / h**2
    total = second[:, None] + second[: n // 2 + 1]
    inverse = np.divide(1.0, total, out=np.zeros_like(total), where=total < 0)
    return jnp.fft.irfft2(jnp.fft.rfft2(w) * inverse, s=w.shape)
