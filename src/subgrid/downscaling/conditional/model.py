"""A conditional model p(x | C′x = y): its settings, its training, and the folder it lives in.

MODEL/conditional.json   what is needed to build it, and what C′ it was trained for; written last
MODEL/weights/           the averaged weights, the normalisation, the Gaussian part, what the network's mean leaves

and the files of its training (`prior/training.py`).
"""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float

from subgrid.data.fields import DataError
from subgrid.data.normalise import Standardiser
from subgrid.data.store import write_json
from subgrid.data.stream import StreamedFields
from subgrid.diffusion.gaussian_conditional import ConditionalGaussian, condition
from subgrid.diffusion.gaussian_prior import FULL, GaussianPrior
from subgrid.diffusion.modewise import refined
from subgrid.diffusion.objective import log_uniform_levels
from subgrid.downscaling.conditional.flow import ConditionalFlow, flow_loss
from subgrid.downscaling.conditional.refinement import (
    ConditionalDenoiser,
    jittered,
    n_features,
    refinement_loss,
)
from subgrid.downscaling.prior.gaussian_part import blank_gaussian_part, gaussian_part_of
from subgrid.downscaling.prior.model import PriorSettings, as_asked, build_network
from subgrid.downscaling.prior.noise_range import ENOUGH, leading_std
from subgrid.downscaling.prior.training import (
    Fields,
    TrainingFields,
    TrainingSettings,
    standardiser_of,
    train_on_fields,
)
from subgrid.networks.unet import UNet
from subgrid.numerics.operators import Subsample
from subgrid.numerics.streams import substream
from subgrid.training.checkpoint import CheckpointMismatch, load_weights, save_weights
from subgrid.training.distributed import is_first_process
from subgrid.training.log import MetricsReport
from subgrid.types import Coarsening, Key

FORMAT = 1
NOISE_RANGE = (3e-3, 10.0)
"""Of the kind "diffusion", in standard deviations of the field. The start is drawn from the Gaussian conditional, so 10
are enough; below .003 nothing is left to refine. On Kuramoto–Sivashinsky .001 to 80 scored a tenth worse."""
Kind: TypeAlias = Literal["diffusion", "flow"]
HELD_BACK = 16
"""One part in so many of the archive, its end, is kept from the training, to measure what the network's mean leaves: on
fields that it has seen the network is better than on others."""
MEASURED = 1024
"""Fields on which that is measured: the variance of a mode is then known to some 4 %."""
PROBED = 64
"""Values of C′ on one fixed field that are kept, to know it again."""


@dataclass(frozen=True)
class ConditionalSettings:
    """The kind of the model, its network and its noise levels; JSON keeps them beside the weights.

    Args:
        kind: "diffusion" or "flow".
        network: its `sigma_min` and `sigma_max` are the levels that "diffusion" is trained on (see `NOISE_RANGE`);
            training raises the latter to what the leading component of Σ_y needs for a Gaussian start
            (`noise_range.py`).
        jitter: standard deviation of the noise added to C′x in training, in units of the field: the error that debiased
            coarse fields are believed to have. Samples then keep to y within it. Default 0.

    Raises:
        ValueError: for a network that has a preconditioning of its own.
    """

    kind: Kind
    network: PriorSettings
    jitter: float = 0.0

    def __post_init__(self):
        if self.network.preconditioning != "variance":
            raise ValueError("a conditional model refines its Gaussian as it is; preconditioning is of priors.")


