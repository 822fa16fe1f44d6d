"""A vision transformer from coarse to fine fields, trained on the free pairs (C′x, x): one answer, no draws.

MODEL/vision_transformer.json   what is needed to build it, and what C′ it was trained for; written last
MODEL/weights/                  the averaged weights and the normalisation

and the files of its training (`prior/training.py`).

The least mean squared error belongs to E[x | C′x = y]: smoother than any fine field, and without spread.
"""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Scalar

from subgrid.data.fields import DataError
from subgrid.data.normalise import Standardiser
from subgrid.data.store import write_json
from subgrid.downscaling.baselines.bcsd import whole_factors
from subgrid.downscaling.conditional.model import fingerprint, identity, require_own_operator
from subgrid.downscaling.interpolation.cubic import keys_weights
from subgrid.downscaling.prior.training import (
    Fields,
    TrainingFields,
    TrainingSettings,
    standardiser_of,
    train_on_fields,
)
from subgrid.downscaling.upsampling.guided import normalised_target
from subgrid.downscaling.upsampling.starts import CubicStart, local_start
from subgrid.networks.vit import ViT, ViTSettings
from subgrid.numerics.streams import substream
from subgrid.training.checkpoint import CheckpointMismatch, load_weights, save_weights
from subgrid.training.distributed import is_first_process
from subgrid.training.log import MetricsReport
from subgrid.types import Coarsening, Key

FORMAT = 1
NAME = "vision_transformer.json"


@dataclass(frozen=True)
class VisionTransformerSettings:
    """The network, and the grid that its first guess is interpolated on.

    Args:
        network: patch, width, depth and heads.
        periodic: whether all space axes wrap around, default True.
        centred: whether a coarse value lies in the middle of its fine points (block means) or, the default, on the
            first (subsampling).
    """

    network: ViTSettings = field(default_factory=ViTSettings)
    periodic: bool = True
    centred: bool = False


class VisionTransformerUpsampler(eqx.Module):
    """x = s·(I z + network(z)) + m, z = (y − C′m)/s: what the network adds to cubic interpolation, in physical units.

    Args:
        network: of normalised fields.
        interpolate: I, cubic convolution.
        standardiser: m and s.
        operator: C′, the only one that it is good for.
    """

    network: ViT
    interpolate: CubicStart
    standardiser: Standardiser
    operator: Coarsening

    def normalised(self, z: Float[Array, "channel *coarse"]) -> Float[Array, "channel *fine"]:
        """The normalised fine field of a normalised coarse one."""
        return self.interpolate(z) + self.network(z)

    def __call__(self, y: Float[Array, "channel *coarse"], *, key: Key) -> Float[Array, "channel *fine"]:
        z = normalised_target(self.standardiser, self.operator, y)
        return self.standardiser.restore(self.normalised(z), len(self.operator.fine_shape))


