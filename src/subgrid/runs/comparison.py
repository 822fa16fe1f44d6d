"""What comparisons of candidates share: a result each that is kept, and one table of all."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from subgrid.data.store import write_json
from subgrid.runs.config import ConfigError
from subgrid.runs.score_table import ScoreTable, columns_of


def require_candidates(key: str, names: Sequence[str], *examples: str) -> None:
    """Passes if there is something to compare.

    Args:
        key: "table.key" that names the candidates.
        names: that it has.
        *examples: of names that it could have.

    Raises:
        ConfigError: without a candidate.
    """
    if not names:
        raise ConfigError(f"{key} is empty; name methods, for example {json.dumps(examples)}.")


def kept(path: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """A result that is made once: read where it is there, and written where it is not.

    Args:
        path: of its JSON file.
        make: called as make() if there is none.

    Returns:
        The result.
    """
    if path.exists():
        return json.loads(path.read_text(encoding="utf-8"))
    result = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, result)
    return result


def candidate_table(scores: Mapping[str, Mapping[str, float]], *, group: str, title: str) -> ScoreTable:
    """The scores of candidates, each a dictionary by metric, as a table with a line a candidate.

    Args:
        scores: by candidate, all with the same metrics.
        group: of all rows.
        title: on the terminal.

    Returns:
        The table.
    """
    metrics = next(iter(scores.values()))
    rows = [
        {"group": group, "metric": metric, "target": "0"} | {name: found[metric] for name, found in scores.items()}
        for metric in metrics
    ]
    return ScoreTable(rows, columns_of(rows), by_candidate=True, title=title)
