"""`subgrid`: each command is argument parsing, one call and printing."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from subgrid.cli import models
from subgrid.experiments import DEFAULT, KINDS

if TYPE_CHECKING:
    from subgrid.runs.experiment import Experiment
    from subgrid.runs.run import Run

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="""Probabilistic downscaling from unpaired archives.

Learns a transport that removes the bias of coarse fields and a generative prior of fine fields, then samples fine
fields that agree with each debiased coarse field.

Start with `subgrid demo`. For your own files: `inspect`, `fit`, `downscale`, `verify`, each one call of the library.
An experiment with held-out data, scores and a report is `subgrid run CONFIG.toml`; `subgrid init KIND` writes a
configuration to start from, and `subgrid explain KEY` tells what a key is. Exit codes are 0 (done), 1 (failed), 2
(wrong input), 130 (interrupted).""",
)

RunFolder = Annotated[
    Path, typer.Option("--output", "-o", help="Folder to write into; one of the same configuration is continued.")
]
Settings = Annotated[Path | None, typer.Option("--config", "-c", help="TOML file; defaults where absent.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="Override a key: `--set training.n_steps=8000`. Repeatable.")
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


def _show_version(wanted: bool) -> bool:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"subgrid {version('subgrid')}")
        raise typer.Exit
    return wanted


@app.callback()
def main(
    debug: Debug = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and stop.")
    ] = False,
) -> None:
    """Reads the global options (see `run` for what they do)."""


def _run_help() -> str:
    """Of `subgrid run`, with the kinds of experiments that there are."""
    kinds = "\n\n".join(f"- \\[{table}]: {kind.about}" for table, kind in KINDS.items())
    return (
        "Runs the whole experiment of a configuration file; the same call resumes a run that was stopped.\n\n"
        f"The table in the file tells which kind of experiment it is:\n\n{kinds}"
    )


app.command("inspect")(models.inspect_files)
app.command("fit")(models.fit_model)
app.command("downscale")(models.downscale_fields)
app.command("verify")(models.verify_ensemble)
app.command("status")(models.status)


@app.command("demo")
def demo(
    output: RunFolder = Path("demo"),
    quick: Annotated[bool, typer.Option("--quick", help="Tiny sizes, under a minute: to see that it works.")] = False,
    overrides: Overrides = None,
) -> None:
    """Runs the main job on Kuramoto–Sivashinsky, 24 → 192 points, in four minutes on two cores.

    Simulates a fine and a coarse archive, debiases, trains, downscales, verifies and writes OUTPUT/report.html.
    """
    from subgrid.cli.presets import demo_tables

    _launch(KINDS[DEFAULT].load(), None, output, [*demo_tables(quick=quick), *(overrides or [])])


@app.command("run", help=_run_help())
def run_config(
    config: Annotated[Path, typer.Argument(help="TOML file of the experiment.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Run folder; default: runs/ and the file's name.")
    ] = None,
    overrides: Overrides = None,
    until: Annotated[str | None, typer.Option(help="The last stage that is wanted; `--dry-run` lists them.")] = None,
    dry: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Show the stages, what is finished, what each depends on, and what it will take."
        ),
    ] = False,
) -> None:
    """Help is written by `_run_help`."""
    experiment, folder = _experiment(config, overrides), output or Path("runs") / config.stem
    if dry:
        from subgrid.cli.plan import show_plan
        from subgrid.runs.estimates import published_beside
        from subgrid.runs.launch import dry_run

        planned = dry_run(experiment, config, folder, overrides or (), until=until)
        show_plan(*planned, published=published_beside(config))
    else:
        _launch(experiment, config, folder, overrides, until=until)


@app.command("folds")
def folds(
    config: Annotated[Path, typer.Argument(help="TOML file of an experiment that has folds.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder; default: the file's name and _folds.")
    ] = None,
    overrides: Overrides = None,
) -> None:
    """Runs a configuration on each fold of its data, learned on one part and scored on the other, in one table.

    How much of a score is an accident of what was trained on. Each fold is a whole run; the same call resumes.
    """
    from subgrid.runs.folds import run_folds

    folder = output or Path("runs") / f"{config.stem}_folds"
    run_folds(_experiment(config, overrides), config, folder, overrides or ()).show()
    typer.echo(f"wrote {folder / 'folds.md'}")


@app.command("debias")
def debias(
    config: Annotated[Path, typer.Argument(help="TOML file with debiasers in the table [comparison].")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Run folder; default: the file's name.")] = None,
    overrides: Overrides = None,
) -> None:
    """Fits the debiasers of [comparison] beside each other and scores them on held-out coarse fields.

    What to choose as `debias.method` before a prior is trained; the same call resumes, method by method.
    """
    _launch(_experiment(config, overrides), config, output or Path("runs") / config.stem, overrides, goal="debias")


@app.command("samplers")
def samplers(
    config: Annotated[Path, typer.Argument(help="TOML file with samplers in the table [comparison].")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Run folder; default: the file's name.")] = None,
    overrides: Overrides = None,
) -> None:
    """Scores the samplers of [comparison] beside each other: CRPS and spread/skill against evaluations.

    A prior and conditional models are trained alike; the same call resumes, score by score.
    """
    _launch(_experiment(config, overrides), config, output or Path("runs") / config.stem, overrides, goal="samplers")


@app.command("init")
def init(
    kind: Annotated[str, typer.Argument(help="The table that names a kind of experiment: " + ", ".join(KINDS))],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="TOML file; default: the kind's name.")] = None,
) -> None:
    """Writes a configuration to start from, every key of it explained."""
    from subgrid.data.store import write_text
    from subgrid.runs.config import ConfigError, suggestion
    from subgrid.runs.documentation import commented

    if kind not in KINDS:
        raise ConfigError(f"{kind}: there is no such kind of experiment{suggestion(kind, list(KINDS))}")
    path = output or Path(f"{kind}.toml")
    write_text(path, commented(KINDS[kind]), overwrite=False)
    typer.echo(f"wrote {path}; change what you need, then `subgrid run {path} --dry-run`")


@app.command("explain")
def explain(
    key: Annotated[str, typer.Argument(help="A key, such as `training.n_steps`, or a table.")],
) -> None:
    """Says what a key of a configuration is, what it may be, its default, and which stages depend on it."""
    from subgrid.runs.documentation import explain as explained

    typer.echo(explained(key, KINDS))


@app.command("simulate")
def simulate(output: RunFolder, config: Settings = None, overrides: Overrides = None) -> None:
    """Writes a pair of unpaired archives, OUTPUT/fine.zarr and OUTPUT/coarse.zarr; what is there already stays."""
    _launch(KINDS[DEFAULT].load(), config, output, overrides, goal="simulate")
    typer.echo(f"wrote {output}/fine.zarr and {output}/coarse.zarr")


@app.command("publish")
def publish(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    folder: Annotated[Path, typer.Argument(help="Folder to write into, for example docs/results/ks_8x.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what an earlier publish wrote.")] = False,
) -> None:
    """Writes the numbers and figures of a finished run as separate files, for documentation or a paper."""
    from subgrid.data.fields import DataError
    from subgrid.runs.publishing import first_run, publish as write

    finished = first_run(run)
    if not (finished / "config.toml").exists():
        raise DataError(f"{run}: holds no finished run (no config.toml); finish it with `subgrid run` first.")
    files = write(_experiment(finished / "config.toml", None), run, folder, overwrite=overwrite)
    typer.echo(f"wrote {len(files)} files into {folder}: {', '.join(files)}")


def _experiment(config: Path, overrides: list[str] | None) -> "Experiment":
    """The kind of a configuration file."""
    from subgrid.runs.experiment import kind_of

    return KINDS[kind_of(config, KINDS, overrides=overrides or (), default=DEFAULT)].load()


def _launch(
    experiment: "Experiment",
    config: Path | None,
    folder: Path,
    overrides: list[str] | None,
    *,
    goal: str = "run",
    until: str | None = None,
) -> None:
    """Makes what is asked for, and shows it."""
    from subgrid.runs.launch import launch

    run, left = launch(experiment, config, folder, overrides or (), goal=goal, until=until)
    if left is not None:
        typer.echo(left)
    elif until is not None:
        typer.echo(f"made {until} in {run.folder}")
    else:
        _show(experiment, run, goal)


def _show(experiment: "Experiment", run: "Run", goal: str) -> None:
    """The scores and where the page is; of a comparison its text."""
    from subgrid.runs.page import METRICS, PAGE
    from subgrid.runs.score_table import read_table

    if goal in experiment.recipe().goals:
        last = experiment.recipe().goals[goal][-1]
        stage = next(each for each in experiment.recipe().stages(run.config) if each.name == last)
        text = run.path(stage.parts[0])
        typer.echo(text.read_text(encoding="utf-8"))
        typer.echo(f"wrote {text}")
    elif goal == "run":
        if run.path(METRICS).exists():
            read_table(run.path(METRICS)).show()
        typer.echo(f"report: {run.path(PAGE)}" if run.path(PAGE).exists() else f"wrote {run.folder}")


def run() -> int:
    """The entry point: returns the exit code, after one clear sentence for what went wrong."""
    from subgrid.cli.errors import explain, plain_warnings
    from subgrid.training.interruption import INTERRUPTED, answered

    plain_warnings()
    debug = "--debug" in sys.argv
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        with answered("stopping when what is computed now is done", second="Ctrl-C again stops at once", leave=True):
            code = app(standalone_mode=False, args=arguments) or 0
        return explain(KeyboardInterrupt()) if code == INTERRUPTED else code  # typer turns the one into the other
    except (Exception, KeyboardInterrupt) as error:
        if debug:
            raise
        return explain(error)
