"""Evidence to plates: the figures of a run on two archives."""

from collections.abc import Iterator

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from subgrid.experiments.downscale.figures.evidence import Evidence
from subgrid.numerics.evenly import evenly_spaced
from subgrid.report import figures, style
from subgrid.report.comparison import Comparison
from subgrid.report.plates import Plate, Section, embed
from subgrid.report.style import Number
from subgrid.report.summaries import effective_points

CASES_SHOWN = 4


def sections(evidence: Evidence, *, channel: int = 0) -> list[Section]:
    """All figures that the evidence holds data for, in reading order; those without data are left out."""
    with style.context():
        found = [
            Section(
                "coarse",
                "Coarse grid: what debiasing changed",
                "The raw coarse fields should move onto the coarsened reference. Within the grey noise floor, two sets "
                "of the reference differ as much from each other.",
                [*_comparison_plates(evidence, "coarse", channel), *_debiasing_plates(evidence, channel)],
            ),
            Section(
                "fine",
                "Fine grid: what sampling added",
                "Ensembles sampled from debiased fields, beside cubic interpolation of the same fields. There is no "
                "paired truth here: only distributions can be compared.",
                [*_comparison_plates(evidence, "fine", channel), *_unpaired_plates(evidence, channel)],
            ),
            Section(
                "samples",
                "Samples where the truth is known",
                "Perfect-model mode: fine reference fields were coarsened and sampled back. The truth should look like "
                "one more member; each member should be as sharp as the truth, while their mean may be smoother; and "
                "members should part only where the coarse input leaves room.",
                list(_perfect_plates(evidence, channel)),
            ),
            Section(
                "reliability",
                "Reliability and training",
                "Whether the spread can be believed, and whether training had come to rest.",
                [*_rank_plates(evidence, channel), *_loss_plates(evidence)],
            ),
        ]
    return [section for section in found if section.plates]


def _plate(figure: Figure, name: str, title: str, alt: str, caption: str, *, image: bool = False) -> Plate:
    return Plate(name, title, *embed(figure, image=image), alt, caption)


def _comparison_plates(evidence: Evidence, grid: str, channel: int) -> Iterator[Plate]:
    comparison = evidence.coarse_comparison(channel) if grid == "coarse" else evidence.fine_comparison(channel)
    if not comparison.candidates:
        return
    who = " and ".join(style.LABELS[role] for role in comparison.candidates)
    yield _spectra_plate(evidence, comparison, grid, who)
    figure, axes = _main_and_detail(1.0)
    figures.marginal_densities(axes, comparison, variable=evidence.variable, units=evidence.units)
    yield _plate(
        figure,
        f"densities_{grid}",
        "Values",
        f"Densities of {evidence.variable} over all points of the {grid} grid: {who}, the reference and an independent "
        "one; linear above, logarithmic below.",
        "How often each value occurs. Look at the logarithmic panel for the tails, where extremes are lost first.",
    )
    figure, axes = _main_and_detail(0.6)
    figures.covariance_by_lag(axes, comparison, units=evidence.units)
    direction = "" if evidence.n_space == 1 else ", along the last axis"
    yield _plate(
        figure,
        f"covariance_{grid}",
        "Covariance by lag",
        f"Covariance against lag on the {grid} grid{direction}: {who} and the reference; differences below.",
        f"Mean covariance of points a lag apart{direction}. At lag 0 it is the variance; "
        "beyond, curves that leave the grey band have the wrong structure in space.",
    )
    yield _covariance_plate(comparison, grid, who)


def _spectra_plate(evidence: Evidence, comparison: Comparison, grid: str, who: str) -> Plate:
    figure, axes = _main_and_detail(0.6)
    resolved = min(evidence.coarse_reference.shape[2:]) // 2 if grid == "fine" else None
    figures.energy_spectra(axes, comparison, resolved=resolved)
    invented = " Right of the dotted line the coarse field says nothing: the method makes it up." if resolved else ""
    return _plate(
        figure,
        f"spectra_{grid}",
        "Energy spectrum",
        f"Log-log energy spectra on the {grid} grid: {who} and the reference; their ratio to the reference below.",
        "Energy at each wavenumber. In the lower panel, 1 is right and the grey band is what sampling alone explains."
        + invented,
    )


