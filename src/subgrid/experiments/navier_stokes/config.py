"""The configuration of downscaling Kolmogorov flow: a TOML file with the table [navier_stokes]."""

from typing import Annotated, Literal

from pydantic import Field

from subgrid.downscaling.prior.model import Preconditioning, PriorSettings
from subgrid.downscaling.upsampling.choices import GuidanceName
from subgrid.runs.config import (
    AsTuple,
    ConfigError,
    Configuration,
    Distinct,
    Fraction,
    Positive,
    PositiveFloat,
    RunTable,
    Table,
    Widths,
)
from subgrid.simulate.kolmogorov_flow import KolmogorovFlow

DebiaserName = Literal["none", "gaussian", "entropic-ot", "rectified-flow", "schrodinger-bridge", "ddib", "sdedit"]
"""Maps of coarse fields: nothing; mean, covariance and marginals; transports; and, by way of noise, those of two
diffusion models or of one."""
UpsamplerName = Literal[
    "guided", "particles", "conditional-diffusion", "conditional-flow", "cubic", "vision-transformer"
]
"""From C′x to x: a diffusion prior, guided, with particles or without; models trained for this C′; and two that are
deterministic."""
MethodName = Literal[
    "entropic-ot+guided",
    "entropic-ot+particles",
    "entropic-ot+conditional-diffusion",
    "entropic-ot+conditional-flow",
    "gaussian+guided",
    "rectified-flow+guided",
    "schrodinger-bridge+guided",
    "ddib+guided",
    "sdedit+guided",
    "none+guided",
    "entropic-ot+cubic",
    "entropic-ot+vision-transformer",
    "bcsd",
    "cycle-gan",
    "clim-align",
    "align-flow",
]
"""A debiaser and an upsampler; the last four are methods of their own, from raw coarse fields to fine ones."""
Scheme = Literal["van-leer", "upwind"]
Methods = Annotated[tuple[MethodName, ...], AsTuple, Distinct, Field(min_length=1)]
Steps = Annotated[int, Field(ge=20, multiple_of=20)]
"""Of a training, whose compiled calls take 20 steps each."""


PATCH = 4
"""Points an axis that generators, critics and flows take together first."""
LEAST_NOISE, MOST_NOISE = PriorSettings.sigma_min, PriorSettings.sigma_max
"""Of models of coarse fields, in standard deviations of the field."""


class FlowTable(Table):
    """Both archives, and the factors between their grids."""

    n_fine: Annotated[int, Field(ge=16)] = 64
    """Points a side of the spectral solver."""
    n_coarse: Annotated[int, Field(ge=8)] = 32
    """Points a side of the finite-volume solver, whose low order makes the bias."""
    factors: Annotated[tuple[Annotated[int, Field(ge=2)], ...], AsTuple, Distinct, Field(min_length=1)] = (4, 8)
    """Fine points for each that is observed, an axis. C′ takes every so many points; both archives have them."""
    viscosity: PositiveFloat = 4e-3
    """ν of both solvers; the published .001 needs 256 points a side."""
    drag: Annotated[float, Field(ge=0)] = 0.1
    """μ, of the large scales."""
    amplitude: PositiveFloat = 1.0
    """A, of the force A sin(k_f y) along x."""
    wavenumber: Positive = 4
    """Of the force, k_f."""
    time_step: PositiveFloat = 0.0125
    """Of the spectral solver."""
    coarse_time_step: PositiveFloat = 0.02
    """Of the finite-volume solver; it divides the interval."""
    speed: PositiveFloat = 5.0
    """The greatest |u| that time steps are checked against: 4.4 was seen at the constants above."""
    advection: Scheme = "van-leer"
    """Of the finite-volume solver."""
    n_trajectories: Annotated[int, Field(ge=4)] = 64
    """Of each archive, from starts of their own."""
    n_snapshots: Positive = 50
    """Of each trajectory."""
    interval: PositiveFloat = 2.0
    """Between snapshots: some turnover times, so that they are nearly independent."""
    spin_up: Annotated[float, Field(ge=0)] = 26.0
    """Before the first snapshot."""
    training_fraction: Fraction = 0.75
    """Of the trajectories of each archive. Of the others the fine ones are halved: reference and noise floor."""

    @property
    def fine_flow(self) -> KolmogorovFlow:
        """System, grid and time step of the fine solver."""
        return self._flow(self.n_fine, self.time_step)

    @property
    def coarse_flow(self) -> KolmogorovFlow:
        """Of the coarse solver."""
        return self._flow(self.n_coarse, self.coarse_time_step)

    def _flow(self, n_points: int, time_step: float) -> KolmogorovFlow:
        return KolmogorovFlow(n_points, self.viscosity, self.drag, self.wavenumber, self.amplitude, time_step)


