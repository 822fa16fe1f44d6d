"""Snapshots of a flow: many trajectories from their own starts, at equal intervals, some at a time."""

import math
from collections.abc import Iterator
from typing import NamedTuple, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from subgrid.simulate.kolmogorov_flow import KolmogorovFlow, greatest_speed
from subgrid.types import ProgressReport


@runtime_checkable
class Solver(Protocol):
    """A solver of Kolmogorov flow: `SpectralSolver` or `StaggeredSolver`."""

    @property
    def flow(self) -> KolmogorovFlow: ...

    def advance(
        self, vorticity: Float[Array, "y x"], n_steps: int | Int[Array, ""]
    ) -> tuple[Float[Array, "y x"], Int[Array, ""]]: ...

    def largest_time_step(self, speed: float) -> float: ...


class Schedule(NamedTuple):
    """When snapshots are taken, in units of time.

    Args:
        n_snapshots: how many of each trajectory.
        interval: between two, a multiple of the time step.
        spin_up: before the first one, a multiple of the interval; none by default.
        chunk: snapshots handed over at a time, 16 by default: those in memory.
    """

    n_snapshots: int
    interval: float
    spin_up: float = 0.0
    chunk: int = 16


def trajectories(
    solver: Solver,
    start: Float[Array | np.ndarray, "trajectory y x"],
    schedule: Schedule,
    *,
    speed: float | None = None,
    report: ProgressReport | None = None,
) -> Iterator[Float[np.ndarray, "trajectory time y x"]]:
    """Vorticity at equal intervals after a spin-up, in chunks of time that a caller may write before the next is made.

    A snapshot is all that there is of a state, in single precision: to go on with a run that was stopped, start from
    its last snapshot with a spin-up of one interval, and the bits are those of the run in one go. A trajectory depends
    on its own start only: batches of any size give the same bits, as measured on CPUs.

    Args:
        solver: with grid and time step.
        start: ω of each trajectory, as of `initial_vorticity`.
        schedule: how many snapshots, when, and how many at a time.
        speed: the greatest |u| to be expected, which the time step is checked against. By default that of the starts
            or of the laminar flow, whichever is greater; turbulence is slower than the latter.
        report: report(done, total), called after each interval, those of the spin-up included.

    Returns:
        Chunks, float32, on the host; the last one may be shorter. Nothing is computed before the first is asked for.

    Raises:
        ValueError: for a start on another grid, a schedule that the time step does not divide, and a time step too
            large to be stable; before any step.
        ArithmeticError: as soon as a value is not finite, with its trajectory and its time; from the iterator.

    Examples:
        >>> start = jax.vmap(lambda k: initial_vorticity(flow, key=k))(jr.split(key, 64))
        >>> for fields in trajectories(SpectralSolver(flow), start, Schedule(50, 2.0, spin_up=25.0)):
        ...     ...  # write fields, (64, 16, y, x)
    """
    n = solver.flow.n_points
    if start.ndim != 3 or start.shape[1:] != (n, n) or not len(start):
        raise ValueError(f"start must have the shape (trajectory, {n}, {n}), got {start.shape}.")
    n_steps, n_spin_up = _steps(schedule, solver.flow.time_step)
    require_stable(solver, _speed_of(solver.flow, start, speed))
    return _chunks(solver, jnp.asarray(start), schedule, n_steps, n_spin_up, report)


def courant_number(flow: KolmogorovFlow, speed: float) -> float:
    """Cells that the flow crosses in a step, speed·dt/h.

    Args:
        flow: grid and time step.
        speed: the greatest |u|.

    Returns:
        The Courant number.
    """
    return speed * flow.time_step / flow.spacing


def require_stable(solver: Solver, speed: float) -> None:
    """Passes if the solver's time step is stable at a speed.

    Args:
        solver: with grid and time step.
        speed: the greatest |u| to be expected.

    Raises:
        ValueError: if not, with the Courant number, its limit, and the largest step.

    Examples:
        >>> require_stable(SpectralSolver(KolmogorovFlow(64, 4e-3, time_step=0.0125)), 5.0)
    """
    flow = solver.flow
    largest, courant = solver.largest_time_step(speed), courant_number(flow, speed)
    if flow.time_step > largest:
        raise ValueError(
            f"time_step {flow.time_step:g} is unstable on {flow.n_points} points: at the speed {speed:.3g} its Courant "
            f"number is {courant:.3g}, and {courant * largest / flow.time_step:.3g} is the limit; use a time_step of "
            f"at most {largest:.3g}."
        )


def _chunks(
    solver: Solver, vorticity: Array, schedule: Schedule, n_steps: int, n_spin_up: int, report: ProgressReport | None
) -> Iterator[np.ndarray]:
    total, dt = n_spin_up + schedule.n_snapshots - 1, solver.flow.time_step
    kept: list[np.ndarray] = []
    for i in range(total + 1):
        if i > 0:
            vorticity, n_finite = _advance(solver, vorticity, n_steps)
            _require_finite(np.asarray(n_finite), n_steps, (i - 1) * n_steps, dt)
            if report is not None:
                report(i, total)
        if i >= n_spin_up:
            kept.append(np.asarray(vorticity, np.float32))
        if len(kept) == schedule.chunk or (kept and i == total):
            yield np.stack(kept, axis=1)
            kept = []


@eqx.filter_jit
def _advance(solver: Solver, vorticity: Array, n_steps: int) -> tuple[Array, Array]:
    return jax.vmap(lambda w: solver.advance(w, n_steps))(vorticity)


def _steps(schedule: Schedule, time_step: float) -> tuple[int, int]:
    """Steps of an interval, and intervals of the spin-up."""
    if schedule.n_snapshots < 1 or schedule.chunk < 1 or schedule.spin_up < 0:
        raise ValueError(f"n_snapshots and chunk must be at least 1 and spin_up at least 0, got {schedule}.")
    n_steps = round(schedule.interval / time_step)
    if n_steps < 1 or abs(n_steps * time_step - schedule.interval) > 1e-6 * schedule.interval:
        n = max(1, math.ceil(schedule.interval / time_step))
        raise ValueError(
            f"time_step must divide the interval {schedule.interval:g} between snapshots, got {time_step:g}; "
            f"use {schedule.interval / n:g}."
        )
    n_spin_up = round(schedule.spin_up / schedule.interval)
    if abs(n_spin_up * schedule.interval - schedule.spin_up) > 1e-6 * schedule.interval:
        raise ValueError(
            f"spin_up must be a multiple of the interval {schedule.interval:g}, got {schedule.spin_up:g}; "
            f"use {n_spin_up * schedule.interval:g}."
        )
    return n_steps, n_spin_up


def _speed_of(flow: KolmogorovFlow, start: Array | np.ndarray, speed: float | None) -> float:
    """What the step is checked against: as given, or of the starts or the laminar flow."""
    if speed is None:
        speed = max(float(jnp.max(jax.lax.map(greatest_speed, jnp.asarray(start)))), flow.laminar_speed)
    if not math.isfinite(speed):
        raise ValueError(
            "the greatest speed is not known, so no time step can be checked: the starts are not finite, or neither "
            "viscosity nor drag limits the force. Give speed."
        )
    return speed


def _require_finite(n_finite: np.ndarray, n_steps: int, before: int, time_step: float) -> None:
    if (n_finite == n_steps).all():
        return
    which = int(np.argmin(n_finite))
    step = before + int(n_finite[which]) + 1
    raise ArithmeticError(
        f"trajectory {which} is not finite any more at t = {step * time_step:g} (step {step} after the start); use a "
        "smaller time_step, or more viscosity."
    )
