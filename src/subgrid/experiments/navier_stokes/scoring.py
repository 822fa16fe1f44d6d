"""The scores of all methods: coarse fields after debiasing, fine fields, and perfect-model ensembles."""

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np

from subgrid.data.store import read_arrays
from subgrid.downscaling.evaluation import distribution_scores, draw_conditions, ranks
from subgrid.experiments.navier_stokes.debiasing import debiased_path, read_debiased, training_targets
from subgrid.experiments.navier_stokes.methods import Method, debiasers_of, methods_of, upsamplers_of
from subgrid.experiments.navier_stokes.metrics import flow_scores
from subgrid.experiments.navier_stokes.run import NavierStokesRun
from subgrid.experiments.navier_stokes.sampling import perfect_path, unpaired_path
from subgrid.experiments.navier_stokes.table import Scores, score_table
from subgrid.numerics.streams import substream
from subgrid.runs.page import write_metrics
from subgrid.runs.stage import Update
from subgrid.verification.ensembles import constraint_rmse, fair_crps, sample_variability, spread_skill_ratio
from subgrid.verification.memorisation import nearest_fields

MOST_IN_MEMORY = 1024
"""Training fields that the nearest one is sought among, on the fine grid."""


def score(run: NavierStokesRun, update: Update) -> None:
    """The table, and what figures need of it."""
    factors = run.config.navier_stokes.factors
    table: dict[str, Scores] = {}
    histograms: dict[str, list[int]] = {}
    for i, factor in enumerate(factors):
        tell = lambda part, what, i=i: update(3 * i + part, 3 * len(factors), what)  # noqa: E731
        tell(0, f"coarse fields, {factor}x")
        table[f"{factor}x, coarse fields"] = coarse_scores(run, factor)
        tell(1, f"fine fields, {factor}x")
        table[f"{factor}x, fine fields"] = fine_scores(run, factor)
        tell(2, f"perfect model, {factor}x")
        table[f"{factor}x, perfect model"], found = perfect_scores(run, factor)
        histograms |= found
    write_metrics(run, score_table(table, run.config), rank_histograms=histograms, debias=_summaries(run))
    update(3 * len(factors), 3 * len(factors))


def coarse_scores(run: NavierStokesRun, factor: int) -> Scores:
    """Raw and debiased held-out fields against the coarsened reference."""
    coarsen = lambda fields: np.asarray(run.operator(factor)(jnp.asarray(fields)))  # noqa: E731
    reference, independent = coarsen(run.fine.reference), coarsen(run.fine.independent)
    found = {"raw": distribution_scores(read_debiased(run, factor, "none"), reference, 2)}
    for name in debiasers_of(run.config):
        arrays = read_arrays(debiased_path(run.folder, factor, name))
        nearest = float(np.mean(arrays["nearest"]))
        found[name] = {**distribution_scores(arrays["fields"], reference, 2), "nearest": nearest}
    targets = training_targets(run, factor, key=substream(run.key("debias", "floor", f"{factor}x"), "targets"))
    some = independent[:: max(1, len(independent) // MOST_IN_MEMORY)]
    floor = float(np.mean(nearest_fields(some, targets).distance))
    found["floor"] = {**distribution_scores(independent, reference, 2), "nearest": floor}
    return found


def fine_scores(run: NavierStokesRun, factor: int) -> Scores:
    """One member of each case by every method, as many fields for all, against the reference."""
    found: Scores = {}
    for method in methods_of(run.config):
        arrays = read_arrays(unpaired_path(run.folder, factor, method.name))
        found[method.name] = {
            **_ensemble_scores(run, factor, method, arrays),
            **_distances(run, arrays["fields"][:, 0]),
        }
    key = run.key("conditions of the noise floor")
    chosen = draw_conditions(len(run.fine.independent), run.config.evaluation.n_unpaired, key=key)
    found["floor"] = _distances(run, run.fine.independent[chosen])
    return found


def _distances(run: NavierStokesRun, fields: np.ndarray) -> dict[str, float]:
    archive = run.fine
    some = archive.training[:: max(1, len(archive.training) // MOST_IN_MEMORY)]
    return {
        **distribution_scores(fields, archive.reference, 2),
        **flow_scores(fields, archive.reference, run.config.navier_stokes.wavenumber),
        "nearest": float(np.mean(nearest_fields(fields[:MOST_IN_MEMORY], some).distance)),
    }


def _ensemble_scores(
    run: NavierStokesRun, factor: int, method: Method, arrays: Mapping[str, np.ndarray]
) -> dict[str, float]:
    """How exactly members keep to T(y), and how they differ; methods of their own have no T(y) to keep to."""
    fields = jnp.asarray(arrays["fields"])
    variability = float(sample_variability(fields)) if fields.shape[1] > 1 else 0.0
    if method.is_whole:
        return {"variability": variability}
    targets = read_debiased(run, factor, method.debiaser)[arrays["conditions"]]
    error = constraint_rmse(run.operator(factor), fields[:, 0], jnp.asarray(targets))
    return {"constraint RMSE": float(error), "variability": variability}


def perfect_scores(run: NavierStokesRun, factor: int) -> tuple[Scores, dict[str, list[int]]]:
    """CRPS and spread/skill of every upsampler where the truth is known, and its rank histogram."""
    found, histograms = {}, {}
    for name in upsamplers_of(run.config):
        arrays = read_arrays(perfect_path(run.folder, factor, name))
        truth, ensemble = run.fine.reference[arrays["conditions"]], arrays["fields"]
        found[name] = _paired(run, factor, truth, ensemble)
        if ensemble.shape[1] > 1:
            key = run.key("ranks", name, f"{factor}x")
            histograms[f"{factor}x, {name}"] = ranks(truth, ensemble, run.operator(factor), key=key).tolist()
    return found, histograms


def _paired(run: NavierStokesRun, factor: int, truth: np.ndarray, ensemble: np.ndarray) -> dict[str, float]:
    operator = run.operator(factor)
    error = constraint_rmse(operator, jnp.asarray(ensemble[:, 0]), operator(jnp.asarray(truth)))
    of_one = {"constraint RMSE": float(error)}
    if ensemble.shape[1] == 1:
        return {"CRPS": float(np.mean(np.abs(ensemble[:, 0] - truth))), **of_one}
    members = jnp.moveaxis(jnp.asarray(ensemble), 1, 0)
    return {
        "CRPS": float(jnp.mean(fair_crps(members, jnp.asarray(truth)))),
        "CRPS of a member": float(jnp.mean(fair_crps(members[1:], members[0]))),
        "spread/skill": float(spread_skill_ratio(jnp.asarray(ensemble), jnp.asarray(truth))),
        **of_one,
    }


def _summaries(run: NavierStokesRun) -> dict[str, str]:
    """What each fit reported."""
    return {
        f"{factor}x, {name}": str(read_arrays(debiased_path(run.folder, factor, name))["summary"])
        for factor in run.config.navier_stokes.factors
        for name in debiasers_of(run.config)
    }
