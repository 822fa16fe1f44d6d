"""The configuration of the moist-turbulence experiment: a TOML file with the table [turbulence]."""

from typing import Annotated, Literal, get_args

from pydantic import Field

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
from subgrid.simulate.moist_turbulence import VISCOSITIES, WAVENUMBERS

TurbulenceMethod = Literal[
    "diffusion-bridge",
    "diffusion-bridge-ode",
    "flow-matching",
    "ot-flow-matching",
    "dsbm-ipf",
    "dsbm-imf",
    "dsbm-gaussian",
]
METHODS: tuple[TurbulenceMethod, ...] = get_args(TurbulenceMethod)
"""In the order of the table: the baselines first."""


class TurbulenceTable(Table):
    """The two archives. Frames are .25 time units apart, as published; runs are fewer and shorter.

    Published: one run of 500 units for each context, the first half dropped. Kinetic energy forgets at the rate 2μ, so
    it takes 50 units to be a new sample of itself, and small scales about one: many short runs from spun-up states know
    more than one long run of as many frames. ζ knows nothing of the context, and c follows it within an eddy turnover,
    so the long spin-up is one of ζ on a smaller grid, shared by the contexts.
    """

    n_coarse: Positive = 32
    """Points a side of the coarse runs."""
    n_fine: Positive = 128
    """Points a side of the fine runs."""
    wavenumbers: Annotated[tuple[Positive, ...], AsTuple, Distinct, Field(min_length=1)] = WAVENUMBERS
    """The contexts: k of the saturation pattern sin(kx) sin(ky) of the fine runs."""
    n_spin_up: Positive = 600
    """Frames from rest: 150 units, when kinetic energy is within e^-3 = 5 % of its level."""
    n_points_spin_up: Positive = 64
    """Grid of the fine runs' spin-up; its states are refined to n_fine. 64 resolves the forcing, up to k of about 9."""
    n_settle: Positive = 12
    """Frames dropped after refinement: 3 units, for the small scales and c, which turn over in about one."""
    n_training_runs: Positive = 16
    """Of each context; there are as many coarse ones as fine ones of all contexts together, here 80."""
    n_held_out_runs: Annotated[int, Field(ge=2)] = 16
    """Likewise, never trained on; the second half of the fine ones is the noise floor."""
    n_frames: Positive = 10
    """Of each run: 2.5 units. Correlation between frames is .86 at one interval, .65 at four, .5 at eight."""


class NormalisationTable(Table):
    normal_scores: Annotated[tuple[Literal["zeta", "c"], ...], AsTuple, Distinct] = ("zeta", "c")
    """Channels whose histogram over the fine archive is made Gaussian before anything is fitted: that of c has a spike
    where air is saturated, with a third of all points, that of ζ heavy tails (kurtosis 7). Other channels are divided
    by their standard deviation only."""


class NetworkTable(Table):
    """A UNet, the same for every method: only its targets differ."""

    channels: Annotated[tuple[Positive, ...], AsTuple, Field(min_length=1)] = (32, 64, 128)
    """Width of each level of the UNet, finest first."""
    n_blocks: Positive = 1
    """Residual blocks a level."""
    patch: Positive = 4
    """Points an axis that the stem gathers: a training step costs a sixth of that of patch 1."""


class TurbulenceTrainingTable(Table):
    """Of flows and denoisers; a bridge takes as many steps in each outer iteration as [bridge] says."""

    n_steps: Annotated[int, Field(ge=20, multiple_of=20)] = 5000
    """Of flows and denoisers."""
    batch_size: Positive = 4
    """As published."""
    learning_rate: PositiveFloat = 1e-3
    """With a cosine decay to zero: five times the published constant rate, for runs a tenth as long."""
    ema_decay: Fraction = 0.999
    """As published."""


