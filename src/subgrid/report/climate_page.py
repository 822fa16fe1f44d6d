"""The page of a climate run: every metric beside its baselines and floor, then maps, structure, days, change."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from subgrid.data.store import write_text
from subgrid.report.climate_evidence import ClimateEvidence
from subgrid.report.climate_gallery import climate_sections
from subgrid.report.gallery import Section
from subgrid.report.page import render_page


def write_climate_report(
    path: str | Path,
    *,
    title: str,
    summary: list[tuple[str, str]],
    table: list[dict[str, Any]],
    columns: tuple[str, ...],
    configuration: str,
    evidence: list[ClimateEvidence],
    choices: Sequence[Section] = (),
    notes: list[str],
    timings: dict[str, float],
) -> Path:
    """Draws every figure and writes the page, whole or not at all; it needs no network and no script.

    **Arguments:**

    - `path`: the HTML file; replaced if it exists.
    - `summary`: what was run, as (name, value).
    - `table`: rows with keys `group`, `metric`, one for each of `columns` (numbers; None or absent: nothing to say),
      `target` ("0", "1", …: the best possible value) and `about` (one sentence).
    - `columns`: the table's columns in order, for instance ("raw", "quantile mapping", "generated", "floor").
    - `configuration`: the resolved TOML, shown folded.
    - `evidence`: one for each variable, each under a name of its own.
    - `choices`: sections on what was chosen and how, which come first.
    - `notes`: what a reader must know before believing the figures.
    - `timings`: seconds by stage.

    **Returns:** the path.

    **Raises:** `ValueError` where two pieces of evidence have the same variable; `OutputError` where the file cannot be
    written.

        >>> write_climate_report("report.html", title="Iberia", summary=[], table=rows, columns=("generated", "floor"),
        ...                      configuration=toml, evidence=[tas, pr], notes=[], timings={})
    """
    names = [each.variable for each in evidence]
    if len(set(names)) < len(names):
        raise ValueError(f"each variable may come once, got {names}; pool the fields of one variable first.")
    page = render_page(
        title=title,
        summary=summary,
        table=table,
        columns=columns,
        configuration=configuration,
        shown=[*choices, *(section for each in evidence for section in climate_sections(each))],
        notes=[*notes, *(note for each in evidence for note in _warnings(each))],
        timings=timings,
    )
    return write_text(path, page)


def _warnings(evidence: ClimateEvidence) -> list[str]:
    return [
        f"{count} field{'s' if count > 1 else ''} of {evidence.variable} in the set “{name}” lacked a value inside the "
        f"mask; figures leave {'them' if count > 1 else 'it'} out."
        for name, count in evidence.not_finite().items()
    ]
