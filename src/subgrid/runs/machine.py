"""What a run runs on and by which code, without naming the machine."""

import platform
import subprocess
import sys
from functools import cache
from pathlib import Path


def machine_summary() -> dict[str, str | int]:
    """Processor, cores, devices, versions."""
    import os

    import jax

    return {
        "processor": platform.machine(),
        "cores": os.cpu_count() or 0,
        "devices": ", ".join(sorted({d.device_kind for d in jax.devices()})),
        "python": platform.python_version(),
        "jax": jax.__version__,
    }


@cache
def commit() -> str:
    """Of the repository that the package is run from, "+" after it if files differ; empty outside a repository."""
    here = Path(__file__).parent

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=here, capture_output=True, text=True, check=True).stdout.strip()

    try:
        # A package in site-packages inside somebody else's repository is not of that repository.
        if not git("ls-files", Path(__file__).name):
            return ""
        return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain", "--", ".") else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def peak_memory() -> int:
    """Largest resident memory of this process until now, bytes; 0 where the system does not tell."""
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
