"""What the page shows: cases, all methods of one case, spectra, tails, profiles, reliability, an animation."""

from collections.abc import Iterator, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from subgrid.data.store import read_arrays
from subgrid.downscaling.prior.training import loss_curve
from subgrid.experiments.navier_stokes import figures
from subgrid.experiments.navier_stokes.animation import ANIMATED, GIF
from subgrid.experiments.navier_stokes.debiasing import read_debiased
from subgrid.experiments.navier_stokes.methods import DETERMINISTIC, ModelName, methods_of, models_of, upsamplers_of
from subgrid.experiments.navier_stokes.run import NavierStokesRun
from subgrid.experiments.navier_stokes.sampling import perfect_path, unpaired_path
from subgrid.report import style
from subgrid.report.animation import gif_plate
from subgrid.report.figures import training_loss
from subgrid.report.plates import Plate, Section

N_MEMBERS = 3
N_CASES = 2


def sections(run: NavierStokesRun, metrics: Mapping[str, Any]) -> list[Section]:
    """All of the page."""
    with style.context():
        found = [
            Section(
                "cases",
                "From a coarse field to fine ones",
                "y, from the biased solver; T(y), moved onto the distribution of coarsened fine fields; members.",
                list(_cases(run)),
            ),
            Section(
                "perfect",
                "Where the truth is known",
                "A coarsened reference field, members given it, their mean and spread, and the field it came from.",
                list(_perfect(run)),
            ),
            Section(
                "methods",
                "All methods, one case",
                "The same raw coarse field by every method. There is no truth beside it: the archives share no time.",
                list(_methods(run)),
            ),
            Section(
                "statistics",
                "Statistics of fine fields",
                "Energies, densities and the mean profile of what each method makes, against the reference.",
                list(_statistics(run)),
            ),
            Section(
                "reliability",
                "Can the spread be trusted?",
                "Ranks of the truth among the members, over all points that the coarse field does not determine.",
                list(_reliability(metrics)),
            ),
        ]
        losses = list(_losses(run))
    if losses:
        found.append(Section("training", "Training", "Loss of the prior.", losses))
    return [section for section in found if section.plates]


def _cases(run: NavierStokesRun) -> Iterator[Plate]:
    if ANIMATED in run.config.comparison.methods and run.path(GIF).exists():
        yield gif_plate(
            "reverse_diffusion",
            "One draw, from noise to a field",
            run.path(GIF),
            alt="Three maps: the coarse field, and a noisy field that turns into vorticity as noise is taken away.",
            caption="The state of the sampler at every noise level, divided by its own size, and the field that the "
            "network sees in it. The end is a member.",
        )
    for method in methods_of(run.config)[:1]:
        for factor in run.config.navier_stokes.factors:
            rows = [_case(run, factor, method.name, method.debiaser, case) for case in _first(run, factor, method.name)]
            yield figures.plate(
                f"cases_{factor}",
                f"{method.name}, {factor}×",
                figures.sheet(rows),
                "Rows of maps: a raw coarse field, the debiased one, and members, in one range of colours.",
                "Vorticity. y and T(y) on the observed points.",
                image=True,
            )


def _first(run: NavierStokesRun, factor: int, method: str) -> list[int]:
    n = len(read_arrays(unpaired_path(run.folder, factor, method))["fields"])
    return np.linspace(0, n - 1, N_CASES).round().astype(int).tolist()


def _case(run: NavierStokesRun, factor: int, method: str, debiaser: str, case: int) -> dict[str, np.ndarray]:
    arrays = read_arrays(unpaired_path(run.folder, factor, method))
    number = int(arrays["conditions"][case])
    raw, debiased = (read_debiased(run, factor, name)[number, 0] for name in ("none", debiaser))
    members = arrays["fields"][case][:N_MEMBERS, 0]
    return {"y": raw, "T(y)": debiased, **{f"member {i + 1}": member for i, member in enumerate(members)}}


def _perfect(run: NavierStokesRun) -> Iterator[Plate]:
    for name in upsamplers_of(run.config):
        if name in DETERMINISTIC:
            continue
        rows = [_perfect_case(run, factor, name) for factor in run.config.navier_stokes.factors]
        yield figures.plate(
            f"perfect_{name}",
            name,
            figures.sheet(rows),
            "Rows of maps, one a factor: the observed points, three members, their mean, their spread, the truth.",
            "All in one range of colours but the spread, the standard deviation of the members.",
            image=True,
        )


