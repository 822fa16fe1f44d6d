"""What is left, of what goes evenly, goes slower, was resumed, compiles first, or hangs."""

import pytest

from subgrid.training.pace import Pace, clock


def run(steps, *, total, started=0.0):
    """A pace after (seconds, done) counts."""
    pace = Pace(started)
    for now, done in steps:
        pace.move(now, done, total)
    return pace


def test_of_what_goes_evenly_the_rest_takes_as_long_as_it_should():
    pace = run([(0.5 * i, i) for i in range(1, 101)], total=1000)
    assert pace.gone(50.0) == 50.0 and pace.left(50.0) == pytest.approx(450.0)


def test_between_two_counts_it_counts_down_and_never_below_what_comes_after_the_next():
    pace = run([(10.0 * i, i) for i in range(1, 6)], total=10)
    assert pace.left(50.0) == pytest.approx(50.0) and pace.left(57.0) == pytest.approx(43.0)
    later = [pace.left(60.0 + wait) for wait in (0, 10, 40, 400)]
    assert later[0] == pytest.approx(40.0) and later == sorted(later)  # what hangs takes longer, not less


def test_compilation_and_what_was_done_before_do_not_count():
    pace = Pace(0.0)
    pace.begin_at(2880, 20_000)
    assert (pace.done, pace.total, pace.left(30.0)) == (2880, 20_000, None)
    for i in range(1, 20):  # the first steps are there after 40 s, then 20 in a second
        pace.move(40.0 + i, 2880 + 20 * i, 20_000)
    assert pace.left(59.0) == pytest.approx((20_000 - 3260) / 20)


def test_what_is_skipped_at_once_says_nothing_yet():
    assert run([(0.001 * i, i) for i in range(1, 500)], total=1000).left(0.5) is None
    assert run([(0.0, 0)], total=10).left(100.0) is None
    assert run([(1.0, 5), (9.0, 10)], total=10).left(9.0) is None  # all is done


def test_the_rate_is_that_of_the_last_minute():
    quick = [(0.1 * i, 10 * i) for i in range(1, 100)]  # 100 a second for 10 s, then one a second
    slow = [(10.0 + i, 1000 + i) for i in range(1, 200)]
    assert run([*quick, *slow], total=2000).left(209.0) == pytest.approx(801.0, rel=0.05)


def test_another_total_begins_anew():
    pace = run([(float(i), i) for i in range(1, 11)], total=10)
    pace.move(11.0, 1, 500)
    assert pace.left(11.0) is None and pace.gone(11.0) == 11.0
    pace.move(16.0, 11, 500)
    assert pace.left(16.0) == pytest.approx(0.5 * 489)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.9, "0:00"), (184, "3:04"), (3784, "1:03:04"), (47 * 3600, "47:00:00"), (180_000, "2 days 2 h")],
)
def test_times_in_words(seconds, text):
    assert clock(seconds) == text
