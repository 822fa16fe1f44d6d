"""`subgrid inspect`, `fit`, `downscale`, `verify`, `status`: the library's own functions, one call each.

A command has a parameter for each option that it shows, as typer reads them: they may be more than eight.
"""

from pathlib import Path
from typing import Annotated, Any

import typer

Variables = Annotated[
    list[str] | None,
    typer.Option(
        "--variable",
        help="What is asked for: `tas`, `tas=tg` (name in files), `x={bounds=[0, 1]}`; repeat for several.",
    ),
]
Given = Annotated[
    list[str] | None,
    typer.Option("--set", help="A setting by its name, as in Python: `--set n_steps=4000`. Repeatable."),
]
SettingsFile = Annotated[
    Path | None, typer.Option("--config", "-c", help="TOML file of settings by their names, without tables.")
]
Seed = Annotated[int, typer.Option(help="Of everything random.")]
CHOICES = {"step": ("day", "month"), "change": ("none", "preserve", "ask"), "format": ("zarr", "netcdf")}
"""Of options; None, where it is possible, is their default."""
OF_DOWNSCALE = {
    name: f"--{name}" for name in ("model", "change", "region", "time", "points", "nearest", "scheduler")
} | {"variables": "--variable", "n_members": "--members", "out": "--output", "key": "--seed"}
"""Arguments of `subgrid.downscale` that are options of their own."""


def inspect_files(
    files: Annotated[list[str], typer.Argument(help="Archives: NetCDF files, Zarr stores, folders or globs.")],
    variables: Variables = None,
    step: Annotated[
        str | None, typer.Option(help="`day` or `month`: whether two archives fit when both are averaged.")
    ] = None,
    values: Annotated[bool, typer.Option("--values", help="Read every value, not samples of large files.")] = False,
) -> None:
    """Says what Subgrid sees in climate files, whether two of them fit together, and what to change if not."""
    from subgrid.cli.inspect import print_inspection, wanted_of
    from subgrid.data.inspection.inspection import inspect

    inspection = inspect(*files, variables=wanted_of(variables), step=_chosen("step", step), values=values)
    print_inspection(inspection)
    if inspection.problems:
        raise typer.Exit(2)


def fit_model(
    fine: Annotated[str, typer.Argument(help="Fine archive: NetCDF file, Zarr store, folder, glob or URL.")],
    coarse: Annotated[str, typer.Argument(help="Coarse archive; the two share no dates.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Model folder; an unfinished one is resumed.")],
    variables: Variables = None,
    operator: Annotated[
        int | None,
        typer.Option(help="Of plain arrays: every n-th fine point is a coarse one; default: by coordinates."),
    ] = None,
    seed: Seed = 0,
    config: SettingsFile = None,
    given: Given = None,
) -> None:
    """Fits a model: units, climatology, debiasing and a prior of fine fields. Ctrl-C saves; the same call resumes.

    Settings are those of `subgrid.fit` in Python: `--set prior=network`, `--set debias=quantile-mapping`,
    `--set n_steps=4000`; the guide *Fitting* lists them.
    """
    from subgrid.cli.inspect import wanted_of
    from subgrid.cli.settings import read_settings
    from subgrid.downscaling.model.fit import fit
    from subgrid.downscaling.model.settings import FitSettings
    from subgrid.downscaling.prior.model import PriorSettings
    from subgrid.downscaling.prior.training import TrainingSettings
    from subgrid.downscaling.refined.refinement import RefinementSettings

    options = {"variables": "--variable", "folder": "--output", "operator": "--operator", "key": "--seed"}
    classes = FitSettings, RefinementSettings, PriorSettings, TrainingSettings
    settings = read_settings(config, given, options=options, classes=classes)
    model = fit(fine, coarse, wanted_of(variables), folder=output, operator=operator, key=seed, **settings)
    typer.echo(repr(model))


