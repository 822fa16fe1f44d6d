"""What a finished run is worth: the table of metrics."""

import json
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
import xarray as xr

from subgrid.cli import build
from subgrid.cli.experiment import Experiment, machine_summary
from subgrid.cli.progress import progress_bar
from subgrid.cli.timings import timed, timings_of
from subgrid.data.store import write_json
from subgrid.downscaling.baselines import cubic_interpolation
from subgrid.downscaling.evaluation import compare, draw_conditions, ensemble_rows, perfect_model_rows, ranks
from subgrid.downscaling.outside import Outside


@dataclass(frozen=True)
class Results:
    """Everything that verification and report look at, as host arrays."""

    raw: np.ndarray
    debiased: np.ndarray
    ensemble: np.ndarray
    target: np.ndarray
    cubic: np.ndarray
    perfect_ensemble: np.ndarray
    perfect_target: np.ndarray
    perfect_truth: np.ndarray
    perfect_cubic: np.ndarray
    debias_summary: dict


def load_results(experiment: Experiment) -> Results:
    """What the stages left in the run folder, cubic interpolations beside it."""
    debiased = _open(experiment, "debiased")
    unpaired = _open(experiment, "ensemble")
    perfect = _open(experiment, "perfect_model")
    return Results(
        raw=debiased.raw.values,
        debiased=debiased.debiased.values,
        ensemble=unpaired.ensemble.values,
        target=unpaired.target.values,
        cubic=_interpolate(experiment, unpaired.target.values),
        perfect_ensemble=perfect.ensemble.values,
        perfect_target=perfect.target.values,
        perfect_truth=perfect.truth.values,
        perfect_cubic=_interpolate(experiment, perfect.target.values),
        debias_summary=json.loads(debiased.attrs["debias_summary"]),
    )


def _particles(experiment: Experiment) -> dict[str, dict[str, float]]:
    """Medians over the perfect model's members of what their particles tell; nothing of members without particles."""
    perfect = _open(experiment, "perfect_model")
    told = [name for name in ("effective_size", "effective_fraction") if name in perfect]
    return {"particles": {name: float(np.median(perfect[name])) for name in told}} if told else {}


def _inputs(experiment: Experiment) -> dict[str, dict[str, float]]:
    """Where the debiased fields lie among coarsened training fields; nothing of models that have no Gaussian part."""
    unpaired = _open(experiment, "ensemble")
    if not {"input_quantile", "input_ratio"} <= set(unpaired):
        return {}
    found = Outside(unpaired.input_quantile.values, unpaired.input_ratio.values)
    return {"inputs": {"beyond": found.beyond, "largest_ratio": float(found.ratio.max())}}


def _open(experiment: Experiment, name: str) -> xr.Dataset:
    return xr.open_zarr(experiment.path(f"{name}.zarr"))


def _interpolate(experiment: Experiment, coarse: np.ndarray) -> np.ndarray:
    config = experiment.config
    factors = (config.coarsening.factor,) * experiment.fine[0].n_space
    return cubic_interpolation(
        coarse, factors, centred=config.coarsening.kind == "block-mean", periodic=config.data.periodic
    )


SCORED = ("debiased.zarr", "ensemble.zarr", "perfect_model.zarr")
"""What verification and report read of a run folder."""


def verify(experiment: Experiment) -> None:
    """The table of metrics, `metrics.json`; nothing where that is there and newer than all it was made from."""
    if experiment.is_newest("metrics.json", SCORED):
        return
    config, results, (_, reference, twin) = experiment.config, load_results(experiment), experiment.fine
    coarsen = lambda fields: np.asarray(experiment.operator(jnp.asarray(fields)))  # noqa: E731
    n_space = reference.n_space
    with timed(experiment.folder, "verify"), progress_bar("verify") as update:
        update(0, 3, "coarse grid")
        coarse = {"raw": results.raw, "debiased": results.debiased}
        rows = compare("Coarse grid", coarsen(reference.values), coarse, coarsen(twin.values), n_space)
        update(1, 3, "fine grid")
        generated = results.ensemble.reshape(-1, *results.ensemble.shape[2:])
        fine = {"cubic": results.cubic, "generated": generated}
        # The floor of generated fields is that of as many reference fields as there are coarse ones: the members of one
        # share its large scales, which carry nearly all of the energy, and do not count as fields of their own.
        n_conditions = len(results.ensemble)
        key = experiment.key("conditions of the noise floor")
        same_size = twin.values[draw_conditions(len(twin), n_conditions, key=key)]
        rows += compare("Fine grid", reference.values, fine, same_size, n_space)
        rows += ensemble_rows("Fine grid", results.ensemble, results.cubic, results.target, experiment.operator)
        update(2, 3, "perfect model")
        perfect = (results.perfect_ensemble, results.perfect_cubic)
        rows += perfect_model_rows(results.perfect_truth, *perfect)
        rows += ensemble_rows("Perfect model", *perfect, results.perfect_target, experiment.operator)
        counts = ranks(
            results.perfect_truth, results.perfect_ensemble, experiment.operator, key=experiment.key("ranks")
        )
        update(3, 3)
    write_json(
        experiment.path("metrics.json"),
        {
            "name": config.run.name,
            "seed": config.run.seed,
            "table": [row.as_dict() for row in rows],
            "rank_histogram": counts.tolist(),
            "debias": results.debias_summary,
            "sampling": {"method": config.downscaling.method, "evaluations": build.n_evaluations(config)},
            **_particles(experiment),
            **_inputs(experiment),
            "seconds": timings_of(experiment.folder),
            "machine": machine_summary(),
            "config": config.model_dump(),
        },
    )
