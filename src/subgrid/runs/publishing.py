"""Publication of a finished run: its numbers and figures as separate files, small enough for a repository."""

import json
from pathlib import Path

from subgrid.data.fields import DataError
from subgrid.data.store import OutputExists, write_whole
from subgrid.runs.experiment import Experiment, load_config
from subgrid.runs.folds import fold_table
from subgrid.runs.launch import dry_run
from subgrid.runs.page import METRICS
from subgrid.runs.score_table import read_content, read_table

PUBLISHED = ("config.toml", METRICS, "table.md", "folds.md")
"""What a publication holds beside its figures."""
FIGURES = (".svg", ".png", ".gif")


def publish(experiment: Experiment, folder: Path, target: Path, *, overwrite: bool, **more: bytes) -> list[str]:
    """Writes the numbers and figures of a finished run.

    Args:
        experiment: the kind of the run.
        folder: of the run, or of the folds of one.
        target: folder of the publication.
        overwrite: whether an earlier publication there is replaced.
        **more: contents of other files by name.

    Returns:
        The names of the files: config.toml, metrics.json, table.md and those figures of the page that its experiment
            lets be published.

    Raises:
        DataError: if the run is not finished.
        OutputExists: if `target` is there and `overwrite` is false, or if it holds what is not of a publication.
    """
    names = folds_of(folder)
    for each in [folder / name for name in names] or [folder]:
        _require_finished(experiment, each)
    if names and (folds := experiment.recipe().folds) is not None:
        metrics = {name: read_content(folder / name / METRICS) for name in names}
        more["folds.md"] = fold_table(folds, metrics).as_markdown().encode()
    folder = first_run(folder)
    old = _replaceable(target, overwrite=overwrite)
    files = {**_files(experiment, folder), **more}
    for path in old:
        path.unlink()
    # The metrics last: a folder that has them is whole.
    for name, content in sorted(files.items(), key=lambda file: file[0] == METRICS):
        write_whole(target / name, lambda partial, content=content: _write(partial, content), overwrite=True)
    return sorted(files)


def _require_finished(experiment: Experiment, folder: Path) -> None:
    """Passes if the page shows what the configuration in the folder asks for."""
    try:
        planned = dry_run(experiment, folder / "config.toml", folder)[1]
    except OutputExists as error:
        raise DataError(f"{error} What is there is not published.") from error
    missing = [each.stage.name for each in planned if each.action != "keep"]
    if missing:
        raise DataError(
            f"{folder}: holds no finished run of its configuration (to make: {', '.join(missing)}); finish it with "
            "`subgrid run` first."
        )


def _files(experiment: Experiment, folder: Path) -> dict[str, bytes]:
    config, recipe = load_config(experiment, folder / "config.toml"), experiment.recipe()
    public = experiment.public(config)
    files = {"config.toml": public.as_toml().encode()}
    if recipe.page is not None:
        page = recipe.page(recipe.run(config, folder))
        plates = [plate for section in page.sections for plate in section.plates if page.public(plate)]
        files |= {plate.file: plate.content for plate in plates}
    metrics = folder / METRICS
    if metrics.exists():
        content = json.loads(metrics.read_text(encoding="utf-8"), parse_constant=str)  # of earlier versions
        content |= {"name": public.run.name, "config": public.model_dump(mode="json")}
        files["table.md"] = read_table(metrics).as_markdown().encode()
        files[METRICS] = (json.dumps(content, indent=2, allow_nan=False) + "\n").encode()
    return files


def _replaceable(folder: Path, *, overwrite: bool) -> list[Path]:
    """The files of an earlier publication, which a new one takes the place of."""
    if not folder.exists():
        return []
    if not folder.is_dir():
        raise OutputExists(f"{folder}: is a file; choose another output folder.")
    old = sorted(folder.iterdir())
    for path in old:
        if path.is_dir() or not (path.name in PUBLISHED or path.suffix in FIGURES):
            raise OutputExists(f"{folder}: holds {path.name}, which is not of a publication; choose another folder.")
    if old and not overwrite:
        raise OutputExists(f"{folder}: exists already; choose another output or pass --overwrite.")
    return old


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def first_run(folder: Path) -> Path:
    """The folder of a run itself; of folds, that of the first, which is published with the table of all.

    Args:
        folder: of a run, or of folds.

    Returns:
        The folder of a run.
    """
    names = folds_of(folder)
    return folder / names[0] if names else folder


def folds_of(folder: Path) -> list[str]:
    """The names of the folds that a folder holds; none of the folder of a run."""
    folds = folder / "folds.json"
    return json.loads(folds.read_text(encoding="utf-8"))["folds"] if folds.exists() else []
