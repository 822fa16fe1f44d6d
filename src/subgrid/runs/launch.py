"""From a configuration file to a finished run folder, or to what a call would do."""

from collections.abc import Sequence
from pathlib import Path

from subgrid.runs.config import ConfigError, suggestion
from subgrid.runs.experiment import Experiment, keep_config, open_run
from subgrid.runs.run import Run
from subgrid.runs.run_log import run_log
from subgrid.runs.runner import Planned, make_stages, plan
from subgrid.runs.stage import Stage

LOG = "log.txt"


def launch(
    experiment: Experiment,
    path: str | Path | None,
    folder: str | Path,
    overrides: Sequence[str] = (),
    *,
    goal: str = "run",
    until: str | None = None,
    progress: bool = True,
) -> tuple[Run, str | None]:
    """Makes what a configuration asks for; the same call goes on where one was stopped.

    Args:
        experiment: the kind of the configuration.
        path: its TOML file; None for defaults and overrides alone.
        folder: of the run.
        overrides: "table.key=value".
        goal: "run", "simulate", or a comparison that this kind of experiment offers.
        until: name of the last stage that is wanted.
        progress: whether progress, and sentences about what was made, are shown; RUN/log.txt has them in any case.

    Returns:
        The run, and None or a sentence on what others have still to do.

    Raises:
        ConfigError: for a configuration that cannot be used; for a stage or a goal that there is not.
        OutputExists: if the folder is not that of such a run, or something in it was made from other values.
    """
    run = open_run(experiment, path, folder, overrides)
    stages, wanted = wanted_stages(experiment, run, goal=goal, until=until)
    with run_log(run.path(LOG)) as log:

        def start(run: Run) -> None:
            keep_config(run)
            log.begin()  # after the configuration, which tells that the folder is that of a run

        left = make_stages(run, stages, until=wanted, progress=progress, start=start)
        if left is None:
            keep_config(run)
        else:
            log.write(left)
    return run, left


def dry_run(
    experiment: Experiment,
    path: str | Path | None,
    folder: str | Path,
    overrides: Sequence[str] = (),
    *,
    until: str | None = None,
) -> tuple[Run, list[Planned]]:
    """What `launch` would do; nothing is written.

    Args:
        experiment: the kind of the configuration.
        path: its TOML file; None for defaults and overrides alone.
        folder: of the run; it need not exist.
        overrides: "table.key=value".
        until: name of the last stage that is wanted; all by default.

    Returns:
        The run, and its stages in order, each with what would be done.

    Raises:
        ConfigError: as `launch`.
        OutputExists: as `launch`.

    Examples:
        >>> run, planned = dry_run(EXPERIMENT, "iberia.toml", "runs/iberia")
        >>> [(each.stage.name, each.action) for each in planned]
    """
    run = open_run(experiment, path, folder, overrides)
    stages, wanted = wanted_stages(experiment, run, until=until)
    return run, plan(run, stages, until=wanted)


def wanted_stages(
    experiment: Experiment, run: Run, *, goal: str = "run", until: str | None = None
) -> tuple[list[Stage], list[str]]:
    """All stages of a run, and the names of those that are wanted: for "run" all that belong to no comparison.

    Raises:
        ConfigError: for a stage or a goal that there is not.
    """
    recipe = experiment.recipe()
    stages = list(recipe.stages(run.config))
    names = [stage.name for stage in stages]
    if until is not None:
        if until not in names:
            raise ConfigError(f"--until {until}: this run has no such stage{suggestion(until, names)}")
        return stages, [until]
    if goal == "run":
        on_request = {name for each in recipe.goals.values() for name in each}
        return stages, [name for name in names if name not in on_request]
    wanted = [name for name in names if name.startswith("simulate ")] if goal == "simulate" else recipe.goals.get(goal)
    if not wanted:
        raise ConfigError(f"with this configuration there is nothing to {goal}; `--dry-run` lists its stages.")
    return stages, list(wanted)