def train_vision_transformer(
    fields: Fields,
    operator: Coarsening,
    settings: VisionTransformerSettings,
    training: TrainingSettings,
    *,
    folder: str | Path,
    report: MetricsReport | None = None,
    key: Key,
) -> VisionTransformerUpsampler:
    """Least squares on the free pairs (C′x, x) of fine fields; run again, it resumes to the same bits.

    Args:
        fields: (n, channel, *space), x, physical units, or `StreamedFields` where they do not fit into memory.
        operator: C′, the only one that the model will be good for; its factor is one whole number for all axes.
        settings: the network, and where coarse values lie.
        training: how long and how fast, and under what symmetries x is replaced by its images.
        folder: of the model.
        report: `report(step, metrics)`, after each dispatch.
        key: of weights, batches and images.

    Returns:
        The upsampler, also saved in `folder`.

    Raises:
        CheckpointMismatch: if the folder holds checkpoints of other settings, data or key.
        ValueError: for a constant channel, fields of another grid than C′'s, factors that differ from axis to axis, and
            a coarse grid that the patches do not divide; and as `train_on_fields`.

    References:
        Dosovitskiy et al. (2021), arXiv:2010.11929; as a baseline: Wan et al. (2023), arXiv:2305.15618.

    Examples:
        >>> settings, operator = VisionTransformerSettings(ViTSettings(patch=2)), Subsample((256, 256), 8)
        >>> upsample = train_vision_transformer(fields, operator, settings, training, folder="model", key=key)
        >>> upsample(y, key=key).shape  # (1, 256, 256)
    """
    if tuple(fields.shape[2:]) != operator.fine_shape:
        raise ValueError(f"the fields have {tuple(fields.shape[2:])} points, C' maps from {operator.fine_shape}.")
    standardiser = standardiser_of(fields)
    untrained = _blank(fields.shape[1], operator, settings, standardiser, key=substream(key, "network"))

    def loss(network: ViT, batch: Float[Array, "batch channel *space"], key: Key) -> Scalar:
        model = eqx.tree_at(lambda m: m.network, untrained, network)
        return jnp.mean((jax.vmap(model.normalised)(operator(batch)) - batch) ** 2)

    described = {"format": FORMAT, **dataclasses.asdict(settings)}
    options = {"origin": described | {"operator": fingerprint(operator)}, "folder": folder, "report": report}
    network = train_on_fields(
        untrained.network, loss, TrainingFields(fields, standardiser), training, **options, key=key
    )
    model = eqx.tree_at(lambda m: m.network, untrained, network)
    save_weights(Path(folder) / "weights", eqx.filter(_kept(model), eqx.is_array))
    if is_first_process():
        grids = {"n_channels": fields.shape[1], "operator": identity(operator)}
        write_json(Path(folder) / NAME, described | grids)
    return model


def load_vision_transformer(folder: str | Path, operator: Coarsening) -> VisionTransformerUpsampler:
    """The upsampler that `train_vision_transformer` saved.

    Args:
        folder: of the model.
        operator: C′, which must be the one that it was trained for.

    Returns:
        The upsampler.

    Raises:
        DataError: if the folder holds no such model, or one for another C′.
        CheckpointMismatch: if it is of another format, or its weights do not fit.

    Examples:
        >>> upsample = load_vision_transformer("model", Subsample((256, 256), 8))
    """
    path = Path(folder) / NAME
    if not path.exists():
        raise DataError(f"{folder}: holds no trained vision transformer (no {NAME}).")
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        found = stored.get("format")
        if found != FORMAT:
            raise CheckpointMismatch(f"{path}: is a model of format {found}, not {FORMAT}; train it again.")
        require_own_operator(path, stored["operator"], operator)
        network = ViTSettings(**stored["network"])
        settings = VisionTransformerSettings(network, stored["periodic"], stored["centred"])
        n_channels = stored["n_channels"]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, CheckpointMismatch | DataError):
            raise
        raise DataError(f"{path}: not a model description of this version ({error}).") from error
    channels = jnp.zeros(n_channels)
    blank = _blank(n_channels, operator, settings, Standardiser(channels, channels), key=jr.key(0))
    arrays, static = eqx.partition(_kept(blank), eqx.is_array)
    loaded = eqx.combine(load_weights(Path(folder) / "weights", like=arrays), static)
    return eqx.tree_at(_kept, blank, loaded)


def is_vision_transformer(folder: str | Path) -> bool:
    """Whether the folder holds a whole model.

    Args:
        folder: of a model; it need not exist.

    Returns:
        True if `load_vision_transformer` can load it.
    """
    return (Path(folder) / NAME).exists()


def _kept(model: VisionTransformerUpsampler) -> tuple[Any, ...]:
    """What is written: the interpolation follows from the settings, C′ is given again."""
    return model.network, model.standardiser


def _blank(
    n_channels: int,
    operator: Coarsening,
    settings: VisionTransformerSettings,
    standardiser: Standardiser,
    *,
    key: Key,
) -> VisionTransformerUpsampler:
    """Untrained: cubic interpolation, as the network's head starts at zero."""
    factors, coarse = whole_factors(operator), tuple(operator.coarse_shape)
    if len(set(factors)) > 1:  # merely convenient: the head scatters over square blocks
        raise ValueError(f"a vision transformer needs one factor for all axes, got {factors}.")
    place = {"centred": settings.centred, "periodic": settings.periodic}
    network = ViT(n_channels, n_channels, coarse, factors[0], settings.network, key=key)
    return VisionTransformerUpsampler(
        network, local_start(keys_weights, coarse, factors, **place), standardiser, operator
    )
