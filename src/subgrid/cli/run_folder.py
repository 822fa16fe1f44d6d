"""The folder of a run: new, or continued with the values that its finished parts were made with."""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias, TypeVar

from subgrid.cli.config import ConfigError, Table, load_as
from subgrid.data.store import OutputExists, write_text

Config = TypeVar("Config", bound=Table)
Reads: TypeAlias = Mapping[str, tuple[str, ...]]
"""The tables, or keys of a table, that a part of a run folder is made from; () is the whole table."""


def all_but(table: type[Table], *names: str) -> tuple[str, ...]:
    """The keys of a table without some of them.

    reads = {"debias": all_but(Debias, "method")}
    """
    return tuple(key for key in table.model_fields if key not in names)


def check_own_folder(folder: Path, *, kind: str) -> None:
    """Refuses a path that is neither free nor a folder that an earlier call made, which has a `config.toml`.

    **Raises:** `OutputExists`.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputExists(f"{folder}: is a file; choose another output folder.")
    if folder.exists() and not (folder / "config.toml").exists() and any(map(_is_whole, folder.iterdir())):
        raise OutputExists(f"{folder}: exists and is not a {kind} folder; choose another output folder.")


def keep_config(config: Table, path: Path) -> None:
    """Writes the resolved configuration, unless it is there: its date tells what is older than the configuration."""
    if not path.exists() or path.read_text(encoding="utf-8") != config.as_toml():
        write_text(path, config.as_toml())


def kept_config(load: Callable[[Path], Config], folder: Path) -> Config | None:
    """The configuration that a folder was made with, if there is one.

    **Raises:** `OutputExists` if it is none of this kind.
    """
    stored = folder / "config.toml"
    if not stored.exists():
        return None
    try:
        return load(stored)
    except ConfigError as error:
        raise OutputExists(
            f"{folder}: holds the run of another experiment, or one of another version ({str(error).splitlines()[0]}); "
            "choose another output folder."
        ) from error


def require_same_values(
    folder: Path, stored: Table, wanted: Table, made_from: Mapping[str, Reads], *, later: Collection = ()
) -> None:
    """Passes if every finished part was made with the values that are wanted now.

    **Arguments:** `folder`, of the run; `stored`, its configuration; `wanted`; `made_from`, by the path of each part in
    the folder, or a glob of parts; `later`, (table, key) of what came after the folder was made: it was not made with
    their defaults.

    **Raises:** `OutputExists`, naming the part and the first key.
    """
    old, new = stored.model_dump(), wanted.model_dump()
    for part, reads in made_from.items():
        if not any(folder.glob(part)):
            continue
        for table, keys in reads.items():
            for key in keys or old[table]:
                if (table, key) in later:
                    made = "by an earlier version"
                elif old[table][key] != new[table][key]:
                    made = f"with {table}.{key} = {old[table][key]!r}, not {new[table][key]!r}"
                else:
                    continue
                raise OutputExists(
                    f"{folder}: {part} was made {made}; remove {part} to make it anew, or choose another output folder."
                )


def open_folder(
    model: type[Config], path: Path, overrides: Sequence[str], folder: Path, *, parts: str, may_change: Sequence[str]
) -> Config:
    """Reads and checks the configuration of a small experiment, and keeps it in the folder.

    **Arguments:** `model` of the configuration; `path`, `overrides`, what the user gave; `folder`, of the run; `parts`,
    a glob of what was made with these values; `may_change`, keys of which more or fewer leave those parts as they are.

    **Raises:** `ConfigError`; `OutputExists`, naming the key, if finished parts were made with another value.
    """
    config = load_as(model, path, overrides)
    check_own_folder(folder, kind="run")
    if (stored := kept_config(lambda file: load_as(model, file), folder)) is not None:
        free = {"name", *may_change}
        fixed = {table: tuple(key for key in keys if key not in free) for table, keys in config.model_dump().items()}
        reads = {table: keys for table, keys in fixed.items() if keys}
        require_same_values(folder, stored, config, {parts: reads})
    keep_config(config, folder / "config.toml")
    return config


def _is_whole(path: Path) -> bool:
    """Not what a killed write leaves behind (see `write_whole`)."""
    return not (path.name.startswith(".") and ".partial-" in path.name)
