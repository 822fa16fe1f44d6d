"""What is published of a climate run: its numbers and those figures that its data may be shown in."""

import json
from pathlib import Path

from subgrid.cli import table
from subgrid.cli.climate_choices import prior_choice
from subgrid.cli.climate_config import load_climate_config, names_only
from subgrid.cli.climate_metrics import COLUMNS
from subgrid.cli.climate_scoring import Scores, evidence_of
from subgrid.cli.climate_stages import ClimateRun

SHOWN = ("wasserstein", "quantiles", "correlation", "power", "variogram", "ranks", "spread", "change")
"""Figures that may be published, by what follows the variable in their name: scores, curves over all cells, and the
change, which is of the model and of the output. The others show fields of the reference (maps of its statistics, its
days), and archives such as E-OBS allow research and education alone, so they stay on the page of the run. What is not
in this list is not published."""


def climate_files(folder: Path) -> dict[str, bytes]:
    """The files of a publication by name: configuration and metrics without the folders of this machine, the table as
    Markdown, and the figures of `SHOWN`.

    **Raises:** `DataError` if the archives of the run cannot be read any more: figures are drawn from them.
    """
    config = load_climate_config(folder / "config.toml")
    public = config.model_copy(update={"climate": names_only(config.climate)})
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    metrics["config"] = public.model_dump(mode="json")
    files = _figures(ClimateRun(config, folder))
    files["config.toml"] = public.as_toml().encode()
    files["table.md"] = table.as_markdown(metrics["table"], COLUMNS).encode()
    return files | {"metrics.json": (json.dumps(metrics, indent=2) + "\n").encode()}


def _figures(run: ClimateRun) -> dict[str, bytes]:
    from subgrid.report.choice_figures import choice_plates
    from subgrid.report.climate_gallery import climate_sections

    scores, files = Scores(run), {}
    chosen = choice_plates(run.fitted.choice, prior_choice(run))
    files |= {plate.file: plate.content for section in chosen for plate in section.plates}
    for channel, name in enumerate(run.config.climate.variables):
        for section in climate_sections(evidence_of(scores, channel)):
            shown = [plate for plate in section.plates if plate.name.removeprefix(f"{name}-") in SHOWN]
            files |= {plate.file: plate.content for plate in shown}
    return files
