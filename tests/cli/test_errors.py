"""Every kind of failure: its exit code and its one sentence."""

import errno
import subprocess
import sys

import pytest
import typer

from subgrid.cli.errors import explain
from subgrid.data.fields import DataError
from subgrid.data.store import OutputError, OutputExists
from subgrid.runs.config import ConfigError
from subgrid.training.fitting import TrainingDiverged, TrainingInterrupted


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ConfigError("a.toml: unknown key."), 2, "a.toml: unknown key."),
        (DataError("fine.nc: no such file or store."), 2, "no such file"),
        (OutputExists("out: exists already."), 2, "exists already"),
        (FileNotFoundError("gone"), 2, "gone"),
        (OutputError("out: cannot be written."), 1, "cannot be written"),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "no space left on the disk"),
        (TrainingDiverged("the loss became nan"), 1, "the loss became nan"),
        (KeyboardInterrupt(), 130, "interrupted; what is finished stays"),
        (typer.Abort(), 130, "interrupted"),
        (TrainingInterrupted(40, None), 130, "interrupted after 40 steps"),
        (RuntimeError("what?"), 1, "RuntimeError: what? (not a known failure; --debug shows the traceback)"),
        (ValueError(), 2, "ValueError"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_codes_and_sentences(error, code, said, capsys):
    assert explain(error) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("subgrid: ")
    assert captured.err.count("\n") == (2 if code == 130 else 1)
    assert said in captured.err


def test_what_was_interrupted_says_the_whole_command_that_goes_on(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/subgrid", "run", "my file.toml", "--set", "a.b=1"])
    explain(KeyboardInterrupt())
    assert capsys.readouterr().err.splitlines()[-1] == "subgrid: to go on: subgrid run 'my file.toml' --set a.b=1"


def test_own_warnings_are_one_sentence_and_others_as_usual():
    """In a process of its own, since the form of warnings belongs to the process."""
    code = (
        "import warnings; from subgrid.cli.errors import plain_warnings; plain_warnings()\n"
        "from subgrid.downscaling.prior.novelty import OutsideTraining\n"
        "warnings.warn('far away.', OutsideTraining); warnings.warn('old.', FutureWarning)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stderr
    assert "subgrid: warning: far away.\n" in said and "FutureWarning: old." in said
