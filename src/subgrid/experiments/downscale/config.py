"""The configuration of a run on two archives of fields: every key has a default."""

from typing import Annotated, Literal

from pydantic import Field

from subgrid.downscaling.debiasing.fit import DebiasMethod
from subgrid.downscaling.upsampling.choices import GridName, GuidanceName, LevelsName, MethodName, ProcessName
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
)

Sampler = Literal[
    GuidanceName,
    "particles",
    "conditional-diffusion",
    "conditional-flow",
    "function-space",
    "function-space-2x",
    "conditional-function-space",
]


class DataTable(Table):
    source: Literal["kuramoto-sivashinsky", "files"] = "kuramoto-sivashinsky"
    """Where both archives come from: simulated, or read from files."""
    fine: str | None = None
    """Path of the fine archive; needed for "files"."""
    coarse: str | None = None
    """Path of the coarse archive; needed for "files"."""
    variable: str | None = None
    """The variable to read; not needed if a file holds only one."""
    n_trajectories: Positive = 512
    """Simulated runs of each archive; the published number."""
    n_snapshots: Positive = 320
    """Snapshots of each run; the published number."""
    periodic: bool = True
    """Whether all space axes wrap around: the padding of the network and of cubic interpolation."""
    translation_invariant: bool = True
    """Whether a shifted field is as likely as the field: random shifts then multiply the samples. Needs `periodic`."""
    training_fraction: Fraction = 0.5
    """Of each archive, for fitting; the rest is held out and, of the fine one, halved: reference and noise floor."""


class CoarseningTable(Table):
    kind: Literal["subsample", "block-mean"] = "subsample"
    """C′: every n-th point of an axis, or the mean of n points."""
    factor: Positive = 8
    """n, the same along every axis."""


class DebiasTable(Table):
    method: DebiasMethod = "entropic-ot"
    """The map of coarse fields onto coarsened fine ones: of values point by point, or of whole fields."""
    n_samples: Positive = 4096
    """Of each set, for optimal transport: time and memory grow with the square."""
    epsilon: PositiveFloat | None = None
    """Entropy in units of the squared field, cost the full squared distance (twice the square of the blur); by default
    chosen from the fields, and doubled where the solver does not converge."""
    tolerance: PositiveFloat = 1e-2
    """L1 error of the marginals at which Sinkhorn stops: 1 % of the mass misplaced."""
    max_iterations: Positive = 5000
    """Of Sinkhorn; without convergence the run stops instead of using a wrong map."""
    corrections: Annotated[tuple[Literal["covariance", "marginals"], ...], AsTuple, Distinct] = (
        "covariance",
        "marginals",
    )
    """After the transport, on training fields that it was not fitted on: what its blur took from them is restored."""
    n_quantiles: Positive = 200
    """Levels of quantile mapping; "quantile-mapping" needs as many samples."""
    n_steps: Positive = 2000
    """Training steps of a dynamic transport: of a flow, of each of two rounds, of each iteration of a bridge."""
    batch_size: Positive = 256
    """Fields a training step."""
    learning_rate: PositiveFloat = 1e-3
    """Peak of Adam's rate, which falls along a cosine; constant for "schrodinger-bridge"."""
    channels: Annotated[tuple[Positive, ...], AsTuple, Field(min_length=1)] = (48,)
    """Width of each level of the UNet of a dynamic transport, finest first; each further level halves the grid."""
    sigma: PositiveFloat = 0.5
    """Noise of "interpolant" and "schrodinger-bridge", in standard deviations of the target."""
    n_iterations: Positive = 4
    """Outer iterations of "schrodinger-bridge", each training the drift of one direction."""
    n_flow_steps: Positive = 8
    """Steps of the midpoint rule along the fitted velocity, two evaluations each."""


class ComparisonTable(Table):
    debiasers: Annotated[tuple[DebiasMethod, ...], AsTuple, Distinct] = ()
    """Methods that `subgrid debias` fits beside each other, with the settings of [debias], and scores on held-out
    coarse fields."""
    samplers: Annotated[tuple[Sampler, ...], AsTuple, Distinct] = ()
    """What `subgrid samplers` scores beside each other, perfect model, from models trained alike."""
    evaluations: Annotated[tuple[Positive, ...], AsTuple, Distinct, Field(min_length=1)] = (1, 2, 4, 8, 16, 32)
    """Noise levels, or steps, at which each sampler is scored."""


