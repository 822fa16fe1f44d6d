"""What is published of a finished run, and what is refused."""

import json

import pytest

from subgrid.data.fields import DataError
from subgrid.data.store import OutputExists
from subgrid.runs.folds import run_folds
from subgrid.runs.launch import launch
from subgrid.runs.publishing import publish

from .letters import EXPERIMENT, WORD


@pytest.fixture
def run(tmp_path):
    (tmp_path / "ink.txt").write_text("black")
    source = f"letters.source={tmp_path / 'ink.txt'}"
    return launch(EXPERIMENT, None, tmp_path / "run", [WORD, source], progress=False)[0]


def published(run, target, **options):
    return publish(EXPERIMENT, run.folder, target, **{"overwrite": False, **options})


def test_numbers_and_the_figures_that_may_be_shown_without_paths_of_this_machine(run, tmp_path):
    target = tmp_path / "out"
    assert published(run, target) == ["config.toml", "metrics.json", "open.svg", "table.md"]
    assert {path.name for path in target.iterdir()} == {"config.toml", "metrics.json", "open.svg", "table.md"}
    assert (target / "open.svg").read_text() == "<svg/>"
    for path in target.iterdir():
        assert str(tmp_path) not in path.read_text(encoding="utf-8")
    metrics, kept = (json.loads((folder / "metrics.json").read_text()) for folder in (target, run.folder))
    assert {**metrics, "config": None} == {**kept, "config": None}
    assert (target / "table.md").read_text(encoding="utf-8").splitlines()[-1] == "| Copies | letters | 20 | 1 |"


def test_an_infinite_score_is_published_by_name_whatever_version_wrote_it(run, tmp_path):
    path = run.path("metrics.json")
    path.write_text(path.read_text().replace('"generated": 20', '"generated": Infinity'))
    published(run, tmp_path / "out")
    text = (tmp_path / "out/metrics.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail)["table"][0]["generated"] == "Infinity"
    assert "| inf |" in (tmp_path / "out/table.md").read_text(encoding="utf-8")


def test_an_earlier_publication_is_replaced_if_asked_and_nothing_else(run, tmp_path):
    target = tmp_path / "out"
    published(run, target)
    (target / "gone.png").write_bytes(b"")
    with pytest.raises(OutputExists, match="exists already; choose another output or pass --overwrite"):
        published(run, target)
    published(run, target, overwrite=True)
    assert not (target / "gone.png").exists()
    (target / "notes.txt").write_text("mine")
    with pytest.raises(OutputExists, match=r"holds notes\.txt, which is not of a publication"):
        published(run, target, overwrite=True)
    assert (target / "notes.txt").read_text() == "mine"


def test_a_run_that_is_not_finished_tells_what_is_to_make(run, tmp_path):
    run.path("report.html").unlink()
    with pytest.raises(DataError, match=r"holds no finished run of its configuration \(to make: report\)"):
        published(run, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_configuration_that_was_changed_by_hand_is_not_published_as_that_of_the_run(run, tmp_path):
    path = run.path("config.toml")
    path.write_text(path.read_text().replace('"alpha"', '"beta"'))
    with pytest.raises(DataError, match=r"was made with letters\.word = 'alpha', not 'beta'.* is not published"):
        published(run, tmp_path / "out")


def test_folds_are_published_as_their_first_with_the_table_of_all(tmp_path):
    (tmp_path / "a.toml").write_text('[letters]\nword = "alpha"\n')
    run_folds(EXPERIMENT, tmp_path / "a.toml", tmp_path / "folds", progress=False)
    files = publish(EXPERIMENT, tmp_path / "folds", tmp_path / "out", overwrite=False)
    assert files == ["config.toml", "folds.md", "metrics.json", "open.svg", "table.md"]
    assert 'half = "first"' in (tmp_path / "out" / "config.toml").read_text()
    assert (tmp_path / "out" / "folds.md").read_bytes() == (tmp_path / "folds" / "folds.md").read_bytes()
