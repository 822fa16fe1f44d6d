"""Progress in a log: lines at times instead of a bar, none for what is quick."""

import pytest

from subgrid.cli import progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that is set by hand: clock[0] = seconds."""
    seconds = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: seconds[0])
    return seconds


def test_a_log_has_a_line_every_half_minute_and_one_at_the_end(clock, capsys):
    with progress.progress_bar("train") as update:
        for second in range(1, 101):
            clock[0] = float(second)
            update(second, 100, f"loss {1 / second:.4f}")
    lines = capsys.readouterr().err.splitlines()
    assert [" ".join(line.split()) for line in lines] == [
        "train: 30/100 after 0:30, 1:10 left loss 0.0333",
        "train: 60/100 after 1:00, 0:40 left loss 0.0167",
        "train: 90/100 after 1:30, 0:10 left loss 0.0111",
        "train: done in 1:40",
    ]


def test_what_is_quick_says_nothing(clock, capsys):
    with progress.progress_bar("score") as update:
        clock[0] = 0.9
        update(1, 1)
    captured = capsys.readouterr()
    assert captured.err == captured.out == ""


def test_what_fails_is_not_said_to_be_done(clock, capsys):
    def fail():
        clock[0] = 5.0
        raise RuntimeError

    with pytest.raises(RuntimeError), progress.progress_bar("score"):
        fail()
    assert "done" not in capsys.readouterr().err


def test_where_nothing_is_known_of_the_rest_no_time_is_shown(clock, capsys):
    with progress.progress_bar("fit") as update:
        clock[0] = 31.0
        update(0, 0, "first batch")
    assert capsys.readouterr().err.splitlines()[0] == "fit: 0/0 after 0:31 first batch"


def test_a_sentence_is_reported_as_it_is(capsys):
    progress.say("chose [0.5], which lies within 1 % of the best, and a long sentence is not broken into lines " * 2)
    assert capsys.readouterr().err.count("\n") == 1


def test_a_terminal_has_a_bar(capsys, monkeypatch):
    monkeypatch.setattr(progress, "console", progress.Console(stderr=True, force_terminal=True, width=100))
    with progress.progress_bar("train") as update:
        update(3, 4, "loss 0.1")
    text = capsys.readouterr().err
    assert "train" in text and "3/4" in text and "left" in text and "loss 0.1" in text
