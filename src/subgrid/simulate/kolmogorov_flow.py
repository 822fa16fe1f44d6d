"""Two-dimensional Kolmogorov flow on the periodic square [0, 2π)²: the system, its start, and the fine solver.

    ∂ω/∂t + u·∇ω = ν∇²ω − μω − A k_f cos(k_f y),      ω = ∂v/∂x − ∂u/∂y,      ∂u/∂x + ∂v/∂y = 0

which is a force A sin(k_f y) along x on the velocity (u, v). Together with the coarse solver of `staggered.py` it makes
the unpaired archives of the second system of Wan et al. (2023, arXiv:2305.15618).

Fields are indexed [y, x], and stand at the points x = ih, y = jh.
"""

import math
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float, Int

from subgrid.simulate.periodic_modes import grid_of, largest_kept, to_grid, to_modes, velocity_modes
from subgrid.types import Key


@dataclass(frozen=True)
class KolmogorovFlow:
    """The constants of one flow on one grid. Those by default are the published ones of the fine runs.

    Args:
        n_points: points a side, even, more than 3 for each wave of the force.
        viscosity: ν, not negative.
        drag: μ, not negative.
        wavenumber: k_f, of the force.
        amplitude: A, of the force, not negative.
        time_step: of the solver.

    Raises:
        ValueError: for an odd grid or one that does not resolve the force, and for constants that are negative or no
            numbers.

    Examples:
        >>> flow = KolmogorovFlow(64, 4e-3, time_step=0.0125)
        >>> later, _ = SpectralSolver(flow).advance(initial_vorticity(flow, key=key), 80)
    """

    n_points: int = 256
    viscosity: float = 1e-3
    drag: float = 0.1
    wavenumber: int = 4
    amplitude: float = 1.0
    time_step: float = 1e-3

    def __post_init__(self):
        if self.n_points < 8 or self.n_points % 2:
            raise ValueError(f"n_points must be even and at least 8, got {self.n_points}; use 32, 64, 128 or 256.")
        if not 1 <= self.wavenumber <= largest_kept(self.n_points):
            raise ValueError(
                f"wavenumber must be between 1 and {largest_kept(self.n_points)}, the largest that {self.n_points} "
                f"points resolve, got {self.wavenumber}; use more points."
            )
        for name in ("viscosity", "drag", "amplitude"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be a number that is not negative, got {getattr(self, name)}.")
        if not 0 < self.time_step < math.inf:
            raise ValueError(f"time_step must be positive, got {self.time_step}.")

    @property
    def spacing(self) -> float:
        """h, the distance between points."""
        return 2 * math.pi / self.n_points

    @property
    def laminar_speed(self) -> float:
        """A/(νk_f² + μ), the greatest speed of the exact solution u = A sin(k_f y)/(νk_f² + μ); infinite undamped."""
        damping = self.viscosity * self.wavenumber**2 + self.drag
        if damping > 0:
            return self.amplitude / damping
        return math.inf if self.amplitude > 0 else 0.0


def initial_vorticity(
    flow: KolmogorovFlow, *, peak_wavenumber: float = 4.0, speed: float = 3.0, key: Key
) -> Float[Array, "y x"]:
    """A random start: the vorticity of white noise, filtered, free of divergence, and of a given greatest speed.

        û = P(k)·LN(k)/k·white noise,      LN(k) ∝ exp(−2(ln k_p + ¼ − ln k)² − ln k),      max |u| = speed

    P takes the part along k away; LN is the log-normal density of mode k_p and variance ¼.

    Args:
        flow: whose grid and modes are taken.
        peak_wavenumber: k_p, 4 by default.
        speed: max |u|, 3 by default.
        key: random key.

    Returns:
        ω on the grid.
    """
    grid = grid_of(flow.n_points)
    k = np.sqrt(np.maximum(grid.square, 1))
    density = np.exp(-2 * (math.log(peak_wavenumber) + 0.25 - np.log(k)) ** 2 - np.log(k)) / k * (grid.square > 0)
    u, v = density * to_modes(jr.normal(key, (2, flow.n_points, flow.n_points)))
    vorticity = to_grid(1j * (grid.kx * v - grid.ky * u))  # the curl sees no gradient: P needs no line of its own
    return vorticity * (speed / greatest_speed(vorticity))


def greatest_speed(vorticity: Float[Array, "y x"]) -> Float[Array, ""]:
    """max |u| over the points, of the flow without mean that has this vorticity.

    Args:
        vorticity: ω on the grid.

    Returns:
        A scalar.
    """
    u, v = to_grid(velocity_modes(to_modes(vorticity)))
    return jnp.sqrt(jnp.max(u**2 + v**2))


class SpectralSolver(eqx.Module):
    """The fine solver: pseudo-spectral, modes beyond n/3 removed, fourth-order exponential Runge–Kutta (exponax).

    Exponax has the axes [x, y], the force along its second one and the vorticity of the other sign, so it is given −ωᵀ
    and −A: a mirror image. Its rule for dealiasing is stricter by a mode than it need be, and is told the largest K
    with 3K < n instead. The linear part is exact, and so is every steady state; steps are fourth order in time.

    Args:
        flow: the system, its grid and time step.

    References:
        Cox & Matthews (2002), doi:10.1006/jcph.2002.6995, for the steps; Orszag (1971),
        doi:10.1175/1520-0469(1971)028<1074:OTEOAI>2.0.CO;2, for the removal of modes.

    Examples:
        >>> solver = SpectralSolver(KolmogorovFlow(64, 4e-3, time_step=0.0125))
        >>> later, n_finite = solver.advance(vorticity, 80)
    """

    flow: KolmogorovFlow = eqx.field(static=True)
    """The system, its grid and time step."""
    stepper: Any
    """That of exponax."""

    def __init__(self, flow: KolmogorovFlow):
        self.flow = flow
        # As one program: made number by number, each of its many small operations would be compiled by itself.
        self.stepper = eqx.filter_jit(_mirrored_stepper)(flow)

    def advance(
        self, vorticity: Float[Array, "y x"], n_steps: int | Int[Array, ""]
    ) -> tuple[Float[Array, "y x"], Int[Array, ""]]:
        """The vorticity n_steps later, and how many of the steps ended in finite numbers.

        Args:
            vorticity: ω; its modes beyond n/3 are removed.
            n_steps: how many.

        Returns:
            ω, and the number of finite steps: less than n_steps if the flow blew up.
        """
        n = self.flow.n_points

        def body(_, carry):
            modes, n_finite = carry
            modes = self.stepper.step_fourier(modes)
            return modes, n_finite + jnp.isfinite(jnp.sum(jnp.abs(modes)))

        dealiased = to_grid(to_modes(vorticity))
        modes = jnp.fft.rfft2(-dealiased.T)[None]
        modes, n_finite = jax.lax.fori_loop(0, n_steps, body, (modes, jnp.zeros((), int)))
        return -jnp.fft.irfft2(modes[0], s=(n, n)).T, n_finite

    def largest_time_step(self, speed: float) -> float:
        """2/(K·speed): where Runge–Kutta's limit on the imaginary axis, 2√2, is met by the fastest wave.

        A wave of the largest wavenumbers K turns at the rate K(|u| + |v|) ≤ √2 K·speed.

        Args:
            speed: the greatest |u|.

        Returns:
            The largest stable step.
        """
        return 2 / (largest_kept(self.flow.n_points) * speed) if speed > 0 else math.inf


def _mirrored_stepper(flow: KolmogorovFlow) -> Any:
    import exponax

    n = flow.n_points
    return exponax.stepper.KolmogorovFlowVorticity(
        2,
        2 * math.pi,
        n,
        flow.time_step,
        diffusivity=flow.viscosity,
        drag=-flow.drag,
        injection_mode=flow.wavenumber,
        injection_scale=-flow.amplitude,
        order=4,
        dealiasing_fraction=2 * (largest_kept(n) + 1.5) / n,  # exponax keeps |κ| ≤ fraction·n/2 − 1
    )
