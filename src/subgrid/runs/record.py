"""Records: beside what a stage made, from which values and files, when, by which version, and how long it took.

    RUN/records/STAGE.json

A record is written when a stage begins and again when it ends, so that one that was stopped is known from one
that is finished, and neither by the dates of files.
"""

import glob
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from fnmatch import fnmatch
from functools import lru_cache
from pathlib import Path
from typing import Any

from subgrid.data.store import ZARR_MARKS, OutputExists, write_json
from subgrid.runs.config import absolute

FOLDER = "records"
SAMPLE = 2**16
"""Bytes at the start, in the middle and at the end of an input that its fingerprint is taken from: reading all of an
archive would take minutes. *Convenient.*"""


@dataclass(frozen=True)
class Record:
    """What a stage was made from, and how.

    Args:
        stage: its name.
        values: of the configuration, its own and those it inherits, by "table.key".
        inputs: fingerprints of the files outside the run folder by path, by the key of the configuration that names
            them.
        id: of what was made: the same for what is made from the same by the same version, see `identity`.
        needs: ids of the stages that were needed, by name.
        finished: whether the stage ended.
        seconds: spent on it, in all calls.
        peak_memory: largest resident memory of the process until then, bytes.
        version: of the package; `commit`, of its repository, "+" if there were changes.
        work: as the stage says.
    """

    stage: str
    values: Mapping[str, Any]
    inputs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    id: str = ""
    needs: Mapping[str, str] = field(default_factory=dict)
    finished: bool = False
    seconds: float = 0.0
    peak_memory: int = 0
    version: str = ""
    commit: str = ""
    work: float | int = 1.0

    def difference(self, values: Mapping[str, Any], inputs: Mapping[str, Mapping[str, str]]) -> str | None:
        """How it was made, if that was with another value or from another input; the first that differs."""
        for key, value in values.items():
            if key not in self.values:
                return f"by a version that had no {key}"
            if _tidy(self.values[key]) != _tidy(value):
                return _difference(key, self.values[key], value)
        keys = dict.fromkeys([*inputs, *self.inputs])
        found = (_other_files(key, self.inputs.get(key, {}), inputs.get(key, {}), key in inputs) for key in keys)
        return next((each for each in found if each is not None), None)

    def has_values_of(self, other: "Record") -> bool:
        """Whether the values are those of another record, whatever way its paths are written."""
        return {key: _tidy(value) for key, value in self.values.items()} == {
            key: _tidy(value) for key, value in other.values.items()
        }


def _difference(key: str, before: Any, now: Any) -> str:
    """In words; None, which TOML does not have, is a key that is not set."""
    if before is None:
        return f"without {key}, not with {now!r}"
    return f"with {key} = {before!r}, not {'without' if now is None else repr(now)}"


def _tidy(value: Any) -> Any:
    """A value with its paths without "..", as earlier versions wrote them: they name what they named."""
    if isinstance(value, list | tuple):
        return [_tidy(each) for each in value]
    if not isinstance(value, str) or "://" in value or ".." not in Path(value).parts:
        return value
    return absolute(value, Path())


def _other_files(key: str, before: Mapping[str, str], now: Mapping[str, str], named: bool) -> str | None:
    """How something was made, if from files of other contents than those that a key names now; paths do not count."""
    before, now = ({_tidy(path): content for path, content in files.items()} for files in (before, now))
    if sorted(before.values()) == sorted(now.values()):
        return None
    if named and not any(now.values()):  # what is not there any more cannot be compared, and need not
        same = all(any(fnmatch(path, pattern) for path in before) for pattern in now)
        return None if same else f"from another file than {next(iter(now))} as {key}, and none is there"
    for path, fingerprint in now.items():
        if before.get(path, fingerprint) != fingerprint:
            return f"from {path} as it was before, which has changed since"
        if fingerprint not in before.values():
            return f"from another file than {path} as {key}"
    return f"from {next(path for path in before if path not in now)} too, which {key} does not name now"


