"""The table of methods: a line each, published figures below ours, the noise floor last."""

from collections.abc import Mapping

from subgrid.downscaling.evaluation import ABOUT
from subgrid.experiments.navier_stokes.config import NavierStokesConfig
from subgrid.experiments.navier_stokes.methods import debiasers_of, upsamplers_of
from subgrid.experiments.navier_stokes.metrics import ABOUT_FLOWS
from subgrid.experiments.navier_stokes.published import DEBIASED, METHODS, RAW, published_factor
from subgrid.runs.score_table import ScoreTable

Scores = dict[str, dict[str, float]]
"""By candidate and metric."""
SAME_CASES = "guided, cases of particles"
OF_A_MEMBER = "CRPS of a member"
TARGETS = {
    "spread/skill": "1",
    "variability": ">0",
    "tails": "1",
    "profile": "1",
    "nearest": "floor",
    OF_A_MEMBER: "CRPS",
}
UNITS = {metric: about.units("1/time", none="") for metric, about in {**ABOUT, OF_A_MEMBER: ABOUT["CRPS"]}.items()}
"""Of metrics that are vorticities that of them; all others have none."""
EVERY_METRIC = {
    **{metric: about.sentence for metric, about in ABOUT.items()},
    **ABOUT_FLOWS,
    OF_A_MEMBER: "the CRPS of an ensemble where one of its own members is the truth: what a reliable one "
    "of this spread scores",
}


def score_table(found: Mapping[str, Scores], config: NavierStokesConfig) -> ScoreTable:
    """All groups, each beside what was published."""
    rows = []
    for group, scores in found.items():
        published = _published(group, config)
        columns = {**_without_floor(scores), **published, **{k: v for k, v in scores.items() if k == "floor"}}
        metrics = dict.fromkeys(metric for candidate in scores.values() for metric in candidate)
        rows += [_row(group, metric, columns) for metric in metrics]
    return ScoreTable(rows, _columns(rows, config), by_candidate=True, title="Downscaling Kolmogorov flow")


def _row(group: str, metric: str, columns: Mapping[str, Mapping[str, float]]) -> dict:
    values = {name: scores[metric] for name, scores in columns.items() if metric in scores}
    head = {"group": group, "metric": metric, "target": TARGETS.get(metric, "0"), "about": ""}
    return {**head, **({"units": UNITS[metric]} if UNITS.get(metric) else {}), **values}


def _published(group: str, config: NavierStokesConfig) -> Scores:
    factor = published_factor(config, int(group.partition("x")[0]))
    if "coarse" in group:
        both = {"raw": RAW[factor], "entropic-ot": DEBIASED[factor]}
    elif "fine" in group:
        both = {name: by_factor[factor] for name, by_factor in METHODS.items() if name in config.comparison.methods}
    else:
        return {}
    return {f"{name}, published {factor}x": scores for name, scores in both.items()}


def _without_floor(scores: Scores) -> Scores:
    return {name: values for name, values in scores.items() if name != "floor"}


def _columns(rows: list[dict], config: NavierStokesConfig) -> tuple[str, ...]:
    """Debiasers, methods, upsamplers; then what was published; the floor last."""
    own = ("raw", *debiasers_of(config), *config.comparison.methods, *upsamplers_of(config), SAME_CASES)
    published = dict.fromkeys(key for row in rows for key in row if ", published " in key)
    return (*dict.fromkeys(own), *published, "floor")
