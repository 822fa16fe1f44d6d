"""How much there is to do in each stage, over what there is in one of the default configuration.

What dry runs scale recorded times with: operations up to a constant, arrays times how often a stage passes over them.
"""

from collections.abc import Callable

from subgrid.experiments.navier_stokes.config import BaselinesTable, FlowTable, NavierStokesConfig, PriorTable
from subgrid.experiments.navier_stokes.methods import (
    OF_ONE_COARSENING,
    PARTICLES_SHARE,
    ModelName,
    debiasers_of,
    methods_of,
    upsamplers_of,
)
from subgrid.experiments.navier_stokes.models import n_steps

Amount = Callable[[NavierStokesConfig], float]
OF_A_FIELD = {"guided": 1.0, "particles": 6.3 / PARTICLES_SHARE, "conditional-diffusion": 0.5, "conditional-flow": 0.35}
"""Of a draw by each upsampler over a guided one, as `benchmarks.kolmogorov_methods` measured it."""
OTHERS = 0.02
"""Of all that are no diffusion."""
SCANNED = (16, 32, 64)
"""Grids of a calibration that is worth 1."""


def simulation(config: NavierStokesConfig, which: str) -> float:
    """Of the fine or the coarse archive: trajectories, points and steps."""
    size = lambda config: _simulated(config.navier_stokes, which)  # noqa: E731
    return _over_default(size, config)


def calibration(config: NavierStokesConfig) -> float:
    """Of the scan, whose time steps are as short as its grids are fine."""
    schemes = len(config.calibration.schemes) / len(type(config.calibration)().schemes)
    cubes = sum(n**3 for n in config.calibration.grids) / sum(n**3 for n in SCANNED)
    trajectories = lambda config: config.navier_stokes.n_trajectories * _duration(config.navier_stokes)  # noqa: E731
    return schemes * cubes * _over_default(trajectories, config)


def debiasing(config: NavierStokesConfig) -> float:
    """Of all fits, in steps of a flow; a bridge has four iterations, whose steps take ten times as long.

    Networks see as many points on every grid, as they take those of finer ones together.
    """
    bridge = 40 * config.debias.n_bridge_steps if "schrodinger-bridge" in debiasers_of(config) else 0
    width = lambda config: config.debias.batch_size * sum(n**2 for n in config.debias.channels)  # noqa: E731
    return len(config.navier_stokes.factors) * (config.debias.n_steps + bridge) * _over_default(width, config)


def training(config: NavierStokesConfig, name: ModelName) -> float:
    """Of one model, in steps of the default size; those of baselines and conditional models take a little longer."""
    a_step = _baseline if name.kind in ("vision-transformer", "cycle-gan", "clim-align", "align-flow") else _diffusion
    longer = 1.2 if name.kind in OF_ONE_COARSENING else 1.0
    return n_steps(config, name) * longer * _over_default(lambda config: a_step(config, name), config)


def unpaired(config: NavierStokesConfig) -> float:
    """Of the members of debiased fields."""

    def members(config: NavierStokesConfig) -> float:
        upsamplers = [method.upsampler for method in methods_of(config)]
        return config.evaluation.n_unpaired * config.evaluation.unpaired_members * _fields(config, upsamplers)

    return _over_default(members, config)


def perfect(config: NavierStokesConfig) -> float:
    """Of the members of coarsened reference fields."""

    def members(config: NavierStokesConfig) -> float:
        return config.evaluation.n_conditions * config.evaluation.n_members * _fields(config, upsamplers_of(config))

    return _over_default(members, config)


def _over_default(amount: Amount, config: NavierStokesConfig) -> float:
    return amount(config) / amount(NavierStokesConfig())


def _simulated(table: FlowTable, which: str) -> float:
    n, dt = (table.n_fine, table.time_step) if which == "fine" else (table.n_coarse, table.coarse_time_step)
    return table.n_trajectories * n**2 * _duration(table) / dt


def _duration(table: FlowTable) -> float:
    return table.spin_up + table.n_snapshots * table.interval


def _diffusion(config: NavierStokesConfig, name: ModelName) -> float:
    return config.prior.batch_size * _unet(config.prior, config.navier_stokes)


def _unet(table: PriorTable, flow: FlowTable) -> float:
    """One evaluation: on each level a quarter of the points of the one before, and products of its width squared."""
    levels = sum(width**2 / 4**level for level, width in enumerate(table.channels))
    return (flow.n_fine / table.patch) ** 2 * table.n_blocks * levels


def _baseline(config: NavierStokesConfig, name: ModelName) -> float | int:
    return config.baselines.batch_size * config.navier_stokes.n_fine**2 * _width(config.baselines, name.kind) ** 2


def _width(table: BaselinesTable, kind: str) -> float | int:
    match kind:
        case "vision-transformer":
            return table.transformer_width * table.transformer_layers**0.5 / table.transformer_patch
        case "cycle-gan":
            return table.gan_channels
        case _:
            return table.alignment_filters


def _fields(config: NavierStokesConfig, upsamplers: list[str]) -> float:
    """One by each upsampler at all factors."""
    guided = config.sampling.n_levels * _unet(config.prior, config.navier_stokes)
    return len(config.navier_stokes.factors) * guided * sum(OF_A_FIELD.get(name, OTHERS) for name in upsamplers)
