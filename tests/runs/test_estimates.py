"""What stages will take, as far as it was recorded, and how `--dry-run` shows it."""

import json
from dataclasses import replace

import pytest

from subgrid.cli.plan import show_plan
from subgrid.experiments import KINDS
from subgrid.runs.estimates import Estimate, estimates, published_beside, total_in_words
from subgrid.runs.kinds import Kind
from subgrid.runs.launch import dry_run, launch
from subgrid.runs.record import read_record, write_record

from .letters import EXPERIMENT, WORD, Stopped, __name__ as MODULE

GIB = 2**30


def finished(folder, *settings, until=None, **changes):
    """A run whose records tell other numbers than it took."""
    launch(EXPERIMENT, None, folder, [WORD, *settings], until=until, progress=False)
    for name, numbers in changes.items():
        write_record(folder, replace(read_record(folder, name), **numbers))


def expected(folder, *settings, until=None):
    return estimates(*dry_run(EXPERIMENT, None, folder, [WORD, *settings], until=until))


def test_where_nothing_was_recorded_only_sizes_tell_something(tmp_path):
    found = expected(tmp_path / "run")
    assert found["write"] == Estimate(None, 2 * GIB)
    assert found["copy"] == Estimate(None, None)


def test_time_is_that_of_another_run_beside_it_in_proportion_to_the_work(tmp_path):
    finished(tmp_path / "other", copy={"seconds": 8.0, "peak_memory": 3 * GIB}, write={"peak_memory": GIB})
    found = expected(tmp_path / "run", "letters.n=5")
    assert found["copy"] == Estimate(8.0 * 5 / 2, 3 * GIB, "other", scaled=True)
    assert found["write"].memory == 2 * GIB  # what sizes tell, where it is more


def test_the_own_folder_tells_more_than_others(tmp_path):
    finished(tmp_path / "other", copy={"seconds": 8.0})
    finished(tmp_path / "run", copy={"seconds": 4.0})
    (tmp_path / "run" / "copies").rename(tmp_path / "run" / "elsewhere")
    assert expected(tmp_path / "run")["copy"].seconds == 4.0
    assert expected(tmp_path / "run")["copy"].source == "run"


def test_the_run_with_the_most_nearly_equal_work_tells_and_one_of_seconds_is_not_scaled_far(tmp_path):
    finished(tmp_path / "small", copy={"seconds": 8.0, "work": 1})
    assert expected(tmp_path / "run", "letters.n=3")["copy"].seconds == 24.0
    assert expected(tmp_path / "run", "letters.n=20")["copy"].seconds is None  # most of it was compilation
    finished(tmp_path / "large", copy={"seconds": 100.0, "work": 10, "peak_memory": GIB})
    assert expected(tmp_path / "run", "letters.n=20")["copy"] == Estimate(200.0, GIB, "large", scaled=True)


def test_a_published_run_of_the_same_values_tells_more_than_another_size_beside_it(tmp_path):
    finished(tmp_path / "other", copy={"seconds": 8.0, "work": 1})
    told = {"seconds": {"copy": 3.0}, "machine": {"cores": 2}, "config": {"letters": {"word": "ab", "n": 2}}}
    (tmp_path / "word").mkdir()
    (tmp_path / "word" / "metrics.json").write_text(json.dumps(told))
    planned = dry_run(EXPERIMENT, None, tmp_path / "run", ["letters.word=ab"])
    assert estimates(*planned, published=tmp_path / "word")["copy"].seconds == 3.0


def test_what_is_not_known_of_all_stages_is_at_least_and_what_was_scaled_is_told():
    found = {"a": Estimate(60.0, None, "other", scaled=True), "b": Estimate()}
    assert total_in_words(found) == (
        "2 stages to make, in at least 1 min 0 s scaled from other; of 1 no time is known."
    )


def test_where_no_run_is_there_time_is_that_of_the_published_one_if_its_values_were_the_same(tmp_path):
    published = tmp_path / "docs" / "results" / "word"
    published.mkdir(parents=True)
    told = {
        "seconds": {"write": 8.0, "copy": 3.0},
        "machine": {"cores": 2},
        "config": {"letters": {"word": "ab", "n": 2}},
    }
    (published / "metrics.json").write_text(json.dumps(told))
    assert published_beside(tmp_path / "experiments" / "word.toml") == published

    def seconds(*settings):
        planned = dry_run(EXPERIMENT, None, tmp_path / "run", list(settings))
        return {name: each.seconds for name, each in estimates(*planned, published=published).items()}

    assert seconds("letters.word=ab") == {"write": 8.0, "copy": 3.0, "score": None, "report": None}
    assert seconds("letters.word=ab", "letters.n=5")["write"] == 8.0
    assert seconds("letters.word=ab", "letters.n=5")["copy"] is None
    assert seconds("letters.word=cd")["write"] is None
    (published / "metrics.json").write_text("{")
    assert seconds("letters.word=ab")["write"] is None


