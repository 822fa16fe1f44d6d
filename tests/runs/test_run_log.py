"""RUN/log.txt: what was said, done, warned of and complained of, by whom; nothing where nothing was made."""

import re
import subprocess
import sys
import warnings

import pytest

from subgrid.data.store import OutputExists
from subgrid.runs.launch import launch
from subgrid.runs.run_log import RunLog, run_log
from subgrid.training.progress import say

from .letters import EXPERIMENT, WORD, Stopped

LINE = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) \[(\d+)\] (.*)")


def launched(folder, *settings):
    return launch(EXPERIMENT, None, folder, [WORD, *settings], progress=False)


def said(folder):
    """What the lines of a log say, without times and processes."""
    return [LINE.fullmatch(line)[3] for line in (folder / "log.txt").read_text(encoding="utf-8").splitlines()]


def test_a_run_keeps_what_it_did_and_said(tmp_path):
    launched(tmp_path)
    first, *others = said(tmp_path)
    assert first.startswith("subgrid 0.1.0 (")
    stages = ("write", "copy", "score", "report")
    done = [line for name in stages for line in (f"{name}: begins", f"{name}: done in 0:00")]
    assert others == [*done[:2], "wrote alpha", *done[2:]]
    before = (tmp_path / "log.txt").read_bytes()
    launched(tmp_path)  # all is there
    with pytest.raises(OutputExists):
        launched(tmp_path, "run.seed=1")
    assert (tmp_path / "log.txt").read_bytes() == before


def test_a_failure_is_kept_with_its_traceback_and_what_goes_on_is_appended(tmp_path):
    with pytest.raises(Stopped):
        launched(tmp_path, "letters.stop=true")
    failed = (tmp_path / "log.txt").read_text(encoding="utf-8")
    assert "write: stopped after 0:00, at 0 of 1\n" in failed
    assert "Traceback (most recent call last)" in failed and "in write\n    raise Stopped" in failed
    launched(tmp_path)
    text = (tmp_path / "log.txt").read_text(encoding="utf-8")
    assert text.startswith(failed)
    assert "write: goes on\n" in text[len(failed) :] and "copy: begins\n" in text[len(failed) :]


def test_what_others_have_to_do_is_kept(tmp_path):
    launched(tmp_path, "letters.others=true")
    assert said(tmp_path)[-1] == "two copies are still to do; submit them."


def test_warnings_are_kept_and_still_shown(tmp_path):
    def warned():
        with run_log(tmp_path / "log.txt") as log:
            warnings.warn("far away", stacklevel=1)  # before there is a folder
            log.begin()

    with pytest.warns(UserWarning, match="far away"):
        warned()
    (line,) = said(tmp_path)[1:]
    assert re.fullmatch(r"warning: far away \(UserWarning, test_run_log\.py:\d+\)", line)


def test_of_what_interrupts_a_sentence_is_kept(tmp_path):
    def interrupted():
        with run_log(tmp_path / "log.txt") as log:
            log.begin()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert said(tmp_path)[1:] == ["interrupted."]


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path, capsys):
    with run_log(tmp_path / "no folder" / "log.txt") as log:
        log.begin()
        say("goes on")
    assert capsys.readouterr().err == "goes on\n"


def test_several_processes_append_whole_lines(tmp_path):
    script = (
        "import sys; from pathlib import Path; from subgrid.runs.run_log import RunLog\n"
        "log = RunLog(Path(sys.argv[1])); log.begin()\n"
        "for i in range(200): log.write(sys.argv[2] * 300)"
    )
    path = tmp_path / "log.txt"
    jobs = [subprocess.Popen([sys.executable, "-c", script, str(path), letter]) for letter in "abc"]
    assert [job.wait(60) for job in jobs] == [0, 0, 0]
    lines = [LINE.fullmatch(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert len(lines) == 3 * 201
    for job, letter in zip(jobs, "abc", strict=True):
        own = [line[3] for line in lines if int(line[2]) == job.pid]
        assert own[1:] == [300 * letter] * 200


def test_nothing_is_written_before_it_begins(tmp_path):
    log = RunLog(tmp_path / "log.txt")
    log.write("planned")
    assert not list(tmp_path.iterdir())
