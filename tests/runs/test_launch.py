"""From a configuration file to what was asked for: goals, the last stage, and what a call would do."""

import pytest

from subgrid.data.store import OutputExists
from subgrid.runs.config import ConfigError
from subgrid.runs.launch import dry_run, launch

from .letters import EXPERIMENT, WORD


@pytest.fixture
def file(tmp_path):
    (tmp_path / "a.toml").write_text('[letters]\nword = "alpha"\n')
    return tmp_path / "a.toml"


def launched(file, folder, *overrides, **options):
    return launch(EXPERIMENT, file, folder, overrides, progress=False, **options)


def test_a_run_makes_all_but_what_belongs_to_a_comparison(file, tmp_path):
    run, left = launched(file, tmp_path / "run")
    assert left is None and run.made == ["write", "copy", "score", "report"]
    assert (tmp_path / "run" / "config.toml").exists()


def test_a_comparison_makes_what_it_needs_and_nothing_else(file, tmp_path):
    run, _ = launched(file, tmp_path / "run", goal="compare")
    assert run.made == ["write", "compare"]


def test_until_a_stage_makes_what_it_needs_a_comparison_too(file, tmp_path):
    assert launched(file, tmp_path / "run", until="copy")[0].made == ["write", "copy"]
    assert launched(file, tmp_path / "run", until="compare words")[0].made == ["compare"]


def test_a_stage_that_there_is_not_is_refused_with_the_nearest(file, tmp_path):
    with pytest.raises(ConfigError, match=r"--until cpoy: this run has no such stage; did you mean 'copy'\?"):
        launched(file, tmp_path / "run", until="cpoy")
    with pytest.raises(ConfigError, match="no such stage; valid are write, copy, score, report, compare words"):
        launched(file, tmp_path / "run", until="xyz")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("goal", ["debias", "simulate"])
def test_a_goal_that_there_is_not_is_refused(goal, file, tmp_path):
    with pytest.raises(ConfigError, match=f"there is nothing to {goal}"):
        launched(file, tmp_path / "run", goal=goal)
    assert not (tmp_path / "run").exists()


def test_a_dry_run_plans_and_refuses_like_a_run_and_writes_nothing(file, tmp_path):
    folder = tmp_path / "run"
    _, planned = dry_run(EXPERIMENT, file, folder)
    assert [(each.stage.name, each.action) for each in planned] == [
        (name, "make") for name in ("write", "copy", "score", "report")
    ]
    assert not folder.exists()
    launched(file, folder, until="write")
    before = (folder / "config.toml").read_bytes()
    _, planned = dry_run(EXPERIMENT, file, folder, ["letters.n=5"], until="copy")
    assert [(each.stage.name, each.action) for each in planned] == [("write", "keep"), ("copy", "make")]
    for call in (dry_run, lambda *of: launch(*of, progress=False)):
        with pytest.raises(OutputExists, match=r"word\.txt was made with letters\.word = 'alpha', not 'beta'"):
            call(EXPERIMENT, file, folder, ["letters.word=beta"])
    assert (folder / "config.toml").read_bytes() == before


def test_without_a_file_overrides_are_enough(tmp_path):
    run, _ = launched(None, tmp_path / "run", WORD, until="write")
    assert run.path("word.txt").read_text() == "alphafirst"


def test_what_is_made_of_a_run_is_made_once(file, tmp_path):
    calls = []

    def first(run):
        calls.append(run)
        return object()

    run = launched(file, tmp_path / "run", until="write")[0]
    assert run.once(first) is run.once(first) and calls == [run]
    assert run.once(lambda run: "another") == "another"
