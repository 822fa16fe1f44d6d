"""The 2-D table through the command line: cells that are kept, tables, refusals; and the parts it is made of."""

import json
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.cli import toy_methods, toy_stages, toy_table
from subgrid.cli.toy_config import Toy, ToyConfig
from subgrid.cli.toy_methods import Transport, coupled_pairs, fit_transport, move
from subgrid.cli.toy_stages import Cell, cell_key, scale_of, sets_of
from subgrid.transport.bridge import Bridge
from subgrid.transport.couplings import EntropicTransport, ExactTransport, Independent
from subgrid.transport.ends import Ends
from subgrid.transport.flow_matching import Flow
from subgrid.transport.gaussian_bridge import gaussian_schroedinger_bridge
from subgrid.transport.interpolants import Linear
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


def test_a_run_keeps_its_cells_prints_the_table_and_goes_on(subgrid, config, tmp_path):
    folder = tmp_path / "run"
    outcome = subgrid("run", config, "-o", folder)
    assert outcome.code == 0, outcome.err
    assert "CFM, independent" in outcome.out and "Data against data" in outcome.out
    cells = {path.name: path.stat().st_mtime_ns for path in (folder / "cells").iterdir()}
    assert set(cells) == {"moons.cfm.0.json", "moons.floor.0.json"}

    # What is measured is what the parts say: the floor is the distance between two pinned sets.
    _, target = sets_of("moons")
    keys = jr.split(cell_key(0, Cell("moons", "floor", 0)), 5)
    expected = wasserstein_2(*(np.asarray(target(64, key=keys[i])) for i in (2, 4)))
    metrics = json.loads((folder / "metrics.json").read_text())
    floor = next(row for row in metrics["rows"] if row["method"] == "floor")
    assert floor["w2"] == [pytest.approx(expected), 0.0] and floor["path_energy"] is None

    # One more seed: the cells that are there stay, and the numbers of the first seed with them.
    more = subgrid("run", config, "-o", folder, "--set", "toy.n_seeds=2", "--set", "toy.methods=[]")
    assert more.code == 2 and "toy.methods" in more.complaint
    more = subgrid("run", config, "-o", folder, "--set", "toy.n_seeds=2", "--set", "toy.n_steps=200")
    assert more.code == 2
    assert "toy.n_steps = 100, not 200; remove cells/*.json to make it anew" in more.complaint
    more = subgrid("run", config, "-o", folder, "--set", "toy.n_seeds=2")
    assert more.code == 0
    after = {path.name: path.stat().st_mtime_ns for path in (folder / "cells").iterdir()}
    assert after.items() >= cells.items() and len(after) == 4


def test_misspelt_keys_are_named(subgrid, config, tmp_path):
    outcome = subgrid("run", config, "-o", tmp_path / "run", "--set", "toy.n_seed=2")
    assert outcome.code == 2
    assert "unknown key 'toy.n_seed'; did you mean 'n_seeds'?" in outcome.complaint


# --- the parts -------------------------------------------------------------------------------------------------------


def test_constant_drifts_move_and_cost_what_they_say():
    transport = Transport(lambda x, t: jnp.array([3.0, 4.0]), 0.0, jnp.linspace(0.0, 1.0, 6))
    moved, energy = move(transport, jnp.zeros((4, 2)), key=jr.key(0))
    np.testing.assert_allclose(moved, np.tile([3.0, 4.0], (4, 1)), rtol=1e-6)
    assert float(energy) == pytest.approx(25, rel=1e-6)


def test_the_exact_bridge_moves_one_gaussian_onto_the_other():
    """Energy of the bridge between N(0, I) and itself, σ = 1: E‖v‖² has no mean part; by quadrature of its variance."""
    n, zeros, eye = 4000, jnp.zeros(2), jnp.eye(2)
    bridge = gaussian_schroedinger_bridge(zeros, eye, zeros, eye, sigma=1.0)
    times = jnp.linspace(0.0, 1.0, 41)
    moved, energy = move(Transport(bridge.forward, 1.0, times), jr.normal(jr.key(0), (n, 2)), key=jr.key(1))
    # 40 Euler steps add about 1 % of variance, the last one draws no noise and leaves out 1/40; 4000 samples ±4 %.
    np.testing.assert_allclose(np.cov(np.asarray(moved).T), np.eye(2), atol=0.08)
    t, c = np.asarray(times[:-1]), float(bridge.coupling[0, 0])
    variance = (1 - t) ** 2 + t**2 + 2 * t * (1 - t) * (c + 0.5)
    slope = (((1 - t) * c + t) / variance - 1) / (1 - t)
    assert float(energy) == pytest.approx(np.mean(2 * slope**2 * variance), rel=0.06)  # ±4 % again


