"""The model: everything that is fitted on a pair of archives."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from subgrid.downscaling.conditional.model import ConditionalModel
from subgrid.downscaling.model.draws import AnyPrior, Draws, SamplingSettings, draws_of
from subgrid.downscaling.model.sides import CoarseSide, FineSide
from subgrid.downscaling.preparation.steps import Transformed
from subgrid.downscaling.preparation.transforms import is_bounded
from subgrid.downscaling.prior.model import Prior
from subgrid.downscaling.refined.prior import RefinedPrior
from subgrid.downscaling.spread.post_processing import PostProcessing
from subgrid.functional.function_diffusion import FunctionDiffusion

LINE = 100
"""Characters of a line in words."""


@dataclass(frozen=True, repr=False)
class Model:
    """A fitted model: from coarse fields to ensembles of fine ones. Made by `fit`, found by `load`.

    Args:
        coarse: how coarse fields are opened, prepared and debiased.
        fine: C′, and the way from drawn fields to fine fields as files have them.
        prior: p(x) of inner fine fields, or what draws them by itself.
        post: post-processing of draws; None for none.
        folder: where it is kept.

    Examples:
        >>> model = subgrid.load("model")
        >>> ensemble = subgrid.downscale(coarse, model, key=jax.random.key(1))
    """

    coarse: CoarseSide
    fine: FineSide
    prior: AnyPrior
    post: PostProcessing | None
    folder: Path

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the channels."""
        return self.coarse.names

    @property
    def checkpoint(self) -> str:
        """What names the prior: a digest of what decides its draws."""
        from subgrid.downscaling.model.folder import checkpoint_id

        return checkpoint_id(self.folder)

    def draws(self, settings: SamplingSettings = SamplingSettings()) -> Draws:  # noqa: B008 frozen
        """Draws of inner fields.

        Args:
            settings: of the sampler.

        Returns:
            Draws for any targets.

        Raises:
            ValueError: for settings that do not go with the prior.
        """
        transformed = self.fine.chain.find(Transformed)
        bounded = (False,) * len(self.variables) if transformed is None else is_bounded(transformed.transforms)
        return draws_of(self.prior, self.fine.operator, settings, post=self.post, mask=self.fine.mask, bounded=bounded)

    def facts(self) -> dict[str, str]:
        """What the model is, in words, by the names of its parts."""
        coarse, fine = self.coarse, self.fine
        units = coarse.reading.units or ("",) * len(self.variables)
        shown = (f"{name} [{unit}]" if unit else name for name, unit in zip(self.variables, units, strict=True))
        kept = np.ones(fine.operator.coarse_shape, bool) if coarse.kept is None else coarse.kept
        return {
            "variables": ", ".join(shown),
            "fine grid": _grid(fine.mask, "with values"),
            "coarse grid": _grid(kept, "in the constraint"),
            "coarse chain": " → ".join(map(_step, coarse.chain.steps)) or "as it is",
            "fine chain": " → ".join(map(_step, fine.chain.steps)) or "as it is",
            "C′": type(fine.operator).__name__,
            "debiaser": _debiaser(coarse),
            "prior": prior_in_words(self.prior),
            **({"network": _gain_in_words(self.prior)} if isinstance(self.prior, RefinedPrior) else {}),
            **({"orography": _orography(fine.orography, self.prior)} if fine.orography is not None else {}),
            "post-processing": _post(self.post),
            "folder": str(self.folder),
        }  # fmt: skip

    def __repr__(self) -> str:
        facts = self.facts()
        width = max(map(len, facts))
        room = LINE - width - 4
        shown = facts | {"folder": _end(facts["folder"], room)}
        lines = (f"  {name:<{width}}  {_beginning(value, room)}" for name, value in shown.items())
        return "\n".join(["subgrid.Model", *lines])

    def _repr_html_(self) -> str:
        from html import escape

        rows = "".join(
            f"<tr><th style='text-align:left'>{escape(name)}</th><td style='text-align:left'>{escape(value)}</td></tr>"
            for name, value in self.facts().items()
        )
        return f"<table><caption>subgrid.Model</caption>{rows}</table>"


def prior_in_words(prior: AnyPrior) -> str:
    """What draws fine fields, in words.

    Args:
        prior: of a model.

    Returns:
        The kind, and how large it is.

    Examples:
        >>> prior_in_words(model.prior)
        'Gaussian of 80 components, not refined by a network'
    """
    match prior:
        case RefinedPrior():
            refined = "refined by a network" if prior.refined else "not refined by a network"
            return f"Gaussian of {len(prior.denoiser.base.variances)} components, {refined}"
        case Prior():
            return f"network of {_millions(prior.denoiser)} parameters, guided"
        case FunctionDiffusion():
            grid = " × ".join(map(str, prior.space.grid))
            return f"network of {_millions(prior.operator)} parameters between functions, trained on {grid} points"
        case ConditionalModel():
            return f"conditional {prior.settings.kind} of {_millions(prior.network)} parameters"
    return f"Schrödinger bridge of {_millions(prior.drift.learned)} parameters"


def _gain_in_words(prior: RefinedPrior) -> str:
    """Why a network is used or not."""
    if prior.gain is None:
        return "none was trained"
    verdict = "used" if prior.refined else "not used"
    return f"{verdict}; CRPS of left-out fields {prior.gain.network:.4f}, without {prior.gain.gaussian:.4f}"


def _orography(said: str, prior: AnyPrior) -> str:
    """Which static field is a predictor, and whether anything sees it."""
    seen = isinstance(prior, RefinedPrior) and prior.refined
    return said if seen else f"{said}; no network sees it"


def _millions(module: object) -> str:
    import equinox as eqx
    import jax

    n = sum(leaf.size for leaf in jax.tree.leaves(eqx.filter(module, eqx.is_inexact_array)))
    return f"{n / 1e6:.2g} million" if n >= 1e5 else str(n)


def _beginning(text: str, room: int) -> str:
    """As many parts of a list as fit, and how many more there are."""
    if len(text) <= room:
        return text
    parts = text.split(", ")
    for n in range(len(parts) - 1, 0, -1):
        if len(said := f"{', '.join(parts[:n])} and {len(parts) - n} more") <= room:
            return said
    return f"{text[: room - 2]} …"


def _end(path: str, room: int) -> str:
    return path if len(path) <= room else f"…{path[1 - room :]}"


def _grid(cells: Bool[np.ndarray, "*space"], what: str) -> str:
    n = int(cells.sum())
    return f"{_by(cells.shape)} cells" + (f", {n} {what}" if n < cells.size else "")


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _step(step: object) -> str:
    from subgrid.downscaling.stored.kinds import kind_of

    return kind_of(step) or type(step).__name__


def _post(post: PostProcessing | None) -> str:
    if post is None:
        return "none"
    return "spread calibration" if post.marginals is None else "spread calibration, marginals"


def _debiaser(coarse: CoarseSide) -> str:
    from subgrid.downscaling.stored.kinds import kind_of

    options = getattr(coarse.debiaser, "options", None)
    if options is not None:
        return f"{options['method']}, strength {options['strength']:g}"
    inner = getattr(coarse.debiaser, "debiaser", coarse.debiaser)
    parts = getattr(inner, "parts", (inner,))
    return ", then ".join(kind_of(part) or type(part).__name__ for part in parts)
