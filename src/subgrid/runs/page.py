"""The page of a run, from what an experiment has to show: scores, sections, timings and configuration come together."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from subgrid.data.store import write_json, write_text
from subgrid.report.page import render_page
from subgrid.report.plates import Plate, Section
from subgrid.runs.facts import runtime
from subgrid.runs.machine import commit, machine_summary
from subgrid.runs.record import records_of, seconds_of
from subgrid.runs.run import Run
from subgrid.runs.score_table import ScoreTable, as_json, read_content, read_table
from subgrid.runs.stage import Stage, Update

METRICS, PAGE = "metrics.json", "report.html"


@dataclass(frozen=True)
class Page:
    """What is shown of a finished run.

    Args:
        title: of the page.
        summary: what was run, as (name, value).
        sections: figures, in reading order.
        notes: what a reader must know before believing the figures.
        public: which plates may be published; all by default.
        draws: how many fields each stage drew that draws some, for the time of a draw; none by default, and where
            several machines drew them.
    """

    title: str
    summary: list[tuple[str, str]] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    public: Callable[[Plate], bool] = lambda plate: True
    draws: Mapping[str, int] = field(default_factory=dict)


def write_metrics(run: Run, table: ScoreTable, **more: Any) -> None:
    """Writes RUN/metrics.json, of the same shape for every experiment.

    Args:
        run: whose scores they are.
        table: of scores.
        **more: what else figures and documents are made from, by name.
    """
    content = {
        "name": run.config.run.name,
        "seed": run.config.run.seed,
        **table.as_dict(),
        **as_json(more),
        "seconds": seconds_of(run.folder),
        "commits": {name: record.commit for name, record in records_of(run.folder).items()},
        "commit": commit(),
        "machine": machine_summary(),
        "config": run.config.model_dump(mode="json"),
    }
    write_json(run.path(METRICS), content)


def read_metrics(run: Run) -> dict[str, Any]:
    """What `write_metrics` wrote.

    Args:
        run: a run that has scores.

    Returns:
        The content of RUN/metrics.json.

    Raises:
        FileNotFoundError: if there is none.
    """
    return read_content(run.path(METRICS))


def report_stage(page: Callable[[Any], Page], config: Any, *, needs: tuple[str, ...]) -> Stage:
    """The last stage of an experiment, which draws its page.

    Args:
        page: what is shown, as page(run).
        config: of the run, all of whose keys the page shows.
        needs: the stages that it shows, scores among them.

    Returns:
        The stage "report", which makes RUN/report.html.

    Examples:
        >>> stages = [*stages, report_stage(page, config, needs=("score",))]
    """

    def make(run: Run, update: Update) -> None:
        update(0, 2, "figures")
        shown = page(run)
        update(1, 2, "page")
        write_page(run, shown)
        update(2, 2)

    everything = dict.fromkeys(type(config).model_fields, ())
    return Stage("report", make, (PAGE,), needs=needs, depends_on=everything, if_changed="remake")


def write_page(run: Run, page: Page) -> Path:
    """Writes RUN/report.html, whole or not at all."""
    scores, seconds = read_table(run.path(METRICS)), seconds_of(run.folder)
    table = scores.by_metric()
    machine = machine_summary()
    on = f"{machine['cores']} cores {machine['processor']}, {machine['devices']}, jax {machine['jax']}"
    text = render_page(
        title=page.title,
        summary=[
            *page.summary,
            ("Runtime", runtime(seconds, page.draws)),
            ("Seed", str(run.config.run.seed)),
            ("Machine", on),
        ],
        table=table.rows,
        columns=table.columns,
        configuration=run.config.as_toml(),
        shown=page.sections,
        notes=page.notes,
        timings=seconds,
        apart=scores.by_candidate,
    )
    return write_text(run.path(PAGE), text)
