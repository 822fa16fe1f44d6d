"""Models of functions through the command line: cells that are kept, the table, the page, refusals."""

import json

import numpy as np
import pytest

from subgrid.experiments.function_space import stages
from subgrid.experiments.function_space.cells import cell_path

CONFIG = """
[run]
name = "tiny"

[functions]
system = "ramp-mixture"
candidates = ["diffusion"]
n_train = 64
n_test = 8
n_points = 16
grids = [16, 32]
cost_grids = [16]
width = 4
n_layers = 1
n_modes = 4
n_steps = 100
batch_size = 8
n_levels = 3
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "functions.toml"
    path.write_text(CONFIG)
    return path


MORE = 'functions.candidates=["diffusion","flow-white"]'


def test_a_run_keeps_its_cells_and_goes_on(subgrid, config, tmp_path, monkeypatch):
    """The cell that is added is made of the first: a slower test trains it."""
    folder = tmp_path / "run"
    outcome = subgrid("run", config, "-o", folder)
    assert outcome.code == 0, outcome.err
    assert "MELR in the band" in outcome.out and "noise floor" in outcome.out
    first = (folder / "cells" / "diffusion.0.npz").stat().st_mtime_ns
    rows = json.loads((folder / "metrics.json").read_text())["table"]
    finest = {row["metric"]: row for row in rows if row["group"] == "32 points"}
    assert finest["drift"]["diffusion"] < 1e-3  # the network sees the band alone: one function on both grids
    assert finest["MELR"]["cubic"] > 0 and np.isfinite(finest["energy beyond"]["diffusion, continued"])
    assert "Models of functions: tiny" in (folder / "report.html").read_text()

    made = []

    def make_cell(table, cell, fields, folder, report, *, key):
        made.append(cell.name)
        with np.load(folder / "cells" / "diffusion.0.npz") as there:
            samples = {name: there[name] for name in there.files if name.startswith("samples")}
        np.savez(cell_path(folder, cell), **samples, evaluations=np.array([7.0]))

    monkeypatch.setattr(stages, "make_cell", make_cell)
    more = subgrid("run", config, "-o", folder, "--set", MORE)
    assert more.code == 0, more.err
    assert made == ["flow-white.0"]
    assert (folder / "cells" / "diffusion.0.npz").stat().st_mtime_ns == first
    rows = json.loads((folder / "metrics.json").read_text())["table"]
    assert [row["flow-white"] for row in rows if row["metric"] == "evaluations"] == [7]
    assert "Evaluations for one sample" in (folder / "report.html").read_text()

    changed = subgrid("run", config, "-o", folder, "--set", "functions.width=8")
    assert changed.code == 2 and "cells was made with functions.width = 4, not 8" in changed.complaint


@pytest.mark.slow  # a second training, of a flow
def test_a_flow_is_trained_and_its_evaluations_are_counted(subgrid, config, tmp_path):
    outcome = subgrid("run", config, "-o", tmp_path / "run", "--set", MORE)
    assert outcome.code == 0, outcome.err
    rows = json.loads((tmp_path / "run" / "metrics.json").read_text())["table"]
    assert any(row["metric"] == "evaluations" and row["flow-white"] > 0 for row in rows)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("functions.alpha=0.5", "functions.alpha = 0.5: noise in 1 dimensions needs more than 0.5"),
        ("functions.grids=[32, 64]", "the training grid of 16 must be among them"),
        ("functions.grids=[8, 16]", "a coarser grid does not hold its modes"),
        ("functions.grids=[16, 24]", "24 is no multiple of the training grid's 16"),
        ("functions.digits=mnist", 'the system "digits" needs the folder of its files'),
        ("functions.candidate=[]", "did you mean 'candidates'?"),
    ],
)
def test_what_does_not_go_together_is_refused(subgrid, config, tmp_path, given, said):
    outcome = subgrid("run", config, "-o", tmp_path / "run", "--set", given)
    assert outcome.code == 2 and said in outcome.complaint