def downscale_fields(
    coarse: Annotated[str, typer.Argument(help="Coarse fields: NetCDF file, Zarr store, folder, glob or URL.")],
    model: Annotated[Path, typer.Option("--model", "-m", help="Folder of `fit`, or of a finished `run`.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write; must not exist yet.")],
    members: Annotated[int, typer.Option(help="Members for each of the coarse archive's own.")] = 16,
    change: Annotated[
        str, typer.Option(help="Climate of another period: `none`, `preserve` the coarse model's change, or `ask`.")
    ] = "ask",
    region: Annotated[str | None, typer.Option(help="`SOUTH,WEST,NORTH,EAST` in degrees, to write no more.")] = None,
    time: Annotated[str | None, typer.Option(help="`FIRST:LAST`, such as 2041:2050-06.")] = None,
    points: Annotated[Path | None, typer.Option(help="CSV file with lat, lon and name: stations, not fields.")] = None,
    nearest: Annotated[bool, typer.Option("--nearest", help="Stations get the nearest cell; else mixed.")] = False,
    form: Annotated[
        str | None, typer.Option("--format", help="`zarr` or `netcdf`; default: by the ending of the output.")
    ] = None,
    variables: Annotated[
        list[str] | None,
        typer.Option("--variable", help="Of these files: `tas=tg` (name in files), `tas={missing=-9999}`; repeatable."),
    ] = None,
    scheduler: Annotated[str, typer.Option(help="`serial`, `local:N`, `slice:i/n`, `dask://host:port`.")] = "serial",
    seed: Seed = 0,
    given: Given = None,
) -> None:
    """Debiases coarse fields by the model's own transport, and draws an ensemble of fine fields for each.

    A Zarr store is filled piece by piece: the same call goes on after a stop. Other settings are those of
    `subgrid.downscale` in Python: `--set n_levels=32`, `--set guidance=moment-matching`, `--set gaps=drop`.
    """
    import jax.random as jr

    from subgrid.cli.inspect import wanted_of
    from subgrid.cli.settings import read_settings
    from subgrid.data.store import output_kind
    from subgrid.downscaling.model.draws import SamplingSettings
    from subgrid.execution.ensembles import downscale
    from subgrid.execution.store import open_store

    settings = read_settings(None, given, options=OF_DOWNSCALE, classes=(SamplingSettings,))
    part = {
        "variables": wanted_of(variables),
        "time": time,
        "region": None if region is None else _region(region),
        "points": points,
    }
    settings |= {name: value for name, value in part.items() if value is not None} | {"nearest": nearest}
    out = _named(output, form)
    downscale(
        coarse, model, n_members=members, change=_chosen("change", change), out=out, scheduler=scheduler,
        key=jr.key(seed), **settings,
    )  # fmt: skip
    left = len(open_store(out).pending()) if output_kind(out) == "store" else 0
    typer.echo(f"{out}: {left} work items are left to other calls" if left else f"wrote {out}")


def verify_ensemble(
    ensemble: Annotated[str, typer.Argument(help="Ensemble of `downscale` or of a run.")],
    reference: Annotated[str, typer.Option("--reference", "-r", help="Fine fields to score against.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="JSON file of the scores; default: they are only shown.")
    ] = None,
    variables: Annotated[
        list[str] | None,
        typer.Option("--variable", help="`tas`; of the reference: `tas=tg` (its name), `tas={units='degC'}`."),
    ] = None,
    paired: Annotated[
        bool | None,
        typer.Option("--paired/--unpaired", help="Whether dates and numbers in common are pairs; default: as found."),
    ] = None,
    step: Annotated[str | None, typer.Option(help="`day` or `month`: averages both first, as `fit` does.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing output.")] = False,
) -> None:
    """Scores an ensemble against fine fields, its noise floor beside every score.

    Where dates agree, each field against its own truth (CRPS, spread/skill, ranks); distributions in any case.
    """
    from subgrid.cli.inspect import wanted_of
    from subgrid.data.sources.sources import expand, is_there
    from subgrid.data.store import check_free, write_json
    from subgrid.downscaling.verifying.verify import verify

    for given in (ensemble, reference):
        if not is_there(given):
            list(expand(given))  # says what is not there, before the output is looked at
    inputs = [Path(each) for each in (ensemble, reference) if Path(each).exists()]
    if output is not None:
        check_free(output, overwrite=overwrite, kind="file", inputs=inputs)
    found = verify(ensemble, reference, variables=wanted_of(variables), paired=paired, step=_chosen("step", step))
    typer.echo(repr(found))
    if output is not None:
        write_json(output, {**found.as_dict(), "ensemble": ensemble, "reference": reference})
        typer.echo(f"wrote {output}")


def status(
    store: Annotated[Path, typer.Argument(help="Ensemble store, for example RUN/ensemble.zarr.")],
    repair: Annotated[bool, typer.Option("--repair", help="Mark damaged items as not done.")] = False,
) -> None:
    """Shows what of an ensemble is done, and which of its files are missing or corrupt."""
    from subgrid.cli.status import show_status

    show_status(store, repair_damage=repair)


def _region(text: str) -> tuple[float, ...]:
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        found = ()
    if len(found) != 4:
        raise typer.BadParameter(f"write it as SOUTH,WEST,NORTH,EAST, not {text!r}.", param_hint="--region")
    return found


def _chosen(option: str, text: str | None) -> Any:
    """The text, if it is a choice of the option."""
    *first, last = CHOICES[option]
    if text not in (None, *first, last):
        message = f"it must be {', '.join(first)} or {last}, not {text!r}."
        raise typer.BadParameter(message, param_hint=f"--{option}")
    return text


def _named(output: Path, form: str | None) -> Path:
    """The output, with the ending of its format where it has none; an ending that contradicts it is refused."""
    from subgrid.data.store import output_kind

    if _chosen("format", form) is None:
        return output
    if not output.suffix:
        return output.with_name(f"{output.name}.{'nc' if form == 'netcdf' else 'zarr'}")
    if (output_kind(output) == "file") != (form == "netcdf"):
        raise typer.BadParameter(f"{output} does not end as {form} does.", param_hint="--format")
    return output
