"""The 2-D table through the command line: cells that are kept, the table, the page, refusals."""

import json

import jax
import jax.random as jr
import numpy as np
import pytest

from subgrid.experiments.toy_2d import stages as toy_stages
from subgrid.experiments.toy_2d.cells import Cell, sets_of
from subgrid.experiments.toy_2d.config import ToyConfig
from subgrid.experiments.toy_2d.stages import RECIPE, ToyRun
from subgrid.runs.stage import in_order
from subgrid.verification.transport_distance import wasserstein_2

CONFIG = """
[run]
name = "tiny"

[toy]
tasks = ["moons"]
methods = ["cfm"]
n_seeds = 1
n_train = 256
n_test = 64
n_steps = 100
n_steps_bridge = 100
n_iterations = 1
n_pairs = 256
batch_size = 16
hidden = [8]
"""


@pytest.fixture(autouse=True)
def compiled_programs_stay_where_they_are(monkeypatch):
    """The run would point JAX's cache into its folder, for the rest of the process."""
    monkeypatch.setattr(toy_stages, "keep_compiled_programs", lambda folder: None)


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "toy.toml"
    path.write_text(CONFIG)
    return path


def test_stages_are_in_order_and_no_two_make_the_same_part():
    stages = RECIPE.stages(ToyConfig())
    assert [stage.name for stage in in_order(stages)] == ["cells", "score", "report"]
    assert [stage.name for stage in stages] == ["cells", "score", "report"]
    parts = [part for stage in stages for part in (*stage.parts, *stage.state)]
    assert len(set(parts)) == len(parts)


def test_a_run_keeps_its_cells_prints_the_table_and_goes_on(subgrid, config, tmp_path):
    folder = tmp_path / "run"
    outcome = subgrid("run", config, "-o", folder)
    assert outcome.code == 0, outcome.err
    assert "cfm" in outcome.out and "noise floor" in outcome.out and "path energy" in outcome.out
    cells = {path.name: path.stat().st_mtime_ns for path in (folder / "cells").iterdir()}
    assert set(cells) == {"moons.cfm.0.json", "moons.floor.0.json"}

    # What is measured is what the parts say: the floor is the distance between two pinned sets.
    _, target = sets_of("moons")
    keys = jr.split(ToyRun(ToyConfig(), folder).cell_key(Cell("moons", "floor", 0)), 5)
    expected = wasserstein_2(*(np.asarray(target(64, key=keys[i])) for i in (2, 4)))
    metrics = json.loads((folder / "metrics.json").read_text())
    rows = {row["group"]: row for row in metrics["table"]}
    assert rows["W2"]["floor"] == pytest.approx(expected) and rows["W2"]["deviations"]["floor"] == 0.0
    assert "floor" not in rows["path energy"] and rows["path energy"]["cfm"] > 0
    assert (metrics["name"], metrics["n_test"], metrics["columns"]) == ("tiny", 64, ["cfm", "floor"])
    page = (folder / "report.html").read_text()
    assert "2-D transports: tiny" in page and "https://" not in page

    # One more seed: the cells that are there stay, and the numbers of the first seed with them.
    more = subgrid("run", config, "-o", folder, "--set", "toy.n_seeds=2", "--set", "toy.methods=[]")
    assert more.code == 2 and "toy.methods" in more.complaint
    more = subgrid("run", config, "-o", folder, "--set", "toy.n_seeds=2", "--set", "toy.n_steps=200")
    assert more.code == 2
    assert more.complaint == (
        f"subgrid: {folder}: cells was made with toy.n_steps = 100, not 200; remove cells to make it anew, or choose "
        "another output folder."
    )
    more = subgrid("run", config, "-o", folder, "--set", "toy.n_seeds=2")
    assert more.code == 0
    after = {path.name: path.stat().st_mtime_ns for path in (folder / "cells").iterdir()}
    assert after.items() >= cells.items() and len(after) == 4
    rows = {row["group"]: row for row in json.loads((folder / "metrics.json").read_text())["table"]}
    assert rows["W2"]["deviations"]["floor"] > 0  # the table is one of both


def test_misspelt_keys_are_named(subgrid, config, tmp_path):
    outcome = subgrid("run", config, "-o", tmp_path / "run", "--set", "toy.n_seed=2")
    assert outcome.code == 2
    assert "unknown key 'toy.n_seed'; did you mean 'n_seeds'?" in outcome.complaint


def test_compiled_programs_go_into_the_run_folder_unless_set_otherwise(monkeypatch, tmp_path):
    monkeypatch.undo()
    before = jax.config.jax_compilation_cache_dir
    try:
        jax.config.update("jax_compilation_cache_dir", None)
        toy_stages.keep_compiled_programs(tmp_path)
        assert jax.config.jax_compilation_cache_dir == str(tmp_path / "compiled")
        jax.config.update("jax_compilation_cache_dir", "elsewhere")
        toy_stages.keep_compiled_programs(tmp_path)
        assert jax.config.jax_compilation_cache_dir == "elsewhere"
    finally:
        jax.config.update("jax_compilation_cache_dir", before)
