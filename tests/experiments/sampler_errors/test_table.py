"""The table of sampler errors: which numbers stand where, and in how many digits."""

from typing import Any

from subgrid.experiments.sampler_errors.table import score_table, shown
from subgrid.runs.score_table import number


def test_numbers_of_the_table():
    written = [number(shown(value)) for value in (3e-9, 2.34e-5, 0.0123, 0.28, 39.4)]
    assert written == ["0", "2.3e-05", "0.012", "0.28", "39"]


def row(**changed: Any) -> dict[str, Any]:
    usual = {"case": "unit Gaussian", "noise": None, "method": "heun", "grid": "karras", "guidance": "exact"}
    return {**usual, "products": 0, "evaluations": [4, 8], "error": [0.2, 0.1], "std": [1.2, 1.1], **changed}


def test_a_line_of_the_table_is_a_method_on_a_grid_under_a_guidance():
    guided = row(guidance="moment-matching", products=4, evaluations=[4], error=[0.5], noise=0.05)
    table = score_table([row(), row(grid="cosine", error=[0.4, 3e-9]), guided])
    title = "unit Gaussian, noise variance 0.05"
    assert [(each["group"], each["metric"]) for each in table.rows] == [
        ("unit Gaussian", "4"),
        ("unit Gaussian", "8"),
        (title, "4"),
    ]
    assert table.rows[0]["heun, karras"] == 0.2 and table.rows[1]["heun, cosine"] == 0.0
    assert table.rows[2]["heun, karras, moment-matching (+4 VJP)"] == 0.5
    text = table.as_markdown()
    assert "| unit Gaussian | 4 | 8 |" in text and "| heun, cosine | 0.4 | 0 |" in text
    assert f"| {title} | 4 |\n| --- | --- |\n| heun, karras, moment-matching (+4 VJP) | 0.5 |\n" in text
