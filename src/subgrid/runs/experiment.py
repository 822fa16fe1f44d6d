"""A kind of experiment: what names it in a file, its configuration, and what makes and shows it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic

from subgrid.data.store import OutputExists, write_text
from subgrid.runs.config import ConfigError, origin_of, read_tables, suggestion, validate
from subgrid.runs.kinds import Kind
from subgrid.runs.page import Page
from subgrid.runs.run import Config, Run
from subgrid.runs.stage import Stage


@dataclass(frozen=True)
class Experiment(Generic[Config]):
    """What the configuration says, checked; cheap to import.

    Args:
        table: the table that names this kind in a file.
        config: the model of the configuration.
        check: complains of values that do not go together, with `ConfigError`; called as check(config).
        resolve: the configuration with paths made absolute from the folder of its file.
        public: the configuration without what is of this machine, for publication.
        recipe: loads what makes and shows it, when it is needed.
        example: tables and keys that `subgrid init` writes with values, as a user would fill them in.
    """

    table: str
    config: type[Config]
    recipe: Callable[[], "Recipe"]
    check: Callable[[Config], None] = lambda config: None
    resolve: Callable[[Config, Path], Config] = lambda config, base: config
    public: Callable[[Config], Config] = lambda config: config
    example: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Folds:
    """Runs that differ in one key, to show how much of a score is an accident of what was trained on.

    Args:
        key: "table.key" of the configuration.
        values: of the key, by the name of each fold.
        columns: of the score table, that are shown side by side.
    """

    key: str
    values: Mapping[str, str]
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Recipe:
    """What makes and shows an experiment.

    Args:
        run: the class of its runs.
        stages: of a configuration, as stages(config).
        page: what is shown and published of a finished run, as page(run).
        goals: comparisons that a run does not make by itself: names of stages by what a command asks for, "debias" or
            "samplers". The first part of a goal's last stage is the text that is shown.
        folds: for `subgrid folds`; None where there are none.
    """

    run: type[Run]
    stages: Callable[[Any], Sequence[Stage]]
    page: Callable[[Any], Page] | None = None
    goals: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    folds: Folds | None = None


def load_config(experiment: Experiment[Config], path: str | Path | None, overrides: Sequence[str] = ()) -> Config:
    """Reads and checks a configuration of this kind; every key that is left out has its default.

    Args:
        experiment: of the kind.
        path: a TOML file; None for overrides alone.
        overrides: "table.key=value".

    Returns:
        The configuration.

    Raises:
        ConfigError: one sentence a fault, each with the file, the key, the value and the nearest valid one.

    Examples:
        >>> config = load_config(EXPERIMENT, "iberia.toml", ["run.seed=1"])
    """
    origin = origin_of(path, overrides)
    config = validate(experiment.config, read_tables(path, overrides), origin=origin)
    try:
        experiment.check(config)
    except ConfigError as error:
        raise ConfigError(f"{origin}: {error}") from error
    return config


def kind_of(path: str | Path, kinds: Mapping[str, Kind], *, overrides: Sequence[str] = (), default: str) -> str:
    """Which kind of experiment a file is of: the table that names it.

    Args:
        path: a TOML file.
        kinds: by the table that names each.
        overrides: that may bring a table too.
        default: the kind of a file whose tables are all of that kind, although it lacks the table that names it.

    Returns:
        A key of `kinds`.

    Raises:
        ConfigError: for a file without any known table, or with two that name kinds.
    """
    tables, origin = read_tables(path, overrides), origin_of(path, overrides)
    named = [table for table in kinds if table in tables]
    if len(named) > 1:
        both = " and ".join(f"[{table}]" for table in named)
        raise ConfigError(f"{origin}: has the tables {both}, each of another kind of experiment; keep one of them.")
    if named:
        return named[0]
    known = kinds[default].load().config.model_fields
    if tables and set(tables) <= set(known):
        return default
    unknown = next((table for table in tables if table not in known), None)
    near = "" if unknown is None else suggestion(unknown, [*kinds, *known])
    all_kinds = ", ".join(f"[{table}]" for table in kinds)
    found = f"has no table that names a kind of experiment ({all_kinds})" if tables else "is empty"
    raise ConfigError(f"{origin}: {found}{near}; `subgrid init KIND` writes a file to start from.")


def open_run(experiment: Experiment, path: str | Path | None, folder: str | Path, overrides: Sequence[str] = ()) -> Run:
    """A new run, or the continuation of the one in the folder, with its configuration kept there.

    Raises:
        ConfigError: as `load_config`.
        OutputExists: if the folder is not that of a run, or of one of another kind.
    """
    config = load_config(experiment, path, overrides)
    config = experiment.resolve(config, Path.cwd() if path is None else Path(path).resolve().parent)
    folder = Path(folder)
    check_own_folder(folder, experiment)
    return experiment.recipe().run(config, folder)


def keep_config(run: Run) -> None:
    """Writes RUN/config.toml, the resolved configuration."""
    path, text = run.path("config.toml"), run.config.as_toml()
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)


def check_own_folder(folder: Path, experiment: Experiment | None = None) -> None:
    """Passes a path that is free, or a folder that an earlier call made, which has a `config.toml`.

    Args:
        folder: of a run or a model.
        experiment: the kind that it must be of, if it is a run's; of a model's, none.

    Raises:
        OutputExists: for anything else.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputExists(f"{folder}: is a file; choose another output folder.")
    kept = folder / "config.toml"
    if folder.exists() and not kept.exists() and any(map(_is_whole, folder.iterdir())):
        kind = "model" if experiment is None else "run"
        raise OutputExists(f"{folder}: exists and is not a {kind} folder; choose another output folder.")
    if kept.exists() and experiment is not None:
        try:
            tables = set(read_tables(kept))
        except ConfigError as error:
            raise OutputExists(f"{error} It is what tells a run folder; choose another output folder.") from error
        if experiment.table not in tables:
            raise OutputExists(
                f"{folder}: holds the run of another kind of experiment, without the table [{experiment.table}]; "
                "choose another output folder."
            )


def _is_whole(path: Path) -> bool:
    """Not what a killed write leaves behind (see `write_whole`)."""
    return not (path.name.startswith(".") and ".partial-" in path.name)
