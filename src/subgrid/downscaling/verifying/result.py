"""What `verify` found: a table of scores, each beside its floor, and what a reader must know of them."""

import html
import math
import textwrap
from dataclasses import asdict, dataclass
from typing import Any

COLUMNS = ("metric", "value", "floor", "best", "")
WIDTH = 80
"""Columns of a terminal."""


@dataclass(frozen=True)
class Score:
    """One metric of one variable.

    Args:
        metric: its name.
        variable: of the ensemble.
        units: of value and floor; empty for a number without.
        value: of the ensemble.
        floor: the same metric where nothing is wrong; None where there is none.
        target: the best possible value, in words.
        about: what it is, a sentence.
        verdict: in words, if the value is outside its floor or fails its test; else empty.
    """

    metric: str
    variable: str
    units: str
    value: float
    floor: float | None
    target: str
    about: str
    verdict: str = ""


@dataclass(frozen=True)
class Verification:
    """The scores of an ensemble, as `verify` gives them.

    Args:
        rows: a score each, variable by variable.
        n_pairs: samples of the ensemble that have their own truth in the reference; 0 if only distributions were
            compared.
        notes: how the two were compared, a sentence each.

    Examples:
        >>> verify("ensemble.zarr", "fine.nc")["CRPS"].value
    """

    rows: tuple[Score, ...]
    n_pairs: int
    notes: tuple[str, ...] = ()

    def __getitem__(self, metric: str) -> Score:
        """The first row of a metric."""
        for row in self.rows:
            if row.metric == metric:
                return row
        raise KeyError(f"{metric!r}; there are {', '.join(dict.fromkeys(row.metric for row in self.rows))}")

    def of(self, variable: str) -> "Verification":
        """The rows of one variable.

        Args:
            variable: its name in the ensemble.

        Returns:
            A table of those rows.
        """
        return Verification(tuple(r for r in self.rows if r.variable == variable), self.n_pairs, self.notes)

    @property
    def outside(self) -> tuple[Score, ...]:
        """The rows whose value is outside its floor, or fails its test."""
        return tuple(row for row in self.rows if row.verdict)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON: numbers that are not finite become None."""
        rows = [{k: _plain(v) for k, v in asdict(row).items()} for row in self.rows]
        return {"rows": rows, "n_pairs": self.n_pairs, "notes": list(self.notes)}

    def __repr__(self) -> str:
        lines = [("", *COLUMNS), *(("", *_cells(row)) for row in self.rows)]
        widths = [max(len(line[i]) for line in lines) for i in range(1 + len(COLUMNS))]
        text, shown = [], None
        for row, line in zip((None, *self.rows), lines, strict=True):
            if row is not None and row.variable != shown:
                shown = row.variable
                text.append(shown)
            cells = [c.rjust(w) if 1 < i < 5 else c.ljust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True))]
            text.append("  ".join(cells).rstrip())
        notes = [textwrap.fill(note, WIDTH, initial_indent="- ", subsequent_indent="  ") for note in self.notes]
        return "\n".join([f"Verification ({self._kind})", *text, *notes])

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{html.escape(name)}</th>" for name in ("variable", *COLUMNS))
        body = "".join(
            f'<tr title="{html.escape(row.about)}">'
            + "".join(f"<td>{html.escape(cell)}</td>" for cell in (row.variable, *_cells(row)))
            + "</tr>"
            for row in self.rows
        )
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in self.notes)
        caption = f"<caption>Verification ({html.escape(self._kind)})</caption>"
        return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><ul>{notes}</ul>"

    @property
    def _kind(self) -> str:
        return f"{self.n_pairs} pairs" if self.n_pairs else "distributions only"


def number(value: float | None) -> str:
    """Three significant digits; a dash for None."""
    if value is None:
        return "–"
    if not math.isfinite(value):
        return "not defined" if math.isnan(value) else "∞"
    return f"{value:.1e}" if 0 < abs(value) < 1e-3 else f"{value:.3g}"


def _cells(row: Score) -> tuple[str, ...]:
    unit = f" [{row.units}]" if row.units not in ("", "1") else ""
    return f"{row.metric}{unit}", number(row.value), number(row.floor), row.target, row.verdict


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