@dataclass(frozen=True)
class ConditionalModel:
    """A network that samples p(x | C′x = y) for the C′ it was trained for, with its normalisation.

    Args:
        settings: kind, network and jitter.
        network: the trained UNet.
        standardiser: physical ↔ normalised.
        conditional: the Gaussian part under C′, of normalised fields.
        left: N(0, Λ), what the network's mean leaves of normalised held-back fields, in the eigenbasis of Σ_y; of a
            flow that of Σ_y itself.
    """

    settings: ConditionalSettings
    network: UNet = field(repr=False)
    standardiser: Standardiser = field(repr=False)
    conditional: ConditionalGaussian = field(repr=False)
    left: GaussianPrior = field(repr=False)

    @property
    def denoiser(self) -> ConditionalDenoiser:
        """Of the kind "diffusion"."""
        return ConditionalDenoiser(self.conditional, self.network)

    @property
    def flow(self) -> ConditionalFlow:
        """Of the kind "flow"."""
        return ConditionalFlow(self.conditional, self.network)


def train_conditional(
    fields: Fields,
    operator: Coarsening,
    settings: ConditionalSettings,
    training: TrainingSettings,
    *,
    folder: str | Path,
    report: MetricsReport | None = None,
    keep_levels: bool = False,
    key: Key,
) -> ConditionalModel:
    """Trains p(x | C′x = y) on the free pairs (C′x, x) of fine fields; run again, it resumes to the same bits.

    Args:
        fields: (n, channel, *space), x, physical units, or `StreamedFields` where they do not fit into memory.
        operator: C′, the only one that the model will be good for.
        settings: kind, network, jitter.
        training: how long and how fast.
        folder: of the model.
        report: `report(step, metrics)`, after each dispatch.
        keep_levels: whether "diffusion" is trained up to `settings.network.sigma_max` and no further; by default that
            is raised here, where Σ_y is known and which Python and the command line share, to 3√λ of its leading
            component.
        key: of everything random.

    Returns:
        The model, also saved in `folder`.

    Raises:
        CheckpointMismatch: if the folder holds checkpoints of other settings, data or key; and as `train_on_fields`.
        ValueError: for a constant channel, or a field that does not fit the network.

    Examples:
        >>> settings = ConditionalSettings("diffusion", PriorSettings(1, (192,), sigma_min=3e-3, sigma_max=10.0))
        >>> operator, training = Subsample((192,), 8), TrainingSettings()
        >>> model = train_conditional(fields, operator, settings, training, folder="model", key=key)
    """
    standardiser = standardiser_of(fields)
    gaussian = gaussian_part_of(fields, standardiser, training)
    conditional = _conditional(gaussian, standardiser, operator, settings.jitter)
    described = {**dataclasses.asdict(settings), "network": as_asked(settings.network)}
    asked = {"format": FORMAT, **described, "operator": fingerprint(operator)}
    if settings.kind == "diffusion" and not keep_levels:
        settings = _reaching(settings, conditional)
    network_settings = settings.network
    seen, held_back = _hold_back(fields)

    def loss(network, batch, key):
        if settings.kind == "flow":
            return flow_loss(ConditionalFlow(conditional, network), batch, key=key)
        levels = log_uniform_levels(network_settings.sigma_min, network_settings.sigma_max)
        denoiser = ConditionalDenoiser(conditional, network)
        return refinement_loss(denoiser, batch, noise_levels=levels, key=key)

    untrained = build_network(network_settings, n_features(network_settings.n_channels), key=substream(key, "network"))
    options = {"origin": asked, "folder": folder, "report": report, "key": key}
    network = train_on_fields(untrained, loss, TrainingFields(seen, standardiser), training, **options)
    model = ConditionalModel(settings, network, standardiser, conditional, conditional.spread)
    if settings.kind == "diffusion":
        normalised = standardiser.normalise(jnp.asarray(held_back), held_back.ndim - 2)
        model = dataclasses.replace(
            model, left=_left_by_mean(model, normalised, key=substream(key, "left by the mean"))
        )
    save_conditional(folder, model)
    return model


def _reaching(settings: ConditionalSettings, conditional: ConditionalGaussian) -> ConditionalSettings:
    """With levels up to where fields of N(0, Σ_y) look Gaussian."""
    sigma_max = max(settings.network.sigma_max, ENOUGH * leading_std(conditional.spread))
    return dataclasses.replace(settings, network=dataclasses.replace(settings.network, sigma_max=sigma_max))


