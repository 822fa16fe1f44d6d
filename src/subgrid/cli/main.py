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
`verify`. Every command takes `--set table.key=value`; exit codes are 0 (done), 1 (failed), 2 (wrong input).""",
)

Output = Annotated[Path, typer.Option("--output", "-o", help="Where to write; must not exist yet.")]
Settings = Annotated[Path | None, typer.Option("--config", "-c", help="TOML file; defaults where absent.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="Override a key: `--set training.n_steps=8000`. Repeatable.")
]
Variable = Annotated[str | None, typer.Option("--variable", help="Variable to read, if a file holds several.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing output.")]


@app.callback()
def main(debug: Debug = False) -> None:
    """Reads the global options (see `run` for what they do)."""


@app.command("demo")
def demo(
    output: Output = Path("demo"),
    quick: Annotated[bool, typer.Option("--quick", help="Tiny sizes, under a minute: to see that it works.")] = False,
    overrides: Overrides = None,
) -> None:
    """Runs the main job on Kuramoto–Sivashinsky, 24 → 192 points, in six minutes on two cores.

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
    """Runs the whole pipeline of a configuration file; the same call resumes a run that was stopped."""
    _run(load_config(config, overrides or []), output or Path("runs") / config.stem)


@app.command("simulate")
def simulate(output: Output, config: Settings = None, overrides: Overrides = None) -> None:
    """Writes a pair of unpaired archives, OUTPUT/fine.zarr and OUTPUT/coarse.zarr."""
    from subgrid.cli.experiment import open_experiment
    from subgrid.cli.stages import simulate as simulate_archives

    simulate_archives(open_experiment(load_config(config, overrides or []), output))
    typer.echo(f"wrote {output}/fine.zarr and {output}/coarse.zarr")


@app.command("train")
def train(
    fine: Annotated[Path, typer.Argument(help="Fine fields: NetCDF file or Zarr store.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Model folder; an unfinished one is resumed.")],
    variable: Variable = None,
    config: Settings = None,
    overrides: Overrides = None,
) -> None:
    """Trains the prior on fine fields alone. Ctrl-C saves; the same call resumes."""
    from subgrid.cli import commands

    commands.train(load_config(config, overrides or []), fine, output, variable)
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
    """Debiases coarse fields and samples an ensemble of fine fields for each, into one Zarr store."""
    from subgrid.cli import commands

    commands.downscale(load_config(config, overrides or []), coarse, model, output, reference, variable, overwrite)
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


def _run(config: Config, output: Path) -> None:
    from subgrid.cli import stages, table
    from subgrid.cli.experiment import open_experiment

    experiment = open_experiment(config, output)
    page = stages.run_all(experiment)
    table.show_file(experiment.path("metrics.json"))
    typer.echo(f"report: {page}")


def run() -> int:
    """The entry point: returns the exit code, after one clear sentence for what went wrong."""
    from subgrid.cli.errors import explain

    debug = "--debug" in sys.argv
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    try:
        return app(standalone_mode=False, args=[argument for argument in sys.argv[1:] if argument != "--debug"]) or 0
    except (Exception, KeyboardInterrupt) as error:
        if debug:
            raise
        return explain(error)
