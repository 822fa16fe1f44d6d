"""Forced two-dimensional turbulence that carries moisture, on the periodic square [0, 2π)²: coarse and fine.

    ∂ζ/∂t + u·∇ζ = F − μζ − ν∇⁸ζ,                        u = (−ψ_y, ψ_x),  ∇²ψ = ζ
    ∂c/∂t + u·∇c = −u·γ + e − max(c, 0)/τ − ν∇⁸c,        c = q − q_s,  γ = ∇q_s,  q_s = γ₀ y + A sin(kx) sin(ky)

ζ is the vorticity and c the supersaturation: air that is carried towards smaller q_s condenses within τ. The coarse
runs have few points and A = 0; the fine ones have many and A = 1, with one of five wavenumbers k. Together they are the
unpaired archives of Bischoff & Deck (2023, arXiv:2305.01822), from which the bridge of Shi et al. (2023,
arXiv:2303.16852) downscales.

Pseudo-spectral: modes beyond n/3 are removed (Orszag 1971), which makes every product exact; fourth-order Runge–Kutta
with the linear terms integrated exactly. ζ and c advance *together*, both by the same stages. The published code is
reported to hold u fixed while c advanced by the .25 units between two frames and to have a mean c near −3. Coupled, the
stationary mean is −.67 ± .03 at 32² and −.73 ± .03 at 64² (A = 0). Holding u for .25 units does not explain the
difference: tried here at 32², it gives −.75 ± .1.

Fields are indexed [y, x]; modes are those of `rfft2(..., norm="forward")`, so a mode is an amplitude.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Complex, Float

from subgrid.simulate.periodic_modes import grid_of, largest_kept, to_grid, to_modes, velocity_modes
from subgrid.types import Key, ProgressReport

INTERVAL = 0.25
"""Time between frames."""
WAVENUMBERS = (1, 2, 4, 8, 16)
"""k of the published fine archive."""
VISCOSITIES = {32: 1e-6, 64: 1e-8, 128: 1e-12, 256: 1e-14, 512: 1e-16}
"""ν by number of points, published. Not a power law: coarse runs are the more viscous."""
TIME_STEPS = {32: 1e-2, 64: 1e-2, 128: 5e-3, 256: 2.5e-3, 512: 1e-3}
"""Step by number of points; 64 and 512 are the published ones.

