"""Evaluation of moist turbulence: quality against held-out fine fields, similarity to the source of each output."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import jax.random as jr
import numpy as np

from subgrid.experiments.moist_turbulence.archives import Archives, Fields, read_fields
from subgrid.experiments.moist_turbulence.run import TurbulenceRun
from subgrid.numerics.spectral import amplitude
from subgrid.runs.page import write_metrics
from subgrid.runs.score_table import ScoreTable
from subgrid.runs.stage import Update
from subgrid.simulate.moist_turbulence import condensation_rate, context
from subgrid.simulate.periodic_modes import to_grid, to_modes
from subgrid.verification.distributions import wasserstein_1
from subgrid.verification.resampling import kolmogorov_smirnov_resampled, run_weights
from subgrid.verification.similarity import kolmogorov_smirnov, source_distance
from subgrid.verification.spectra import energy_spectrum

UPSAMPLED, RANDOM = "upsampled", "random pairing"
"""The coarse field itself, and a training field of the right context that has nothing to do with it."""
SHOWN_WAVENUMBERS = (1, 2, 4, 6, 8)
"""Rows of the table; metrics.json holds every wavenumber that the coarse fields resolve."""
SMALLEST_SHARE = 1e-4
"""Of the variance, that a shell of the spectrum must hold to count: the dissipation range falls by ten decades."""
QUANTITIES = ("vorticity", "supersaturation", "condensation rate")
ABOUT = {
    "KS": "largest gap between the cumulative histograms of all pixel values, mean over contexts",
    "KS, spread": "its standard deviation when coarse runs, and runs of the reference, are drawn again, the same ones "
    "in all contexts",
    "KS, less the first method's": "mean of the difference in those drawings, in which all methods have the same runs",
    "KS, less the first method's, spread": "standard deviation of that difference",
    "pattern ratio": "mean amplitude of the context's own pattern over that in the reference, mean over contexts",
    "variance ratio": "variance of all pixel values over that of the reference, mean over contexts",
    "KS of increments": "the same of differences between neighbouring points, along both axes: it sees fronts and "
    "filaments, which a histogram of values does not",
    "W1 of means": "Wasserstein-1 distance between spatial means, mean over contexts, in units of the field",
    "MELR": f"mean |ln(E/E_ref)| over shells that hold {SMALLEST_SHARE:g} of the variance or more, mean over contexts",
    "l2": "distance of the low-passed (|k| up to the number given), z-scored output from its own coarse source; "
    "unrelated patterns have 1.41",
    "l2 of anomalies": "the same after the mean amplitude of the context's pattern, which sources know nothing of, is "
    "taken from outputs and sources",
}

TARGETS = {"variance ratio": "1", "pattern ratio": "1"} | dict.fromkeys(
    ("KS, spread", "KS, less the first method's", "KS, less the first method's, spread"), "–"
)
"""Of these metrics; of all others 0."""


@dataclass(frozen=True)
class Compared:
    """All sets of fields that are compared, physical units, waves that the fine model cannot hold removed."""

    reference: Fields
    independent: Fields
    candidates: dict[str, Fields]
    sources: Fields
    """Of the candidates' fields, one by one, under the same contexts."""


def columns(run: TurbulenceRun) -> tuple[str, ...]:
    """Of the table, in order."""
    return (UPSAMPLED, RANDOM, *run.config.evaluation.methods, "floor")