def test_coupled_pairs_of_exact_transport_are_in_order_on_a_line():
    x = jr.normal(jr.key(0), (2, 64, 1))
    pairs = coupled_pairs(Ends(x[0], 3 * x[1]), ExactTransport(), 40, 16, key=jr.key(1))
    assert pairs.x0.shape == (40, 1)
    for i in (0, 16):
        x0, x1 = (np.asarray(part[i : i + 16, 0]) for part in pairs[:2])
        # Of equal points, which are drawn with replacement, either may come first: the costs are compared.
        assert np.sum((x0 - x1) ** 2) == pytest.approx(np.sum((np.sort(x0) - np.sort(x1)) ** 2), rel=1e-5)


class Still(eqx.Module):
    def __call__(self, x: Any, t: Any, context: Any = None):
        return jnp.zeros_like(x)


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("dsbm-ipf", ("bridge", "reference", 0.5)),
        ("dsbm-imf", ("bridge", "independent", 0.5)),
        ("dsbm-imf+", ("bridge", "entropic", 0.5)),
        ("rectified-flow", ("rectified", 2, 0.0)),
        ("ot-cfm", ("flow", ExactTransport(), 0.0)),
        ("cfm", ("flow", Independent(), 0.0)),
        ("sf2m", ("flow", EntropicTransport(0.5), 0.5)),
    ],
)
def test_names_become_the_right_objects(monkeypatch, method, expected):
    """No training: the fits are replaced by recorders, so that only what they are called with is looked at."""
    seen: list[Any] = []

    def fit_bridge(forward, backward, ends, settings, **options):
        seen.append(("bridge", settings.start, settings.sigma))
        return Bridge(Still(), Still(), settings.sigma)

    def fit_flow(velocity, pairs, *, noise=None, interpolant=Linear(), **options):  # noqa: B008 no state
        seen.append(interpolant)
        return Flow(Still(), interpolant, noise)

    def fit_rectified_flow(velocity, ends, *, n_rounds, **options):
        seen.append(("rectified", n_rounds, 0.0))
        return [Flow(Still(), Linear())] * n_rounds

    def coupled(ends, coupling, n, batch, *, key):
        seen.append(coupling)

    monkeypatch.setattr(toy_methods, "fit_bridge", fit_bridge)
    monkeypatch.setattr(toy_methods, "fit_flow", fit_flow)
    monkeypatch.setattr(toy_methods, "fit_rectified_flow", fit_rectified_flow)
    monkeypatch.setattr(toy_methods, "coupled_pairs", coupled)
    ends = Ends(jnp.zeros((2, 2)), jnp.zeros((2, 2)))
    transport = fit_transport(method, ends, 0.5, Toy(hidden=(4,)), report=lambda part: None, key=jr.key(0))
    kind, what, diffusion = expected
    assert transport.diffusion == diffusion
    assert float(transport.times[-1]) == 1.0 and len(transport.times) == 21
    assert seen[0] == (expected if kind != "flow" else what)
    if method == "sf2m":
        assert seen[1].sigma == 0.5 and float(transport.times[0]) > 0  # where its score is finite


def test_cells_draw_alone():
    """The key of a cell does not depend on what else is in the table, and no two are the same."""
    cells = toy_stages.all_cells(ToyConfig())
    assert len(cells) == 5 * 4 * 8 and cells[0].seed == cells[31].seed == 0
    data = {tuple(np.asarray(jr.key_data(cell_key(0, cell)))) for cell in cells}
    assert len(data) == len(cells)


def test_scales_are_the_deviations_of_the_targets():
    assert scale_of("8gaussians") == pytest.approx(np.sqrt(25 / 2 + 1), rel=0.03)  # 10⁴ points
    assert scale_of("moons-8gaussians") == pytest.approx(np.sqrt(144 / 2 + 1.5**2), rel=0.03)


def test_tables_hold_means_deviations_and_what_is_published():
    values = {0: (0.1, 1.0), 1: (0.3, 3.0)}
    cells = {("moons", "ot-cfm", i): {"w2": w, "path_energy": e, "seconds": 1.0} for i, (w, e) in values.items()}
    cells |= {("moons", "floor", 0): {"w2": 0.05, "path_energy": None, "seconds": 1.0}}
    rows = toy_table.summarise(cells)
    assert rows[0]["w2"] == [pytest.approx(0.2), pytest.approx(np.sqrt(0.02))]
    text = toy_table.as_markdown(rows)
    assert "| OT-CFM | 0.200 ± 0.141 (0.111) |" in text and "| OT-CFM | 2.000 ± 1.414 |" in text
    assert "| Data against data | 0.050 ± 0.000 |" in text


def test_compiled_programs_go_into_the_run_folder_unless_told_otherwise(monkeypatch, tmp_path):
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
