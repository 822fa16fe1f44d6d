"""One run: its configuration, its folder, its random streams."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from subgrid.numerics.streams import stream
from subgrid.runs.config import Configuration
from subgrid.types import Key

Config = TypeVar("Config", bound=Configuration)
Made = TypeVar("Made")


@dataclass
class Run(Generic[Config]):
    """What all stages of a run have in common. An experiment adds what its stages read, each once (`cached_property`).

    Args:
        config: the checked configuration; its table `run` has the name and the seed.
        folder: of the run.
    """

    config: Config
    folder: Path
    _made: dict[Any, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    root: ClassVar[str]
    """First name of all its random streams."""
    streams: ClassVar[Sequence[str]] = ()
    """The second names that there are: another is refused, so that a test can enumerate all keys."""

    def __init_subclass__(cls, **options: Any) -> None:
        """Without a root its keys would fail in the middle of a run."""
        super().__init_subclass__(**options)
        if not isinstance(getattr(cls, "root", None), str):
            raise TypeError(
                f"{cls.__name__} has no root, the first name of its random streams; "
                'give the class one: root = "my experiment".'
            )

    def path(self, name: str) -> Path:
        """A file, store or folder of the run."""
        return self.folder / name

    def once(self, make: Callable[[Any], Made]) -> Made:
        """What a function makes of this run, made when it is first asked for: scores and page look at the same.

        Args:
            make: called as make(run).

        Returns:
            The same object for every call with the same function.
        """
        if make not in self._made:
            self._made[make] = make(self)
        return self._made[make]

    def key(self, name: str, *of: str) -> Key:
        """The key of one use: run.key("debias", "gaussian").

        Args:
            name: one of `streams`.
            of: what the use is of: a method, a model, a variable.

        Raises:
            ValueError: for a name that is not listed.
        """
        return stream(self.config.run.seed, *self.stream_name(name, *of))

    @classmethod
    def stream_name(cls, name: str, *of: str) -> tuple[str, ...]:
        """The whole name of a stream, as a store keeps it."""
        if name not in cls.streams:
            raise ValueError(f"{cls.__name__} has no random stream {name!r}; add it to its streams.")
        return cls.root, name, *of