class BridgeTable(Table):
    variance: PositiveFloat = 0.3
    """σ² of the reference motion, for normalised fields; as published."""
    n_iterations: Positive = 5
    """Outer iterations, each training one direction, the backward drift first: an odd number ends with it, and it is
    the one that downscales. Nine change little (docs/results/moist_turbulence.md)."""
    n_steps: Annotated[int, Field(ge=20, multiple_of=20)] = 2000
    """Training steps an outer iteration."""
    learning_rate: PositiveFloat = 5e-4
    """Falling along a cosine in every outer iteration; published is a constant 2e-4, for many times the steps."""
    n_pairs: Positive = 512
    """Simulated at a time; fewer would be memorised. The first ones need no simulation: they are drawn afresh
    all the time, except for "dsbm-gaussian"."""
    n_refreshes: Positive = 1
    """Sets of pairs that an outer iteration trains on."""


class DiffusionTable(Table):
    sigma_min: PositiveFloat = 1e-2
    """Noise that is left in the fields, of unit variance; far below what the smallest scales hold."""
    cut_off: Positive = 7
    """k*: from there on the coarse fields of 32 points hold less than a sixth of the fine ones' energy, up to 6 more
    than a third of ζ's. Its noise level is where to turn around."""
    margin: Annotated[float, Field(ge=1)] = 1.2
    """Denoisers are trained up to this multiple of the turnaround level, and no further: nothing else is used."""


class TurbulenceEvaluationTable(Table):
    methods: Annotated[tuple[TurbulenceMethod, ...], AsTuple, Distinct, Field(min_length=1)] = METHODS
    """What is fitted, used and scored."""
    n_sampling_steps: Annotated[int, Field(ge=2, multiple_of=2)] = 30
    """Network evaluations a field, as published for the bridge; "diffusion-bridge-ode" takes as many each way."""
    n_cases: Positive = 64
    """Held-out coarse fields, each downscaled with every context by every method."""


class TurbulenceConfig(Configuration):
    """All tables of a moist-turbulence configuration."""

    run: RunTable = RunTable(name="moist_turbulence")
    turbulence: TurbulenceTable = TurbulenceTable()
    normalisation: NormalisationTable = NormalisationTable()
    network: NetworkTable = NetworkTable()
    training: TurbulenceTrainingTable = TurbulenceTrainingTable()
    bridge: BridgeTable = BridgeTable()
    diffusion: DiffusionTable = DiffusionTable()
    evaluation: TurbulenceEvaluationTable = TurbulenceEvaluationTable()


def check(config: TurbulenceConfig) -> None:
    """Values that do not go together."""
    table = config.turbulence
    for key in ("n_coarse", "n_fine", "n_points_spin_up"):
        if getattr(table, key) not in VISCOSITIES:
            sizes = ", ".join(map(str, VISCOSITIES))
            raise ConfigError(f"turbulence.{key} = {getattr(table, key)}: viscosity is known for {sizes}.")
    if not table.n_coarse < table.n_fine or not table.n_points_spin_up <= table.n_fine:
        raise ConfigError("turbulence.n_coarse must be below n_fine, and n_points_spin_up not above it.")
    largest = (table.n_fine - 1) // 3
    if max(table.wavenumbers) > largest:
        raise ConfigError(
            f"turbulence.wavenumbers names {max(table.wavenumbers)}; {table.n_fine} points resolve {largest}."
        )
    unit = config.network.patch * 2 ** (len(config.network.channels) - 1)
    if table.n_fine % unit:
        raise ConfigError(
            f"turbulence.n_fine = {table.n_fine} is not divisible by patch x 2^(levels - 1) = {unit}; "
            "change network.patch, or the number of network.channels."
        )
    if config.diffusion.cut_off > (table.n_coarse - 1) // 3:
        raise ConfigError(
            f"diffusion.cut_off = {config.diffusion.cut_off}: the coarse fields hold waves up to "
            f"{(table.n_coarse - 1) // 3} only."
        )
    if config.bridge.n_iterations % 2 == 0:
        raise ConfigError(
            f"bridge.n_iterations = {config.bridge.n_iterations} must be odd, to end with the drift that downscales."
        )
    if config.bridge.n_steps % (20 * config.bridge.n_refreshes):
        raise ConfigError("bridge.n_steps must be a multiple of 20 bridge.n_refreshes.")
    held_out = table.n_held_out_runs * table.n_frames * len(table.wavenumbers)
    if config.evaluation.n_cases > held_out:
        raise ConfigError(f"evaluation.n_cases = {config.evaluation.n_cases}: only {held_out} are held out.")
