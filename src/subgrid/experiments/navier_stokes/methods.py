"""What the names of methods mean: a debiaser, an upsampler, and what has to be trained for it."""

from dataclasses import dataclass

from subgrid.experiments.navier_stokes.config import MethodName, NavierStokesConfig

WHOLE = ("bcsd", "cycle-gan", "clim-align", "align-flow")
"""From raw coarse fields to fine ones, in one step."""
DETERMINISTIC = ("cubic", "vision-transformer", "bcsd", "cycle-gan")
"""Upsamplers that draw nothing: one member says all. Flows of both archives draw the noise that fills the subspace of
coarse fields."""
MEMORY = 0.1
"""Of averaged weights, as a share of a short training: with .999 those of 600 steps would be the mean of all, untrained
ones among them."""
OF_ONE_COARSENING = (
    "conditional-diffusion",
    "conditional-flow",
    "vision-transformer",
    "cycle-gan",
    "clim-align",
    "align-flow",
)
"""Trained anew for every factor; the prior is trained once."""
OF_THE_PRIOR = ("guided", "particles")
PARTICLES_SHARE = 4
"""Particles are drawn for one condition in so many: each of them costs one and a half guided draws."""


@dataclass(frozen=True)
class Method:
    """From raw coarse fields to fine ones.

    Args:
        name: as in the configuration.
        debiaser: of coarse fields; "none" of methods that start from raw ones.
        upsampler: from coarse to fine fields.
    """

    name: MethodName
    debiaser: str
    upsampler: str

    @property
    def is_whole(self) -> bool:
        """Whether it takes raw fields only, and so cannot be asked for coarsened reference fields."""
        return self.upsampler in WHOLE


@dataclass(frozen=True)
class ModelName:
    """What is trained: one model, of one factor or of all.

    Args:
        kind: "prior", or the upsampler that it is for.
        factor: None for the prior.
    """

    kind: str
    factor: int | None = None

    @property
    def is_whole(self) -> bool:
        """Whether it starts from raw coarse fields."""
        return self.kind in WHOLE

    @property
    def folder(self) -> str:
        """In the run folder."""
        return f"models/{self.kind}" + (f".{self.factor}" if self.factor else "")

    @property
    def words(self) -> str:
        """Of its stage."""
        return self.kind + (f" {self.factor}x" if self.factor else "")


def method_of(name: MethodName) -> Method:
    """The method of this name."""
    if name in WHOLE:
        return Method(name, "none", name)
    debiaser, upsampler = name.split("+")
    return Method(name, debiaser, upsampler)


def methods_of(config: NavierStokesConfig) -> list[Method]:
    """All methods of the comparison."""
    return list(map(method_of, config.comparison.methods))


def debiasers_of(config: NavierStokesConfig) -> list[str]:
    """Each once, those that change something."""
    return [name for name in dict.fromkeys(method.debiaser for method in methods_of(config)) if name != "none"]


def upsamplers_of(config: NavierStokesConfig) -> list[str]:
    """Each once, those that can be asked for coarsened reference fields."""
    return list(dict.fromkeys(method.upsampler for method in methods_of(config) if not method.is_whole))


def short_memory(n_steps: int) -> float:
    """The decay a step of weights that are averaged over a tenth of the training."""
    return max(0.0, 1 - 1 / (MEMORY * n_steps))


def models_of(config: NavierStokesConfig) -> list[ModelName]:
    """All that is trained, the prior first."""
    kinds = list(dict.fromkeys(method.upsampler for method in methods_of(config)))
    prior = [ModelName("prior")] if set(kinds) & set(OF_THE_PRIOR) else []
    factors = config.navier_stokes.factors
    return prior + [ModelName(kind, factor) for kind in kinds if kind in OF_ONE_COARSENING for factor in factors]
