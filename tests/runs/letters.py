"""A tiny experiment outside of the package: stages that write text files, and one that is scored."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from subgrid.report.plates import Plate, Section
from subgrid.runs.config import ConfigError, Configuration, Positive, Table
from subgrid.runs.experiment import Experiment, Folds, Recipe, load_config, open_run
from subgrid.runs.kinds import Kind
from subgrid.runs.page import METRICS, Page, report_stage, write_metrics
from subgrid.runs.run import Run
from subgrid.runs.runner import Planned, Unfinished, plan
from subgrid.runs.score_table import ScoreTable
from subgrid.runs.stage import Stage


class Letters(Table):
    word: str
    """What is written."""
    n: Positive = 2
    """How often it is copied."""
    source: str | None = None
    """A file that is read before anything is written."""
    style: str = "plain"
    """Of the page."""
    half: str = "first"
    """What a fold writes."""
    stop: bool = False
    """Whether writing stops half way."""
    others: bool = False
    """Whether others go on with the copies."""


class LettersConfig(Configuration):
    letters: Letters


@dataclass
class LettersRun(Run[LettersConfig]):
    """With the names of all stages that were made."""

    root = "letters"
    streams = ("ink",)
    made: list[str] = field(default_factory=list)


class Stopped(Exception):
    pass


def write(run: LettersRun, update) -> None:
    run.made.append("write")
    update(0, 1)
    run.path("draft.txt").write_text("half")
    if run.config.letters.stop:
        raise Stopped
    run.path("word.txt").write_text(run.config.letters.word + run.config.letters.half)
    update(1, 1, "written")


def copy(run: LettersRun, update) -> None:
    """Copies that are there stay."""
    run.made.append("copy")
    folder = run.path("copies")
    folder.mkdir(exist_ok=True)
    for i in range(run.config.letters.n):
        update(i, run.config.letters.n)
        if not (folder / f"{i}.txt").exists():
            (folder / f"{i}.txt").write_text(run.path("word.txt").read_text())
    if run.config.letters.others:
        raise Unfinished("two copies are still to do; submit them.")


def count(run: LettersRun, update) -> None:
    run.made.append("score")
    n = sum(len(path.read_text()) for path in run.path("copies").iterdir())
    row = {"group": "Copies", "metric": "letters", "target": "0", "about": "all of them", "generated": n, "floor": 1.0}
    write_metrics(run, ScoreTable([row], ("generated", "cubic", "floor")), longest=run.config.letters.word)


def compare(run: LettersRun, update) -> None:
    run.made.append("compare")
    run.path("compare.md").write_text("| a | b |\n")


def page(run: LettersRun) -> Page:
    run.made.append("report")
    plates = [
        Plate(name, name, "data:image/svg+xml;base64,PHN2Zy8+", 10, 10, "a picture of letters", "As written.")
        for name in ("open", "closed")
    ]
    section = Section("letters", "Letters", "What was written.", plates)
    notes = [f"In {run.config.letters.style} style."]
    return Page(run.config.run.name, [("Word", run.config.letters.word)], [section], notes, lambda p: p.name == "open")


def stages(config: LettersConfig) -> list[Stage]:
    """The folder keeps `draft.txt` of writing that was stopped."""
    inputs = {"letters.source": (config.letters.source,)} if config.letters.source else {}
    return [
        Stage(
            "write", write, ("word.txt",), depends_on={"letters": ("word", "half"), "run": ("seed",)}, inputs=inputs,
            state=("draft.txt",), sentences=lambda run: [f"wrote {run.config.letters.word}"], memory=2**31,
        ),
        Stage(
            "copy", copy, ("copies",), ("write",), grows_with={"letters": ("n",)}, work=config.letters.n,
            whole=lambda run: not run.path("copies/lost").exists(),
        ),
        Stage("score", count, (METRICS,), ("copy",), if_changed="remake"),
        report_stage(page, config, needs=("score",)),
        Stage("compare words", compare, ("compare.md",), ("write",)),
    ]  # fmt: skip


def check(config: LettersConfig) -> None:
    if " " in config.letters.word:
        raise ConfigError(f"letters.word = {config.letters.word!r}: one word, without spaces.")


def resolved(config: LettersConfig, base: Path) -> LettersConfig:
    if config.letters.source is None:
        return config
    source = str(base / config.letters.source)
    return config.model_copy(update={"letters": config.letters.model_copy(update={"source": source})})


def public(config: LettersConfig) -> LettersConfig:
    return config.model_copy(update={"letters": config.letters.model_copy(update={"source": None})})


FOLDS = Folds("letters.half", {"first": "first", "second": "second"}, ("generated", "floor"))
RECIPE = Recipe(LettersRun, stages, page, {"compare": ("compare words",)}, FOLDS)
EXPERIMENT = Experiment(
    table="letters",
    config=LettersConfig,
    recipe=lambda: RECIPE,
    check=check,
    resolve=resolved,
    public=public,
    example={"letters": {"word": "alpha"}},
)
KINDS = {"letters": Kind(__name__, "Writes a word and counts its letters.")}
WORD = "letters.word=alpha"


def opened(folder: Path, *settings: str) -> LettersRun:
    """A run of the word alpha, unless it is set."""
    return open_run(EXPERIMENT, None, folder, [WORD, *settings])


def planned(folder: Path, *settings: str, until=None) -> dict[str, Planned]:
    """What a call would do, by stage; of a run without comparisons, unless named."""
    run = opened(folder, *settings)
    wanted = until or ["report"]
    return {each.stage.name: each for each in plan(run, stages(run.config), until=wanted)}


def actions(folder: Path, *settings: str, until=None) -> dict[str, str]:
    return {name: each.action for name, each in planned(folder, *settings, until=until).items()}


def configured(*settings: str) -> LettersConfig:
    return load_config(EXPERIMENT, None, [WORD, *settings])


def record_of(folder: Path, stage: str) -> dict:
    return json.loads((folder / "records" / f"{stage}.json").read_text())