class DownscalingTable(Table):
    method: Literal["conditional-diffusion", "conditional-flow", "diffusion", "bridge"] = "conditional-diffusion"
    """From debiased to fine fields: a model trained for this C′ on free pairs (C′x, x), a diffusion or a flow of few
    steps; a diffusion prior, guided, good for any C′; or a Schrödinger bridge from interpolated fields."""
    jitter: Annotated[float, Field(ge=0)] | Literal["debiaser"] = 0.0
    """Of a conditional model: standard deviation of the noise added to C′x in training, in the units of the field; or
    "debiaser", the distance that debiasing leaves."""
    source: Literal["coarsened", "raw"] = "coarsened"
    """Of the bridge: coarsened fine fields, distributed as debiased ones are; or raw ones, which it debiases too."""
    sigma: PositiveFloat = 0.3
    """Of the bridge, in standard deviations of the fine field."""
    n_iterations: Positive = 4
    """Of the bridge: outer iterations, each training the drift of one direction."""
    n_steps: Positive = 2000
    """Of the bridge: training steps of an iteration."""
    n_sampling_steps: Positive = 30
    """Of the bridge: Euler–Maruyama steps of a sample."""


class PriorTable(Table):
    kind: Literal["grid", "function-space"] = "grid"
    """Of the guided prior, `downscaling.method = "diffusion"`: of fields of the fine grid, or of functions, trained on
    a grid of its own and good for any finer one."""
    n_points: Positive | None = None
    """Of the training grid of functions, an axis; by default half of the fine grid's."""
    process: ProcessName = "variance-exploding"
    """Of noising, which sets the levels of "time-uniform" training and of the grid "process-time"."""
    sigma_min: PositiveFloat = 2e-3
    """Smallest noise level of a prior, in standard deviations of the field."""
    sigma_max: PositiveFloat = 80.0
    """Largest noise level of a prior, in standard deviations of the field: far above it."""
    channels: Annotated[tuple[Positive, ...], AsTuple, Field(min_length=1)] = (64, 128)
    """Width of each level of the UNet, finest first; each further level halves the grid."""
    n_blocks: Positive = 2
    """Residual blocks a level, each way."""
    patch: Positive = 4
    """Points an axis gathered into channels before the first level."""
    attention_levels: Annotated[tuple[Annotated[int, Field(ge=0)], ...], AsTuple, Distinct] = ()
    """Levels that end in self-attention, 0 the finest."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Of the arithmetic inside the network."""
    checkpoint: bool = False
    """Whether activations are computed again in the backward pass: less memory, more time."""


class TrainingTable(Table):
    n_steps: Positive = 4000
    """Steps of the optimiser, a multiple of training.steps_per_dispatch."""
    batch_size: Positive = 64
    """Fields a step."""
    learning_rate: PositiveFloat = 1e-3
    """Peak of Adam's rate, decaying by a cosine to 1e-6, after Wan et al. (2023)."""
    warmup: Positive = 500
    """Steps of linear warm-up, at most a tenth of all."""
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """Of the moving average of the weights, which is what is kept."""
    noise_levels: LevelsName = "log-uniform"
    """Of a prior: the distribution of σ in training."""
    steps_per_dispatch: Positive = 20
    """Steps compiled into one call, between progress reports."""
    checkpoint_every: Positive = 1000
    """Steps between checkpoints; Ctrl-C saves too."""
    tensorboard: bool = False
    """Whether TensorBoard files are written too; needs subgrid[tensorboard]."""


class SamplingTable(Table):
    method: MethodName = "gaussian-sde"
    """How noise levels are stepped down; those named after the Gaussian have its part in closed form."""
    guidance: GuidanceName = "moment-matching"
    """Of a guided prior: how samples are tied to the coarse field."""
    solver_iterations: Positive = 4
    """Vector-Jacobian products of the moment-matching solve, at most, each step."""
    strength: PositiveFloat | None = None
    """Of the projection's gradient term; by default fine size over coarse size."""
    grid: GridName = "exponential"
    """Of a guided prior: spacing of the noise levels; "exponential" has equal steps in ln σ."""
    n_levels: Annotated[int, Field(ge=1)] | None = None
    """Evaluations of the network, roughly: noise levels, or steps of a flow. By default 32 for a guided prior, 16 for
    conditional diffusion, 8 for a conditional flow."""
    n_members: Positive = 16
    """Of each ensemble; a `run`, which scores it, needs 3."""
    particles: Positive = 1
    """A member is drawn from as many weighted particles; more than one needs the method "gaussian-sde"."""
    chunk: Positive = 256
    """Fields drawn at a time, on which memory depends."""


class EvaluationTable(Table):
    n_conditions: Annotated[int, Field(ge=2)] = 256
    """Perfect-model cases: coarsened reference fields, downscaled and scored against the truth."""
    n_unpaired: Annotated[int, Field(ge=2)] = 2048
    """Debiased coarse fields downscaled for the statistics of generated fields."""
    unpaired_members: Annotated[int, Field(ge=2)] = 2
    """Members of each of those."""
    n_shifts: Positive = 4
    """Random shifts of every held-out field, where their distribution is translation invariant: free samples for all
    statistics, reference, floor and candidates alike."""


