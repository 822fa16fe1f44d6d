"""The stages of a climate run: prepare, train, sample, score, report; and a comparison of debiasers."""

from collections.abc import Iterable
from dataclasses import replace

from subgrid.downscaling.model.folder import PREPARATION
from subgrid.experiments.climate.choices import prior_sentences
from subgrid.experiments.climate.config import (
    PATHS,
    ClimateConfig,
    ClimateDebiasTable,
    ClimateSamplingTable,
    ClimateTable,
    files_of,
)
from subgrid.experiments.climate.debiaser_comparison import compare_debiasers
from subgrid.experiments.climate.page import page
from subgrid.experiments.climate.preparation import prepare, train
from subgrid.experiments.climate.run import ClimateRun
from subgrid.experiments.climate.sampling import SCENARIO_FINE, is_whole, left_to_others, products, sample
from subgrid.experiments.climate.scoring import score
from subgrid.runs.experiment import Folds, Recipe
from subgrid.runs.page import METRICS, report_stage
from subgrid.runs.stage import Dependencies, Stage, all_but

CLIMATE: Dependencies = {"run": ("seed",), "climate": all_but(ClimateTable, *PATHS)}
"""Of the archives their contents count, and not their paths (`Stage.inputs`)."""
SHOWN: Dependencies = {"sampling": all_but(ClimateSamplingTable, "scheduler")}
"""Who samples is left out: the tasks of an array differ in it alone."""
FOLDS = Folds(
    "climate.training",
    {"odd": "odd-winters", "even": "even-winters"},
    ("generated", "quantile mapping", "analogues", "floor"),
)


def stages(config: ClimateConfig) -> list[Stage]:
    """All stages of a configuration, in order."""
    table = config.climate
    trained_on, debiased = files_of(table, "fine", "coarse", "orography"), files_of(table, "fine", "coarse")
    targets = tuple(f"{name}.zarr" for name in products(config))
    prepared = Stage(
        "prepare",
        prepare,
        (PREPARATION, *([SCENARIO_FINE] if table.scenario else []), *targets),
        depends_on={**CLIMATE, "debias": ()},
        inputs=files_of(table, "fine", "coarse", "scenario"),
        sentences=_choice_sentences,
    )
    trained = Stage(
        "train",
        train,
        ("model",),
        depends_on={**CLIMATE, "prior": (), "sampling": ("n_levels",)},
        inputs=trained_on,
        sentences=lambda run: prior_sentences(run.folder),
        work=max(config.prior.n_steps, 1) * config.prior.batch_size,
    )
    sampled = Stage(
        "sample",
        sample,
        tuple(products(config).values()),
        ("prepare", "train"),
        SHOWN,
        shared=True,
        whole=is_whole,
        sentences=_unscored_sentences,
        work=config.sampling.n_members,
    )
    compared = Stage(
        "compare debiasers",
        compare_debiasers,
        ("debiasers.md", "debiasers.json"),
        depends_on={**CLIMATE, "debias": all_but(ClimateDebiasTable, "method")},
        grows_with={"comparison": ("debiasers",), "debias": ("method",)},
        inputs=debiased,
        state=("debiasers",),
    )
    made = [prepared, trained, sampled]
    if table.training != "all":  # otherwise no season year is left to score on
        scored = Stage("score", score, (METRICS,), ("sample",), if_changed="remake", left=left_to_others)
        shown = report_stage(page, config, needs=("score",))
        made += [scored, replace(shown, depends_on={**shown.depends_on, **SHOWN}, left=left_to_others)]
    return [*made, compared]  # fmt: skip


def _choice_sentences(run: ClimateRun) -> Iterable[str]:
    choice = run.fitted.choice
    return () if choice is None else choice.sentences()


def _unscored_sentences(run: ClimateRun) -> Iterable[str]:
    if run.config.climate.training != "all":
        return ()
    return (f'downscaled into {run.folder}; with climate.training = "all" no season year is left to score on.',)


RECIPE = Recipe(ClimateRun, stages, page, {"debias": ("compare debiasers",)}, FOLDS)