def _perfect_case(run: NavierStokesRun, factor: int, name: str) -> dict[str, np.ndarray]:
    arrays = read_arrays(perfect_path(run.folder, factor, name))
    truth, members = run.fine.reference[int(arrays["conditions"][0])], arrays["fields"][0][:, 0]
    return {
        f"C′x, {factor}×": np.asarray(run.operator(factor)(jnp.asarray(truth)))[0],
        **{f"member {i + 1}": member for i, member in enumerate(members[:N_MEMBERS])},
        "mean": members.mean(0),
        "spread": members.std(0, ddof=1),
        "reference": truth[0],
    }


def _methods(run: NavierStokesRun) -> Iterator[Plate]:
    for factor in run.config.navier_stokes.factors:
        shown = {"raw": read_debiased(run, factor, "none")[_number(run, factor), 0]}
        for method in methods_of(run.config):
            shown[method.name] = read_arrays(unpaired_path(run.folder, factor, method.name))["fields"][0, 0, 0]
        yield figures.plate(
            f"methods_{factor}",
            f"{factor}×",
            figures.sheet([shown]),
            "Maps of vorticity, the raw coarse field first, then one field by every method.",
            "One member of those that draw several.",
            image=True,
        )


def _number(run: NavierStokesRun, factor: int) -> int:
    first = run.config.comparison.methods[0]
    return int(read_arrays(unpaired_path(run.folder, factor, first))["conditions"][0])


def _statistics(run: NavierStokesRun) -> Iterator[Plate]:
    archive, table = run.fine, run.config.navier_stokes
    for factor in table.factors:
        fields = {
            name: read_arrays(unpaired_path(run.folder, factor, name))["fields"][:, 0]
            for name in run.config.comparison.methods
        }
        observed = table.n_fine // factor // 2
        yield figures.plate(
            f"spectra_{factor}",
            f"Spectra, {factor}×",
            figures.spectra_figure(fields, archive.reference, archive.independent, observed),
            "Energy by wavenumber of every method over its ratio to that of the reference.",
            "Grey: two sets of the reference. Dotted: the last wave that the observed points hold.",
        )
        yield figures.plate(
            f"tails_{factor}",
            f"Densities of vorticity, {factor}×",
            figures.tails_figure(fields, archive.reference, archive.independent),
            "Densities on a logarithmic axis, every method and the reference.",
            "Tails that are too thin are vortices that a method does not make.",
        )
        yield figures.plate(
            f"profile_{factor}",
            f"Mean profile, {factor}×",
            figures.profile_figure(fields, archive.reference, archive.independent),
            "Mean vorticity along y of every method and of the reference.",
            "The waves of the force; grey: an independent set of the reference. A method far off leaves the figure.",
        )


def _reliability(metrics: Mapping[str, Any]) -> Iterator[Plate]:
    found = metrics["rank_histograms"]
    for factor in dict.fromkeys(name.partition(",")[0] for name in found):
        own = {name.partition(", ")[2]: counts for name, counts in found.items() if name.startswith(f"{factor},")}
        yield figures.plate(
            f"ranks_{factor}",
            f"Rank histograms, {factor.replace('x', '×')}",
            figures.ranks_figure(own),
            "Shares of ranks, a line an upsampler; a level line is reliable.",
            "High at both ends: too little spread. High in the middle: too much.",
        )


def _losses(run: NavierStokesRun) -> Iterator[Plate]:
    prior = ModelName("prior")
    if prior not in models_of(run.config):
        return
    curve = loss_curve(run.path(prior.folder))
    if curve.shape[1] > 1:
        figure = style.tile(3.1)
        training_loss(figure.add_subplot(), curve)
        yield figures.plate(
            "training_loss",
            "Training loss of the prior",
            figure,
            f"Loss over {int(curve[0, -1]):,} steps, from {curve[1, 0]:.3g} to {curve[1, -1]:.3g}.",
            "Still falling at the right edge: more steps would help.",
        )
