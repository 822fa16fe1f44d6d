"""The table of scores, on the terminal, in Markdown both ways, and for the page."""

import json
import math

import pytest

from subgrid.downscaling.evaluation import Row
from subgrid.runs.score_table import ScoreTable, as_json, cell, columns_of, number, read_content, read_table

COLUMNS = ("raw", "debiased", "cubic", "generated", "floor")
ROWS = [
    Row("Coarse grid", "covRMSE", raw=0.343, debiased=0.0812, floor=1.234e-4).as_dict(),
    Row("Perfect model", "spread/skill", generated=0.97, floor=-2e-6, target="1").as_dict(),
]
TABLE = ScoreTable(ROWS, COLUMNS)
MANY = ScoreTable(
    [
        {"group": "moons", "metric": "W2", "about": "two moons", "cfm": 0.31, "ot-cfm": 0.052,
         "deviations": {"cfm": 0.0123}},
        {"group": "moons", "metric": "path energy", "about": "two moons", "cfm": 1.5, "floor": 2e-4},
        {"group": "rings", "metric": "W2", "ot-cfm": 7.0},
    ],
    ("cfm", "ot-cfm", "floor"),
    by_candidate=True,
    title="Methods",
)  # fmt: skip


def test_markdown_has_a_line_a_metric_and_dashes_for_what_is_not_there():
    assert TABLE.as_markdown().splitlines() == [
        "|  | metric | raw | debiased | generated | noise floor |",
        "| --- | --- | --- | --- | --- | --- |",
        "| Coarse grid | covRMSE | 0.343 | 0.0812 | – | 1.2e-04 |",
        "| Perfect model | spread/skill | – | – | 0.97 | -2.0e-06 |",
    ]


def test_markdown_names_units_and_what_fails_its_test():
    rows = [
        {"group": "tas", "metric": "W1", "target": "0", "units": "K", "generated": 0.4, "floor": 0.46},
        {"group": "tas", "metric": "rank flatness p", "target": ">.05", "units": "1", "generated": 1.5e-16},
        {"group": "pr", "metric": "rank flatness p", "target": ">.05", "units": "1", "generated": 0.2},
    ]
    assert ScoreTable(rows, ("generated", "floor")).as_markdown().splitlines()[2:] == [
        "| tas | W1 [K] | 0.4 | 0.46 |",
        "| tas | rank flatness p [1] | 1.5e-16 (fails) | – |",
        "| pr | rank flatness p [1] | 0.2 | – |",
    ]
    assert columns_of(rows) == ("generated", "floor")
    by_candidate = ScoreTable(rows[:1], ("generated", "floor"), by_candidate=True)
    assert by_candidate.as_markdown().splitlines()[0] == "| tas | W1 [K] |"
    assert by_candidate.by_metric().columns == ("W1 [K]",)


def test_where_candidates_are_many_markdown_has_a_table_a_group_and_a_line_a_candidate():
    assert MANY.as_markdown().splitlines() == [
        "| moons | W2 | path energy |",
        "| --- | --- | --- |",
        "| cfm | 0.31 ± 0.012 | 1.5 |",
        "| ot-cfm | 0.052 | – |",
        "| noise floor | – | 2.0e-04 |",
        "",
        "| rings | W2 |",
        "| --- | --- |",
        "| ot-cfm | 7 |",
    ]


def test_a_page_has_a_row_a_candidate_of_it():
    page = MANY.by_metric()
    assert page.columns == ("W2", "path energy") and not page.by_candidate
    assert [(row["group"], row["metric"]) for row in page.rows] == [
        ("moons: two moons", "cfm"),
        ("moons: two moons", "ot-cfm"),
        ("moons: two moons", "noise floor"),
        ("rings", "ot-cfm"),
    ]
    assert page.rows[0]["W2"] == 0.31 and page.rows[0]["deviations"] == {"W2": 0.0123}
    assert TABLE.by_metric() is TABLE


def test_terminal_shows_the_same_numbers_from_rows_and_from_a_file(tmp_path, capsys):
    TABLE.show()
    shown = capsys.readouterr().out
    for text in ("Coarse grid", "covRMSE", "0.343", "0.0812", "0.97", "–", "noise floor", "best"):
        assert text in shown
    assert "cubic" not in shown  # a column without any number is left out
    assert "from floor" in shown and "+0.081" in shown and "+0.97" in shown  # .0812 − .0001234, .97 + .000002
    (tmp_path / "metrics.json").write_text(json.dumps(TABLE.as_dict()))
    read_table(tmp_path / "metrics.json").show()
    assert capsys.readouterr().out == shown


def test_terminal_shows_the_title_and_a_table_a_group_of_those_that_are_asked_for(capsys):
    MANY.show()
    shown = capsys.readouterr().out
    assert shown.count("Methods") == 1 and "0.31 ± 0.012" in shown and "rings" in shown
    ScoreTable(MANY.rows, MANY.columns, by_candidate=True, title="Methods", on_terminal=("rings",)).show()
    shown = capsys.readouterr().out
    assert "Methods" in shown and "rings" in shown and "moons" not in shown


@pytest.mark.parametrize("table", [TABLE, MANY])
def test_a_table_reads_back_as_itself(table, tmp_path):
    (tmp_path / "metrics.json").write_text(json.dumps({"name": "run", **table.as_dict()}))
    assert read_table(tmp_path / "metrics.json") == table


def test_where_there_is_no_file_there_is_an_empty_table(tmp_path):
    assert read_table(tmp_path / "metrics.json") == ScoreTable([], ())


def test_the_floor_says_on_the_terminal_how_many_fields_it_rests_on(capsys):
    row = {"group": "g", "metric": "W1", "generated": 0.5, "floor": 0.25, "independent fields": 17.4}
    assert cell(row, "floor") == "0.25" and cell(row, "floor", fields=True) == "0.25 (17)"
    ScoreTable([row], ("generated", "floor")).show()
    assert "0.25 (17)" in capsys.readouterr().out


def test_columns_are_the_candidates_in_the_order_of_their_first_number():
    rows = [{"group": "g", "metric": "a", "raw": 1.0, "floor": 0.1}, {"group": "g", "metric": "b", "bcsd": 2.0}]
    assert columns_of(rows) == ("raw", "floor", "bcsd")


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.34567, "0.346"), (-12.3456, "-12.3"), (9.99e-4, "1.0e-03"), (1e-3, "0.001")]
)
def test_numbers_have_three_digits_and_small_ones_a_power_of_ten(value, text):
    assert number(value) == text


def test_any_reader_of_json_reads_a_table_with_an_exploded_method_and_ours_reads_the_numbers_back(tmp_path):
    row = {"group": "g", "metric": "flux", "lost": math.inf, "gone": -math.inf, "none": math.nan, "floor": 0.1}
    row["deviations"] = {"lost": math.nan}
    path = tmp_path / "metrics.json"
    table = ScoreTable([row], columns_of([row]))
    path.write_text(json.dumps({**table.as_dict(), "beyond": as_json([math.inf, 1.0])}, allow_nan=False))
    found = read_table(path).rows[0]
    assert (found["lost"], found["gone"], found["floor"]) == (math.inf, -math.inf, 0.1)
    assert math.isnan(found["none"]) and math.isnan(found["deviations"]["lost"])
    assert found["metric"] == "flux" and read_content(path)["beyond"] == [math.inf, 1.0]