def score(run: TurbulenceRun, update: Update) -> None:
    """Scores every method and writes metrics.json."""
    update(0, 3, "fields")
    compared = run.once(compare)
    resolved = list(range(1, (run.config.turbulence.n_coarse - 1) // 3 + 1))
    update(1, 3, "similarity")
    curves = _curves(compared.candidates, compared.sources, resolved)
    anomalies = {name: without_pattern(fields) for name, fields in compared.candidates.items()}
    of_anomalies = _curves(anomalies, without_pattern(compared.sources), resolved)
    update(2, 3, "quality")
    rows = [
        *quality_rows(compared, run.config.evaluation.methods[0]),
        *similarity_rows(curves, resolved, "l2", QUANTITIES[:2]),
        *similarity_rows(of_anomalies, resolved, "l2 of anomalies", QUANTITIES[1:2]),
    ]
    similarities = {
        "similarity": _as_lists(curves, resolved),
        "similarity of anomalies": _as_lists(of_anomalies, resolved),
    }
    write_metrics(run, ScoreTable(rows, columns(run)), **similarities)
    update(3, 3)


def _curves(candidates: dict[str, Fields], sources: Fields, wavenumbers: list[int]) -> dict[str, np.ndarray]:
    return {name: similarity(fields, sources, wavenumbers) for name, fields in candidates.items()}


def _as_lists(curves: dict[str, np.ndarray], wavenumbers: list[int]) -> dict[str, list]:
    return {"wavenumber": wavenumbers, **{name: curve.tolist() for name, curve in curves.items()}}


def compare(run: TurbulenceRun) -> Compared:
    """The held-out halves, and every candidate for the same cases."""
    archives, coarse = run.archives, run.cases.coarse
    physical = lambda fields: fields.with_values(archives.restore(fields.values))  # noqa: E731
    sources = physical(coarse)
    candidates = {UPSAMPLED: sources, RANDOM: _at_random(archives, coarse.wavenumbers, run)}
    for method in run.config.evaluation.methods:
        values, _ = read_fields(run.downscaled(method))
        candidates[method] = sources.with_values(np.asarray(to_grid(to_modes(jnp.asarray(values))), np.float32))
    return Compared(physical(archives.reference), physical(archives.independent), candidates, sources)


def _at_random(archives: Archives, wavenumbers: np.ndarray, run: TurbulenceRun) -> Fields:
    rng = np.random.default_rng(np.asarray(jr.key_data(run.key("cases"))).astype(np.uint64))
    fine = archives.fine
    chosen = np.asarray([rng.choice(np.flatnonzero(fine.wavenumbers == k)) for k in wavenumbers])
    return Fields(archives.restore(fine.values[chosen]), wavenumbers, fine.runs[chosen])


def quantities(values: np.ndarray) -> dict[str, np.ndarray]:
    """What is evaluated of fields (n, channel, y, x), each (n, y, x)."""
    rain = np.asarray(condensation_rate(jnp.asarray(values[:, 1])))
    return dict(zip(QUANTITIES, (values[:, 0], values[:, 1], rain), strict=True))


def quality_rows(compared: Compared, first: str) -> list[dict[str, Any]]:
    """Rows on distributions, the floor from the independent reference; `first` is compared with in pairs."""
    sets = {**compared.candidates, "floor": compared.independent}
    scores = {name: quality(fields, compared.reference) for name, fields in sets.items()}
    drawings = {name: resampled_distances(fields, compared.reference) for name, fields in sets.items()}
    for name, found in scores.items():
        for quantity, drawn in drawings[name].items():
            less = drawn - drawings[first][quantity]
            found[quantity, "KS, spread"] = float(drawn.std())
            found[quantity, "KS, less the first method's"] = float(less.mean())
            found[quantity, "KS, less the first method's, spread"] = float(less.std())
    return [
        _row(f"Quality: {quantity}", metric, {name: found[quantity, metric] for name, found in scores.items()})
        for quantity, metric in sorted(scores["floor"], key=lambda row: QUANTITIES.index(row[0]))
    ]


Scores = dict[tuple[str, str], float]
"""By quantity and metric."""


def quality(fields: Fields, reference: Fields) -> Scores:
    """Every metric of every quantity, each within a context, then the mean over contexts."""
    found: dict[tuple[str, str], list[float]] = {}
    for k in np.unique(reference.wavenumbers).tolist():
        pattern = np.asarray(context(reference.values.shape[-1], k), np.float32)
        for quantity, values, wanted in _paired_quantities(fields.of(k), reference.of(k)):
            of_one = _distances(values, wanted)
            if quantity == QUANTITIES[1]:  # ζ knows nothing of the context
                of_one["pattern ratio"] = float(amplitude(values.mean(0), pattern) / amplitude(wanted.mean(0), pattern))
            for metric, score in of_one.items():
                found.setdefault((quantity, metric), []).append(score)
    return {name: float(np.mean(scores)) for name, scores in found.items()}


def resampled_distances(fields: Fields, reference: Fields) -> dict[str, np.ndarray]:
    """KS of every quantity, mean over contexts, in each of 200 drawings of runs: the same ones in all contexts."""
    of_fields, of_reference = run_weights(fields.runs, seed=0), run_weights(reference.runs, seed=1)
    found: dict[str, list[np.ndarray]] = {}
    for k in np.unique(reference.wavenumbers).tolist():
        weights = _within(of_fields[:, fields.wavenumbers == k]), _within(of_reference[:, reference.wavenumbers == k])
        for quantity, values, wanted in _paired_quantities(fields.of(k), reference.of(k)):
            found.setdefault(quantity, []).append(kolmogorov_smirnov_resampled(values, wanted, *weights))
    return {quantity: np.mean(each, axis=0) for quantity, each in found.items()}


def _within(weights: np.ndarray) -> np.ndarray:
    """Weights of one context, of sum 1 in every drawing."""
    return weights / weights.sum(1, keepdims=True)


def _paired_quantities(values: np.ndarray, wanted: np.ndarray) -> list[tuple[str, np.ndarray, np.ndarray]]:
    pairs = zip(quantities(values).items(), quantities(wanted).values(), strict=True)
    return [(quantity, own, other) for (quantity, own), other in pairs]


def _distances(values: np.ndarray, wanted: np.ndarray) -> dict[str, float]:
    means = [jnp.asarray(each.mean((1, 2))[:, None]) for each in (values, wanted)]
    return {
        "KS": kolmogorov_smirnov(values, wanted),
        "variance ratio": float(values.var(dtype=np.float64) / wanted.var(dtype=np.float64)),
        "KS of increments": kolmogorov_smirnov(increments(values), increments(wanted)),
        "W1 of means": float(wasserstein_1(*means)),
        "MELR": spectral_error(values, wanted),
    }


def increments(values: np.ndarray) -> np.ndarray:
    """x(p + e) − x(p) of periodic fields (n, y, x), for the two steps e of one point."""
    return np.stack([np.roll(values, -1, axis) - values for axis in (-2, -1)])


def spectral_error(values: np.ndarray, wanted: np.ndarray) -> float:
    """Mean |ln(E/E_ref)| over the shells where E_ref is more than `SMALLEST_SHARE` of its sum."""
    energy, reference = (np.asarray(energy_spectrum(jnp.asarray(each)[:, None], 2))[0] for each in (values, wanted))
    held = reference > SMALLEST_SHARE * reference.sum()
    tiny = np.finfo(np.float32).tiny
    return float(np.mean(np.abs(np.log(np.maximum(energy[held], tiny) / reference[held]))))


def similarity(fields: Fields, sources: Fields, wavenumbers: list[int]) -> np.ndarray:
    """(wavenumber, channel): distance from the own source, mean over cases."""
    return np.stack([source_distance(fields.values, sources.values, k).mean(0) for k in wavenumbers])


def without_pattern(fields: Fields) -> Fields:
    """x − a_k sin(kx) sin(ky), with a_k the amplitude in the mean field of the context."""
    values = fields.values.copy()
    for k in np.unique(fields.wavenumbers).tolist():
        pattern, which = np.asarray(context(values.shape[-1], k), np.float32), fields.wavenumbers == k
        values[which] -= amplitude(values[which].mean(0), pattern)[:, None, None] * pattern
    return fields.with_values(values)


def similarity_rows(
    curves: dict[str, np.ndarray], wavenumbers: list[int], metric: str, shown: tuple[str, ...]
) -> list[dict[str, Any]]:
    """Rows of the table on similarity."""
    return [
        _row(
            f"Similarity: {quantity}",
            f"{metric}, k up to {k}",
            {name: float(curve[wavenumbers.index(k), QUANTITIES.index(quantity)]) for name, curve in curves.items()},
        )
        for quantity in shown
        for k in SHOWN_WAVENUMBERS
        if k in wavenumbers
    ]


def _row(group: str, metric: str, values: dict[str, float]) -> dict[str, Any]:
    about = ABOUT[metric.split(", k up to")[0]]
    return {"group": group, "metric": metric, **values, "target": TARGETS.get(metric, "0"), "about": about}
