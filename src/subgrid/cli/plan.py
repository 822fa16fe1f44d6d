"""What a run would do, on the terminal."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from subgrid.report.page import duration
from subgrid.runs.estimates import Estimate, estimates
from subgrid.runs.run import Run
from subgrid.runs.runner import Planned
from subgrid.runs.stage import Dependencies

ACTIONS = {"keep": "finished", "make": "to make", "go on": "goes on", "remake": "to make anew"}


def show_plan(run: Run, planned: list[Planned]) -> None:
    """Prints the stages, what is finished, what each is made from, and what it will take."""
    expected = estimates(run, planned)
    table = Table("stage", "", "makes", "from", "time", "memory", title=str(run.folder))
    for each in planned:
        stage, estimate = each.stage, expected.get(each.stage.name, Estimate())
        inputs = [path for paths in stage.inputs.values() for path in paths]
        sources = (*stage.needs, *_keys_in_words(stage.depends_on), *_keys_in_words(stage.grows_with), *inputs)
        table.add_row(
            stage.name,
            ACTIONS[each.action],
            ", ".join(stage.parts),
            escape("; ".join(sources)),
            "" if each.action == "keep" else _time(estimate),
            "" if estimate.memory is None else f"{estimate.memory / 2**30:.1f} GiB",
        )
    console = Console(width=130)
    console.print(table)
    console.print(_total(expected))


def _keys_in_words(dependencies: Dependencies) -> list[str]:
    return [
        f"[{table}]" if not keys or len(keys) > 3 else ", ".join(f"{table}.{key}" for key in keys)
        for table, keys in dependencies.items()
    ]


def _time(estimate: Estimate) -> str:
    return "?" if estimate.seconds is None else f"{duration(estimate.seconds)} (as {estimate.source})"


def _total(expected: dict[str, Estimate]) -> str:
    if not expected:
        return "everything is finished."
    known = [each.seconds for each in expected.values() if each.seconds is not None]
    unknown = len(expected) - len(known)
    text = f"{len(expected)} stages to make; those with a recorded time take {duration(sum(known))}"
    return (
        f"{text}; of {unknown} no time is known: no finished run of this kind lies beside it."
        if unknown
        else f"{text}."
    )
