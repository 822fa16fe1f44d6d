"""The scores of all methods: coarse fields after debiasing, fine fields, and perfect-model ensembles."""

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np

from subgrid.data.store import read_arrays
from subgrid.downscaling.evaluation import crps_and_spread, distribution_scores, ranks
from subgrid.downscaling.prior.novelty import Outside
from subgrid.experiments.navier_stokes.archives import symmetries
from subgrid.experiments.navier_stokes.debiasing import debiased_path, read_debiased
from subgrid.experiments.navier_stokes.methods import (
    PARTICLES_SHARE,
    Method,
    debiasers_of,
    methods_of,
    upsamplers_of,
)
from subgrid.experiments.navier_stokes.metrics import flow_scores
from subgrid.experiments.navier_stokes.run import NavierStokesRun
from subgrid.experiments.navier_stokes.sampling import draw_snapshots, perfect_path, unpaired_path
from subgrid.experiments.navier_stokes.table import SAME_CASES, Scores, score_table
from subgrid.numerics.symmetries import augmented, kolmogorov_symmetries
from subgrid.runs.page import write_metrics
from subgrid.runs.stage import Update
from subgrid.verification.ensembles import constraint_rmse, sample_variability
from subgrid.verification.memorisation import nearest_images
from subgrid.verification.similarity import source_distance

COMPARED = 48
"""Fields whose nearest training image is sought: among all training fields and symmetries, which takes seconds."""


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
    write_metrics(
        run, score_table(table, run.config), rank_histograms=histograms, debias=_summaries(run), beyond=_inputs(run)
    )
    update(3 * len(factors), 3 * len(factors))


def coarse_scores(run: NavierStokesRun, factor: int) -> Scores:
    """Raw and debiased held-out fields against the coarsened reference, as many of each, and against their source."""
    coarsen = lambda fields: np.asarray(run.operator(factor)(jnp.asarray(fields)))  # noqa: E731
    reference, training = coarsen(run.fine.reference), coarsen(run.fine.training)
    fields = {name: read_debiased(run, factor, name) for name in ("none", *debiasers_of(run.config))}
    raw = fields.pop("none")
    all_of_them = {"raw": raw, **fields, "floor": coarsen(run.fine.independent)}
    found = {
        name: {**distribution_scores(x, reference, 2), **_nearest(run, x, training)} for name, x in all_of_them.items()
    }
    for name, debiased in fields.items():
        found[name]["source"] = float(source_distance(debiased, raw, raw.shape[-1] // 2).mean())
    return found


def fine_scores(run: NavierStokesRun, factor: int) -> Scores:
    """One member of each case by every method, as many fields for all, against the reference.

    Each counts under as many random symmetries as a held-out field, which lowers the floor: those that take observed
    points to observed points, as what a method makes is a little different between them. Particles have fewer cases,
    and a distance between distributions would not compare.
    """
    found: Scores = {}
    for method in methods_of(run.config):
        arrays = read_arrays(unpaired_path(run.folder, factor, method.name))
        found[method.name] = _ensemble_scores(run, factor, method, arrays)
        if method.upsampler != "particles":
            found[method.name] |= _distances(run, arrays["fields"][:, 0], factor, method.name)
    n, key = run.config.evaluation.n_unpaired, run.key("conditions of the noise floor")
    others = run.fine.independent[draw_snapshots(run, len(run.fine.independent), n, key=key)]
    found["floor"] = _distances(run, others, factor, "floor")
    return found


def _distances(run: NavierStokesRun, fields: np.ndarray, factor: int, name: str) -> dict[str, float]:
    table, n = run.config.navier_stokes, run.config.evaluation.n_images
    group, key = symmetries(table, table.n_fine // factor), run.key("images of the generated", name)
    images = augmented(jnp.asarray(fields), n * len(fields), group, key=key)
    return {
        **distribution_scores(images, run.fine.reference, 2),
        **flow_scores(np.asarray(images), run.fine.reference, table.wavenumber),
        **_nearest(run, fields, run.fine.training),
    }


def _nearest(run: NavierStokesRun, fields: np.ndarray, training: np.ndarray) -> dict[str, float]:
    """Mean distance of some fields to the nearest image of a training field."""
    some = fields[:: max(1, len(fields) // COMPARED)][:COMPARED]
    group = kolmogorov_symmetries(run.config.navier_stokes.wavenumber)
    return {"nearest": float(jnp.mean(nearest_images(some, training, group)))}


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
    """CRPS and spread/skill of every upsampler where the truth is known, and its rank histogram.

    Beside particles, which have fewer cases, the guided prior stands once more with those cases alone.
    """
    found, histograms = {}, {}
    names = upsamplers_of(run.config)
    for name in names:
        arrays = read_arrays(perfect_path(run.folder, factor, name))
        truth, ensemble = run.fine.reference[arrays["conditions"]], arrays["fields"]
        found[name] = _paired(run, factor, truth, ensemble)
        if name == "guided" and "particles" in names:
            found[SAME_CASES] = _paired(run, factor, truth[::PARTICLES_SHARE], ensemble[::PARTICLES_SHARE])
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
    own, of_a_member = crps_and_spread(truth, ensemble), crps_and_spread(ensemble[:, 0], ensemble[:, 1:])
    return {
        "CRPS": own["CRPS"],
        "CRPS of a member": of_a_member["CRPS"],
        "spread/skill": own["spread/skill"],
        **of_one,
    }


def _inputs(run: NavierStokesRun) -> dict[str, float]:
    """The share of T(y) beyond the 99 % quantile of coarsened training fields, of guided methods."""
    found = {}
    for factor in run.config.navier_stokes.factors:
        for method in methods_of(run.config):
            arrays = read_arrays(unpaired_path(run.folder, factor, method.name))
            if "input_quantile" in arrays:
                beyond = Outside(arrays["input_quantile"], arrays["input_ratio"]).beyond
                found[f"{factor}x, {method.name}"] = beyond
    return found


def _summaries(run: NavierStokesRun) -> dict[str, str]:
    """What each fit reported."""
    return {
        f"{factor}x, {name}": str(read_arrays(debiased_path(run.folder, factor, name))["summary"])
        for factor in run.config.navier_stokes.factors
        for name in debiasers_of(run.config)
    }
