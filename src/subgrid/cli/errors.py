"""What went wrong, in one sentence on standard error, and the exit code: 2 for wrong input, 1 for failure."""

import errno
import sys


def explain(error: BaseException) -> int:
    """Prints the error's message and returns the exit code."""
    import typer

    if isinstance(error, typer.Abort | KeyboardInterrupt):
        message = str(error) or "interrupted; the same command resumes."
        print(f"subgrid: {message}", file=sys.stderr)
        return 130
    if hasattr(error, "show") and hasattr(error, "exit_code"):  # a usage error of typer, which words it itself
        error.show()
        return error.exit_code
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        print("subgrid: no space left on the disk; the unfinished output was removed.", file=sys.stderr)
        return 1
    message = str(error).strip() or type(error).__name__
    known = _is_ours(error) or isinstance(error, ValueError | TypeError | ArithmeticError | OSError)
    prefix = "" if known else f"{type(error).__name__}: "
    print(f"subgrid: {prefix}{message}", file=sys.stderr)
    if not known:
        print("subgrid: this is not a known failure; --debug shows the traceback.", file=sys.stderr)
    return 2 if isinstance(error, ValueError | FileNotFoundError) or _is_usage(error) else 1


def _is_ours(error: BaseException) -> bool:
    return type(error).__module__.startswith("subgrid.")


def _is_usage(error: BaseException) -> bool:
    return type(error).__name__ == "OutputError" and "choose another output" in str(error)