def fingerprint(operator: Coarsening) -> dict[str, Any]:
    """What C′ does to one fixed field, and its shapes: enough to know it again."""
    probe = np.random.default_rng(0).normal(size=operator.fine_shape).astype(np.float32)
    values = np.asarray(operator(jnp.asarray(probe)), np.float64).reshape(-1)
    chosen = values[np.linspace(0, len(values) - 1, min(PROBED, len(values))).astype(int)]
    return {
        "fine_shape": list(operator.fine_shape),
        "coarse_shape": list(operator.coarse_shape),
        "probe": [round(float(value), 5) for value in chosen],
    }


def save_conditional(folder: str | Path, model: ConditionalModel) -> None:
    """Weights first, settings last: a folder with `conditional.json` is whole."""
    folder = Path(folder)
    parts = (model.network, model.standardiser, model.conditional.prior, model.left)
    save_weights(folder / "weights", eqx.filter(parts, eqx.is_array))
    if is_first_process():
        sizes = [len(part.variances) for part in (model.conditional.prior, model.left)]
        described = {"format": FORMAT, "n_directions": sizes, "operator": identity(model.conditional.operator)}
        write_json(folder / "conditional.json", described | dataclasses.asdict(model.settings))


def load_conditional(folder: str | Path, operator: Coarsening | int) -> ConditionalModel:
    """The model that `train_conditional` saved.

    Args:
        folder: of the model.
        operator: C′, or a factor f for every f-th point, which must be the one that it was trained for.

    Returns:
        The model.

    Raises:
        DataError: if the folder holds no such model, or one for another C′.
        CheckpointMismatch: if it is of another format, or its weights do not fit.

    Examples:
        >>> model = load_conditional("model", Subsample((192,), 8))
    """
    path = Path(folder) / "conditional.json"
    if not path.exists():
        raise DataError(f"{folder}: holds no trained conditional model (no conditional.json).")
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        found = stored.get("format")
        if found != FORMAT:
            raise CheckpointMismatch(f"{path}: is a model of format {found}, not {FORMAT}; train it again.")
        if isinstance(operator, int):
            operator = Subsample(stored["network"]["space"], operator)
        require_own_operator(path, stored["operator"], operator)
        lists: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in stored["network"].items()}
        settings = ConditionalSettings(stored["kind"], PriorSettings(**lists), stored["jitter"])
        n_components = stored["n_directions"]
    except (CheckpointMismatch, DataError):
        raise
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: not a model description of this version ({error}).") from error
    network_settings = settings.network
    shape, channels = (network_settings.n_channels, *network_settings.space), jnp.zeros(network_settings.n_channels)
    blanks = [blank_gaussian_part(shape, n) for n in n_components]
    network = build_network(network_settings, n_features(network_settings.n_channels), key=jr.key(0))
    arrays, static = eqx.partition((network, Standardiser(channels, channels), *blanks), eqx.is_array)
    loaded = eqx.combine(load_weights(Path(folder) / "weights", like=arrays), static)
    network, standardiser, gaussian, left = loaded
    conditional = _conditional(gaussian, standardiser, operator, settings.jitter)
    return ConditionalModel(settings, network, standardiser, conditional, left)


def is_conditional(folder: str | Path) -> bool:
    """Whether the folder holds a whole conditional model.

    Args:
        folder: of a model; it need not exist.

    Returns:
        True if there is a `conditional.json`, which is written last.
    """
    return (Path(folder) / "conditional.json").exists()


def _conditional(
    gaussian: GaussianPrior, standardiser: Standardiser, operator: Coarsening, jitter: float
) -> ConditionalGaussian:
    """Under C′, with the noise of the jitter, which is in the units of the field and normalised as the field is."""
    coarse = (gaussian.mean.shape[0], *operator.coarse_shape)
    each = (jitter / np.asarray(standardiser.std, np.float64).reshape(-1, *(1,) * len(operator.coarse_shape))) ** 2
    return condition(gaussian, operator, coarse, noise_variance=np.broadcast_to(each, coarse) if jitter else 0.0)


