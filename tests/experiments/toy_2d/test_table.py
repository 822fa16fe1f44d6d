"""The 2-D table: means and deviations over repetitions, beside what is published."""

import numpy as np
import pytest

from subgrid.experiments.toy_2d.table import PUBLISHED, TASKS, score_table


def measured(w2: float, path_energy: float | None) -> dict[str, float | None]:
    return {"w2": w2, "path_energy": path_energy, "seconds": 1.0}


def test_tables_hold_means_deviations_and_what_is_published():
    cells = {
        ("moons", "ot-cfm", 0): measured(0.1, 1.0),
        ("moons", "ot-cfm", 1): measured(0.3, 3.0),
        ("moons", "floor", 0): measured(0.05, None),
    }
    table = score_table(cells)
    distance, energy, published = table.rows
    assert [row["group"] for row in table.rows] == ["W2", "path energy", "W2, published"]
    assert {row["metric"] for row in table.rows} == {"moons"}
    assert distance["ot-cfm"] == pytest.approx(0.2) and distance["floor"] == 0.05
    assert distance["deviations"] == {"ot-cfm": pytest.approx(np.sqrt(0.02)), "floor": 0.0}
    assert energy["ot-cfm"] == 2.0 and energy["deviations"] == {"ot-cfm": pytest.approx(np.sqrt(2))}
    assert "floor" not in energy and "floor" not in published and published["ot-cfm"] == 0.111
    assert table.columns == ("ot-cfm", "floor")
    text = table.as_markdown()
    assert "| ot-cfm | 0.2 ± 0.14 |" in text and "| ot-cfm | 2 ± 1.4 |" in text and "| ot-cfm | 0.111 |" in text
    assert "| noise floor | 0.05 ± 0 |" in text


def test_what_is_published_stands_under_its_task_and_nothing_beside_methods_that_were_not_run():
    cells = {(task, "dsbm-ipf", 0): measured(1.0, 1.0) for task in TASKS}
    rows = [row for row in score_table(cells).rows if row["group"] == "W2, published"]
    assert [(row["metric"], row["dsbm-ipf"]) for row in rows] == [
        ("moons", 0.140),
        ("S-curve", 0.140),
        ("8 Gaussians", 0.315),
        ("moons to 8 Gaussians", 0.812),
    ]
    assert not any(method in row for row in rows for method in PUBLISHED if method != "dsbm-ipf")


def test_where_nothing_is_published_there_is_no_table_of_it():
    groups = [row["group"] for row in score_table({("moons", "cfm", 0): measured(1.0, 1.0)}).rows]
    assert groups == ["W2", "path energy"]
