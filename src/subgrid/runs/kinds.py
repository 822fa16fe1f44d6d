"""Where kinds of experiments are: known, and listed, before any of them is imported."""

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from subgrid.runs.experiment import Experiment


@dataclass(frozen=True)
class Kind:
    """A kind of experiment.

    Args:
        module: that holds its `EXPERIMENT`.
        about: one sentence, for lists and for files to start from.
    """

    module: str
    about: str

    def load(self) -> "Experiment":
        """The experiment; imports its module.

        Returns:
            The module's `EXPERIMENT`.
        """
        return import_module(self.module).EXPERIMENT
