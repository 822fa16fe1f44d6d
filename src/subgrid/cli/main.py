"""`subgrid`: each command is a thin face over a library function."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from subgrid.cli.config import Config, load_config

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="""Probabilistic downscaling from unpaired archives.

Learns a transport that removes the bias of coarse fields and a generative prior of fine fields, then samples fine
fields that agree with each debiased coarse field.

Start with `subgrid demo`. For your own files: `subgrid run CONFIG.toml`, or step by step `train`, `downscale`,
`verify`. Every command that computes from a configuration takes `--set table.key=value`; all keys are listed in
docs/guide/configuration.md. Exit codes are 0 (done), 1 (failed), 2 (wrong input), 130 (interrupted).""",
)

Output = Annotated[Path, typer.Option("--output", "-o", help="Where to write; must not exist yet.")]
RunFolder = Annotated[
    Path, typer.Option("--output", "-o", help="Folder to write into; one of the same configuration is continued.")
]
Settings = Annotated[Path | None, typer.Option("--config", "-c", help="TOML file; defaults where absent.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="Override a key: `--set training.n_steps=8000`. Repeatable.")
]
Variable = Annotated[str | None, typer.Option("--variable", help="Variable to read, if a file holds several.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing output.")]


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

    _run(load_config(None, [*demo_tables(quick=quick), *(overrides or [])]), output)


@app.command("run")
def run_config(
    config: Annotated[Path, typer.Argument(help="TOML file of the experiment.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Run folder; default: the file's name.")] = None,
    overrides: Overrides = None,
) -> None:
    """Runs the whole pipeline of a configuration file; the same call resumes a run that was stopped.

    A file with the table [climate] is a climate run: CF archives, units, calendars, masks and maps. One with [toy],
    [gaussian_bridge] or [gallery] is a small experiment in two to fifty dimensions; one with [sampler_errors] the table
    of what samplers cost in accuracy; one with [turbulence] is the moist-turbulence experiment.
    """
    from subgrid.cli.climate_config import is_climate
    from subgrid.cli.toy_config import toy_table
    from subgrid.cli.turbulence_config import is_turbulence

    folder = output or Path("runs") / config.stem
    if toy_table(config) is not None:
        _run_toy(config, overrides or [], folder)
    elif is_climate(config):
        _run_climate(config, overrides or [], folder)
    elif is_turbulence(config):
        _run_turbulence(config, overrides or [], folder)
    else:
        _run(load_config(config, overrides or []), folder)


@app.command("folds")
def folds(
    config: Annotated[Path, typer.Argument(help="TOML file with the table [climate].")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder; default: the file's name and _folds.")
    ] = None,
    overrides: Overrides = None,
) -> None:
    """Runs a climate configuration twice, learned on odd and on even years and scored on the others, in one table.

    How much of a score is an accident of the years: OUTPUT/odd and OUTPUT/even are whole runs; the same call resumes.
    """
    from subgrid.cli.climate_config import is_climate
    from subgrid.cli.climate_folds import run_folds, show_folds
    from subgrid.cli.config import ConfigError

    if not is_climate(config):
        raise ConfigError(f"{config}: has no table [climate]; folds are for climate runs.")
    table = run_folds(config, overrides or [], output or Path("runs") / f"{config.stem}_folds")
    show_folds(table)
    typer.echo(f"wrote {table}")


@app.command("debias")
def debias(
    config: Annotated[Path, typer.Argument(help="TOML file with the table [comparison].")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Run folder; default: the file's name.")] = None,
    overrides: Overrides = None,
) -> None:
    """Fits the debiasers of [comparison] beside each other and scores them on held-out coarse fields.

    What to choose as `debias.method` before a prior is trained; the same call resumes, method by method.
    """
    from subgrid.cli.climate_config import is_climate

    folder = output or Path("runs") / config.stem
    if is_climate(config):
        from subgrid.cli.climate_comparison import compare_debiasers
        from subgrid.cli.climate_stages import open_run

        path = compare_debiasers(open_run(config, overrides or [], folder))
    else:
        from subgrid.cli.debiaser_comparison import compare_debiasers
        from subgrid.cli.experiment import open_experiment

        path = compare_debiasers(open_experiment(load_config(config, overrides or []), folder))
    typer.echo(path.read_text(encoding="utf-8"))
    typer.echo(f"wrote {path}")


@app.command("samplers")
def samplers(
    config: Annotated[Path, typer.Argument(help="TOML file with samplers in the table [comparison].")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Run folder; default: the file's name.")] = None,
    overrides: Overrides = None,
) -> None:
    """Scores the samplers of [comparison] beside each other: CRPS and spread/skill against evaluations.

    A prior and conditional models are trained alike; the same call resumes, score by score.
    """
    from subgrid.cli.experiment import open_experiment
    from subgrid.cli.sampler_comparison import compare_samplers

    folder = output or Path("runs") / config.stem
    path = compare_samplers(open_experiment(load_config(config, overrides or []), folder))
    typer.echo(path.read_text(encoding="utf-8"))
    typer.echo(f"wrote {path}")


@app.command("inspect")
def inspect_files(
    files: Annotated[list[str], typer.Argument(help="Archives: NetCDF files, Zarr stores, folders or globs.")],
) -> None:
    """Says what Subgrid sees in climate files, whether two of them fit together, and what to change if not."""
    from subgrid.cli.inspect import print_inspection
    from subgrid.data.inspect import inspect

    inspection = inspect(*files)
    print_inspection(inspection)
    if inspection.problems:
        raise typer.Exit(2)


@app.command("status")
def status(
    store: Annotated[Path, typer.Argument(help="Ensemble store, for example RUN/ensemble.zarr.")],
    repair: Annotated[bool, typer.Option("--repair", help="Mark damaged items as not done.")] = False,
) -> None:
    """Shows what of an ensemble is done, and which of its files are missing or corrupt."""
    from subgrid.cli.status import show_status

    show_status(store, repair_damage=repair)


@app.command("simulate")
def simulate(output: RunFolder, config: Settings = None, overrides: Overrides = None) -> None:
    """Writes a pair of unpaired archives, OUTPUT/fine.zarr and OUTPUT/coarse.zarr; what is there already stays."""
    from subgrid.cli import commands

    commands.simulate(load_config(config, overrides or []), output)
    typer.echo(f"wrote {output}/fine.zarr and {output}/coarse.zarr")


@app.command("train")
def train(
    fine: Annotated[Path, typer.Argument(help="Fine fields: NetCDF file or Zarr store.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Model folder; an unfinished one is resumed.")],
    variable: Variable = None,
    config: Settings = None,
    overrides: Overrides = None,
    stream: Annotated[
        bool | None,
        typer.Option("--stream/--in-memory", help="Read batches from disk; default: if larger than memory / 4."),
    ] = None,
    join: Annotated[
        str | None,
        typer.Option(help="Train on several hosts: `auto` (SLURM, Open MPI, TPU pods) or `host:port,i/n`."),
    ] = None,
) -> None:
    """Trains the prior on fine fields alone. Ctrl-C saves; the same call resumes."""
    from subgrid.cli import commands

    commands.train(load_config(config, overrides or []), fine, output, variable, stream=stream, join=join)
    typer.echo(f"trained {output}")


@app.command("downscale")
def downscale(
    coarse: Annotated[Path, typer.Argument(help="Coarse fields to downscale: NetCDF file or Zarr store.")],
    model: Annotated[Path, typer.Option("--model", "-m", help="Model folder made by `train`.")],
    output: Output,
    reference: Annotated[
        Path | None,
        typer.Option(help="Fine archive to debias against; without it the coarse fields are taken as unbiased."),
    ] = None,
    variable: Variable = None,
    config: Settings = None,
    overrides: Overrides = None,
    overwrite: Overwrite = False,
) -> None:
    """Debiases coarse fields and samples an ensemble of fine fields for each, into one Zarr store.

    Without `--config`, the settings are those that the model was trained with.
    """
    from subgrid.cli import commands

    settings = commands.settings_of(model) if config is None else config
    commands.downscale(load_config(settings, overrides or []), coarse, model, output, reference, variable, overwrite)
    typer.echo(f"wrote {output}")


@app.command("verify")
def verify(
    ensemble: Annotated[Path, typer.Argument(help="Ensemble made by `downscale`.")],
    reference: Annotated[Path, typer.Option("--reference", "-r", help="Fine fields to score against.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="JSON file of the metrics.")] = Path("metrics.json"),
    variable: Variable = None,
    overwrite: Overwrite = False,
) -> None:
    """Scores an ensemble against fine reference fields, noise floor beside every metric."""
    from subgrid.cli import commands, table

    rows = commands.verify(ensemble, reference, output, variable, overwrite)
    table.show(rows)
    typer.echo(f"wrote {output}")


@app.command("publish")
def publish(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    folder: Annotated[Path, typer.Argument(help="Folder to write into, for example docs/results/ks_8x.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what an earlier publish wrote.")] = False,
) -> None:
    """Writes the numbers and figures of a finished run as separate files, for documentation or a paper."""
    from subgrid.cli import reporting

    files = reporting.publish(run, folder, overwrite=overwrite)
    typer.echo(f"wrote {len(files)} files into {folder}: {', '.join(files)}")


def _run(config: Config, output: Path) -> None:
    from subgrid.cli import stages, table
    from subgrid.cli.experiment import open_experiment

    experiment = open_experiment(config, output)
    page = stages.run_all(experiment)
    table.show_file(experiment.path("metrics.json"))
    typer.echo(f"report: {page}")


def _run_climate(config: Path, overrides: list[str], folder: Path) -> None:
    from subgrid.cli import climate_stages
    from subgrid.cli.table import show_climate_file

    run = climate_stages.open_run(config, overrides, folder)
    page = climate_stages.run_all(run)
    if isinstance(page, str):
        typer.echo(page)
        return
    show_climate_file(run.path("metrics.json"))
    typer.echo(f"report: {page}")


def _run_toy(config: Path, overrides: list[str], folder: Path) -> None:
    from subgrid.cli.toy_config import toy_table

    match toy_table(config):
        case "toy":
            from subgrid.cli.toy_stages import run_table
            from subgrid.cli.toy_table import show

            show(run_table(config, overrides, folder)["rows"])
        case "gaussian_bridge":
            from subgrid.cli import gaussian_stages

            gaussian_stages.show(gaussian_stages.run_bridges(config, overrides, folder)["rows"])
        case "sampler_errors":
            from subgrid.cli import sampler_error_table
            from subgrid.cli.sampler_errors import run_errors

            sampler_error_table.show(run_errors(config, overrides, folder))
        case "gallery":
            from subgrid.cli.gallery_stages import run_gallery

            typer.echo(f"page: {run_gallery(config, overrides, folder)}")
    typer.echo(f"wrote {folder}")


def _run_turbulence(config: Path, overrides: list[str], folder: Path) -> None:
    from subgrid.cli import turbulence_stages
    from subgrid.cli.table import show_turbulence_file

    page = turbulence_stages.run_all(turbulence_stages.open_run(config, overrides, folder))
    show_turbulence_file(folder / "metrics.json")
    typer.echo(f"report: {page}")


def run() -> int:
    """The entry point: returns the exit code, after one clear sentence for what went wrong."""
    from subgrid.cli.errors import explain, plain_warnings

    plain_warnings()
    debug = "--debug" in sys.argv
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    try:
        return app(standalone_mode=False, args=[argument for argument in sys.argv[1:] if argument != "--debug"]) or 0
    except (Exception, KeyboardInterrupt) as error:
        if debug:
            raise
        return explain(error)
