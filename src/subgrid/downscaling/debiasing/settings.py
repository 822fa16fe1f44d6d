"""What a debiaser is fitted with, method by method."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from subgrid.downscaling.settings import require_one_group, sort_settings
from subgrid.numerics.symmetries import SymmetryGroup

Correction: TypeAlias = Literal["covariance", "marginals"]
ClimateDebiasMethod: TypeAlias = Literal[
    "none",
    "variance-scaling",
    "quantile-mapping",
    "quantile-delta-mapping",
    "dotc",
    "gaussian",
    "reduced-ot",
    "flow-matching",
    "interpolant",
    "rectified-flow",
    "schrodinger-bridge",
]


@dataclass(frozen=True)
class EntropicSettings:
    """How entropic transport of whole fields is fitted.

    Args:
        n_samples: fields used of each archive, default 4096; time and memory grow with the square.
        epsilon: entropy, in units of the squared field; None, the default, chooses it from the fields by
            `suggested_epsilon`, and doubles it where the solver does not converge.
        tolerance: error of the marginals at which the iteration stops, default .01; as for `fit_entropic_map`.
        max_iterations: of the solver, default 5000; as for `fit_entropic_map`.
    """

    n_samples: int = 4096
    epsilon: float | None = None
    tolerance: float = 1e-2
    max_iterations: int = 5000


@dataclass(frozen=True)
class TransportSettings:
    """How a dynamic transport is fitted; the defaults are for Kuramoto–Sivashinsky on two cores.

    Args:
        n_steps: of training: of a flow, of each of the two rounds of a rectified flow, of each iteration of a bridge;
            default 2000.
        batch_size: pairs a step, default 256.
        learning_rate: its peak, default 1e-3; it falls along a cosine.
        channels: of a UNet on grids, its levels; of a perceptron on vectors, its hidden layers; default one of 48.
        patch: points an axis that a UNet takes together first, default 1, none; vectors have no use for it.
        sigma: noise of "interpolant" and "schrodinger-bridge", in standard deviations of the target, default .5.
        n_iterations: outer iterations of a bridge, default 4.
        n_flow_steps: midpoint steps of the map T, default 8.

    Raises:
        ValueError: for numbers of steps, iterations or pairs below 1, and a sigma that is not positive.
    """

    n_steps: int = 2000
    batch_size: int = 256
    learning_rate: float = 1e-3
    channels: tuple[int, ...] = (48,)
    patch: int = 1
    sigma: float = 0.5
    n_iterations: int = 4
    n_flow_steps: int = 8

    def __post_init__(self):
        for name in ("n_steps", "batch_size", "patch", "n_iterations", "n_flow_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"debias.{name} must be at least 1, got {getattr(self, name)}.")
        if not self.sigma > 0:
            raise ValueError(f"debias.sigma must be positive, got {self.sigma}; without noise choose flow-matching.")

    @property
    def steps_per_dispatch(self) -> int:
        """The largest divisor of n_steps up to 50: what one report covers."""
        return max(k for k in range(1, 51) if self.n_steps % k == 0)


@dataclass(frozen=True)
class DebiasSettings:
    """How `fit_debiaser_array` fits; each method uses those that are its own.

    Args:
        translation_invariant: of transports, whether samples are shifted at random, so that smaller archives too give
            many; default False.
        periodic: of dynamic transports, whether space wraps around (it does if translation invariant); default False.
        corrections: of transports, in this order, default both; see `correct`. Entropic transport holds back half of
            each archive for them, or what `n_samples` leaves of it if that is more; dynamic ones, which do not keep the
            fields of their fit, are fitted and corrected on all.
        n_quantiles: of quantile mapping and of the correction of marginals, default 200.
        n_correction_samples: of transports between symmetric distributions, images that corrections are fitted on. The
            default, 65,536, knows a covariance of 24 points to half a percent, and every per-mille quantile by some
            sixty values, if the fields behind them are many. A dynamic transport moves every one of them.
        symmetries: of transports, in place of all shifts, those under which both distributions of coarse fields are
            invariant: samples are replaced by random images. None by default.
        entropic: of entropic transport.
        dynamic: of dynamic transports.

    Raises:
        ValueError: for a correction that does not exist, and symmetries of two kinds.
    """

    translation_invariant: bool = False
    periodic: bool = False
    corrections: tuple[Correction, ...] = ("covariance", "marginals")
    n_quantiles: int = 200
    n_correction_samples: int = 65_536
    symmetries: SymmetryGroup | None = None
    entropic: EntropicSettings = EntropicSettings()
    dynamic: TransportSettings = TransportSettings()

    def __post_init__(self):
        require_corrections(self.corrections)
        require_one_group(self)


def require_corrections(corrections: Sequence[str]) -> None:
    """Passes if all corrections exist; ValueError if not."""
    for correction in corrections:
        if correction not in get_args(Correction):
            raise ValueError(f"corrections must be among {get_args(Correction)}, got {correction!r}.")


def debias_settings(**settings: Any) -> DebiasSettings:
    """Settings of all methods, given flat: those of `EntropicSettings` and `TransportSettings` beside the common ones.

    Args:
        **settings: by name; what is left out has its default.

    Returns:
        The settings, each where it belongs.

    Raises:
        TypeError: for a setting that does not exist.
        ValueError: as `DebiasSettings` and `TransportSettings`.

    Examples:
        >>> debias_settings(epsilon=0.5, n_quantiles=100).entropic.epsilon
        0.5
    """
    classes = DebiasSettings, EntropicSettings, TransportSettings
    common, entropic, dynamic = sort_settings("debias_options", settings, *classes, without=("entropic", "dynamic"))
    if "corrections" in common:
        common["corrections"] = tuple(common["corrections"])
    return DebiasSettings(**common, entropic=EntropicSettings(**entropic), dynamic=TransportSettings(**dynamic))
