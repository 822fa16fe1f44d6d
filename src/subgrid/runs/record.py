"""Records: beside what a stage made, from which values and files, when, by which version, and how long it took.

    RUN/records/STAGE.json

A record is written when a stage begins and again when it ends, so that one that was stopped is known from one
that is finished, and neither by the dates of files.
"""

import glob
import hashlib
import json
import os
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from subgrid.data.store import OutputExists, write_json

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
        id: new for every making.
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
    id: str = field(default_factory=lambda: secrets.token_hex(8))
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
            if self.values[key] != value:
                return f"with {key} = {self.values[key]!r}, not {value!r}"
        found = (_other_files(key, self.inputs.get(key, {}), now) for key, now in inputs.items())
        return next((each for each in found if each is not None), None)


def _other_files(key: str, before: Mapping[str, str], now: Mapping[str, str]) -> str | None:
    """How something was made, if from files of other contents than those that a key names now; paths do not count."""
    if not now or sorted(before.values()) == sorted(now.values()):
        return None  # what is not there any more cannot be compared, and need not
    for path, fingerprint in now.items():
        if before.get(path, fingerprint) != fingerprint:
            return f"from {path} as it was before, which has changed since"
        if fingerprint not in before.values():
            return f"from another file than {path} as {key}"
    return f"from {next(path for path in before if path not in now)} too, which {key} does not name now"


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
    """The fingerprint of every file or store that is there, by the key whose paths or patterns name it."""
    found: dict[str, dict[str, str]] = {}
    for key, patterns in inputs.items():
        paths = [path for each in patterns for path in sorted(glob.glob(each)) or [each]]
        found[key] = {path: fingerprint(Path(path)) for path in paths if Path(path).exists()}
    return found


def fingerprint(path: Path) -> str:
    """Of a file, its size and samples of its bytes; of a folder, names and sizes of its files, and its metadata."""
    digest = hashlib.blake2b(digest_size=16)
    if path.is_dir():
        for folder, _, names in sorted(os.walk(path)):
            for name in sorted(names):
                file = Path(folder) / name
                digest.update(f"{file.relative_to(path)} {file.stat().st_size}".encode())
                if name in ("zarr.json", ".zmetadata"):
                    digest.update(file.read_bytes())
        return digest.hexdigest()
    size = path.stat().st_size
    digest.update(str(size).encode())
    with path.open("rb") as file:
        for start in (0, max(size // 2 - SAMPLE // 2, 0), max(size - SAMPLE, 0)):
            file.seek(start)
            digest.update(file.read(SAMPLE))
    return digest.hexdigest()
