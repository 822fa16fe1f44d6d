"""Progress: lines ever rarer without a terminal, a bar on one, nothing of what is quick, and what is recorded."""

import importlib
import io
import sys
import types

import pytest
from rich.console import Console

from subgrid.training.progress import progress, recording, say, starts_at, training_progress

module = importlib.import_module("subgrid.training.progress")


@pytest.fixture
def clock(monkeypatch):
    """A clock that is set by hand: clock[0] = seconds."""
    seconds = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: seconds[0])
    return seconds


class Screen(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def screen(monkeypatch):
    """What a terminal of 80 columns gets."""
    stream = Screen()
    at = Console(file=stream, force_terminal=True, width=80, _environ={"TERM": "xterm"})
    monkeypatch.setattr(module, "console", lambda: at)
    return stream


def test_without_a_terminal_there_are_lines_ever_rarer_and_one_at_the_end(clock, capsys):
    with progress("train") as update:
        for second in range(1, 201):
            clock[0] = float(second)
            update(second, 200, f"loss {1 / second:.4f}")
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.splitlines() == [
        "train: 5 of 200, 0:05 gone, about 3:15 left, loss 0.2000",
        "train: 10 of 200, 0:10 gone, about 3:10 left, loss 0.1000",
        "train: 20 of 200, 0:20 gone, about 3:00 left, loss 0.0500",
        "train: 40 of 200, 0:40 gone, about 2:40 left, loss 0.0250",
        "train: 80 of 200, 1:20 gone, about 2:00 left, loss 0.0125",
        "train: 140 of 200, 2:20 gone, about 1:00 left, loss 0.0071",
        "train: 200 of 200, 3:20 gone, loss 0.0050",
        "train: done in 3:20",
    ]


def test_what_is_quick_says_nothing(clock, capsys):
    with progress("score") as update:
        clock[0] = 4.9
        update(1, 1)
    captured = capsys.readouterr()
    assert captured.err == captured.out == ""


def test_what_is_silenced_says_nothing_and_is_recorded_all_the_same(clock, capsys):
    lines = []
    with recording(lines.append), progress("train", enabled=False) as update:
        for second in range(1, 1001):
            clock[0] = float(second)
            update(second, 1000)
        say("chose [0.5]", enabled=False)
    assert capsys.readouterr().err == ""
    assert lines == [
        "train: begins",
        "train: 60 of 1000, 1:00 gone, about 15:40 left",
        "train: 120 of 1000, 2:00 gone, about 14:40 left",
        "train: 240 of 1000, 4:00 gone, about 12:40 left",
        "train: 480 of 1000, 8:00 gone, about 8:40 left",
        "train: 960 of 1000, 16:00 gone, about 0:40 left",
        "chose [0.5]",
        "train: done in 16:40",
    ]
    say("later", enabled=False)
    assert len(lines) == 8


def test_what_fails_is_not_said_to_be_done(clock, capsys):
    lines = []

    def fail(update):
        update(3, 10)
        clock[0] = 4.0
        raise RuntimeError

    with pytest.raises(RuntimeError), recording(lines.append), progress("score") as update:
        fail(update)
    assert capsys.readouterr().err == ""
    assert lines == ["score: begins", "score: stopped after 0:04, at 3 of 10"]


def test_a_resumed_training_says_from_where_and_is_not_timed_by_what_was_there(clock, capsys):
    with progress("train", resumed=True) as update:
        starts_at(2880, 20_000)
        clock[0] = 30.0  # compiles
        for second in range(31, 42):
            clock[0] = float(second)
            update(2880 + 20 * (second - 30), 20_000)
    assert capsys.readouterr().err.splitlines() == [
        "train: goes on from step 2880 of 20000",
        "train: 2900 of 20000, 0:31 gone",
        "train: done in 0:41",
    ]


def test_the_total_is_known_before_the_first_step_is_done(screen, clock):
    with progress("train"):
        starts_at(0, 20_000)
        clock[0] = 1.0
        module._innermost.get().tick()
        assert module._innermost.get().words() == ("0 of 20000", "0:01 gone")


def test_what_is_a_part_of_something_else_does_not_begin_it(capsys):
    with progress("compare") as update:
        update(40, 100)
        starts_at(0, 50)
        assert module._innermost.get().words()[0] == "40 of 100"
    starts_at(3, 4)  # nothing is open
    assert capsys.readouterr().err == ""


def test_a_line_comes_without_a_count_too(clock, capsys):
    with progress("fit"):
        clock[0] = 6.0
        module._innermost.get().tick()
    assert capsys.readouterr().err.splitlines() == ["fit: 0:06 gone", "fit: done in 0:06"]


def test_a_sentence_is_one_line_as_it_is(capsys):
    sentence = "chose [0.5] :warning:, within 1 % of the best, and a long sentence is not broken into lines " * 2
    say(sentence)
    assert capsys.readouterr().err == sentence + "\n"


def test_a_terminal_of_80_columns_has_a_whole_bar_that_is_gone_at_the_end(screen, clock):
    with progress("train") as update:
        for second in range(1, 185):
            clock[0] = float(second)
            update(20 * second, 26_240, "loss 0.0123")
        module.console()._live_stack[0].refresh()
        shown = screen.getvalue()
    assert "train" in shown and "━" in shown
    assert "3680 of 26240 3:04 gone, about 18:48 left, loss 0.0123" in shown
    assert "…" not in shown
    after = screen.getvalue()[len(shown) :]
    assert "\x1b[2K" in after  # the line of the bar is wiped
    assert "train: done in 3:04" in after


def test_a_terminal_is_left_alone_by_what_is_over_at_once(screen, clock):
    with progress("score") as update:
        update(1, 1, "quick")
    assert "score" not in screen.getvalue()


def test_a_narrow_terminal_has_the_words_without_the_bar(screen, clock):
    module.console().width = 31
    with progress("train") as update:
        clock[0] = 3.0
        update(1, 10)
        module.console()._live_stack[0].refresh()
    assert "train: 1 of 10, 0:03 gone" in screen.getvalue() and "━" not in screen.getvalue()


def test_forced_colours_make_no_terminal_of_a_file(monkeypatch, clock, capsys):
    monkeypatch.setattr(module, "console", lambda: Console(stderr=True, force_terminal=True))
    with progress("train") as update:
        clock[0] = 6.0
        update(1, 2)
    err = capsys.readouterr().err
    assert "train: 1 of 2, 0:06 gone" in err and "\x1b" not in err


def test_a_notebook_without_widgets_gets_lines(monkeypatch, clock):
    shown = []
    display = types.ModuleType("IPython.display")
    display.display = lambda item: shown.append(item._repr_mimebundle_([], [])["text/plain"])
    monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    notebook = Console(force_jupyter=True)
    monkeypatch.setattr(module, "console", lambda: notebook)
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with progress("train") as update:
        clock[0] = 6.0
        update(1, 2)
    assert [text.strip() for text in shown] == ["train: 1 of 2, 0:06 gone", "train: done in 0:06"]


def test_while_something_within_goes_on_the_lines_are_about_it(clock, capsys):
    with progress("fit"):
        with training_progress(200) as report:
            for second in range(1, 8):
                clock[0] = float(second)
                report(20 * second, {"loss": 0.5})
                module._innermost.get().tick()
        clock[0] = 12.0
        module._innermost.get().tick()
    assert capsys.readouterr().err.splitlines() == [
        "train the network: 100 of 200, 0:05 gone, about 0:05 left, loss 0.5000",
        "train the network: done in 0:07",
        "fit: 0:12 gone",
        "fit: done in 0:12",
    ]


def test_what_is_hidden_within_leaves_the_lines_to_the_outer_one(clock, capsys):
    with progress("fit"), progress("look", enabled=False):
        clock[0] = 6.0
        module._innermost.get().tick()
    outer = capsys.readouterr().err
    assert outer.splitlines()[-1] == "fit: done in 0:06" and "look" not in outer


def test_what_is_within_something_silenced_is_silenced_and_recorded(clock, capsys):
    lines = []
    with recording(lines.append), progress("fit", enabled=False), progress("train"):
        clock[0] = 6.0
        say("chose 3 components")
    assert capsys.readouterr().err == ""
    assert lines[2:] == ["chose 3 components", "train: done in 0:06", "fit: done in 0:06"]


def test_a_training_in_parts_says_its_total_and_not_that_of_a_part(clock, capsys):
    with training_progress(60, begun=20) as report:
        starts_at(0, 40)  # the first part begins
        clock[0] = 6.0
        report(40, {"loss": 1.0})
    assert capsys.readouterr().err.splitlines() == [
        "train the network: goes on from step 20 of 60",
        "train the network: 40 of 60, 0:06 gone, loss 1.0000",
        "train the network: done in 0:06",
    ]


def test_one_within_another_has_a_line_of_its_own(screen, clock):
    with progress("fit") as outer:
        outer(1, 2)
        with progress("train") as update:
            clock[0] = 3.0
            update(1, 10)
            module.console()._live_stack[0].refresh()
    assert "1 of 2" in screen.getvalue() and "1 of 10" in screen.getvalue()