def test_a_plan_says_which_inputs_are_not_there(tmp_path, capsys):
    (tmp_path / "there.txt").write_text("ab")
    for name, said in (("there.txt", False), ("gone.txt", True)):
        text = words(shown(capsys, tmp_path / "run", [WORD, f"letters.source={tmp_path / name}"]))
        assert ("(not there)" in text) == said


def test_what_is_spent_already_is_not_counted_again(tmp_path):
    finished(tmp_path / "other", write={"seconds": 8.0})
    run = tmp_path / "run"
    with pytest.raises(Stopped):
        launch(EXPERIMENT, None, run, [WORD, "letters.stop=true"], progress=False)
    for spent, left in ((5.0, 3.0), (20.0, 0.0)):
        write_record(run, replace(read_record(run, "write"), seconds=spent))
        assert expected(run)["write"].seconds == left


def test_what_is_kept_has_no_estimate_and_unfinished_runs_tell_nothing(tmp_path):
    finished(tmp_path / "other", until="copy", copy={"seconds": 8.0})
    assert "write" not in expected(tmp_path / "other") and "copy" not in expected(tmp_path / "other")
    assert expected(tmp_path / "run")["copy"].seconds is None  # without metrics it may be of any kind


def shown(capsys, *arguments, **options):
    show_plan(*dry_run(EXPERIMENT, None, *arguments, **options))
    return capsys.readouterr().out


def words(text):
    return " ".join(text.split())


def test_a_plan_shows_stages_what_is_finished_what_they_are_made_from_and_what_they_will_take(tmp_path, capsys):
    finished(tmp_path / "other", copy={"seconds": 400.0, "peak_memory": 3 * GIB}, score={"seconds": 2.0})
    finished(tmp_path / "run", until="write")
    text = words(shown(capsys, tmp_path / "run", [WORD]))
    for fragment in (
        "write finished word.txt from letters.word",
        "copy to make 6 min 40 s 3.0 GiB copies from write; letters.n",
        "score to make 2 s",
        "metrics.json from copy",
        "3 stages to make, in 6 min 4",  # 400 + 2 s, and what the page took
        "s as recorded in other.",
    ):
        assert fragment in text


def test_a_plan_fits_80_columns_and_nothing_of_it_is_cut(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    finished(tmp_path / "other", copy={"seconds": 400.0, "peak_memory": 3 * GIB})
    monkeypatch.chdir(tmp_path)
    lines = shown(capsys, "run", [WORD]).splitlines()
    assert max(map(len, lines)) <= 80
    text = words("\n".join(lines))
    assert "…" not in text
    assert "report.html from score; [run]; [letters]" in text and "6 min 40 s 3.0 GiB copies" in text


def test_a_plan_says_where_nothing_is_known_and_where_everything_is_finished(tmp_path, capsys):
    text = words(shown(capsys, tmp_path / "run", [WORD]))
    assert "write to make 2.0 GiB word.txt" in text and "time makes" not in text and "?" not in text
    assert "4 stages to make; no time is known: no such run was published or lies beside it." in text
    finished(tmp_path / "run")
    text = words(shown(capsys, tmp_path / "run", [WORD]))
    assert "everything is finished." in text and "to make" not in text
    text = words(shown(capsys, tmp_path / "run", [WORD, "letters.n=3", "letters.style=bold"]))
    assert "copy goes on" in text and "report to make anew" in text


def test_the_command_line_shows_it_and_writes_nothing(tmp_path, subgrid, monkeypatch):
    monkeypatch.setitem(KINDS, "letters", Kind(MODULE, "Writes a word."))
    (tmp_path / "a.toml").write_text('[letters]\nword = "alpha"\n')
    outcome = subgrid("run", tmp_path / "a.toml", "-o", tmp_path / "run", "--dry-run", "--until", "copy")
    assert outcome.code == 0, outcome.err
    assert "copy" in outcome.out and "report" not in outcome.out and "2 stages to make" in outcome.out
    assert not (tmp_path / "run").exists()
    outcome = subgrid("run", tmp_path / "a.toml", "-o", tmp_path / "run", "--until", "cpoy")
    assert outcome.code == 2 and "did you mean 'copy'?" in outcome.complaint
    outcome = subgrid("run", tmp_path / "a.toml", "-o", tmp_path / "run")
    assert outcome.code == 0, outcome.err
    assert "letters" in outcome.out and f"report: {tmp_path / 'run' / 'report.html'}" in outcome.out.replace("\n", "")
