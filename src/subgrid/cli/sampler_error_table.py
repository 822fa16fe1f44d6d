"""The table of sampler errors as text: a section a case, a line a method and grid, a column a number of evaluations."""

from typing import Any

from subgrid.report.error_figures import GRID, PANELS

EXACT = 1e-5
"""Below it an error is rounding: that of roots of variances that coarse values leave at zero."""


def sections(rows: list[dict[str, Any]]) -> dict[str, list[list[str]]]:
    """Lines of the table by the title of their section."""
    found: dict[str, list[list[str]]] = {}
    columns = columns_of(rows)
    for row in rows:
        title = row["case"] + (f", noise variance {row['noise']:g}" if row["noise"] is not None else "")
        errors = dict(zip(row["evaluations"], row["error"], strict=True))
        cells = [number(errors[e]) if e in errors else "–" for e in columns]
        lead = [row["method"], row["grid"], guidance_of(row)]
        found.setdefault(title, []).append([*lead, *cells])
    return found


def columns_of(rows: list[dict[str, Any]]) -> list[int]:
    """The numbers of evaluations that any row has."""
    return sorted({e for row in rows for e in row["evaluations"]})


def guidance_of(row: dict[str, Any]) -> str:
    """The guidance, with its vector–Jacobian products for each evaluation."""
    products = row["products"]
    return row["guidance"] + (f" (+{products} VJP)" if products else "")


def number(error: float) -> str:
    """Two digits, as a share."""
    if error < EXACT:
        return "0"
    return f"{error:.1e}" if error < 1e-4 else f"{error:.2g}"


def as_markdown(metrics: dict[str, Any]) -> str:
    """One table a case."""
    rows = metrics["rows"]
    head = ["method", "grid", "guidance", *map(str, columns_of(rows))]
    text = []
    for title, lines in sections(rows).items():
        table = "".join(f"| {' | '.join(line)} |\n" for line in [head, ["---"] * len(head), *lines])
        text.append(f"### {title[0].upper()}{title[1:]}\n\n{table}")
    return "\n".join(text)


def show(metrics: dict[str, Any]) -> None:
    """Prints the cases of the figure, on the default grid; `table.md` has all."""
    from rich.console import Console
    from rich.table import Table

    rows = [row for row in metrics["rows"] if row["grid"] == GRID and row["case"] in PANELS and not row["noise"]]
    for title, lines in sections(rows).items():
        table = Table("method", "guidance", *map(str, columns_of(rows)), title=f"{title}: error by evaluations")
        for method, _, guidance, *cells in lines:
            table.add_row(method, guidance, *cells)
        Console(width=120).print(table)
