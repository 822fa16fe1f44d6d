"""The table of functions: means and deviations over seeds, and evaluations of flows."""

import numpy as np
import pytest

from subgrid.experiments.function_space.metrics import Score
from subgrid.experiments.function_space.table import FLOOR, score_table


def test_means_and_deviations_by_candidate_and_grid():
    found = {
        ("diffusion", 64): [{"variance": Score(1.0, 0.3)}, {"variance": Score(1.2, 0.3)}],
        (FLOOR, 64): [{"variance": Score(1.01, 0.06)}],
        ("diffusion", 128): [
            {"variance": Score(0.9), "drift": Score(1e-3)},
            {"variance": Score(0.9), "drift": Score(3e-3)},
        ],
    }
    table = score_table(found, {"flow": {64: [30.0, 34.0]}}, 2)
    rows = {(row["group"], row["metric"]): row for row in table.rows}
    assert rows["64 × 64 points", "variance"]["diffusion"] == pytest.approx(1.1)
    assert rows["64 × 64 points", "variance"]["deviations"]["diffusion"] == pytest.approx(np.sqrt(0.02))
    assert rows["64 × 64 points", "variance"]["deviations"][FLOOR] == 0.06  # of one, over fields
    assert rows["64 × 64 points", "variance"]["target"] == "1" and rows["64 × 64 points", "variance"][FLOOR] == 1.01
    assert rows["128 × 128 points", "drift"]["diffusion"] == pytest.approx(2e-3)
    assert rows["64 × 64 points", "evaluations"]["flow"] == 32
    assert table.columns == ("diffusion", "flow", FLOOR)
