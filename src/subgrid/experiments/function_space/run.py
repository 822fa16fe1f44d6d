"""A run of models of functions: its streams, and what its stages read."""

from functools import cached_property

from subgrid.data.store import read_arrays
from subgrid.experiments.function_space.cells import Cell, cell_path
from subgrid.experiments.function_space.config import FunctionsConfig
from subgrid.experiments.function_space.systems import Made
from subgrid.runs.run import Run
from subgrid.types import Key


class FunctionsRun(Run[FunctionsConfig]):
    """A run of one system."""

    root = "functions"
    streams = ("data", "diffusion", "flow", "diffusion-points", "diffusion-white", "flow-white")

    def cell_key(self, cell: Cell) -> Key:
        """Independent of what else is in the table."""
        return self.key(cell.candidate, f"repetition {cell.seed}")

    @cached_property
    def made(self) -> Made:
        """Training fields and truth."""
        arrays = read_arrays(self.path("data.npz"))
        return Made(arrays["train"], {n: arrays[f"truth_{n}"] for n in self.config.functions.grids})

    def samples(self, cell: Cell):
        """What a cell made."""
        return read_arrays(cell_path(self.folder, cell))
