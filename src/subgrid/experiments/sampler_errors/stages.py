"""The stages of the table of sampler errors: all cases, page."""

import jax

from subgrid.experiments.sampler_errors.config import SamplerErrorsConfig, SamplerErrorsTable
from subgrid.experiments.sampler_errors.errors import (
    component_rows,
    guided_rows,
    mixture_rows,
    require_affine,
    sampling_noise,
)
from subgrid.experiments.sampler_errors.figures import errors_plate
from subgrid.experiments.sampler_errors.table import score_table
from subgrid.report.plates import Section
from subgrid.runs.experiment import Recipe
from subgrid.runs.page import METRICS, Page, read_metrics, report_stage, write_metrics
from subgrid.runs.run import Run
from subgrid.runs.stage import Stage, Update

LEAD = "With an exact denoiser, all error is the sampler's own. Dotted: one percent."


class SamplerErrorsRun(Run[SamplerErrorsConfig]):
    """A run of all cases."""

    root = "sampler errors"
    streams = ("mixture",)
    """The noise that mixtures are sampled with, the same for all methods and grids."""


def stages(config: SamplerErrorsConfig) -> list[Stage]:
    """All stages of a configuration, in order."""
    depends = {"run": ("seed",), "sampler_errors": tuple(SamplerErrorsTable.model_fields)}
    scored = Stage("score", score, (METRICS,), depends_on=depends, if_changed="remake")
    return [scored, report_stage(page, config, needs=("score",))]


def score(run: SamplerErrorsRun, update: Update) -> None:
    """All cases: moments in closed form, and mixtures."""
    table, rows = run.config.sampler_errors, []
    with jax.enable_x64(True):  # here alone: some moments differ by 1e-14
        require_affine(table.guidances)
        rows += component_rows(table, report=lambda what: update(0, 3, what))
        rows += guided_rows(table, report=lambda what: update(1, 3, what))
    rows += mixture_rows(table, report=lambda what: update(2, 3, what), key=run.key("mixture"))
    write_metrics(run, score_table(rows), rows=rows, sampling_noise=sampling_noise(table.n_samples))
    update(3, 3)


def page(run: SamplerErrorsRun) -> Page:
    """The figure of four cases."""
    section = Section("errors", "Error against cost", LEAD, [errors_plate(read_metrics(run))])
    table = run.config.sampler_errors
    summary = [("Methods", str(len(table.methods))), ("Evaluations", ", ".join(map(str, table.evaluations)))]
    return Page(f"What samplers cost in accuracy: {run.config.run.name}", summary, [section])


RECIPE = Recipe(SamplerErrorsRun, stages, page)