def _hold_back(fields: Fields) -> tuple[StreamedFields | np.ndarray, np.ndarray]:
    """Fields to train on, and others; few fields, or an archive on disk, are measured on what they are trained on."""
    if isinstance(fields, StreamedFields):
        return fields, np.concatenate([fields.blocks.read(i) for i in _last(fields)])[-MEASURED:]
    n = len(fields) // HELD_BACK
    seen, held_back = (fields[:-n], fields[-n:]) if n >= 4 else (fields, fields)
    return seen, held_back[np.linspace(0, len(held_back) - 1, min(MEASURED, len(held_back))).astype(int)]


def _last(fields: StreamedFields) -> list[int]:
    """As many blocks at the end as hold `MEASURED` fields."""
    ends = np.cumsum(fields.blocks.lengths[::-1])
    return list(range(len(ends)))[-(int(np.searchsorted(ends, MEASURED)) + 1) :]


def _left_by_mean(model: ConditionalModel, fields: Float[Array, "n channel *space"], *, key: Key) -> GaussianPrior:
    """N(0, Λ): mean squared coordinates of x − D(m_y, σ_max; y) along the eigenvectors of Σ_y, y as uncertain as its
    jitter.

    What y determines has no variance, and modes that are not refined keep the Gaussian's.
    """
    targets = jittered(model.conditional, fields, key=key)
    spread, sigma = model.conditional.spread, jnp.asarray(model.settings.network.sigma_max)
    axes = tuple(range(1, spread.mean.ndim + 1))

    @eqx.filter_jit
    def squares(model: ConditionalDenoiser, pairs):
        def one(pair):
            x, y = pair
            off = x - model.given(y)(model.conditional.mean(y), sigma)
            components = model.conditional.spread.directions
            leading = jnp.tensordot(off[None], components, (axes, axes), precision=FULL)[0] ** 2
            return leading, jnp.sum((off * spread.support) ** 2) - jnp.sum(leading)

        return jax.lax.map(one, pairs, batch_size=64)

    leading, rest = (part.mean(0) for part in squares(model.denoiser, (fields, targets)))
    n_rest = jnp.maximum(jnp.sum(spread.support) - len(spread.variances), 1)
    kept = lambda new, old: jnp.where(refined(old) > 0, new, old)  # noqa: E731
    variances = kept(leading, spread.variances), kept(jnp.maximum(rest / n_rest, 0.0), spread.remainder)
    return eqx.tree_at(lambda g: (g.variances, g.remainder), spread, variances)


def require_own_operator(source: object, trained: dict[str, Any], operator: Coarsening) -> None:
    """Passes if C′ is the one of the fingerprint; else a `DataError` names both, and `source` names the model."""
    asked = fingerprint(operator)
    same_grids = all(trained[name] == asked[name] for name in ("fine_shape", "coarse_shape"))
    if same_grids and np.allclose(trained["probe"], asked["probe"], atol=1e-4):
        return
    own, other = trained.get("name", f"{trained['fine_shape']} to {trained['coarse_shape']}"), _name(operator)
    raise DataError(
        f"{source}: the model was trained for another C', {own}, not {other}{', of other weights' * (own == other)}. A "
        "conditional model is good for its own C' only: train one for this one, or use the guided prior "
        '(downscaling.method = "diffusion"), which takes any.'
    )


def identity(operator: Coarsening) -> dict[str, Any]:
    """The fingerprint, and what to call it."""
    return fingerprint(operator) | {"name": _name(operator)}


def _name(operator: Coarsening) -> str:
    """C′ in words. Subsample of 192 to 24 points"""
    fine, coarse = (" x ".join(map(str, shape)) for shape in (operator.fine_shape, operator.coarse_shape))
    return f"{type(operator).__name__} of {fine} to {coarse} points"
