"""The folder of a model, of whatever kind of fields and whatever prior.

FOLDER/settings.json       what it was asked to be; a folder of `subgrid run` has its configuration instead
FOLDER/preparation.zarr    both sides of the model: chains, C′, the debiaser, grids, each as kind and arrays
FOLDER/model/              the prior, what is done to its draws, and of a run, which orography it was trained with
"""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import jax

from subgrid.data.fields import DataError
from subgrid.downscaling.conditional.model import is_conditional, load_conditional
from subgrid.downscaling.debiasing.series import Fieldwise
from subgrid.downscaling.debiasing.static import NoDebiasing
from subgrid.downscaling.model.draws import AnyPrior, on_grid_of
from subgrid.downscaling.model.model import Model
from subgrid.downscaling.model.sides import CoarseSide, FineSide
from subgrid.downscaling.prior.functions import is_function_prior, load_function_prior
from subgrid.downscaling.prior.model import load_prior
from subgrid.downscaling.refined.prior import load_refined_prior
from subgrid.downscaling.spread.post_processing import POST_PROCESSING, load_post_processing
from subgrid.downscaling.stored.part import load_part, save_part
from subgrid.downscaling.upsampling.bridge import is_fitted, load_upsampler, starts_raw
from subgrid.training.origin import digest

PREPARATION = "preparation.zarr"
OROGRAPHY = "orography.txt"
"""Beside a prior that a run trained: which static field it was trained with, in words."""
DESCRIPTIONS = ("settings.json", "conditional.json", "bridge.json", "functions.json")
"""Of a prior, a conditional model and a bridge: each is written last, so that what has one is whole."""
ORIGINS = {**dict.fromkeys(DESCRIPTIONS, "training.json"), "bridge.json": "fit.json"}
"""What the training of each was begun with, its fields and its key among them."""
EARLIER = ("domain.zarr", "debiasing.zarr")


def save_preparation(folder: str | Path, coarse: CoarseSide, fine: FineSide) -> None:
    """Writes both sides of a model.

    Args:
        folder: of the model or the run.
        coarse: from coarse fields to targets.
        fine: from draws to fine fields.
    """
    save_part(Path(folder) / PREPARATION, {"coarse": coarse, "fine": fine})


def load_preparation(folder: str | Path) -> tuple[CoarseSide, FineSide]:
    """What `save_preparation` wrote.

    Args:
        folder: of the model or the run.

    Returns:
        The coarse and the fine side.

    Raises:
        DataError: if the folder holds no model, or one of an earlier version.
    """
    folder = Path(folder)
    if not folder.exists():
        raise DataError(f"{folder}: there is no such folder; make a model with `subgrid fit` or `subgrid run`.")
    if not (folder / PREPARATION).exists():
        if any((folder / name).exists() for name in EARLIER) or _description(folder) or _description(folder / "model"):
            raise DataError(
                f"{folder}: holds a model of an earlier version, without {PREPARATION}; fit it anew with `subgrid fit` "
                "or `subgrid run`, or use the version of Subgrid that made it."
            )
        raise DataError(
            f"{folder}: holds no model ({PREPARATION} is not there); make one with `subgrid fit` or `subgrid run`."
        )
    parts = load_part(folder / PREPARATION)
    return parts["coarse"], parts["fine"]


def load(folder: str | Path) -> Model:
    """The model that `fit` or `subgrid run` left in a folder.

    Args:
        folder: of the model or the run.

    Returns:
        The model.

    Raises:
        DataError: if the folder holds none, one of an earlier version, or an unfinished one.

    Examples:
        >>> model = subgrid.load("runs/iberia_tas")
    """
    folder = Path(folder)
    coarse, fine = load_preparation(folder)
    if not is_finished(folder):
        raise DataError(f"{folder}: its model is not finished; the call or command that began it goes on with it.")
    if (said := folder / "model" / OROGRAPHY).exists():
        fine = replace(fine, orography=said.read_text(encoding="utf-8"))
    prior = _load_prior(folder / "model", fine)
    if starts_raw(folder / "model") and not coarse.reading.dated:  # it debiases by itself; dated ones know no debiaser
        coarse = replace(coarse, debiaser=Fieldwise(NoDebiasing()))
    post = load_post_processing(folder / "model") if (folder / "model" / POST_PROCESSING).exists() else None
    return Model(coarse, fine, prior, post, folder)


def is_finished(folder: Path) -> bool:
    """Whether a folder holds a whole prior, post-processed where its kind is.

    Args:
        folder: of a model; it need not exist.

    Returns:
        True if there is nothing left to fit.
    """
    found = _description(folder / "model")
    if found is None:
        return False
    return '"refinement"' not in found.read_text(encoding="utf-8") or (folder / "model" / POST_PROCESSING).exists()


def checkpoint_id(folder: Path) -> str:
    """What names the prior in a folder: a digest of its settings, data and key, choices and post-processing.

    Args:
        folder: of the model or the run.

    Returns:
        16 hexadecimal digits.

    Raises:
        DataError: if its training was not finished.
    """
    description = _description(folder / "model")
    if description is None or not is_finished(folder):
        raise DataError(f"{folder}: its model is not finished; the call or command that began it goes on with it.")
    found = hashlib.sha256(description.read_bytes())
    origin = description.with_name(ORIGINS[description.name])
    if origin.exists():  # a refined Gaussian has its choices, which follow from the data, in its description
        found.update(origin.read_bytes())
    if (folder / "model" / POST_PROCESSING).exists():
        post = load_post_processing(folder / "model")
        parts = () if post is None else (post.calibration, post.marginals)
        found.update(digest(*jax.tree.leaves(parts)).encode())
    return found.hexdigest()[:16]


def _description(model: Path) -> Path | None:
    return next((model / name for name in DESCRIPTIONS if (model / name).exists()), None)


def _load_prior(model: Path, fine: FineSide) -> AnyPrior:
    if is_fitted(model):
        return load_upsampler(model)
    if is_function_prior(model):
        return load_function_prior(model)
    if is_conditional(model):
        stored = json.loads((model / "conditional.json").read_text(encoding="utf-8"))
        return load_conditional(model, on_grid_of(tuple(stored["network"]["space"]), fine.operator))
    if '"refinement"' in (model / "settings.json").read_text(encoding="utf-8"):
        return load_refined_prior(model)
    return load_prior(model)