def identity(record: Record, decisive: Iterable[str]) -> str:
    """What tells one making from another: the values that count, contents of inputs, needs, version and commit."""
    contents = {key: sorted(files.values()) for key, files in record.inputs.items()}
    values = {key: record.values[key] for key in sorted(decisive)}
    made_by = record.version, record.commit
    text = json.dumps([record.stage, values, contents, dict(record.needs), made_by], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def record_path(folder: Path, stage: str) -> Path:
    """Where the record of a stage is."""
    return folder / FOLDER / f"{stage.replace(' ', '_').replace('/', '.')}.json"


def read_record(folder: Path, stage: str) -> Record | None:
    """The record of a stage, or None where it has none.

    Raises:
        OutputExists: if there is one that cannot be read.
    """
    path = record_path(folder, stage)
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Record(**{each.name: content[each.name] for each in fields(Record)})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OutputExists(
            f"{path}: the record of {stage!r} cannot be read ({type(error).__name__}: {error}); remove it and what the "
            "stage made, to make it anew."
        ) from error


def write_record(folder: Path, record: Record) -> None:
    """Writes the record, whole or not at all."""
    path = record_path(folder, record.stage)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, asdict(record))


def records_of(folder: Path) -> dict[str, Record]:
    """All records of a run folder that can be read, by stage, in the order of their making."""
    found: list[tuple[float, Record]] = []
    for path in (folder / FOLDER).glob("*.json"):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            found.append((path.stat().st_mtime, Record(**{each.name: content[each.name] for each in fields(Record)})))
        except (OSError, ValueError, KeyError, TypeError):  # complained of where the stage is made
            continue
    return {record.stage: record for _, record in sorted(found, key=lambda pair: pair[0])}


def seconds_of(folder: Path) -> dict[str, float]:
    """Seconds by finished stage."""
    return {name: record.seconds for name, record in records_of(folder).items() if record.finished}


def spent(record: Record, seconds: float, *, finished: bool, peak_memory: int) -> Record:
    """The record after so many more seconds."""
    total = round(record.seconds + seconds, 1)
    return replace(record, seconds=total, finished=finished, peak_memory=max(peak_memory, record.peak_memory))


def fingerprints(inputs: Mapping[str, Iterable[str]]) -> dict[str, dict[str, str]]:
    """The fingerprint of every file or store, by the key whose paths or patterns name it; "" of what is not there."""
    found: dict[str, dict[str, str]] = {}
    for key, patterns in inputs.items():
        paths = [path for each in patterns for path in sorted(glob.glob(each)) or [each]]
        found[key] = {path: fingerprint(Path(path)) if Path(path).exists() else "" for path in paths}
    return found


def fingerprint(path: Path) -> str:
    """Of a file, its size and samples of its bytes; of a Zarr store, names and sizes of its files, and its metadata; of
    another folder, that of all its files."""
    if not path.is_dir():
        return _of_file(str(path), path.stat().st_size, path.stat().st_mtime_ns)
    digest, store = hashlib.blake2b(digest_size=16), any((path / mark).exists() for mark in ZARR_MARKS)
    for folder, _, names in sorted(os.walk(path)):
        for name in sorted(names):
            file = Path(folder) / name
            digest.update(f"{file.relative_to(path)} {file.stat().st_size}".encode())
            if not store or name in ZARR_MARKS:
                digest.update(_of_file(str(file), file.stat().st_size, file.stat().st_mtime_ns).encode())
    return digest.hexdigest()


@lru_cache(maxsize=4096)
def _of_file(path: str, size: int, changed: int) -> str:
    """Once in a process, unless the file has changed since."""
    digest = hashlib.blake2b(f"{size}".encode(), digest_size=16)
    with Path(path).open("rb") as file:
        for start in (0, max(size // 2 - SAMPLE // 2, 0), max(size - SAMPLE, 0)):
            file.seek(start)
            digest.update(file.read(SAMPLE))
    return digest.hexdigest()
