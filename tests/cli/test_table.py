"""The table of metrics, on the terminal and in Markdown."""

import json

from subgrid.cli import table
from subgrid.downscaling.evaluation import Row

ROWS = [
    Row("Coarse grid", "covRMSE", raw=0.343, debiased=0.0812, floor=1.234e-4),
    Row("Perfect model", "spread/skill", generated=0.97, floor=-2e-6, target="1"),
]


def test_markdown_has_a_line_a_row_and_dashes_for_what_is_not_there():
    assert table.as_markdown([row.as_dict() for row in ROWS]).splitlines() == [
        "| grid | metric | raw | debiased | generated | noise floor |",
        "| --- | --- | --- | --- | --- | --- |",
        "| Coarse grid | covRMSE | 0.343 | 0.0812 | – | 1.2e-04 |",
        "| Perfect model | spread/skill | – | – | 0.97 | -2.0e-06 |",
    ]


def test_terminal_shows_the_same_numbers_from_rows_and_from_a_file(tmp_path, capsys):
    table.show(ROWS)
    shown = capsys.readouterr().out
    for text in ("Coarse grid", "covRMSE", "0.343", "0.0812", "0.97", "—", "noise floor", "best"):
        assert text in shown
    assert "cubic" not in shown  # a column without any number is left out
    assert "from floor" in shown and "+0.081" in shown and "+0.97" in shown  # .0812 − .0001234, .97 + .000002
    (tmp_path / "metrics.json").write_text(json.dumps({"table": [row.as_dict() for row in ROWS]}))
    table.show_file(tmp_path / "metrics.json")
    assert capsys.readouterr().out == shown
