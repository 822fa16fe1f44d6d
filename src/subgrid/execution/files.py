"""Files that appear whole or not at all, and never outside the store they belong to.

A file is written under another name in a folder of the same store, made durable and renamed. So a reader, or a second
writer of the same bits, sees the old file, no file, or the new one; a killed process leaves only a file nobody reads.
"""

import contextlib
import os
import uuid
from pathlib import Path

from subgrid.data.leftovers import owner, remove_leftovers


def check_name(name: str, *, source: str) -> str:
    """The name of a variable or coordinate, if it may become a folder of a store.

    Args:
        name: from a file or a configuration, not trusted.
        source: for the message.

    Returns:
        The name.

    Raises:
        ValueError: for names with a slash, backslash or control character, and for those that begin with a dot or two
            underscores, which Zarr reserves.
    """
    forbidden = any(c in "/\\" or ord(c) < 32 or ord(c) == 127 for c in name)
    if not name or forbidden or name.startswith((".", "__")):
        raise ValueError(
            f"{source}: the name {name!r} cannot be used in a store: it would lead out of its folder or is reserved; "
            "rename the variable."
        )
    return name


def inside(root: Path, relative: str) -> Path:
    """The path `relative` below `root`, with every folder on the way resolved.

    Raises:
        ValueError: if it would leave `root` by "..", an absolute name or a symbolic link.
    """
    home = root.resolve()
    folder, name = (home / relative).parent.resolve(), Path(relative).name
    if name in ("", ".", "..") or not folder.is_relative_to(home):
        raise ValueError(
            f"{root}: {relative!r} leads out of the store; remove the symbolic link or rename the variable."
        )
    return folder / name


def place(root: Path, relative: str, content: bytes, *, aside: str) -> None:
    """Writes one file below `root`, whole and durable, replacing what is there.

    Args:
        root: of the store.
        relative: path of the file.
        content: of the file.
        aside: the folder, below `root` too, where it is prepared.

    Raises:
        ValueError: as `inside`.
        OSError: as the file system says, with nothing left behind.
    """
    target = inside(root, relative)
    partial = inside(root, f"{aside}/{owner()}-{uuid.uuid4().hex}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.parent.mkdir(parents=True, exist_ok=True)
        with open(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, target)
        sync_folder(target.parent)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def remove_stale(root: Path, *, aside: str) -> None:
    """Removes what dead processes of this host left in the folder `aside`; what others prepare there is not touched."""
    remove_leftovers(inside(root, f"{aside}/x").parent)


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder durable, where the file system can."""
    with contextlib.suppress(OSError):  # some network file systems refuse to sync a folder
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Makes every file and name below a folder durable."""
    for found in folder.rglob("*"):
        if found.is_dir():
            sync_folder(found)
        else:
            with found.open("rb") as file:
                os.fsync(file.fileno())
