"""The state of an ensemble on a narrow terminal."""

from pathlib import Path

import numpy as np

from subgrid.cli import status
from subgrid.execution.health import Status


def test_blocks_fit_80_columns_whole(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    labels = tuple((f"{1950 + 5 * i}-12-01T12:00", f"{1954 + 5 * i}-02-28T12:00") for i in range(3))
    found = Status(
        Path("runs/an_ensemble_with_a_long_name/ensemble.zarr"),
        configuration_hash="0123456789abcdef",
        time_blocks=((0, 900), (900, 1800), (1800, 2700)),
        member_blocks=((0, 8), (8, 16)),
        time_labels=labels,
        done=np.array([[True, True], [True, False], [True, False]]),
        damage=(),
        last_written=None,
    )
    monkeypatch.setattr(status, "status", lambda store: found)
    status.show_status(Path("anywhere"))
    first, *table = capsys.readouterr().out.splitlines()
    assert "4 of 6 work items done, configuration 0123456789ab" in first
    assert max(map(len, table)) <= 80
    rows = [line.split() for line in table if ".." in line]
    assert rows == [
        ["0..899", "1950-12-01T12:00", "1954-02-28T12:00", "16"],
        ["900..2699", "1955-12-01T12:00", "1964-02-28T12:00", "8"],
    ]
