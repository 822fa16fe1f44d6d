"""Cells of the 2-D table: each with draws of its own, in units of its target, measured and kept."""

import json

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.experiments.toy_2d.cells import Cell, all_cells, cell_path, make_cell, scale_of
from subgrid.experiments.toy_2d.config import ToyConfig, ToyTable
from subgrid.experiments.toy_2d.stages import ToyRun


def test_cells_draw_alone(tmp_path):
    """The key of a cell does not depend on what else is in the table, and no two are the same."""
    cells = all_cells(ToyConfig())
    assert len(cells) == 5 * 4 * 8 and cells[0].seed == cells[31].seed == 0
    run, smaller = ToyRun(ToyConfig(), tmp_path), ToyRun(ToyConfig(toy=ToyTable(methods=("cfm",), n_seeds=1)), tmp_path)
    data = {tuple(np.asarray(jr.key_data(run.cell_key(cell)))) for cell in cells}
    assert len(data) == len(cells)
    cell = Cell("moons", "cfm", 0)
    assert jnp.array_equal(jr.key_data(run.cell_key(cell)), jr.key_data(smaller.cell_key(cell)))


def test_a_cell_says_what_is_measured_of_it_and_where_it_is_kept(tmp_path):
    table, cell = ToyTable(n_test=64), Cell("moons", "floor", 3)
    path = cell_path(tmp_path, cell)
    assert path == tmp_path / "cells" / "moons.floor.3.json"
    measure, *arguments = make_cell(table, cell, path, lambda part: None, key=jr.key(0))
    assert not path.exists()  # only another thread measures
    measure(*arguments)
    kept = json.loads(path.read_text())
    assert kept["w2"] > 0 and kept["path_energy"] is None and kept["seconds"] >= 0


def test_points_that_left_the_plane_are_reported_and_not_kept(tmp_path):
    cell = Cell("moons", "floor", 0)
    path = cell_path(tmp_path, cell)
    measure, _, moved, *others = make_cell(ToyTable(n_test=4), cell, path, lambda part: None, key=jr.key(0))
    with pytest.raises(ArithmeticError, match=r"moons\.floor\.0: the transport left the plane"):
        measure(path, np.full_like(moved, np.inf), *others)
    assert not path.exists()


def test_scales_are_the_deviations_of_the_targets():
    assert scale_of("8gaussians") == pytest.approx(np.sqrt(25 / 2 + 1), rel=0.03)  # 10⁴ points
    assert scale_of("moons-8gaussians") == pytest.approx(np.sqrt(144 / 2 + 1.5**2), rel=0.03)
