"""What went wrong, in one sentence on standard error, and the exit code: 2 for wrong input, 1 for failure."""

import errno
import sys
import warnings
from typing import Any

from subgrid.runs.run_log import command
from subgrid.training.interruption import INTERRUPTED, TrainingInterrupted


def explain(error: BaseException) -> int:
    """Prints the error's message and returns the exit code."""
    import typer

    from subgrid.downscaling.settings import UnknownSetting

    worded: Any = error
    if hasattr(error, "show") and hasattr(error, "exit_code"):  # a usage error of typer, which words it itself
        worded.show()
        return worded.exit_code
    if isinstance(error, typer.Abort | KeyboardInterrupt | TrainingInterrupted):
        _say(str(error) or "interrupted; what is finished stays.")
        _say(f"to go on: {command()}")
        return INTERRUPTED
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        _say("no space left on the disk; the unfinished output was removed.")
        return 1
    if isinstance(error, ValueError | TypeError | ArithmeticError | OSError):
        _say(str(error).strip() or type(error).__name__)
        return 2 if isinstance(error, ValueError | FileNotFoundError | UnknownSetting) else 1
    _say(f"{type(error).__name__}: {str(error).strip()} (not a known failure; --debug shows the traceback)")
    return 1


def plain_warnings() -> None:
    """From here on, warnings of the library's own kinds are printed as one sentence, without a line of code."""
    warnings.formatwarning = _sentence


_USUAL = warnings.formatwarning


def _sentence(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    if category.__module__.startswith("subgrid."):
        return f"subgrid: warning: {message}\n"
    return _USUAL(message, category, filename, lineno, line)


def _say(message: str) -> None:
    print(f"subgrid: {message}", file=sys.stderr)