Two limits of fourth-order Runge–Kutta. Condensation, on the negative axis: step < 2.78 τ = .0278 whatever the grid.
Advection, on the imaginary axis: step·(|u| + |v|)·n/3 < 2.83, where |u| + |v| reaches 11.4 in 500 units at 128²: the
steps here are at 1.1, 2.4, 2.4, 2.4 and 1.9.
"""

Modes = Complex[Array, "2 ky kx"]
"""Amplitudes of ζ and of c; kx ≥ 0 only."""


@dataclass(frozen=True)
class MoistTurbulence:
    """The constants of one system. Those by default are the published ones, in the units of the equations.

    Args:
        n_points: points a side, even, at least 8.
        wavenumber: k of q_s, 0 for none (coarse).
        amplitude: A.
        viscosity: ν, by default that of the size.
        time_step: by default that of the size; below 2.78 τ.
        drag: μ.
        energy_input: ε, mean rate at which F makes kinetic energy.
        forcing_wavenumber: k_f.
        forcing_width: δ.
        saturation_gradient: γ₀.
        evaporation: e.
        condensation_time: τ.

    Raises:
        ValueError: for an odd or small grid, a size without published viscosity or step unless both are given, a
            wavenumber that the grid does not resolve, an unstable or non-positive time step.

    Examples:
        >>> fine = MoistTurbulence(128, wavenumber=4)
        >>> state = fine.step(fine.rest(), key=jr.key(0))
    """

    n_points: int
    wavenumber: int = 0
    amplitude: float = 1.0
    viscosity: float | None = None
    time_step: float | None = None
    drag: float = 1e-2
    energy_input: float = 0.1
    forcing_wavenumber: float = 3.0
    forcing_width: float = 2.0
    saturation_gradient: float = 1.0
    evaporation: float = 1.0
    condensation_time: float = 1e-2

    def __post_init__(self):
        _require_grid(self.n_points, self.wavenumber)
        _, dt = self.published_if_missing()
        if not 0 < dt < 2.78 * self.condensation_time:
            raise ValueError(
                f"time_step must be positive and below 2.78 condensation_time = {2.78 * self.condensation_time:g}, "
                f"where Runge-Kutta is stable, got {dt}."
            )

    def published_if_missing(self) -> tuple[float, float]:
        """Viscosity and time step: those given, else those of the size.

        Returns:
            ν and the step.
        """
        return (
            _of_size("viscosity", self.viscosity, VISCOSITIES, self.n_points),
            _of_size("time_step", self.time_step, TIME_STEPS, self.n_points),
        )

    def rest(self) -> Modes:
        """Still air, just saturated: ζ = c = 0.

        Returns:
            The modes of ζ and c.
        """
        return jnp.zeros((2, self.n_points, self.n_points // 2 + 1), jnp.result_type(complex))

    def step(self, state: Modes, *, key: Key) -> Modes:
        """One `time_step` of ζ and c under one draw of the forcing.

        Args:
            state: modes of ζ and c.
            key: random key.

        Returns:
            The modes one step later.
        """
        saturation = self.amplitude * context(self.n_points, self.wavenumber)
        return runge_kutta(self, state, saturation, random_forcing(self, key=key))


def context(n_points: int, wavenumber: int) -> Float[Array, "y x"]:
    """sin(kx) sin(ky), the periodic part of q_s at A = 1, which the networks are conditioned on.

    Args:
        n_points: points a side.
        wavenumber: k; 0 gives zero everywhere.

    Returns:
        The field on the grid.
    """
    wave = np.sin(wavenumber * 2 * np.pi * np.arange(n_points) / n_points)
    return jnp.asarray(wave[:, None] * wave[None, :], jnp.result_type(float))


def condensation_rate(c: Float[Array, "*shape"], *, condensation_time: float = 1e-2) -> Float[Array, "*shape"]:
    """The rain, max(c, 0)/τ.

    Args:
        c: supersaturation, on the grid.
        condensation_time: τ, .01 by default.

    Returns:
        The rate, not negative.
    """
    return jnp.maximum(c, 0) / condensation_time


def tendency(system: MoistTurbulence, modes: Modes, saturation: Float[Array, "y x"]) -> Modes:
    """d/dt of the modes of ζ and c by advection, evaporation and condensation; forcing and damping are added elsewhere.

        −u·∇ζ = (∂²_y − ∂²_x)(uv) − ∂_x∂_y(v² − u²)                             Basdevant (1983)
        −u·∇c − u·γ = −∇·(u(c + A sin kx sin ky)) − γ₀v

    u is free of divergence. γ₀y, the part of q_s that is not periodic, appears by its gradient only. Three inverse and
    five forward transforms, in two calls, are nine tenths of the time; the advective form takes as many for c, and does
    not keep its mean.

    Args:
        system: the constants.
        modes: of ζ and c.
        saturation: A sin kx sin ky, on the grid.

    Returns:
        The rate of change of the modes, those beyond n/3 removed.

    References:
        Basdevant (1983), doi:10.1016/0021-9991(83)90064-5.
    """
    grid = grid_of(system.n_points)
    velocity = velocity_modes(modes[0])
    u, v, c = to_grid(jnp.concatenate([velocity, modes[1:]]))
    q = c + saturation
    rain = condensation_rate(c, condensation_time=system.condensation_time)
    uv, strain, uq, vq, rain = jnp.fft.rfft2(jnp.stack([u * v, v * v - u * u, u * q, v * q, rain]), norm="forward")
    zeta_rate = (grid.kx**2 - grid.ky**2) * uv + grid.kx * grid.ky * strain
    c_rate = -1j * (grid.kx * uq + grid.ky * vq) - system.saturation_gradient * velocity[1] - rain
    return jnp.stack([zeta_rate, c_rate + system.evaporation * grid.mean]) * grid.kept


def runge_kutta(
    system: MoistTurbulence, modes: Modes, saturation: Float[Array, "y x"], forcing: Complex[Array, "ky kx"]
) -> Modes:
    """One step of fourth-order Runge–Kutta in the variable e^{−Lt}w, L = −μ − ν|k|⁸ for ζ and −ν|k|⁸ for c.

        w₁ = E²w + h/6 (E²a + 2E(b + c) + d),   E = e^{Lh/2}

    L is integrated exactly, so no viscosity restricts the step; F is held over it.

    Args:
        system: the constants.
        modes: w, of ζ and c.
        saturation: A sin kx sin ky, on the grid.
        forcing: F, modes of the forcing of ζ.

    Returns:
        The modes one step later.
    """
    _, h = system.published_if_missing()
    half = jnp.asarray(_half_step_decay(system))
    full = half**2
    rate = lambda w: tendency(system, w, saturation).at[0].add(forcing)  # noqa: E731
    a = rate(modes)
    b = rate(half * (modes + h / 2 * a))
    c = rate(half * modes + h / 2 * b)
    d = rate(full * modes + h * half * c)
    return full * modes + h / 6 * (full * a + 2 * half * (b + c) + d)


def random_forcing(system: MoistTurbulence, *, key: Key) -> Complex[Array, "ky kx"]:
    """One draw of F: √S e^{2πir}/√h with r ~ U[0, 1) for each mode, F(−k) = F(k)*, so the field is real.

    Phases are drawn for the wavenumbers that are forced, up to 15 by default, so a fine grid costs no more draws.

    Args:
        system: the constants.
        key: random key.

    Returns:
        The modes of F.
    """
    _, h = system.published_if_missing()
    amplitude = np.sqrt(forcing_spectrum(system) / h)
    width = amplitude.shape[1]
    r = jr.uniform(key, (2 * width - 1, width))  # rows κ_y = 1 − width … width − 1
    upper = np.arange(1 - width, width) > 0
    phase = r.at[:, 0].set(jnp.where(upper, r[:, 0], -r[::-1, 0]))  # κ_x = 0: rows ±κ_y are conjugate
    modes = amplitude * jnp.exp(2j * jnp.pi * phase)
    n = system.n_points
    rows = jnp.concatenate([modes[width - 1 :], jnp.zeros((n - 2 * width + 1, width), modes.dtype), modes[: width - 1]])
    return jnp.pad(rows, ((0, 0), (0, n // 2 + 1 - width)))


def forcing_spectrum(system: MoistTurbulence) -> Float[np.ndarray, "ky kx"]:
    """S ∝ exp(−(|k| − k_f)²/2δ²), S(0) = 0, scaled so that F makes kinetic energy at the mean rate ε.

    With E = ½⟨|u|²⟩ = ½ Σ |ζ_k|²/|k|² over all modes of both signs, a step of the forcing changes E by

        Σ Re(ζ_k* h F_k)/|k|²  +  ½ Σ |h F_k|²/|k|²

    whose first term has mean zero, as the phases are fresh, and whose second is ½ h Σ S/|k|², the same for every draw.
    Hence Σ S/|k|² = 2ε. Column 0 counts once, the others twice, in sums over both signs.

    Args:
        system: the constants.

    Returns:
        S, rows κ_y = −K … K and columns κ_x = 0 … K, where K is k_f + 6δ (S is below 2e-8 of its greatest value beyond)
            or n/3, if smaller.
    """
    largest = min(largest_kept(system.n_points), int(np.ceil(system.forcing_wavenumber + 6 * system.forcing_width)))
    kx, ky = np.arange(largest + 1), np.arange(-largest, largest + 1)[:, None]
    square = kx**2 + ky**2
    s = np.exp(-((np.sqrt(square) - system.forcing_wavenumber) ** 2) / (2 * system.forcing_width**2)) * (square > 0)
    both_signs = np.where(kx == 0, 1, 2)
    return s * 2 * system.energy_input / np.sum(both_signs * s / np.maximum(square, 1))


def trajectories(
    systems: Sequence[MoistTurbulence],
    *,
    n_frames: int,
    n_spin_up: int = 0,
    start: Float[np.ndarray, "run 2 y x"] | None = None,
    report: ProgressReport | None = None,
    key: Key,
) -> Float[np.ndarray, "run frame 2 y x"]:
    """Frames of ζ and c every `INTERVAL`, one run for each system, all advanced together.

    500 units from rest with the first half dropped are published: n_spin_up = n_frames = 1000. Energy approaches its
    level, 4 to 5, as 1 − e^{−2μt}, so to 1 % after 230 units; the mean of c needs about 150.

    Args:
        systems: one for each run, equal in all but wavenumber and amplitude; `[coarse] * 8` for eight runs of one
            distribution.
        n_frames: to keep.
        n_spin_up: frames before these, dropped; none by default.
        start: ζ and c of each run at the beginning, at rest by default; modes beyond n/3 are removed.
        report: report(done, total), called after each frame, those of the spin-up included.
        key: random key. A run depends on its own system and its place in the list only.

    Returns:
        Fields ζ and c, float32, on the host.

    Raises:
        ValueError: for systems that differ in more, negative or no frames, or an `INTERVAL` that is no multiple of the
            time step.
        ArithmeticError: as soon as a run blew up.

    Examples:
        >>> frames = trajectories([MoistTurbulence(32)] * 8, n_frames=1000, n_spin_up=1000, key=jr.key(0))
        >>> zeta, c = frames[:, :, 0], frames[:, :, 1]
    """
    if n_frames < 1 or n_spin_up < 0:
        raise ValueError(f"n_frames must be at least 1 and n_spin_up at least 0, got {n_frames} and {n_spin_up}.")
    shared = _shared(systems)
    saturation = jnp.stack([s.amplitude * context(s.n_points, s.wavenumber) for s in systems])
    keys = jax.vmap(partial(jr.fold_in, key))(jnp.arange(len(systems)))
    n = shared.n_points
    modes = jnp.stack([shared.rest()] * len(systems)) if start is None else to_modes(jnp.asarray(start))
    frames = np.empty((len(systems), n_frames, 2, n, n), np.float32)
    for i in range(-n_spin_up, n_frames):
        modes, fields = _next_frame(shared, modes, saturation, keys, i + n_spin_up)
        if not np.isfinite(fields).all():
            raise ArithmeticError(f"the run blew up before frame {i + n_spin_up + 1}; use a smaller time_step.")
        if i >= 0:
            frames[:, i] = fields
        if report is not None:
            report(i + n_spin_up + 1, n_spin_up + n_frames)
    return frames


@partial(jax.jit, static_argnums=0, donate_argnums=1)
def _next_frame(system: MoistTurbulence, modes: Array, saturation: Array, keys: Array, index: int | Array):
    """All runs advanced by one `INTERVAL`: modes to go on with, and fields."""
    n_steps = _steps_per_frame(system)

    def one_run(w, q, key):
        body = lambda w, key: (runge_kutta(system, w, q, random_forcing(system, key=key)), None)  # noqa: E731
        return jax.lax.scan(body, w, jr.split(jr.fold_in(key, index), n_steps))[0]

    modes = jax.vmap(one_run)(modes, saturation, keys)
    return modes, to_grid(modes)


def _half_step_decay(system: MoistTurbulence) -> Float[np.ndarray, "2 ky kx"]:
    """e^{Lh/2} of ζ and of c."""
    nu, h = system.published_if_missing()
    viscous = nu * grid_of(system.n_points).square ** 4
    return np.exp(-h / 2 * np.stack([system.drag + viscous, viscous]))


def _steps_per_frame(system: MoistTurbulence) -> int:
    _, h = system.published_if_missing()
    n_steps = round(INTERVAL / h)
    if n_steps < 1 or abs(n_steps * h - INTERVAL) > 1e-6 * INTERVAL:
        raise ValueError(f"time_step must divide the interval {INTERVAL} between frames, got {h}; use {INTERVAL}/25.")
    return n_steps


def _shared(systems: Sequence[MoistTurbulence]) -> MoistTurbulence:
    """What all runs have in common, which is what is compiled: q_s is data."""
    if not systems:
        raise ValueError("systems must name at least one run; give [MoistTurbulence(32)].")
    stripped = {replace(s, wavenumber=0, amplitude=0.0) for s in systems}
    if len(stripped) > 1:
        raise ValueError(
            "systems run together must be equal in all but wavenumber and amplitude; run the others apart."
        )
    return stripped.pop()


def _of_size(name: str, given: float | None, published: dict[int, float], n_points: int) -> float:
    if given is not None:
        return given
    if n_points not in published:
        sizes = ", ".join(map(str, published))
        raise ValueError(f"no {name} is published for n_points = {n_points}; use one of {sizes}, or give {name}.")
    return published[n_points]


def _require_grid(n_points: int, wavenumber: int) -> None:
    if n_points < 8 or n_points % 2:
        raise ValueError(f"n_points must be even and at least 8, got {n_points}; use 32, 64, 128, 256 or 512.")
    if not 0 <= wavenumber <= largest_kept(n_points):
        raise ValueError(
            f"wavenumber must be between 0 and {largest_kept(n_points)}, the largest that {n_points} points resolve "
            f"after dealiasing, got {wavenumber}; use more points."
        )
