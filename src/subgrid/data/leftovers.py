"""Who makes something aside, in the name of what is made, and what dead processes left of it."""

import os
import shutil
import socket
from pathlib import Path


def owner() -> str:
    """This host and process, for the name of something that is made aside."""
    return f"{socket.gethostname()}-{os.getpid()}"


def remove_leftovers(folder: Path, prefix: str = "") -> None:
    """Removes what dead processes of this host left in a folder; what others make there is not touched.

    Args:
        folder: where things are made aside; it need not exist.
        prefix: with which their names begin, before the name of their owner and perhaps more.
    """
    ours = f"{prefix}{socket.gethostname()}-"
    for found in folder.iterdir() if folder.is_dir() else ():
        pid = found.name.removeprefix(ours).split("-")[0]
        if not found.name.startswith(ours) or not pid.isdigit() or _is_alive(int(pid)):
            continue
        if found.is_dir() and not found.is_symlink():
            shutil.rmtree(found, ignore_errors=True)
        else:
            found.unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
