"""How near the coarse solver of Kolmogorov flow comes to the machine's memory bandwidth.

    .venv/bin/python -m benchmarks.staggered_solver

prints cells a second and what the compiled step moves. The bandwidth is that of a copy in the same run, of an array as
large as the velocities: those of the published archive stay in the cache of a core, those of the large case do not.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from benchmarks.compiled_traffic import traffic
from benchmarks.timing import interleaved_seconds
from subgrid.simulate.kolmogorov_flow import KolmogorovFlow, initial_vorticity
from subgrid.simulate.staggered import StaggeredSolver, Velocity, project, velocity_of

FIELDS_MOVED = 20
"""In and out of memory for each cell, by a step whose every part is one pass. Explicit part: two velocities in and out,
4. Divergence: two in, one out, 3. Pressure: two transforms of two passes each, in and out, 8. Gradient: three in, two
out, 5. A step whose parts were all one pass would need 4; the transforms, which need all of a field, forbid it."""
REPEATS = 9


class Timing(NamedTuple):
    """Of the quickest of all rounds."""

    cells_per_second: float
    """Cells advanced by a step."""
    moved: float
    """Bytes a second that a step moves at least."""
    copied: float
    """Bytes a second that a copy moves, in and out."""


class Case:
    """Flows that are advanced together, n_steps a call, and a copy of their velocities."""

    def __init__(self, n_points: int, n_flows: int, n_steps: int):
        flow = KolmogorovFlow(n_points, 4e-3, time_step=0.64 / n_points)
        self.solver, self.n_steps = StaggeredSolver(flow), n_steps
        start = jax.jit(jax.vmap(lambda key: velocity_of(initial_vorticity(flow, key=key))))
        self.start = start(jr.split(jr.key(0), n_flows))
        self.n_cells = self.start.u.size
        self.advance = eqx.filter_jit(self._advance)

    def _advance(self, velocity: Velocity) -> Velocity:
        each = jax.vmap(self.solver.step)
        return jax.lax.fori_loop(0, self.n_steps, lambda _, held: each(held), velocity)

    def copy(self):
        """The velocities times a number, as often as there are steps: a pass in and a pass out."""

        @jax.jit
        def run(fields):
            return jax.lax.fori_loop(0, self.n_steps, lambda _, held: held * 1.0001, fields)

        fields = jnp.stack([self.start.u, self.start.v])
        return lambda: run(fields)

    def time(self) -> Timing:
        """The step and the copy, one after the other in every round."""
        calls = {"step": lambda: self.advance(self.start), "copy": self.copy()}
        step, copy = (times[0] / self.n_steps for times in interleaved_seconds(calls, repeats=REPEATS).values())
        field = 4 * self.n_cells
        return Timing(self.n_cells / step, FIELDS_MOVED * field / step, 2 * 2 * field / copy)

    def projection_share(self) -> float:
        """Of the time of a step, by the projection alone."""
        each = jax.vmap(project)
        alone = jax.jit(lambda velocity: jax.lax.fori_loop(0, self.n_steps, lambda _, held: each(held), velocity))
        calls = {"step": lambda: self.advance(self.start), "projection": lambda: alone(self.start)}
        step, projection = (times[0] for times in interleaved_seconds(calls, repeats=REPEATS).values())
        return projection / step

    def compiled_text(self) -> str:
        """The optimised program of the loop of steps."""
        return jax.jit(self._advance).lower(self.start).compile().as_text() or ""


CASES = {"64 flows on 32×32": (32, 64, 200), "16 flows on 512×512": (512, 16, 2)}


def run() -> list[tuple[str, float, str]]:
    """Rows of (name, ratio, meaning)."""
    rows = []
    for name, size in CASES.items():
        found = Case(*size).time()
        about = (
            "bytes that a step moves at least, over those of a copy in the same time; "
            f"{found.cells_per_second / 1e6:.0f} million cells a second, copies {found.copied / 1e9:.0f} GB/s"
        )
        rows.append((f"staggered solver, {name}", found.moved / found.copied, about))
    return rows


def main() -> None:
    """The ratios, and the kernels of a step."""
    for (name, ratio, about), size in zip(run(), CASES.values(), strict=True):
        case = Case(*size)
        print(f"\n## {name}\n\n{ratio:.2f}: {about}. The projection takes {case.projection_share():.2f} of a step.\n")
        print("| kernels | number | bytes a cell and step |\n|---|---|---|")
        for kind, (number, moved) in traffic(case.compiled_text()).items():
            print(f"| {kind} | {number} | {moved / case.n_cells:.0f} |")
        print(f"| at least | | {4 * FIELDS_MOVED} |")


if __name__ == "__main__":
    main()
