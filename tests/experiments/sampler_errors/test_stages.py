"""The table of sampler errors through the command line, at a tiny size."""

import json

import pytest

from subgrid.experiments.sampler_errors.config import SamplerErrorsConfig
from subgrid.experiments.sampler_errors.stages import RECIPE
from subgrid.runs.stage import in_order

TINY = [
    '--set=sampler_errors.methods=["gaussian-sde", "gaussian-ode", "ancestral", "heun"]',
    '--set=sampler_errors.guided_methods=["gaussian-sde"]',
    '--set=sampler_errors.grids=["exponential"]',
    "--set=sampler_errors.evaluations=[4, 33]",
    "--set=sampler_errors.n_samples=20000",
]


def test_stages_are_in_order_and_no_two_make_the_same_part():
    stages = RECIPE.stages(SamplerErrorsConfig())
    assert [stage.name for stage in stages] == [stage.name for stage in in_order(stages)] == ["score", "report"]
    parts = [part for stage in stages for part in (*stage.parts, *stage.state)]
    assert len(set(parts)) == len(parts)


@pytest.mark.slow  # a minute of compilation; the parts above hold the numbers
def test_a_run_writes_numbers_table_and_figure_and_is_published(subgrid, tmp_path):
    config, folder = tmp_path / "errors.toml", tmp_path / "run"
    config.write_text("[sampler_errors]\n")
    outcome = subgrid("run", config, "-o", folder, *TINY)
    assert outcome.code == 0, outcome.err
    assert "unit Gaussian" in outcome.out
    metrics = json.loads((folder / "metrics.json").read_text())
    guided = [row for row in metrics["rows"] if row["guidance"] != "exact"]
    exact = [row for row in guided if row["guidance"] != "projection"]
    assert len(exact) == 2 * 8 and max(max(row["error"]) for row in exact) < 1e-5
    assert {row["products"] for row in guided} == {0, 1, 4}
    ancestral = [row for row in metrics["rows"] if row["method"] == "ancestral" and row["case"] == "mixture, total"]
    assert ancestral[0]["error"][1] > 0.05
    unit = [row for row in metrics["table"] if row["group"] == "unit Gaussian"]
    assert [(row["metric"], row["gaussian-sde, exponential"]) for row in unit] == [("4", 0.0), ("33", 0.0)]
    page = (folder / "report.html").read_text()
    assert "<figure" in page and "https://" not in page
    published = subgrid("publish", folder, tmp_path / "docs")
    assert published.code == 0, published.err
    assert sorted(p.name for p in (tmp_path / "docs").iterdir()) == [
        "config.toml",
        "errors.svg",
        "metrics.json",
        "table.md",
    ]
    assert "| gaussian-sde, exponential | 0 | 0 |" in (tmp_path / "docs" / "table.md").read_text()
