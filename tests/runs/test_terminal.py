"""Tables of numbers at every width: nothing is cut, headings are broken first, then there are several tables."""

from pathlib import Path

import pytest

from subgrid.runs.score_table import ScoreTable, cell, columns_of, read_content
from subgrid.runs.terminal import WIDEST, Numbers, print_numbers, terminal

RESULTS = Path(__file__).parents[2] / "docs" / "results"
NAMES = ["W1", "rank flatness p", "CRPS"]
GROUPS = ["near surface", "near surface", "aloft"]
COLUMNS = [
    Numbers("quantile mapping", ["0.437", "–", "1"]),
    Numbers("bcsd", ["0.459", "0.25", "2"]),
    Numbers("noise floor", ["0.459 (82)", "–", "–"], repeated=True),
    Numbers("best", ["0", ">.05", "0"], repeated=True),
]


@pytest.fixture
def printed(capsys, monkeypatch):
    def at(width, columns=COLUMNS, title="Scores"):
        monkeypatch.setenv("COLUMNS", str(width))
        print_numbers(NAMES, GROUPS, columns, title=title)
        lines = capsys.readouterr().out.splitlines()
        assert max(map(len, lines)) <= width
        return [line.rstrip() for line in lines]

    return at


def test_wide_enough_there_is_one_table_with_headings_in_one_line(printed):
    assert printed(70) == [
        "Scores",
        "                   quantile mapping   bcsd  noise floor  best",
        "─────────────────────────────────────────────────────────────",
        "near surface",
        "  W1                          0.437  0.459   0.459 (82)     0",
        "  rank flatness p                 –   0.25            –  >.05",
        "aloft",
        "  CRPS                            1      2            –     0",
        "",
    ]


def test_narrower_headings_are_broken_and_then_names(printed):
    assert printed(50, title="") == [
        "                 quantile              noise",
        "                  mapping   bcsd       floor  best",
        "──────────────────────────────────────────────────",
        "near surface",
        "  W1                0.437  0.459  0.459 (82)     0",
        "  rank flatness         –   0.25           –  >.05",
        "  p",
        "aloft",
        "  CRPS                  1      2           –     0",
        "",
    ]


def test_still_narrower_there_are_two_tables_of_the_lines_that_have_a_number_in_them(printed):
    assert printed(40, title="") == [
        "        quantile       noise",
        "         mapping       floor  best",
        "──────────────────────────────────",
        "near surface",
        "  W1       0.437  0.459 (82)     0",
        "aloft",
        "  CRPS         1           –     0",
        "",
        "                             noise",
        "                  bcsd       floor  best",
        "────────────────────────────────────────",
        "near surface",
        "  W1             0.459  0.459 (82)     0",
        "  rank flatness   0.25           –  >.05",
        "  p",
        "aloft",
        "  CRPS               2           –     0",
        "",
    ]


def test_a_narrower_gap_saves_a_table(printed):
    assert sum("──" in line for line in printed(42)) == 1
    assert sum("──" in line for line in printed(40)) == 2


def results():
    for path in sorted(RESULTS.glob("*/metrics.json")):
        content = read_content(path)
        if rows := content.get("table"):
            yield pytest.param(rows, content.get("by_candidate", False), id=path.parent.name)


@pytest.mark.parametrize("width", [80, 100, 132])
@pytest.mark.parametrize(("rows", "by_candidate"), results())
def test_every_number_that_was_published_is_there_whole(rows, by_candidate, width, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    table = ScoreTable(rows, columns_of(rows), by_candidate)
    table.show()
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= width and "…" not in out
    shown = " ".join(out.split())
    for row in rows:
        for column in table.used:
            assert cell(row, column, fields=not by_candidate) in shown
        assert all(word in shown for word in f"{row['group']} {row['metric']}".split())


def test_where_there_is_no_terminal_nothing_needs_to_be_broken(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    assert terminal().width == WIDEST
