"""The page of a run on Kolmogorov flow."""

from subgrid.experiments.navier_stokes.config import NavierStokesConfig
from subgrid.experiments.navier_stokes.methods import PARTICLES_SHARE
from subgrid.experiments.navier_stokes.run import NavierStokesRun
from subgrid.experiments.navier_stokes.sections import sections
from subgrid.experiments.navier_stokes.table import EVERY_METRIC
from subgrid.runs.page import Page, read_metrics


def page(run: NavierStokesRun) -> Page:
    """Cases, spectra, tails, profiles, and the table."""
    metrics = read_metrics(run)
    shown = dict.fromkeys(row["metric"] for row in metrics["table"])
    notes = [
        "Metrics. " + ". ".join(f"{name}: {EVERY_METRIC[name]}" for name in shown) + ".",
        "Fine fields are one member of each case, as many for every method and for the floor, which is a set of fine "
        "fields of other held-out trajectories. All fields count under several random symmetries of the flow. KLD is a "
        "sum over all points, whose floor says what differences it can resolve. Particles are drawn for one case in "
        f"{PARTICLES_SHARE}; the guided prior stands beside them with the same cases.",
        "Every transport is followed by a correction of mean, covariance and marginals, on as many random images as "
        "the Gaussian map is fitted on; what works by noise, ddib and sdedit, by none. clim-align and align-flow "
        "differ in their critics: both have Glow as their flow.",
        *_inputs(metrics["beyond"]),
        "Published figures are of 256 × 256 points, 8 and 16 times as fine as what is observed; orderings compare, "
        "digits do not.",
    ]
    return Page(f"Kolmogorov flow: {run.config.run.name}", _summary(run.config), sections(run, metrics), notes)


def _inputs(beyond: dict[str, float]) -> list[str]:
    """Which debiased fields lie where the prior has seen none."""
    if not beyond:
        return []
    shares = ", ".join(f"{name} {share:.1%}" for name, share in beyond.items())
    return [f"Debiased fields beyond the 99 % quantile of coarsened training fields (1 % by chance): {shares}."]


def _summary(config: NavierStokesConfig) -> list[tuple[str, str]]:
    table = config.navier_stokes
    grids = ", ".join(f"{table.n_fine // f} × {table.n_fine // f} ({f}×)" for f in table.factors)
    return [
        ("Fine", f"spectral, {table.n_fine} × {table.n_fine}, viscosity {table.viscosity:g}"),
        ("Coarse", f"finite volumes, {table.advection}, {table.n_coarse} × {table.n_coarse}"),
        ("Observed", grids),
        ("Fields", f"{table.n_trajectories} trajectories of {table.n_snapshots} snapshots in each archive"),
        ("Methods", ", ".join(config.comparison.methods)),
    ]
