"""The Gaussian bridge through the command line, its stages and its table."""

import json

import numpy as np
import pytest

from subgrid.data.store import OutputExists
from subgrid.experiments.gaussian_bridge.config import GaussianBridgeConfig, GaussianBridgeTable
from subgrid.experiments.gaussian_bridge.stages import RECIPE, GaussianBridgeRun, rows_of
from subgrid.runs.record import write_record
from subgrid.runs.runner import plan
from subgrid.runs.stage import in_order

TINY = [
    "--set=gaussian_bridge.dimensions=[2]",
    "--set=gaussian_bridge.n_steps=100",
    "--set=gaussian_bridge.n_train=256",
    "--set=gaussian_bridge.n_test=64",
    "--set=gaussian_bridge.n_pairs=128",
    "--set=gaussian_bridge.batch_size=16",
    "--set=gaussian_bridge.hidden=[8]",
]


def test_stages_are_in_order_and_no_two_make_the_same_part():
    stages = RECIPE.stages(GaussianBridgeConfig())
    names = [f"fit {d} dimensions" for d in (5, 20, 50)] + ["score", "report"]
    assert [stage.name for stage in stages] == [stage.name for stage in in_order(stages)] == names
    parts = [part for stage in stages for part in (*stage.parts, *stage.state)]
    assert len(set(parts)) == len(parts)


@pytest.mark.slow
def test_a_run_measures_every_iteration_and_goes_on(subgrid, tmp_path):
    config, folder = tmp_path / "bridge.toml", tmp_path / "run"
    config.write_text("[gaussian_bridge]\n")
    first = subgrid("run", config, "-o", folder, *TINY, "--set=gaussian_bridge.n_iterations=1")
    assert first.code == 0, first.err
    rows = json.loads((folder / "d2.json").read_text())
    assert [row["iteration"] for row in rows] == [0]

    more = subgrid("run", config, "-o", folder, *TINY, "--set=gaussian_bridge.n_iterations=2")
    assert more.code == 0, more.err
    again = json.loads((folder / "d2.json").read_text())
    assert again[0] == rows[0] and [row["iteration"] for row in again] == [0, 1]
    assert "mean KL" in more.out
    metrics = json.loads((folder / "metrics.json").read_text())
    table = {row["metric"]: row for row in metrics["table"]}
    assert {row["group"] for row in metrics["table"]} == {"2 dimensions"}
    assert table["mean KL"]["fitted"] == again[1]["kl_forward"]
    assert table["covariance"]["exact"] == pytest.approx((np.sqrt(5) - 1) / 2, rel=1e-5)
    assert metrics["iterations"] == {"2": again}
    assert "mean KL" in (folder / "report.html").read_text()

    other = subgrid("run", config, "-o", folder, *TINY, "--set=gaussian_bridge.sigma=2.0")
    assert other.code == 2 and "gaussian_bridge.sigma = 1.0, not 2.0" in other.complaint


def test_checkpoints_of_other_settings_are_refused_before_the_first_measurement(tmp_path):
    """What was stopped within its first outer iteration has checkpoints and no measurements yet."""
    config = lambda sigma: GaussianBridgeConfig(gaussian_bridge=GaussianBridgeTable(dimensions=(2,), sigma=sigma))  # noqa: E731
    run, other = (GaussianBridgeRun(config(sigma), tmp_path) for sigma in (1.0, 2.0))
    write_record(tmp_path, plan(run, RECIPE.stages(run.config))[0].record)
    (tmp_path / "d2").mkdir()
    (tmp_path / "d2" / "1").write_text("a checkpoint")
    assert plan(run, RECIPE.stages(run.config))[0].action == "go on"
    with pytest.raises(OutputExists, match=r"d2 was made with gaussian_bridge.sigma = 1.0, not 2.0; remove d2 to"):
        plan(other, RECIPE.stages(other.config))


def measured(covariance: float) -> dict[str, float]:
    names = ("kl_forward", "kl_backward", "covariance_backward", "variance_forward", "variance_backward")
    return {"covariance_forward": covariance, **dict.fromkeys(names, 1.0)}


def test_the_table_is_that_of_the_last_iteration_and_the_range_of_the_second_half():
    iterations = [measured(covariance) for covariance in (9.0, 5.0, 0.5, 0.7, 0.6)]
    rows = {row["metric"]: row for row in rows_of(GaussianBridgeTable(), 5, iterations)}
    assert rows["covariance"]["fitted"] == 0.6
    assert rows["range of the covariance"]["fitted"] == pytest.approx(0.2)
    assert rows["mean KL"]["published"] == 1.34e-3
    # What is published is of one offset and one σ.
    others = {row["metric"]: row for row in rows_of(GaussianBridgeTable(sigma=2.0), 5, iterations)}
    assert others["mean KL"]["published"] is None
