"""What of an ensemble store is done, on the terminal."""

from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table

from subgrid.execution.health import Status, repair, status
from subgrid.runs.terminal import terminal

MOST_BLOCKS = 40
"""Rows shown: longer runs of blocks in one state are shown in one line."""


def show_status(store: Path, *, repair_damage: bool = False) -> None:
    """Prints progress by time range, and every damaged file; removes the markers of damaged items if asked.

    **Raises:** `DataError` if the path is no store of Subgrid.
    """
    found = status(store)
    console = terminal()
    console.print(
        f"{found.path}: {found.n_done} of {found.n_items} work items done, configuration "
        f"{found.configuration_hash[:12]}, last written {found.last_written or 'never'}",
        soft_wrap=True,
    )
    console.print(_blocks(found))
    for name, (smallest, middle) in found.told.items():
        console.print(f"{name.replace('_', ' ')} of the draws: {smallest:.3g} at least, {middle:.3g} in the middle")
    for damage in found.damage:
        console.print(f"damaged: {damage.file} ({damage.reason})", markup=False, soft_wrap=True)
    if found.damage and repair_damage:
        console.print(f"{repair(found)} items marked as not done; run again to make them anew.")
    elif found.damage:
        console.print("run `subgrid status --repair` and then the run again to make them anew.")


def _blocks(found: Status) -> Table:
    """One row a run of time blocks with the same members done."""
    table = Table("times", "from", "to", "members done", box=SIMPLE_HEAD, pad_edge=False)
    first, n = 0, len(found.time_blocks)
    for i in range(1, n + 1):
        if i < n and (found.done[i] == found.done[first]).all() and table.row_count < MOST_BLOCKS:
            continue
        done = sum(end - start for (start, end), yes in zip(found.member_blocks, found.done[first], strict=True) if yes)
        times = f"{found.time_blocks[first][0]}..{found.time_blocks[i - 1][1] - 1}"
        table.add_row(times, found.time_labels[first][0], found.time_labels[i - 1][1], str(done))
        first = i
    return table
