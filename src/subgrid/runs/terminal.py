"""Tables on the terminal, as wide as it is: headings are broken into lines, then columns go into several tables."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

WIDEST = 200
"""Columns where the output is no terminal, and no `COLUMNS` says otherwise: nothing needs to be broken in a file."""
GAP = 2
"""Columns between two cells, one less where that saves a table, and that a line is indented by below its group."""
NOTHING = ("–", "")
"""Cells of what there is no number for."""


@dataclass(frozen=True)
class Numbers:
    """A column of numbers, which are never broken.

    Args:
        heading: above it; broken at spaces where it is wider than the numbers and room is short.
        cells: one a line.
        repeated: whether it stands in every table, if there are several.
    """

    heading: str
    cells: Sequence[str]
    repeated: bool = False

    @property
    def width(self) -> int:
        """With the heading in one line."""
        return max(map(len, (self.heading, *self.cells)))

    @property
    def broken(self) -> "Numbers":
        """With the heading in lines."""
        return replace(self, heading="\n".join(_lines_of(self.heading, max(map(len, self.cells), default=0))))

    @property
    def least(self) -> int:
        """The width with the heading in lines."""
        return max(map(len, (*self.broken.heading.split("\n"), *self.cells)))


def _lines_of(heading: str, width: int) -> list[str]:
    """Words in as few lines as the width of the numbers allows."""
    lines: list[str] = []
    for word in heading.split():
        fits = lines and len(lines[-1]) + 1 + len(word) <= width
        lines = [*lines[:-1], f"{lines[-1]} {word}"] if fits else [*lines, word]
    return lines


def terminal() -> "Console":
    """The console of results: standard output."""
    from rich.console import Console

    found = Console()
    return found if found.is_terminal or os.environ.get("COLUMNS", "").isdigit() else Console(width=WIDEST)


def print_numbers(names: Sequence[str], groups: Sequence[str], columns: Sequence[Numbers], *, title: str = "") -> None:
    """Prints lines of numbers, in as many tables as they need in this width.

    Of several tables each has the lines that have a number in it.

    Args:
        names: of the lines; long ones are broken at spaces.
        groups: of the lines, each a heading above the first of its own; "" for none.
        columns: of numbers, in their order.
        title: printed above; none where it is empty.
    """
    from rich.text import Text

    console = terminal()
    if title:
        console.print(Text(title, style="italic"))
    for part, gap in _parts(console.width, names, columns):
        single = [column for column in part if not column.repeated]
        there = [i for i in range(len(names)) if any(column.cells[i] not in NOTHING for column in single)]
        shown = [replace(column, cells=[column.cells[i] for i in there]) for column in part]
        shown = [column for column in shown if set(column.cells) - set(NOTHING)]
        _print_part(console, [names[i] for i in there], [groups[i] for i in there], shown, gap)


def _parts(width: int, names: Sequence[str], columns: Sequence[Numbers]) -> Iterator[tuple[list[Numbers], int]]:
    """All columns where they fit, with headings in one line or in several; else as many at a time as do. Their gap."""
    word = GAP + max((len(word) for name in names for word in name.split()), default=0)
    name = GAP + max(map(len, names), default=0)
    if name + sum(column.width + GAP for column in columns) <= width:
        yield list(columns), GAP
        return
    for gap in (GAP, 1):
        if word + sum(column.least + gap for column in columns) <= width:
            yield [column.broken for column in columns], gap
            return
    repeated = sum(column.least + GAP for column in columns if column.repeated)
    chosen: list[Numbers] = []
    for column in (each for each in columns if not each.repeated):
        if chosen and word + repeated + sum(each.least + GAP for each in (*chosen, column)) > width:
            yield [each.broken for each in columns if each.repeated or each in chosen], GAP
            chosen = []
        chosen.append(column)
    yield [each.broken for each in columns if each.repeated or each in chosen], GAP


def _print_part(
    console: "Console", names: Sequence[str], groups: Sequence[str], columns: Sequence[Numbers], gap: int
) -> None:
    """One table; the widths are those of all its groups, whose headings may be as wide as the screen."""
    from rich.padding import Padding
    from rich.text import Text

    indent = GAP if any(groups) else 0
    widths = [max(map(len, (*column.heading.split("\n"), *column.cells))) for column in columns]
    room = console.width - sum(width + gap for width in widths)
    all_widths = [min(room, indent + max(map(len, names), default=0)), *widths]
    head = _table(all_widths, gap, vertical="bottom")
    head.add_row("", *(Text(column.heading, style="bold") for column in columns))
    console.print(head)
    console.print(Text("─" * (sum(all_widths) + gap * len(widths)), style="dim"))
    for group in dict.fromkeys(groups):
        if group:
            console.print(Text(group, style="bold"))
        table = _table(all_widths, gap)
        for i in (i for i, each in enumerate(groups) if each == group):
            table.add_row(Padding(Text(names[i]), (0, 0, 0, indent)), *(Text(column.cells[i]) for column in columns))
        console.print(table)
    console.print()


def _table(widths: Sequence[int], gap: int, *, vertical: Literal["top", "bottom"] = "top") -> "Table":
    from rich.table import Table

    table = Table.grid(padding=(0, gap, 0, 0), pad_edge=False)
    table.add_column(width=widths[0])
    for width in widths[1:]:
        table.add_column(width=width, justify="right", no_wrap=True, vertical=vertical)
    return table