class CalibrationTable(Table):
    """Coarse solvers whose bias is measured beside each other: `--until calibration`."""

    grids: Annotated[tuple[Positive, ...], AsTuple, Distinct] = ()
    """Points a side; none by default."""
    schemes: Annotated[tuple[Scheme, ...], AsTuple, Distinct] = ("van-leer", "upwind")
    """Advection of each."""
    courant: Annotated[float, Field(gt=0, le=0.7)] = 0.5
    """Of each, at the greatest speed along an axis: it decides the time step. Along a diagonal it is √2 times as large,
    and must not exceed 1."""


class ComparisonTable(Table):
    """What is compared."""

    methods: Methods = ("entropic-ot+guided", "none+guided", "entropic-ot+cubic")
    """A debiaser and an upsampler each, or a method of its own; more of them are added to a finished run."""


class DebiasTable(Table):
    """Debiasers; keys of a method that is not used do nothing."""

    n_samples: Positive = 4096
    """Of each set, for optimal transport: random images of the training fields."""
    n_images: Positive = 16_384
    """Random images that means, covariances and marginals are fitted on, by all debiasers and by BCSD: with them a
    covariance of 256 points is known to 9 %. A bridge evaluates its network thirty times for each."""
    epsilon: PositiveFloat | None = None
    """Entropy in units of the squared field; by default chosen from the fields, and doubled where the solver does not
    converge."""
    n_steps: Steps = 500
    """Of the training of a flow, and of each of two rounds of a rectified one."""
    n_bridge_steps: Steps = 100
    """Of each of four iterations of a bridge, whose pairs its network simulates: a step takes ten times as long."""
    batch_size: Positive = 128
    """Fields a step, of all debiasers that are trained."""
    learning_rate: PositiveFloat = 1e-3
    """Peak of Adam's rate of all debiasers that are trained."""
    network_points: Positive = 8
    """Points a side of the first level of every network of coarse fields, which takes the points of a finer grid
    together in patches: at 16 points a quarter of the work."""
    channels: Widths = (48,)
    """Width of each level of the network of a dynamic transport."""
    noising_level: PositiveFloat | None = None
    """Of methods that add noise to coarse fields and take it away: its standard deviation, in those of the field; by
    default 3.4, half of the way of a variance-preserving process."""
    n_noising_levels: Positive = 32
    """Heun steps in each direction. The method is of second order: with half as many as the debiasers take by default
    its slope between Gaussians is right to 3e-3."""
    n_noising_steps: Steps = 500
    """Of the training of each diffusion model of coarse fields."""
    noising_channels: Widths = (32, 64)
    """Width of each level of their networks."""

    def patch(self, points: int) -> int:
        """Points an axis that networks of a coarse grid of so many take together first."""
        at_most = max(1, points // self.network_points)
        return max(n for n in range(1, at_most + 1) if points % n == 0)


class PriorTable(Table):
    """The networks of the diffusion prior and of conditional models."""

    channels: Widths = (32, 64, 128)
    """Of the UNet's levels, finest first."""
    n_blocks: Positive = 2
    """Residual blocks a level."""
    patch: Positive = 2
    """Points an axis that the UNet takes together first. With 4, and two levels, its loss ended where with 2 it is
    after a third of the steps."""
    attention_levels: Annotated[tuple[Annotated[int, Field(ge=0)], ...], AsTuple, Distinct] = ()
    """Levels that end in self-attention, 0 the finest."""
    preconditioning: Preconditioning = "modes"
    """Of the prior: mode by mode by the Gaussian of the fields, whose empty waves stay empty, or by their variance."""
    n_steps: Steps = 2000
    """Of the prior, which begins as a Gaussian."""
    n_conditional_steps: Steps = 400
    """Of each conditional model."""
    batch_size: Positive = 32
    """Fields a step, random images under the symmetries of the flow."""
    learning_rate: PositiveFloat = 1e-3
    """Peak of Adam's rate, which falls along a cosine."""
    warmup: Positive = 500
    """Steps until the peak."""
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """Of the averaged weights, a step; in trainings of less than 10,000 steps, what remembers a tenth of them."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Of the arithmetic inside the network."""


class BaselinesTable(Table):
    """Trained baselines."""

    n_transformer_steps: Steps = 400
    """Of the vision transformer's training."""
    transformer_patch: Positive = 1
    """Observed points an axis that make one token: 2 where there are 32 of them, as attention costs the square."""
    transformer_width: Annotated[int, Field(ge=8, multiple_of=8)] = 128
    """Of a token."""
    transformer_layers: Positive = 6
    """Pairs of attention and perceptron."""
    n_gan_steps: Steps = 400
    """Of the cycleGAN's training."""
    gan_learning_rate: PositiveFloat = 2e-4
    """Of generators and critics, as published; of 400 steps more would make more, and may diverge."""
    gan_channels: Positive = 64
    """Width of its generators on the coarsest grid."""
    n_alignment_steps: Steps = 400
    """Of the training of ClimAlign and of AlignFlow."""
    alignment_learning_rate: PositiveFloat = 5e-4
    """Of flows and critics."""
    alignment_filters: Positive = 32
    """Width of their couplings."""
    alignment_levels: Positive = 3
    """Of both flows: the grid is halved before each but the first."""
    batch_size: Positive = 16
    """Fields a step, of all of them."""


class SamplingTable(Table):
    """How diffusion models are sampled."""

    guidance: GuidanceName = "gaussian-gain"
    """The closed-form gain needs no derivative of the network: a tenth of the cost of a draw by moment matching."""
    n_levels: Annotated[int, Field(ge=3)] = 32
    """Noise levels of the guided prior."""
    n_conditional_levels: Annotated[int, Field(ge=3)] = 16
    """Evaluations of a conditional model a draw."""
    n_particles: Annotated[int, Field(ge=2)] = 4
    """Of each draw of "particles", which are drawn for a quarter of the conditions."""
    chunk: Positive = 64
    """Draws at a time."""


class EvaluationTable(Table):
    """How many fields are scored."""

    n_conditions: Annotated[int, Field(ge=8)] = 100
    """Perfect-model cases: coarsened reference fields, downscaled and scored against the truth."""
    n_members: Annotated[int, Field(ge=3)] = 8
    """Of each perfect-model case."""
    n_unpaired: Annotated[int, Field(ge=8)] = 256
    """Debiased coarse fields downscaled for the statistics of generated fields."""
    unpaired_members: Annotated[int, Field(ge=2)] = 2
    """Of each debiased field; the first is scored beside methods that give one."""
    n_images: Positive = 4
    """Random images, under the symmetries of the flow, of every held-out field: free samples for all statistics."""


class NavierStokesConfig(Configuration):
    """All tables; every key has a default."""

    run: RunTable = RunTable(name="navier_stokes")
    navier_stokes: FlowTable = FlowTable()
    calibration: CalibrationTable = CalibrationTable()
    comparison: ComparisonTable = ComparisonTable()
    debias: DebiasTable = DebiasTable()
    prior: PriorTable = PriorTable()
    baselines: BaselinesTable = BaselinesTable()
    sampling: SamplingTable = SamplingTable()
    evaluation: EvaluationTable = EvaluationTable()


def check(config: NavierStokesConfig) -> None:
    """Values that do not go together."""
    table = config.navier_stokes
    for flow, key in ((lambda: table.fine_flow, "n_fine"), (lambda: table.coarse_flow, "n_coarse")):
        try:
            flow()
        except ValueError as error:
            raise ConfigError(f"navier_stokes.{key}: {error}") from error
    if table.n_fine % table.n_coarse:
        raise ConfigError(
            f"navier_stokes.n_coarse = {table.n_coarse} must divide n_fine = {table.n_fine}, so that the points of the "
            "coarse grid are points of the fine one."
        )
    for factor in table.factors:
        _check_factor(table, factor)
    _require_multiple(table, "interval", "time_step")
    _require_multiple(table, "interval", "coarse_time_step")
    _require_multiple(table, "spin_up", "interval")
    _check_calibration(config)
    _check_methods(config)


def _check_factor(table: FlowTable, factor: int) -> None:
    observed, period = table.n_fine / factor, 2 * table.wavenumber
    if table.n_fine % factor or table.n_coarse % observed:
        raise ConfigError(
            f"navier_stokes.factors: {factor} leaves {observed:g} of {table.n_fine} fine points a side, which the "
            f"{table.n_coarse} coarse ones do not have; {_possible_factors(table)}."
        )
    if observed % period:
        raise ConfigError(
            f"navier_stokes.factors: {factor} leaves {observed:g} points a side, and the symmetries of the flow shift "
            f"by 1/{period} of it, which needs a multiple of {period}; {_possible_factors(table)}."
        )


def _possible_factors(table: FlowTable) -> str:
    period = 2 * table.wavenumber
    fits = lambda points: table.n_coarse % points == 0 and points % period == 0  # noqa: E731
    found = [n for n in range(2, table.n_fine + 1) if table.n_fine % n == 0 and fits(table.n_fine // n)]
    return f"possible are {', '.join(map(str, found))}" if found else "none is possible"


def _require_multiple(table: FlowTable, key: str, of: str) -> None:
    """Before anything is computed: what the solvers would refuse in the middle of a run."""
    value, step = getattr(table, key), getattr(table, of)
    n = value / step
    if abs(n - round(n)) > 1e-6 * max(n, 1):
        raise ConfigError(f"navier_stokes.{key} = {value:g} must be a multiple of navier_stokes.{of} = {step:g}.")


def _check_calibration(config: NavierStokesConfig) -> None:
    period = 2 * config.navier_stokes.wavenumber
    for n in config.calibration.grids:
        if n % period:
            raise ConfigError(
                f"calibration.grids: the symmetries of the flow shift by 1/{period} of the domain, and {n} points are "
                f"no multiple of {period}."
            )


def _check_methods(config: NavierStokesConfig) -> None:
    """What a method that is asked for would refuse hours later."""
    parts = {part for method in config.comparison.methods for part in method.split("+")}
    if parts & {"guided", "particles", "conditional-diffusion", "conditional-flow"}:
        _check_unet(config)
    if parts & {"clim-align", "align-flow"}:
        unit = PATCH * 2 ** (config.baselines.alignment_levels - 1)
        _require_levels(config, "baselines.alignment_levels", unit, f"a patch of {PATCH}")
    if parts & {"ddib", "sdedit"}:
        _check_noising(config.debias)
    for factor in config.navier_stokes.factors:
        _check_observed(config, parts, config.navier_stokes.n_fine // factor)


def _check_unet(config: NavierStokesConfig) -> None:
    prior, n_levels = config.prior, len(config.prior.channels)
    _require_levels(config, "prior.channels", prior.patch * 2 ** (n_levels - 1), f"prior.patch = {prior.patch}")
    for level in prior.attention_levels:
        if level >= n_levels:
            raise ConfigError(
                f"prior.attention_levels names level {level}, but prior.channels has 0 to {n_levels - 1}."
            )


def _require_levels(config: NavierStokesConfig, key: str, unit: int, patch: str) -> None:
    n = config.navier_stokes.n_fine
    if n % unit:
        raise ConfigError(
            f"{key}: with {patch} its levels need a number of points that {unit} divides, and navier_stokes.n_fine "
            f"is {n}; take fewer levels."
        )


def _check_noising(table: DebiasTable) -> None:
    if table.noising_level is not None and not LEAST_NOISE < table.noising_level < MOST_NOISE:
        raise ConfigError(
            f"debias.noising_level = {table.noising_level:g}: the models are trained up to {MOST_NOISE:g}, and down to "
            f"{LEAST_NOISE:g}; take a level between them."
        )


def _check_coarse_network(table: DebiasTable, key: str, n: int) -> None:
    n_levels, patch = len(getattr(table, key)), table.patch(n)
    unit = patch * 2 ** (n_levels - 1)
    if n % unit:
        raise ConfigError(
            f"debias.{key}: with debias.network_points = {table.network_points} (patches of {patch}) its {n_levels} "
            f"levels need a number of points that {unit} divides, and {n} are observed a side; name fewer."
        )


def _check_observed(config: NavierStokesConfig, parts: set[str], n: int) -> None:
    """What methods need of n observed points a side."""
    table, patch = config.debias, config.baselines.transformer_patch
    if "vision-transformer" in parts and n % patch:
        raise ConfigError(f"baselines.transformer_patch = {patch} does not divide the {n} observed points a side.")
    if parts & {"rectified-flow", "schrodinger-bridge"}:
        _check_coarse_network(table, "channels", n)
    if parts & {"ddib", "sdedit"}:
        _check_coarse_network(table, "noising_channels", n)
    if parts & {"gaussian", "entropic-ot", "rectified-flow", "schrodinger-bridge"} and table.n_images <= n**2:
        raise ConfigError(
            f"debias.n_images = {table.n_images}: the covariance of {n} x {n} points needs more than {n**2} images."
        )
