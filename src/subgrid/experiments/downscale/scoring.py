"""What a finished run is worth: the table of metrics."""

import json
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
import xarray as xr

from subgrid.downscaling.evaluation import (
    ABOUT,
    Row,
    compare,
    draw_conditions,
    ensemble_rows,
    perfect_model_rows,
    ranks,
)
from subgrid.downscaling.interpolation.cubic import cubic_interpolation
from subgrid.downscaling.prior.novelty import Outside
from subgrid.experiments.downscale import build
from subgrid.experiments.downscale.run import DownscaleRun
from subgrid.runs.page import write_metrics
from subgrid.runs.score_table import ScoreTable
from subgrid.runs.stage import Update
from subgrid.verification.ensembles import fair_crps


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


def load_results(run: DownscaleRun) -> Results:
    """What the stages left in the run folder, cubic interpolations beside it."""
    debiased = _open(run, "debiased")
    unpaired = _open(run, "ensemble")
    perfect = _open(run, "perfect_model")
    return Results(
        raw=debiased.raw.values,
        debiased=debiased.debiased.values,
        ensemble=unpaired.ensemble.values,
        target=unpaired.target.values,
        cubic=_interpolate(run, unpaired.target.values),
        perfect_ensemble=perfect.ensemble.values,
        perfect_target=perfect.target.values,
        perfect_truth=perfect.truth.values,
        perfect_cubic=_interpolate(run, perfect.target.values),
        debias_summary=json.loads(debiased.attrs["debias_summary"]),
    )


def _particles(run: DownscaleRun) -> dict[str, dict[str, float]]:
    """Medians over the perfect model's members of what their particles tell; nothing of members without particles."""
    perfect = _open(run, "perfect_model")
    found = [name for name in ("effective_size", "effective_fraction") if name in perfect]
    return {"particles": {name: float(np.median(perfect[name])) for name in found}} if found else {}


def _inputs(run: DownscaleRun) -> dict[str, dict[str, float]]:
    """Where the debiased fields lie among coarsened training fields; nothing of models that have no Gaussian part."""
    unpaired = _open(run, "ensemble")
    if not {"input_quantile", "input_ratio"} <= set(unpaired):
        return {}
    found = Outside(unpaired.input_quantile.values, unpaired.input_ratio.values)
    return {"inputs": {"beyond": found.beyond, "largest_ratio": float(found.ratio.max())}}


def _open(run: DownscaleRun, name: str) -> xr.Dataset:
    return xr.open_zarr(run.path(f"{name}.zarr"))


def _interpolate(run: DownscaleRun, coarse: np.ndarray) -> np.ndarray:
    config = run.config
    factors = (config.coarsening.factor,) * run.fine[0].n_space
    return cubic_interpolation(
        coarse, factors, centred=config.coarsening.kind == "block-mean", periodic=config.data.periodic
    )


COLUMNS = ("raw", "debiased", "cubic", "generated", "floor")


def score(run: DownscaleRun, update: Update) -> None:
    """The table of scores, `metrics.json`."""
    config, results, (_, reference, independent) = run.config, load_results(run), run.fine
    coarsen = lambda fields: np.asarray(run.operator(jnp.asarray(fields)))  # noqa: E731
    n_space = reference.n_space
    update(0, 3, "coarse grid")
    coarse = {"raw": results.raw, "debiased": results.debiased}
    rows = compare("Coarse grid", coarsen(reference.values), coarse, coarsen(independent.values), n_space)
    update(1, 3, "fine grid")
    generated = results.ensemble.reshape(-1, *results.ensemble.shape[2:])
    fine = {"cubic": results.cubic, "generated": generated}
    # The floor of generated fields is that of as many reference fields as there are coarse ones: the members of one
    # share its large scales, which carry nearly all of the energy, and do not count as fields of their own.
    n_conditions = len(results.ensemble)
    key = run.key("conditions of the noise floor")
    same_size = independent.values[draw_conditions(len(independent), n_conditions, key=key)]
    rows += compare("Fine grid", reference.values, fine, same_size, n_space)
    rows += ensemble_rows("Fine grid", results.ensemble, results.cubic, results.target, run.operator)
    update(2, 3, "perfect model")
    perfect = (results.perfect_ensemble, results.perfect_cubic)
    rows += perfect_model_rows(results.perfect_truth, *perfect)
    rows += ensemble_rows("Perfect model", *perfect, results.perfect_target, run.operator)
    counts = ranks(results.perfect_truth, results.perfect_ensemble, run.operator, key=run.key("ranks"))
    update(3, 3)
    write_metrics(
        run,
        ScoreTable([_described(row, reference.units, results) for row in rows], COLUMNS),
        rank_histogram=counts.tolist(),
        debias=results.debias_summary,
        sampling={"method": config.downscaling.method, "evaluations": build.n_evaluations(config)},
        **_particles(run),
        **_inputs(run),
    )


def _described(row: Row, units: str, results: Results) -> dict[str, Any]:
    """A row with its units; that of the CRPS with two standard errors of what cubic interpolation has more."""
    more: dict[str, Any] = {"units": ABOUT[row.metric].units(units)}
    if row.metric == "CRPS":
        more["noise"] = _two_standard_errors(results)
    return row.as_dict() | more


def _two_standard_errors(results: Results) -> float:
    """Of the mean difference of the CRPS of cubic interpolation and of the ensemble, cases being independent."""
    truth, members = jnp.asarray(results.perfect_truth), jnp.moveaxis(jnp.asarray(results.perfect_ensemble), 1, 0)
    difference = np.abs(results.perfect_cubic - results.perfect_truth) - np.asarray(fair_crps(members, truth))
    of_cases = difference.reshape(len(difference), -1).mean(1)
    return 2 * float(of_cases.std(ddof=1)) / len(of_cases) ** 0.5