class DownscaleConfig(Configuration):
    """All tables of a configuration file; every key has a default, so a file names only what it changes."""

    run: RunTable = RunTable(name="downscaling")
    data: DataTable = DataTable()
    coarsening: CoarseningTable = CoarseningTable()
    debias: DebiasTable = DebiasTable()
    comparison: ComparisonTable = ComparisonTable()
    downscaling: DownscalingTable = DownscalingTable()
    prior: PriorTable = PriorTable()
    training: TrainingTable = TrainingTable()
    sampling: SamplingTable = SamplingTable()
    evaluation: EvaluationTable = EvaluationTable()


def check(config: DownscaleConfig) -> None:
    """Values that do not go together."""
    data = config.data
    if data.source == "files" and not (data.fine and data.coarse):
        raise ConfigError('data.source = "files" needs data.fine and data.coarse, the paths of the two archives.')
    if data.translation_invariant and not data.periodic:
        raise ConfigError("data.translation_invariant needs data.periodic = true; set both or neither.")
    if config.sampling.particles > 1 and config.sampling.method != "gaussian-sde":
        raise ConfigError(
            f'sampling.particles = {config.sampling.particles} needs sampling.method = "gaussian-sde", whose '
            f'steps have a density to weigh them by, got "{config.sampling.method}"; change it, or set '
            "sampling.particles = 1."
        )
    _check_sampler(config)
    _check_functions(config)
    if config.prior.sigma_min >= config.prior.sigma_max:
        raise ConfigError("prior.sigma_min must be below prior.sigma_max.")
    n_levels = len(config.prior.channels)
    for level in config.prior.attention_levels:
        if level >= n_levels:
            raise ConfigError(
                f"prior.attention_levels names level {level}, but prior.channels has {n_levels} "
                f"level{'s' if n_levels > 1 else ''}, 0 to {n_levels - 1}."
            )
    if config.training.n_steps % config.training.steps_per_dispatch:
        raise ConfigError(
            f"training.n_steps = {config.training.n_steps} must be a multiple of "
            f"training.steps_per_dispatch = {config.training.steps_per_dispatch}."
        )


def _check_functions(config: DownscaleConfig) -> None:
    """What a prior of functions does not go with."""
    prior = config.prior
    where_points_coincide = config.data.periodic and config.coarsening.kind == "subsample"
    if "function-space-2x" in config.comparison.samplers and not where_points_coincide:
        raise ConfigError(
            'comparison.samplers: "function-space-2x" is scored on every other point of its grid, which are points of '
            'the archive with data.periodic = true and coarsening.kind = "subsample" alone; leave it out.'
        )
    if prior.kind == "grid":
        if prior.n_points is not None:
            raise ConfigError('prior.n_points is of prior.kind = "function-space"; leave it out, or set the kind.')
        return
    if config.downscaling.method != "diffusion":
        raise ConfigError(
            f'prior.kind = "function-space" is a guided prior, and downscaling.method = "{config.downscaling.method}" '
            'trains no prior; set downscaling.method = "diffusion".'
        )
    for table, name in (
        ("prior", "process"),
        ("prior", "sigma_min"),
        ("prior", "sigma_max"),
        ("training", "noise_levels"),
    ):
        given = getattr(config, table)
        if getattr(given, name) != type(given).model_fields[name].default:
            raise ConfigError(
                f'{table}.{name} = {getattr(given, name)!r}: the noise levels of prior.kind = "function-space" follow '
                "from the spectrum of the fields; leave it out."
            )
    if config.sampling.particles > 1:
        raise ConfigError(
            f"sampling.particles = {config.sampling.particles}: a prior of functions is guided without them; set "
            "sampling.particles = 1."
        )


LEAST_LEVELS = {
    "conditional-diffusion": (3, "one for the network's own mean and two noise levels"),
    "diffusion": (2, "at the first noise level and the last"),
}
"""By `downscaling.method`, the fewest `sampling.n_levels`, and what they are for."""


def _check_sampler(config: DownscaleConfig) -> None:
    """What the method of downscaling cannot draw with: said here, and not after the training."""
    method, n = config.downscaling.method, config.sampling.n_levels
    least, purpose = LEAST_LEVELS.get(method, (1, ""))
    if n is not None and n < least:
        raise ConfigError(
            f'sampling.n_levels = {n}: downscaling.method = "{method}" needs {least} evaluations, '
            f"{purpose}; set {least} or more, or leave it out."
        )
    default = SamplingTable.model_fields["method"].default
    if method == "conditional-flow" and config.sampling.method != default:
        raise ConfigError(
            f'sampling.method = "{config.sampling.method}": downscaling.method = "conditional-flow" has '
            f'steps of its own and takes no other; leave it at its default, "{default}", or set downscaling.method to '
            '"conditional-diffusion" or "diffusion".'
        )
