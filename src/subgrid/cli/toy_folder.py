"""The run folder of a small experiment: new, or continued with the same values."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from subgrid.cli.config import Table, read_tables, validate
from subgrid.cli.experiment import check_own_folder, keep_config
from subgrid.data.store import OutputExists

Config = TypeVar("Config", bound=Table)


def open_folder(
    model: type[Config], path: Path, overrides: Sequence[str], folder: Path, *, parts: str, may_change: Sequence[str]
) -> Config:
    """Reads and checks the configuration, and keeps it in the folder.

    **Arguments:** `model` of the configuration; `path`, `overrides`, what the user gave; `folder`, of the run; `parts`,
    a glob of what was made with these values; `may_change`, keys of which more or fewer leave those parts as they are.

    **Raises:** `ConfigError`; `OutputExists`, naming the key, if finished parts were made with another value.
    """
    config = validate(model, read_tables(path, overrides), origin=str(path))
    check_own_folder(folder, kind="run")
    stored = folder / "config.toml"
    if stored.exists() and any(folder.glob(parts)):
        old = validate(model, read_tables(stored), origin=str(stored)).model_dump()
        for table, values in config.model_dump().items():
            for key, value in values.items():
                if (table, key) != ("run", "name") and key not in may_change and old[table][key] != value:
                    raise OutputExists(
                        f"{folder}: its finished parts were made with {table}.{key} = {old[table][key]!r}, not "
                        f"{value!r}; choose another output folder, or remove {parts} to make them anew."
                    )
    keep_config(config, stored)
    return config
