"""What is kept, made, gone on with, made anew and refused; and that two processes do not make the same."""

import json
import os

import pytest
from filelock import FileLock

from subgrid.data.store import OutputExists
from subgrid.runs.experiment import keep_config
from subgrid.runs.launch import launch
from subgrid.runs.runner import make_stages
from subgrid.runs.stage import Stage

from .letters import EXPERIMENT, WORD, LettersRun, Stopped, actions, opened, planned, record_of, stages

ALL = ("write", "copy", "score", "report")


def made(folder, *settings, **options) -> LettersRun:
    """The run after all that was asked for; its `made` tells what that took."""
    run, left = launch(EXPERIMENT, None, folder, [WORD, *settings], progress=False, **options)
    assert left is None
    return run


def all_files(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"}


def test_in_an_empty_folder_everything_is_to_make_and_planning_writes_nothing(tmp_path):
    assert actions(tmp_path / "run") == dict.fromkeys(ALL, "make")
    assert not (tmp_path / "run").exists()


def test_what_is_finished_is_kept_to_the_last_byte(tmp_path):
    assert made(tmp_path).made == list(ALL)
    before = all_files(tmp_path)
    assert actions(tmp_path) == dict.fromkeys(ALL, "keep")
    assert made(tmp_path).made == []
    assert all_files(tmp_path) == before


def test_dates_of_files_do_not_count(tmp_path):
    made(tmp_path)
    for i, path in enumerate(sorted(tmp_path.rglob("*"))):
        os.utime(path, ns=(10**18 + i, 10**18 + i))
    assert actions(tmp_path) == dict.fromkeys(ALL, "keep")


def test_a_stage_that_was_stopped_goes_on_with_its_own_record(tmp_path):
    with pytest.raises(Stopped):
        made(tmp_path, "letters.stop=true")
    stopped = record_of(tmp_path, "write")
    assert not stopped["finished"] and not (tmp_path / "copies").exists()
    assert actions(tmp_path) == {"write": "go on", "copy": "make", "score": "make", "report": "make"}
    assert made(tmp_path).made == list(ALL)
    finished = record_of(tmp_path, "write")
    assert finished["finished"] and finished["id"] == stopped["id"]
    assert record_of(tmp_path, "copy")["needs"] == {"write": finished["id"]}


def removed(folder):
    for path in (folder / "copies").iterdir():
        path.unlink()
    (folder / "copies").rmdir()


def test_a_part_that_was_removed_is_made_again_and_is_the_same(tmp_path):
    first = made(tmp_path).path("copies")
    (first / "0.txt").unlink()
    assert actions(tmp_path) == dict.fromkeys(ALL, "keep")  # what a part holds is the stage's own matter
    removed(tmp_path)
    before = record_of(tmp_path, "copy")["id"]
    # Made from the same by the same version: what was made from it stays.
    assert actions(tmp_path) == dict.fromkeys(ALL, "keep") | {"copy": "make"}
    assert made(tmp_path).made == ["copy"]
    assert record_of(tmp_path, "copy")["id"] == before
    assert made(tmp_path).made == []


def test_a_part_that_is_no_longer_whole_is_made_anew(tmp_path):
    made(tmp_path)
    (tmp_path / "copies" / "lost").touch()
    assert actions(tmp_path)["copy"] == "make"


def test_what_another_version_makes_anew_is_scored_anew(tmp_path, monkeypatch):
    made(tmp_path)
    monkeypatch.setattr("subgrid.runs.runner.commit", lambda: "c0ffee")
    assert actions(tmp_path) == dict.fromkeys(ALL, "keep")  # what is finished stays, whoever made it
    removed(tmp_path)
    assert made(tmp_path, until="copy").made == ["copy"]
    assert actions(tmp_path) == {"write": "keep", "copy": "keep", "score": "remake", "report": "remake"}
    assert made(tmp_path).made == ["score", "report"]


def test_what_took_long_is_refused_where_another_version_made_anew_what_it_needs(tmp_path, monkeypatch):
    made(tmp_path)
    monkeypatch.setattr("subgrid.runs.runner.commit", lambda: "c0ffee")
    (tmp_path / "word.txt").unlink()
    with pytest.raises(OutputExists, match="copies was made from 'write' as it was before, which has been made anew"):
        made(tmp_path)


def test_a_value_of_the_page_alone_makes_the_page_alone_anew(tmp_path):
    made(tmp_path)
    scores = (tmp_path / "metrics.json").read_bytes()
    assert actions(tmp_path, "letters.style=bold")["report"] == "remake"
    assert made(tmp_path, "letters.style=bold").made == ["report"]
    assert "In bold style." in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert (tmp_path / "metrics.json").read_bytes() == scores


def test_more_of_the_same_is_added_to_what_is_there(tmp_path):
    before = made(tmp_path).path("copies/0.txt").stat().st_mtime_ns
    kept = record_of(tmp_path, "copy")["id"]
    assert actions(tmp_path, "letters.n=3") == {"write": "keep", "copy": "go on", "score": "remake", "report": "remake"}
    assert made(tmp_path, "letters.n=3").made == ["copy", "score", "report"]
    assert (tmp_path / "copies" / "0.txt").stat().st_mtime_ns == before
    assert (tmp_path / "copies" / "2.txt").exists()
    assert record_of(tmp_path, "copy")["id"] == kept
    assert json.loads((tmp_path / "metrics.json").read_text())["table"][0]["generated"] == 3 * len("alphafirst")


def test_what_another_version_adds_leaves_what_was_there_as_it_was(tmp_path, monkeypatch):
    made(tmp_path)
    kept = record_of(tmp_path, "copy")["id"]
    (tmp_path / "copies" / "lost").touch()  # not whole, as what is to grow
    monkeypatch.setattr("subgrid.runs.runner.commit", lambda: "c0ffee")
    assert actions(tmp_path, "letters.n=3")["copy"] == "go on"
    assert made(tmp_path, "letters.n=3").made == ["copy", "score", "report"]
    assert record_of(tmp_path, "copy")["id"] == kept


@pytest.mark.parametrize(
    ("setting", "difference"),
    [
        ("letters.word=beta", "letters.word = 'alpha', not 'beta'"),
        ("run.seed=1", "run.seed = 0, not 1"),
    ],
)
def test_a_finished_part_is_refused_with_both_values_and_nothing_is_written(tmp_path, setting, difference):
    made(tmp_path)
    before = all_files(tmp_path)
    with pytest.raises(OutputExists) as refused:
        made(tmp_path, setting)
    assert str(refused.value) == (
        f"{tmp_path}: word.txt was made with {difference}; remove word.txt to make it anew, or choose another output "
        "folder. What was made with it goes too: draft.txt."
    )
    assert all_files(tmp_path) == before


def test_of_several_values_the_first_of_the_stage_is_named(tmp_path):
    """And not another one in every process, as sets of strings have it."""
    made(tmp_path)
    with pytest.raises(OutputExists, match=r"word\.txt was made with letters\.word = "):
        made(tmp_path, "letters.word=beta", "letters.half=second", "run.seed=1")


def test_what_depends_on_what_is_refused_is_refused_by_its_own_name(tmp_path):
    made(tmp_path)
    (tmp_path / "word.txt").unlink()
    (tmp_path / "draft.txt").unlink()
    with pytest.raises(OutputExists, match=r"copies was made with letters\.word = 'alpha', not 'beta'; remove copies"):
        made(tmp_path, "letters.word=beta")
    assert not (tmp_path / "word.txt").exists()


def test_scores_and_page_are_never_refused(tmp_path):
    made(tmp_path)
    for name in ("word.txt", "draft.txt", "copies/0.txt", "copies/1.txt"):
        (tmp_path / name).unlink()
    (tmp_path / "copies").rmdir()
    assert actions(tmp_path, "letters.word=beta") == dict.fromkeys(ALL, "remake")
    assert made(tmp_path, "letters.word=beta").made == list(ALL)
    assert json.loads((tmp_path / "metrics.json").read_text())["longest"] == "beta"


def test_the_state_of_an_unfinished_stage_is_refused_like_a_part(tmp_path):
    with pytest.raises(Stopped):
        made(tmp_path, "letters.stop=true")
    with pytest.raises(OutputExists, match=r"draft\.txt was made with letters\.word = 'alpha', not 'beta'"):
        made(tmp_path, "letters.word=beta")


def test_a_changed_input_is_refused_wherever_it_lies(tmp_path):
    source, run = tmp_path / "ink.txt", tmp_path / "run"
    source.write_text("black")
    setting = f"letters.source={source}"
    made(run, setting)
    moved = source.rename(tmp_path / "moved.txt")
    assert actions(run, f"letters.source={moved}")["write"] == "keep"
    source.write_text("blue!")
    with pytest.raises(OutputExists, match=r"word\.txt was made from .*ink\.txt as it was before, which has changed"):
        made(run, setting)
    (tmp_path / "other.txt").write_text("green")
    with pytest.raises(OutputExists, match=r"word\.txt was made from another file than .*other\.txt"):
        made(run, f"letters.source={tmp_path / 'other.txt'}")


def test_a_part_without_a_record_is_refused(tmp_path):
    made(tmp_path)
    (tmp_path / "records" / "copy.json").unlink()
    with pytest.raises(OutputExists) as refused:
        made(tmp_path)
    assert str(refused.value) == (
        f"{tmp_path}: copies has no record of what it was made from (an earlier version made it, or it was copied "
        "here); remove copies to make it anew, or choose another output folder."
    )


def test_scores_without_a_record_are_made_anew(tmp_path):
    made(tmp_path)
    (tmp_path / "records" / "score.json").unlink()
    assert actions(tmp_path) == dict.fromkeys(ALL, "keep") | {"score": "remake"}  # to the same, so the page stays


@pytest.mark.parametrize("text", ["{", '{"stage": "copy"}', "[]", "null"])
def test_a_record_that_cannot_be_read_is_refused(tmp_path, text):
    made(tmp_path)
    (tmp_path / "records" / "copy.json").write_text(text)
    with pytest.raises(OutputExists, match=r"copy\.json: the record of 'copy' cannot be read .*; remove it and what"):
        made(tmp_path)


def test_a_key_that_came_later_is_refused_as_such(tmp_path):
    made(tmp_path)
    path = tmp_path / "records" / "write.json"
    path.write_text(path.read_text().replace('"letters.half"', '"letters.gone"'))
    with pytest.raises(OutputExists, match=r"word\.txt was made by a version that had no letters\.half"):
        planned(tmp_path)


def test_a_second_process_on_the_same_stage_is_refused_in_one_sentence(tmp_path):
    lock = FileLock(tmp_path / "records" / "copy.lock")
    made(tmp_path, until="write")
    with lock, pytest.raises(OutputExists) as refused:
        made(tmp_path)
    assert str(refused.value) == (
        f"{tmp_path}: another process is making 'copy' there; wait until it ends, or choose another output folder."
    )
    assert not (tmp_path / "copies").exists()
    assert made(tmp_path).made == ["copy", "score", "report"]


def test_a_shared_stage_may_be_made_by_several(tmp_path):
    run, both = opened(tmp_path), []
    (tmp_path / "records").mkdir()

    def make(run, update):
        both.append("made")
        run.path("all.txt").touch()

    stage = Stage("all", make, ("all.txt",), shared=True)
    with FileLock(tmp_path / "records" / "all.lock"):
        assert make_stages(run, [stage], progress=False) is None
    assert both == ["made"]


def test_what_others_finish_meanwhile_is_kept(tmp_path):
    """Planned again when it is its turn."""
    run = opened(tmp_path)
    keep_config(run)
    steps = stages(run.config)

    def meanwhile(run, update):
        run.path("all.txt").touch()
        other = opened(tmp_path)
        make_stages(other, stages(other.config), until=["copy"], progress=False)
        assert other.made == ["write", "copy"]

    first = Stage("all", meanwhile, ("all.txt",))
    make_stages(run, [first, *steps], until=["all", "copy"], progress=False)
    assert run.made == []


def test_what_others_go_on_with_is_reported_and_what_comes_after_is_left(tmp_path):
    run, left = launch(EXPERIMENT, None, tmp_path, [WORD, "letters.others=true"], progress=False)
    assert left == "two copies are still to do; submit them."
    assert run.made == ["write", "copy"] and not (tmp_path / "metrics.json").exists()
    assert not record_of(tmp_path, "copy")["finished"]
    assert made(tmp_path).made == ["copy", "score", "report"]


def test_a_stage_that_is_left_to_others_is_reported_before_it_is_made_and_not_when_it_is_finished(tmp_path):
    run, made_here = opened(tmp_path), []

    def make(run, update):
        made_here.append(1)
        run.path("all.txt").touch()

    options = {"name": "all", "make": make, "parts": ("all.txt",)}
    ours, theirs = Stage(**options), Stage(**options, left=lambda run: "the others do it.")
    assert make_stages(run, [theirs], progress=False) == "the others do it." and not made_here
    assert make_stages(run, [ours], progress=False) is None and made_here
    assert make_stages(run, [theirs], progress=False) is None


@pytest.mark.parametrize("left", ["nothing", "an empty folder"])
def test_a_stage_that_was_stopped_before_it_kept_anything_begins_anew(tmp_path, capsys, left):
    with pytest.raises(Stopped):
        launch(EXPERIMENT, None, tmp_path, [WORD, "letters.stop=true"])
    (tmp_path / "draft.txt").unlink()
    if left == "an empty folder":
        (tmp_path / "draft.txt").mkdir()
    assert actions(tmp_path)["write"] == "make"
    if left == "nothing":
        launch(EXPERIMENT, None, tmp_path, [WORD])
        assert capsys.readouterr().err.splitlines() == ["  wrote alpha"]


def test_a_stage_that_leaves_no_part_fails(tmp_path):
    with pytest.raises(RuntimeError, match=r"stage 'all' ended without all\.txt"):
        make_stages(opened(tmp_path), [Stage("all", lambda run, update: None, ("all.txt",))], progress=False)
    assert not record_of(tmp_path, "all")["finished"]


def test_what_was_made_is_said_once(tmp_path, capsys):
    for _ in range(2):
        launch(EXPERIMENT, None, tmp_path, [WORD])
    captured = capsys.readouterr()
    assert captured.err == "  wrote alpha\n" and captured.out == ""
    launch(EXPERIMENT, None, tmp_path / "silent", [WORD], progress=False)
    assert capsys.readouterr().err == ""


def test_what_goes_on_is_said_to_and_what_begins_is_not(tmp_path, capsys):
    with pytest.raises(Stopped):
        launch(EXPERIMENT, None, tmp_path, [WORD, "letters.stop=true"])
    assert capsys.readouterr().err == ""
    launch(EXPERIMENT, None, tmp_path, [WORD])
    assert capsys.readouterr().err.splitlines() == ["write: goes on with what was done before", "  wrote alpha"]
