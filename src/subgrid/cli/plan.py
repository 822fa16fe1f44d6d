"""What a run would do, on the terminal."""

from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table
from rich.text import Text

from subgrid.data.sources.sources import is_there
from subgrid.report.page import duration
from subgrid.runs.estimates import Estimate, estimates, total_in_words
from subgrid.runs.run import Run
from subgrid.runs.runner import Planned
from subgrid.runs.stage import Dependencies
from subgrid.runs.terminal import terminal

ACTIONS = {"keep": "finished", "make": "to make", "go on": "goes on", "remake": "to make anew"}


def show_plan(run: Run, planned: list[Planned], *, published: Path | None = None) -> None:
    """Prints the stages, what is finished, what each makes from what and what is not there, and what it will take."""
    expected = estimates(run, planned, published=published)
    console = terminal()
    console.print(Text(str(run.folder), style="italic"), soft_wrap=True)
    console.print(_table(planned, expected))
    console.print(Text(total_in_words(expected)))


def _table(planned: list[Planned], expected: dict[str, Estimate]) -> Table:
    """A row a stage; columns that say nothing are left out."""
    time = any(each.seconds is not None for each in expected.values())
    memory = any(each.memory is not None for each in expected.values())
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, pad_edge=False)
    for heading in ("stage", "", *(["time"] if time else []), *(["memory"] if memory else [])):
        table.add_column(heading, no_wrap=True)
    table.add_column("makes, from what", overflow="fold")
    for each in planned:
        stage, estimate = each.stage, expected.get(each.stage.name)
        row = [stage.name, ACTIONS[each.action]]
        row += [_time(estimate)] if time else []
        row += [_memory(estimate)] if memory else []
        table.add_row(*map(Text, row), Group(Text(", ".join(stage.parts)), Text(_sources(each), style="dim")))
    return table


def _sources(planned: Planned) -> str:
    stage = planned.stage
    inputs = [path if is_there(path) else f"{path} (not there)" for paths in stage.inputs.values() for path in paths]
    sources = (*stage.needs, *_keys_in_words(stage.depends_on), *_keys_in_words(stage.grows_with), *inputs)
    return f"from {'; '.join(sources)}" if sources else ""


def _keys_in_words(dependencies: Dependencies) -> list[str]:
    return [
        f"[{table}]" if not keys or len(keys) > 3 else ", ".join(f"{table}.{key}" for key in keys)
        for table, keys in dependencies.items()
    ]


def _time(estimate: Estimate | None) -> str:
    if estimate is None:
        return ""
    return "?" if estimate.seconds is None else duration(estimate.seconds)


def _memory(estimate: Estimate | None) -> str:
    return "" if estimate is None or estimate.memory is None else f"{estimate.memory / 2**30:.1f} GiB"
