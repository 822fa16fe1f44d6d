"""A way to call the command line in-process."""

import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from subgrid.cli.main import run


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The one sentence on standard error, progress bars left out."""
        return "\n".join(line for line in self.err.splitlines() if line.startswith("subgrid: "))


Call = Callable[..., Outcome]


@pytest.fixture
def subgrid(capsys, monkeypatch) -> Call:
    def call(*arguments) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["subgrid", *map(str, arguments)])
        code = run()
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call