def _covariance_plate(comparison: Comparison, grid: str, who: str) -> Plate:
    n_panels = len(comparison.candidates) + 2
    figure = style.tile(1.9 * ((n_panels + 1) // 2))
    figure.set_layout_engine("constrained", h_pad=0.06, hspace=0.04)
    axes = list(figure.subplots((n_panels + 1) // 2, 2).flat)
    for unused in axes[n_panels:]:
        unused.remove()
    figures.covariance_maps(axes[:n_panels], comparison)
    for panel in axes[:n_panels]:
        _colour_bar(figure, panel)
    what = "Covariance between every two points" if comparison.n_space == 1 else "Covariance by lag, zero in the middle"
    return _plate(
        figure,
        f"covariance_map_{grid}",
        "Covariance" if comparison.n_space == 1 else "Covariance map",
        f"{what} on the {grid} grid: the reference, and the differences from it of {who} and of an independent one.",
        f"{what}. All differences share one scale: a good method leaves as little as the noise floor does.",
        image=True,
    )


def _debiasing_plates(evidence: Evidence, channel: int) -> Iterator[Plate]:
    chosen = evenly_spaced(len(evidence.raw), CASES_SHOWN)
    if not len(chosen):
        return
    raw, debiased = evidence.raw[chosen, channel], evidence.debiased[chosen, channel]
    if evidence.n_space == 1:
        figure = style.tile(4.4)
        axes = list(figure.subplots(len(chosen), 1, squeeze=False).flat)
        figures.before_and_after(axes, raw, debiased)
    else:
        figure = style.tile(2.65)
        axes = figure.subplots(2, len(chosen), squeeze=False)
        titled = {f"raw {i + 1}": field for i, field in enumerate(raw)}
        titled |= {f"debiased {i + 1}": field for i, field in enumerate(debiased)}
        figures.stamps(list(axes.flat), titled)
        _colour_bar(figure, axes[0, -1])
    yield _plate(
        figure,
        "before_and_after",
        "Before and after",
        f"{len(chosen)} coarse fields before and after debiasing.",
        "The same coarse fields, raw and debiased. The pattern should survive: a transport that moves more than the "
        "bias loses the weather of the day.",
        image=evidence.n_space == 2,
    )


def _unpaired_plates(evidence: Evidence, channel: int) -> Iterator[Plate]:
    for number, case in enumerate(evenly_spaced(len(evidence.generated), 2), start=1):
        members, cubic = evidence.generated[case, :, channel], evidence.cubic[case, channel]
        figure = _lines_or_stamps(members, cubic, evidence)
        yield _plate(
            figure,
            f"unpaired_{number}",
            f"Condition {number}",
            f"{len(members)} members sampled from one debiased coarse field, with its cubic interpolation.",
            f"{len(members)} members sampled from one debiased coarse field, spread {_spread(members):.3g}, and the "
            "cubic interpolation of that field. Members should agree on the large scales and differ in the small ones.",
            image=evidence.n_space == 2,
        )


def _lines_or_stamps(members: np.ndarray, cubic: np.ndarray, evidence: Evidence) -> Figure:
    if evidence.n_space == 1:
        figure = style.tile(2.7)
        axes = figure.add_subplot()
        figures.member_lines(axes, members, cubic=cubic)
        axes.set(xlabel="grid point", ylabel=_label(evidence))
        return figure
    shown = {"cubic": cubic, "mean": members.mean(axis=0), "spread": members.std(axis=0)}
    return _stamp_sheet(shown, members)


def _perfect_plates(evidence: Evidence, channel: int) -> Iterator[Plate]:
    looking = (
        "Look for the truth inside the bundle of members."
        if evidence.n_space == 1
        else "The spread has a colour scale of its own, from zero."
    )
    for number, case in enumerate(evenly_spaced(len(evidence.perfect_truth), CASES_SHOWN), start=1):
        members, truth = evidence.perfect_ensemble[case, :, channel], evidence.perfect_truth[case, channel]
        coarse = evidence.perfect_target[case, channel]
        if evidence.n_space == 1:
            figure = _lines_over_strip(evidence, members, truth, coarse)
        else:
            shown = {"coarse": coarse, "truth": truth, "mean": members.mean(axis=0), "spread": members.std(axis=0)}
            figure = _stamp_sheet(shown, members)
        yield _plate(
            figure,
            f"case_{number}",
            f"Case {number}",
            f"Case {number}: the coarse input, the truth and {len(members)} members sampled from the coarse input.",
            f"Error of the mean {_rms(truth - members.mean(axis=0)):.3g}, spread {_spread(members):.3g} (root mean "
            "square over points). " + looking,
            image=evidence.n_space == 2,
        )


def _lines_over_strip(evidence: Evidence, members: np.ndarray, truth: np.ndarray, coarse: np.ndarray) -> Figure:
    figure = style.tile(4.3)
    lines, strip = figure.subplots(2, 1, sharex=True, height_ratios=[1.25, 1])
    offset = evidence.coarse_offset[0]
    figures.member_lines(lines, members, truth=truth, coarse=coarse, offset=offset)
    lines.set_ylabel(_label(evidence))
    figures.member_strip(strip, members, truth=truth, coarse=coarse, offset=offset)
    return figure


def _stamp_sheet(shown: dict[str, np.ndarray], members: np.ndarray) -> Figure:
    """Four columns: what is shown first, then members until the second row is full."""
    n_members = min(8 - len(shown), len(members))
    shown = shown | {f"member {i + 1}": member for i, member in enumerate(members[:n_members])}
    figure = style.tile(2.65)
    axes = figure.subplots(2, 4)
    for unused in list(axes.flat)[len(shown) :]:
        unused.remove()
    used = list(axes.flat)[: len(shown)]
    figures.stamps(used, shown)
    _colour_bar(figure, used[-1])
    return figure


def _rank_plates(evidence: Evidence, channel: int) -> Iterator[Plate]:
    counts = np.asarray(evidence.rank_counts)
    if not counts.size or not counts.sum():
        return
    figure = style.tile(3.1)
    error = evidence.perfect_truth[:, channel] - evidence.perfect_ensemble[:, :, channel].mean(axis=1)
    error = error[np.isfinite(error).all(axis=tuple(range(1, error.ndim)))]
    effective = counts.sum() * effective_points(error) / error[0].size if len(error) > 1 else None
    figures.rank_histogram(figure.add_subplot(), counts, effective=effective)
    yield _plate(
        figure,
        "rank_histogram",
        "Rank histogram",
        f"Rank of the truth among {len(counts) - 1} members over {counts.sum():,} points; counts by rank from 0: "
        + ", ".join(str(int(count)) for count in counts)
        + ".",
        "Flat is reliable; a valley in the middle means too little spread, a hill too much, a slope a bias. The dark "
        "band assumes independent points, which neighbours are not, and is too narrow; the light band counts only as "
        "many points as the errors of the ensemble mean are worth, by their correlation in space (cases are "
        "taken as independent).",
    )


def _loss_plates(evidence: Evidence) -> Iterator[Plate]:
    curve = np.asarray(evidence.loss_curve)
    if curve.ndim != 2 or curve.shape[1] < 2:
        return
    figure = style.tile(3.1)
    figures.training_loss(figure.add_subplot(), curve)
    yield _plate(
        figure,
        "training_loss",
        "Training loss",
        f"Training loss over {int(curve[0, -1]):,} steps, from {curve[1, 0]:.3g} to {curve[1, -1]:.3g}.",
        "Denoising loss of the prior. Still falling at the right edge: more steps would help.",
    )


def _main_and_detail(detail: Number) -> tuple[Figure, tuple[Axes, Axes]]:
    figure = style.tile(3.8)
    main, below = figure.subplots(2, 1, sharex=True, height_ratios=[1.2, float(detail)])
    return figure, (main, below)


def _colour_bar(figure: Figure, panel: Axes) -> None:
    """A bar as tall as the image on its right."""
    bar = figure.colorbar(panel.images[0], cax=panel.inset_axes((1.04, 0, 0.05, 1)))
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=7)
    bar.ax.yaxis.set_major_locator(MaxNLocator(4))
    bar.ax.grid(False)


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))


def _spread(members: np.ndarray) -> float:
    """Root mean variance across members, times √(1 + 1/M): the error to expect of a reliable ensemble's mean."""
    return _rms(members.std(axis=0, ddof=1)) * np.sqrt(1 + 1 / len(members)) if len(members) > 1 else 0.0


def _label(evidence: Evidence) -> str:
    return f"{evidence.variable} [{evidence.units}]" if evidence.units not in ("", "1") else evidence.variable
