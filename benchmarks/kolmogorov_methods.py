"""What a fine field costs by each method of a run of Kolmogorov flow, beside the guided prior.

    .venv/bin/python -m benchmarks.kolmogorov_methods runs/navier_stokes_64

takes the models of that run, whose weights are kept, and draws the same fields with each, one call after the other.
"""

import sys
from pathlib import Path

import jax.numpy as jnp
import jax.random as jr
import numpy as np

from benchmarks.timing import interleaved_seconds
from subgrid.downscaling.upsampling.particles import sample_with_diagnostics
from subgrid.experiments.navier_stokes import EXPERIMENT
from subgrid.experiments.navier_stokes.methods import OF_ONE_COARSENING, OF_THE_PRIOR, WHOLE, ModelName
from subgrid.experiments.navier_stokes.models import open_upsampler
from subgrid.experiments.navier_stokes.run import NavierStokesRun
from subgrid.runs.experiment import open_run

N_FIELDS, REPEATS = 16, 3


def rows(run: NavierStokesRun, factor: int) -> list[tuple[str, float, str]]:
    """Rows of (name, ratio, meaning)."""
    coarsened = np.asarray(run.operator(factor)(jnp.asarray(run.fine.reference[:N_FIELDS])))
    raw = run.coarse.at(run.config.navier_stokes.n_fine // factor).held_out[:N_FIELDS]

    def call(kind: str):
        upsampler, targets = open_upsampler(run, kind, factor), raw if kind in WHOLE else coarsened
        return lambda: sample_with_diagnostics(upsampler, targets, 1, chunk=N_FIELDS, key=jr.key(0))[0]

    calls = {
        kind: call(kind)
        for kind in (*OF_THE_PRIOR, *OF_ONE_COARSENING, "cubic", "bcsd")
        if _is_there(run, kind, factor)
    }
    seconds = {
        name: times[len(times) // 2] / N_FIELDS for name, times in interleaved_seconds(calls, repeats=REPEATS).items()
    }
    return [
        (f"{name}, {factor}x", each / seconds["guided"], f"of a field by the guided prior; {each:.3g} s")
        for name, each in seconds.items()
    ]


def _is_there(run: NavierStokesRun, kind: str, factor: int) -> bool:
    if kind in OF_ONE_COARSENING:
        return run.path(ModelName(kind, factor).folder).is_dir()
    return True


def main(folder: str) -> None:
    run = open_run(EXPERIMENT, Path(folder) / "config.toml", Path(folder), [])
    assert isinstance(run, NavierStokesRun)
    print("| method | ratio | meaning |\n|---|---|---|")
    for factor in run.config.navier_stokes.factors:
        for name, ratio, meaning in rows(run, factor):
            print(f"| {name} | {ratio:.3g} | {meaning} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
