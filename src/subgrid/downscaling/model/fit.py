"""`fit`: everything that a model needs, from a fine and a coarse archive that share no dates.

What can fail cheaply comes first: opening, checks, C′, the network's shapes, then debiasing, which takes minutes at
most; the prior, which may take hours, is trained last. Killed at any moment, the same call goes on and ends with the
same bits.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import jax.random as jr
import numpy as np

from subgrid.data.fields import DataError
from subgrid.data.grids.coordinates import gridded_variables
from subgrid.data.plain import Fields, as_dataset, what_is_lacking
from subgrid.data.sources.sources import read_sources
from subgrid.data.store import OutputExists, check_free, write_json
from subgrid.data.variables.wanted import Variable, Variables, wanted_variables
from subgrid.downscaling.debiasing.fit import chosen_in_words
from subgrid.downscaling.model.dated import open_dated, require_given
from subgrid.downscaling.model.folder import PREPARATION, is_finished, load, load_preparation, save_preparation
from subgrid.downscaling.model.inner import PriorFit
from subgrid.downscaling.model.model import Model
from subgrid.downscaling.model.plain import PlainPair, open_plain_pair
from subgrid.downscaling.model.priors import prior_fit, sorted_settings
from subgrid.downscaling.model.settings import FitSettings, PriorName
from subgrid.downscaling.model.sides import CoarseSide, FineSide
from subgrid.downscaling.settings import as_tuples
from subgrid.numerics.streams import substream
from subgrid.training.distributed import is_first_process, join_from_text, wait_for_all
from subgrid.training.progress import Update, progress as progress_of, say
from subgrid.types import Key

Sides: TypeAlias = tuple[CoarseSide, FineSide]
OWN = ("settings.json", PREPARATION, "debias")
"""What tells the folder of a fit: the last alone where it was stopped in the training of a transport."""


def fit(
    fine: Fields,
    coarse: Fields,
    variables: Variables | None = None,
    *,
    folder: str | Path,
    operator: Any = None,
    progress: bool = True,
    key: Key | int,
    **settings: Any,
) -> Model:
    """Fits a model on a fine and a coarse archive that share no dates.

    The chain of preparations is chosen from the data: with dates, latitudes and longitudes in both archives, units,
    transforms, day-of-year anomalies and masks, and C′ from the coordinates; of plain arrays, standardisation.

    Args:
        fine: the fine archive: a path, folder, glob, URL, Dataset or DataArray.
        coarse: the same of the coarse archive.
        variables: the channels, in both: names, a mapping {name: name or names in files}, or {name: Variable(…)} that
            says what a variable is, its bounds or its units; by default the only one that there is.
        folder: of the model: an unfinished fit in it is resumed, to the same bits.
        operator: of plain arrays, C′: an operator, a factor f for every f-th point, or a sparse matrix (coarse points,
            fine points); by default as the coordinates say.
        progress: whether to show how far it is; default True.
        key: of everything random, or the seed of one. With `join` it must be a seed, as JAX, which makes keys, may not
            have been used before.
        **settings: of the fit (`FitSettings`), and of its prior (`RefinementSettings` of a refined Gaussian,
            `UpsamplerSettings` of a bridge, `PriorSettings` and `TrainingSettings` of others), by their names.

    Returns:
        The model, also saved in `folder`, where `load` finds it.

    Raises:
        DataError: for archives that cannot be used or do not fit together.
        OutputExists: if the folder holds a finished model, one of other options, or something else.
        TypeError: for a setting that does not exist.
        ValueError: for settings that do not go together.

    Examples:
        >>> model = fit("eobs.nc", "cnrm.nc", ["tas"], folder="model", key=jax.random.key(0))
    """
    folder = Path(folder)
    if is_finished(folder):
        raise OutputExists(f"{folder}: holds a finished model already; use subgrid.load, or choose another folder.")
    _require_own(folder, [each for each in (fine, coarse) if isinstance(each, str | Path)])
    own = {field.name for field in fields(FitSettings)}
    chosen = FitSettings(**{name: as_tuples(value) for name, value in settings.items() if name in own})
    others = {name: as_tuples(value) for name, value in settings.items() if name not in own}
    if chosen.join is not None:
        join_from_text(chosen.join)
    key = jr.key(key) if isinstance(key, int) else key
    call = _Call(folder, fine, coarse, variables, operator, chosen, others, key)
    with progress_of("fit", enabled=progress):
        if _is_dated(fine, coarse, chosen):
            _fit_dated(call)
        else:
            _fit_plain(call)
    wait_for_all("fit")
    return load(folder)


@dataclass(frozen=True)
class _Call:
    """What `fit` was given, sorted."""

    folder: Path
    fine: Any
    coarse: Any
    variables: Variables | None
    operator: Any
    settings: FitSettings
    others: dict[str, Any]
    key: Key

    def of(self, usual: PriorName) -> FitSettings:
        """The settings with the prior that is usual for such fields, and no debiaser before a bridge that is one."""
        settings = replace(self.settings, prior=usual) if self.settings.prior == "auto" else self.settings
        itself = settings.prior == "bridge" and self.others.get("source") == "raw" and settings.debias == "auto"
        return replace(settings, debias="none") if itself else settings

    def finish(
        self, prior: PriorFit, wanted: dict[str, Any], debias: Callable[[Update], tuple[Sides, Iterable[str]]]
    ) -> None:
        """Debiases, unless an earlier call of the same archives and options has, and trains."""
        if (self.folder / PREPARATION).exists():
            say("debias: done by an earlier call")
            sides = load_preparation(self.folder)
        else:
            with progress_of("debias") as update:
                sides, sentences = debias(update)
            _say(*sentences)
            self._begin(wanted, sides)
        prior.train(self.folder, sides[0], key=self.key)

    def _begin(self, wanted: dict[str, Any], sides: Sides) -> None:
        """The folder is claimed when the archives and options have served, and not before."""
        if is_first_process():
            self.folder.mkdir(parents=True, exist_ok=True)
            write_json(self.folder / "settings.json", wanted)
            save_preparation(self.folder, *sides)


def _require_own(folder: Path, inputs: list[str | Path]) -> None:
    """Passes a path that is free, or the folder of a fit or a run.

    Raises:
        OutputExists: for anything else, which a model would be mixed with.
    """
    if not folder.exists():
        check_free(folder, inputs=inputs)
    elif not folder.is_dir():
        raise OutputExists(f"{folder}: is a file; choose another folder for the model.")
    elif not any((folder / name).exists() for name in OWN) and any(".partial-" not in p.name for p in folder.iterdir()):
        raise OutputExists(f"{folder}: exists and is not a model folder; choose another folder for the model.")


def _is_dated(fine: Fields, coarse: Fields, settings: FitSettings) -> bool:
    """Whether both archives have dates and places.

    Raises:
        DataError: if one has them and the other does not: then something of the other is not as it should be.
    """
    if settings.preparation != "auto":
        return settings.preparation == "anomalies"
    lacking = {name: what_is_lacking(_first(each, name)) for name, each in (("fine", fine), ("coarse", coarse))}
    without = [name for name in lacking if lacking[name]]
    if len(without) == 1:
        (name,) = without
        other = "coarse" if name == "fine" else "fine"
        raise DataError(
            f"{name}: has no {lacking[name]}, and {other} has both dates and places; `subgrid inspect` says what of it "
            'cannot be read; or give preparation = "standardise" to take both as plain arrays.'
        )
    return not without


def _on_grids(source: Any, name: str) -> list[str]:
    """The variables of all files of an archive that lie on a grid."""
    files = read_sources(as_dataset(source), name=name)
    return list(dict.fromkeys(each for file in files for each in gridded_variables(file.dataset)))


def _first(source: Any, name: str) -> Any:
    """The first file of an archive, lazily."""
    return read_sources(as_dataset(source), name=name)[0].dataset


def _fit_dated(call: _Call) -> None:
    settings = call.of("refined-gaussian")
    if call.operator is not None:
        raise ValueError("operator is of plain arrays; with dates and places C′ follows from the coordinates.")
    own = sorted_settings(settings, call.others)
    if settings.prior != "refined-gaussian" and settings.orography is not None:
        raise ValueError("orography is a predictor of the network that refines a Gaussian; leave it out of others.")
    held = partial(_on_grids, call.fine, "fine"), partial(_on_grids, call.coarse, "coarse")
    given = require_given(wanted_variables(call.variables), *held)
    pair = open_dated(as_dataset(call.fine), as_dataset(call.coarse), given, settings)
    prior = prior_fit(pair.inner_fields(), settings, own)
    wanted = _refuse_another(call.folder, call.key, [_asked(given), settings.asked(), call.others, *pair.digests()])
    _say(*pair.notes, str(prior.cost()))

    def debias(update: Update) -> tuple[Sides, Iterable[str]]:
        sides = pair.sides(settings, given, update)
        return sides, () if sides[0].choice is None else sides[0].choice.sentences()

    call.finish(prior, wanted, debias)


def _fit_plain(call: _Call) -> None:
    settings = call.of("conditional-diffusion")
    if settings.orography is not None:
        raise ValueError("orography is of archives with dates and places; of plain arrays leave it out.")
    own = sorted_settings(settings, call.others)
    pair = open_plain_pair(call.fine, call.coarse, call.variables, call.operator, settings)
    shifted = bool(call.others.get("translation_invariant"))
    if shifted and not pair.periodic:
        raise ValueError("translation_invariant needs periodic=True, as it shifts fields; set both or neither.")
    if shifted and pair.chains[0].steps:
        raise ValueError("translation_invariant does not go with a mask, which shifts with no field; leave it out.")
    if settings.prior == "refined-gaussian":
        pair = pair.centred()
    prior, names = prior_fit(pair.inner_fields(), settings, own), list(pair.names)
    asked = [names, _facts(pair), settings.asked(), call.others, *pair.digests()]
    wanted = _refuse_another(call.folder, call.key, asked)
    if settings.debias == "auto" and not shifted and (few := pair.corrections_in_words) is not None:
        _say(few)
    _say(*pair.notes, str(prior.cost()))

    def debias(update: Update) -> tuple[Sides, Iterable[str]]:
        options = {"folder": call.folder, "report": update, "key": substream(call.key, "debias")}
        coarse_side, fine_side, summary = pair.sides(settings, shifted=shifted, **options)
        return (coarse_side, fine_side), filter(None, [chosen_in_words(summary)])

    call.finish(prior, wanted, debias)


def _say(*sentences: str) -> None:
    for sentence in sentences:
        say(sentence)


def _facts(pair: PlainPair) -> list[Any]:
    return [
        type(pair.operator).__name__,
        list(pair.operator.fine_shape),
        list(pair.operator.coarse_shape),
        pair.periodic,
        pair.streamed is not None,
    ]


def _asked(given: Mapping[str, Variable]) -> list[Any]:
    return [[name, variable.as_dict()] for name, variable in given.items()]


def _refuse_another(folder: Path, key: Key, asked: list[Any]) -> dict[str, Any]:
    """What makes the folder that of one configuration, if it is free or already is.

    Raises:
        OutputExists: if it holds a model of another configuration.
    """
    content = {"seed": np.asarray(jr.key_data(key)).tolist(), "asked": asked}
    wanted, path = json.loads(json.dumps(content, default=str)), folder / "settings.json"
    if path.exists() and json.loads(path.read_text(encoding="utf-8")) != wanted:
        raise OutputExists(f"{folder}: holds a model in training of other options or archives; choose another.")
    if not path.exists() and (folder / PREPARATION).exists():
        raise OutputExists(f"{folder}: is the folder of a `subgrid run`; choose another folder.")
    return wanted
