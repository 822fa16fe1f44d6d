"""The page of a run, and the shape of its metrics."""

import json

import pytest

from subgrid.runs.launch import launch
from subgrid.runs.page import read_metrics

from .letters import EXPERIMENT, WORD

SHAPE = {
    "name", "seed", "table", "columns", "by_candidate", "title", "on_terminal", "longest", "seconds", "commits",
    "commit", "machine", "config",
}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("letters") / "run"
    return launch(EXPERIMENT, None, folder, [WORD, "run.name=first <try>", "run.seed=3"], progress=False)[0]


def test_metrics_have_one_shape_and_what_the_experiment_adds(run):
    metrics = read_metrics(run)
    assert set(metrics) == SHAPE
    assert (metrics["name"], metrics["seed"], metrics["longest"]) == ("first <try>", 3, "alpha")
    assert metrics["columns"] == ["generated", "cubic", "floor"] and not metrics["by_candidate"]
    assert metrics["table"][0]["generated"] == 20
    assert set(metrics["seconds"]) == {"write", "copy"}  # scores are not finished yet
    assert set(metrics["commits"]) == {"write", "copy", "score"}
    assert metrics["machine"]["cores"] > 0 and metrics["machine"]["jax"]
    assert metrics["config"] == json.loads(run.config.model_dump_json())


def test_the_page_holds_scores_summary_figures_notes_seconds_and_configuration(run):
    text = run.path("report.html").read_text(encoding="utf-8")
    for word in ("first &lt;try&gt;", "alpha", "In plain style.", "a picture of letters", "What was written.", "copy"):
        assert word in text
    assert "Seed" in text and "Machine" in text and "Runtime" in text
    assert "seed = 3" in text  # the configuration
    assert "all of them" in text and "20.0" in text  # the row of scores
    assert "<try>" not in text


def test_the_page_is_written_whole(run):
    assert run.path("report.html").read_text(encoding="utf-8").rstrip().endswith("</html>")
    assert not [path for path in run.folder.iterdir() if ".partial-" in path.name]
