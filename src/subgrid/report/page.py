"""One self-contained HTML page: what was run, the metrics with their floors, the figures."""

import math
import re
from importlib import resources
from typing import Any

import jinja2

from subgrid.report import style
from subgrid.report.plates import Section
from subgrid.report.style import Number
from subgrid.report.verdicts import BEST, FAILS, MARKS, best_candidate, fails

COLUMNS = ("raw", "debiased", "cubic", "generated", "floor")
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def render_page(
    *,
    title: str,
    summary: list[tuple[str, str]],
    table: list[dict[str, Any]],
    columns: tuple[str, ...],
    configuration: str,
    shown: list[Section],
    notes: list[str],
    timings: dict[str, float],
    apart: bool = False,
) -> str:
    """A page of ready-made sections, under a table of any columns; it needs no network and no script.

    Args:
        title: of the page.
        summary: what was run, as (name, value).
        table: rows with keys `group`, `metric`, one for each of `columns` (numbers; None or absent: nothing to say),
            `target` ("0", "1", …: the best possible value; ">.05": a bound), `units` ("1" without any) and `about` (one
            sentence).
        columns: keys of the rows of `table`, in order; known ones (`subgrid.report.style.LABELS`) have their colour.
            "floor" holds the noise floor, which other columns are measured in.
        configuration: the resolved TOML, shown folded.
        shown: the sections with their figures.
        notes: what a reader must know before believing the figures.
        timings: seconds by stage.
        apart: whether rows are candidates and columns metrics, where candidates are many: a table a group, which leaves
            out empty columns, and nothing is marked. By default one table of all columns, a row a metric.

    Returns:
        The page as HTML.
    """
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["anchor"] = _anchor
    source = resources.files("subgrid.report").joinpath("template.html").read_text(encoding="utf-8")
    return environment.from_string(source).render(
        title=title,
        summary=summary,
        tables=_apart(table, columns) if apart else [(columns, _groups(table, columns))] if table else [],
        pairs=columns == COLUMNS,
        apart=apart,
        labels={column: style.LABELS.get(column, column) for column in columns},
        colours={column: style.COLOURS.get(column, style.MUTED) for column in columns},
        glossary={row["metric"]: row["about"] for row in table if row.get("about")},
        marks=MARKS,
        sections=shown,
        notes=notes,
        timings=_timings(timings),
        configuration=configuration,
    )


def number(value: Number | None) -> str:
    """Three significant digits with a real minus sign; an em dash for None."""
    if value is None:
        return "—"
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    mantissa, power = f"{value:.2e}".split("e")
    exponent = int(power)
    if -4 < exponent < 5:
        text = f"{float(f'{mantissa}e{exponent}'):.{max(2 - exponent, 0)}f}"
    else:
        text = f"{mantissa}×10{str(exponent).translate(SUPERSCRIPTS)}"
    return text.replace("-", "−")


def duration(seconds: Number) -> str:
    """Seconds as a reader says them: 0.42 s, 12 s, 3 min 20 s, 2 h 5 min.

    Args:
        seconds: not negative.

    Returns:
        The words.

    Examples:
        >>> duration(200)
        '3 min 20 s'
    """
    if seconds < 10:
        return f"{seconds:.2g} s"
    whole = round(float(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min"


def _anchor(name: str) -> str:
    """A name as part of an identifier: what a link cannot hold becomes a hyphen."""
    return re.sub(r"[^\w.-]+", "-", name)


def _groups(table: list[dict[str, Any]], columns: tuple[str, ...]) -> dict[str, list[dict[str, Any]]]:
    """Rows by group, in the order of their first row, cells formatted."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in table:
        shown = {"metric": row["metric"], "goal": _goal(row), "cells": _cells(row, columns)}
        shown["explained"] = bool(row.get("about"))
        groups.setdefault(row["group"], []).append(shown)
    return groups


def _apart(table: list[dict[str, Any]], columns: tuple[str, ...]) -> list[tuple[tuple[str, ...], dict[str, Any]]]:
    """Tables of columns and groups: neighbours with numbers in the same columns share one."""
    tables: list[tuple[tuple[str, ...], dict[str, Any]]] = []
    for group in dict.fromkeys(row["group"] for row in table):
        rows = [row for row in table if row["group"] == group]
        used = tuple(column for column in columns if any(row.get(column) is not None for row in rows))
        if not tables or tables[-1][0] != used:
            tables.append((used, {}))
        tables[-1][1].update(_groups(rows, used))
    return tables


def _goal(row: dict[str, Any]) -> str:
    """Below a metric: its units, and what is best or wanted of it where that is not 0."""
    units, target = row.get("units", ""), row.get("target", "0")
    aim = "" if target in ("0", "–") else f"wanted {target[0]} {target[1:]}" if target[0] in "<>" else f"best {target}"
    return " ".join(filter(None, (units and f"[{style.raised(units)}]", aim)))


def _cells(row: dict[str, Any], columns: tuple[str, ...]) -> list[dict[str, Any]]:
    candidates = [column for column in columns if column != "floor"]
    best = best_candidate(row, candidates)
    failing = {column for column in candidates if fails(row.get(column), row.get("target", "0"))}
    return [
        {
            "column": column,
            "text": number(row.get(column)),
            "missing": row.get(column) is None,
            "long": len(number(row.get(column))) > 7,
            "mark": BEST if column == best else FAILS if column in failing else "",
            "note": _note(row, column),
        }
        for column in columns
    ]


def _note(row: dict[str, Any], column: str) -> str:
    """Below a number: its deviation over repetitions, what a floor rests on, or how many floors it amounts to."""
    deviation = row.get("deviations", {}).get(column)
    if deviation is not None:
        return f"± {number(deviation)}"
    return _rests_on(row) if column == "floor" else _multiple(row.get(column), row.get("floor"), row.get("target", "0"))


def _rests_on(row: dict[str, Any]) -> str:
    """How many independent fields a row's floor rests on, where that is known."""
    n = row.get("independent fields")
    return "" if n is None or row.get("floor") is None else f"{n:.0f} fields"


def _multiple(value: Number | None, floor: Number | None, target: str) -> str:
    """How many noise floors a metric amounts to, where its target is 0 and it has a positive floor."""
    if target != "0" or value is None or floor is None or not (value > 0 and floor > 0 and math.isfinite(value)):
        return ""
    ratio = value / floor
    return f"{ratio:.1f}× floor" if ratio < 10 else f"{ratio:,.0f}× floor" if ratio < 1e5 else ""


def _timings(timings: dict[str, float]) -> list[dict[str, Any]]:
    longest = max(timings.values(), default=0) or 1
    return [
        {"name": name, "text": duration(seconds), "percent": round(100 * seconds / longest, 1)}
        for name, seconds in timings.items()
    ]
