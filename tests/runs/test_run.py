"""The class of a run: what it needs is asked for when it is made, not in the middle of a run."""

import pytest

from subgrid.runs.run import Run

from .letters import LettersConfig, LettersRun


def test_a_run_without_a_root_is_refused_when_its_class_is_made():
    with pytest.raises(TypeError, match=r'^Rootless has no root, the first name of its random streams; .*: root = "'):

        class Rootless(Run[LettersConfig]):
            streams = ("ink",)


def test_a_root_may_come_from_the_class_above():
    class Capitals(LettersRun):
        pass

    assert Capitals.stream_name("ink", "blue") == ("letters", "ink", "blue")
