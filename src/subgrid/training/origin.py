"""What a fit was begun with, kept beside its checkpoints: with other settings, data or key, none goes on from them."""

import hashlib
import json
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

import jax.random as jr
import numpy as np

from subgrid.training.checkpoint import CheckpointMismatch
from subgrid.types import Key


def digest(*fields: Any) -> str:
    """A short name of the bits of arrays, shapes and types included.

    Args:
        fields: arrays, or what NumPy makes arrays of; their order matters.

    Returns:
        32 hexadecimal digits.

    Examples:
        >>> digest(x) == digest(x.copy())
        True
    """
    found = hashlib.blake2b(digest_size=16)
    for each in map(np.ascontiguousarray, fields):
        found.update(f"{each.shape} {each.dtype}".encode())
        found.update(each.data)
    return found.hexdigest()


def key_data(key: Key) -> list[int]:
    """A key as JSON keeps it.

    Args:
        key: random key.

    Returns:
        The numbers that it is made of.

    Examples:
        >>> key_data(jr.key(1))
        [0, 1]
    """
    return np.asarray(jr.key_data(key)).tolist()


def require_same_origin(
    path: Path, wanted: dict[str, Any], *, resuming: bool, may_differ: Collection[str] = (), write: bool = True
) -> None:
    """Passes where a fit begins, or goes on with what it was begun with; `path` then says so.

    Args:
        path: a JSON file beside the checkpoints.
        wanted: all that decides the bits of the fit, as JSON takes it.
        resuming: whether there is something to go on from.
        may_differ: names that may change on the way.
        write: whether this process is the one that writes.

    Raises:
        CheckpointMismatch: naming the first that differs, or where there is no readable file.

    Examples:
        >>> require_same_origin(folder / "fit.json", {"key": key_data(key), "fields": digest(x)}, resuming=True)
    """
    wanted = json.loads(json.dumps(wanted))  # tuples become lists, as in what is read back
    if resuming:
        stored = _read(path)
        for name in wanted:
            if name not in may_differ and stored.get(name) != wanted[name]:
                begun = _difference(name, stored.get(name), wanted[name])
                raise CheckpointMismatch(
                    f"{path.parent}: was begun with {begun}; remove it to begin anew, or choose another folder."
                )
    if write:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
        partial.write_text(json.dumps(wanted, indent=2) + "\n", encoding="utf-8")
        partial.replace(path)


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError) as error:
        raise CheckpointMismatch(
            f"{path.parent}: holds checkpoints, but no readable {path.name} to say what they were begun with; remove "
            "it to begin anew, or choose another folder."
        ) from error


def _difference(name: str, stored: Any, wanted: Any) -> str:
    """The innermost name that differs, with its two values."""
    if isinstance(stored, dict) and isinstance(wanted, dict):
        inner = next(each for each in {**wanted, **stored} if stored.get(each) != wanted.get(each))
        return _difference(f"{name}: {inner}", stored.get(inner), wanted.get(inner))
    return f"{name} = {stored!r}, not {wanted!r}"
