"""What a fit may be told beside its two archives: one class for what all models share, those of networks beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

from subgrid.data.checks.checks import Gaps
from subgrid.data.sources.sources import Source
from subgrid.data.times.steps import Step
from subgrid.downscaling.refined.prior import N_COMPONENTS
from subgrid.downscaling.settings import require_at_least

PreparationName: TypeAlias = Literal["auto", "anomalies", "standardise"]
PriorName: TypeAlias = Literal[
    "auto", "refined-gaussian", "network", "conditional-diffusion", "conditional-flow", "bridge", "function-space"
]


@dataclass(frozen=True)
class FitSettings:
    """What `fit` is told beside the archives; it has many fields, as each stands for one decision that a user may take.

    Args:
        preparation: "anomalies" of fields with dates and places on the earth: units, transforms, day-of-year anomalies,
            masks; or "standardise" of plain arrays. "auto", the default, is the first where both archives have dates
            and coordinates of latitude and longitude.
        prior: of fine fields. "refined-gaussian": a Gaussian, exact, which a network refines where that helps fields
            that were left out; "network": a denoising network, guided; "conditional-diffusion" or "conditional-flow": a
            network for this C′ alone, which needs no guidance; "bridge": a Schrödinger bridge from interpolated coarse
            fields, which stays near them without being held to them; "function-space": a guided prior of functions,
            trained on half the points an axis, and good for any finer grid too. "auto", the default: the first with
            anomalies, else "conditional-diffusion", which scored best on Kuramoto–Sivashinsky at the least cost.
        debias: a method; "auto", the default: of anomalies by left-out years, else "entropic-ot".
        debias_options: of the method; of "auto" and anomalies `strength`, `candidates`, `marginals`, `n_quantiles`,
            `explained_variance`; else those of `DebiasSettings`, `EntropicSettings` and `TransportSettings`.
        step: "day" or "month" averages archives of shorter steps when they are opened; None leaves their times.
        minimum_valid: share of the area of a coarse cell that needs values for it to be in the constraint; default .5.
        gaps: of cells with values at some times only: "refuse", the default; "mask" leaves such a cell out, "drop" the
            times that lack a value.
        n_harmonics: of the climatology, default 3.
        n_components: numbers of principal components to choose from by the likelihood of left-out years.
        n_levels: of noise, in the draws that the spread is calibrated by; default 8.
        calibrate: of a refined Gaussian, whether the spread of its draws is calibrated on fields that are left out,
            whole season years, or stretches of an archive without dates; default True. It takes seconds, as the
            Gaussian alone is fitted anew without them. Other priors stay as they are learned: left-out fields are of
            use to them only if they are trained anew without these, or on less.
        orography: a static predictor of the refining network, on any grid that covers the fine one; none by default.
        orography_variable: its name in that file; by default it is found.
        periodic: of plain arrays, whether space wraps around; by default as their values look, which is said.
        jitter: of conditional models, standard deviation of the noise added to C′x in training, in units of the field;
            default 0.
        stream: of plain arrays, whether fine fields stay on disk and are read batch by batch, while debiasing sees
            evenly spaced stretches of them; by default where they would take more than a quarter of memory.
        join: the processes of several hosts to train together with, "auto" or "host:port,i/n", as for
            `training.join_from_text`; they share the folder. None for one process.

    Raises:
        ValueError: for a preparation or a prior that does not exist, and numbers out of their range.
    """

    preparation: PreparationName = "auto"
    prior: PriorName = "auto"
    debias: str = "auto"
    debias_options: Mapping[str, Any] = field(default_factory=dict)
    step: Step | None = None
    minimum_valid: float = 0.5
    gaps: Gaps = "refuse"
    n_harmonics: int = 3
    n_components: Sequence[int] = N_COMPONENTS
    n_levels: int = 8
    calibrate: bool | None = None
    orography: Source | None = None
    orography_variable: str | None = None
    periodic: bool | None = None
    jitter: float = 0.0
    stream: bool | None = None
    join: str | None = None

    def __post_init__(self):
        for name, allowed in (("preparation", PreparationName), ("prior", PriorName), ("gaps", Gaps)):
            if (value := getattr(self, name)) not in get_args(allowed):
                raise ValueError(f"{name} must be one of {', '.join(get_args(allowed))}, got {value!r}.")
        require_at_least(1, self, "n_components", "n_levels")
        require_at_least(0, self, "n_harmonics", "jitter", "minimum_valid")
        if self.minimum_valid > 1:
            raise ValueError(f"minimum_valid must be a share from 0 to 1, got {self.minimum_valid}.")

    def asked(self) -> dict[str, Any]:
        """Plain values, by which a folder is known to be that of one configuration."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        for aside in ("stream", "join"):  # decide where fields are read and by whom: what is read says so itself
            del plain[aside]
        plain["orography"] = None if self.orography is None else str(self.orography)[:200]
        return plain
