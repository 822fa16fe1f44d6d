"""What left-out years said of the candidates: debiasers by their strength, covariances by their reach."""

from itertools import cycle

import numpy as np
from matplotlib.axes import Axes

from subgrid.downscaling.debiasing.tried import DebiasingChoice
from subgrid.downscaling.refined.prior_choice import PriorChoice
from subgrid.report import style
from subgrid.report.plates import Plate, Section, embed

TITLES = {"correlations": "correlations between cells", "marginals": "marginals of cells"}
LINES = ("#6b7280", "#b45309", "#1d4ed8", "#047857", "#be185d", "#7c3aed")


def choice_plates(debiasing: DebiasingChoice | None, prior: PriorChoice) -> list[Section]:
    """One section with the figures that there is evidence for; none without any."""
    plates = []
    with style.context():
        if debiasing is not None and debiasing.tried:
            for what, title in TITLES.items():
                figure = style.tile(3.1)
                draw_strengths(figure.subplots(), debiasing, what)
                plates.append(
                    Plate(
                        f"choice-{what}",
                        f"Debiasers on left-out years: {title}",
                        *embed(figure, image=False),
                        f"Error of {title} against the strength of each method, the chosen one marked.",
                        "Each was fitted without some years of both archives and scored on them. Two years differ from "
                        "two others by much more than methods do from each other: read differences along a curve, not "
                        f"its height. Chosen: {debiasing.method}, strength {debiasing.strength:g}, a mean of strengths "
                        "weighted by errors from which the noise of the left-out years is removed, and which this "
                        "figure does not show.",
                    )
                )
        if prior.crps:
            figure = style.tile(3.1)
            draw_supports(figure.subplots(), prior)
            plates.append(
                Plate(
                    "choice-reach",
                    "How far covariances reach",
                    *embed(figure, image=False),
                    "CRPS of left-out years against the support of the covariances, the chosen one marked",
                    "CRPS of left-out years, conditioned on their own coarse values, when covariances are tapered so "
                    "that they reach 0 at so many times the largest distance of two cells. Rightmost: as they are.",
                )
            )
    about = "Chosen inside the training years, by leaving some of them out; no scored year had a say."
    return [Section("choices", "What was chosen, and on what", about, plates)] if plates else []


def draw_strengths(axes: Axes, choice: DebiasingChoice, what: str) -> None:
    """One curve a method: the error of correlations, or of marginals, against strength."""
    methods = list(dict.fromkeys(candidate.method for candidate in choice.tried))
    for colour, method in zip(cycle(LINES), methods, strict=False):
        own = sorted((c for c in choice.tried if c.method == method), key=lambda c: c.strength)
        values = [getattr(c, what) for c in own]
        if method == "none":
            axes.axhline(values[0], color=colour, linewidth=1, linestyle=":", label="none")
            continue
        axes.plot([c.strength for c in own], values, color=colour, marker="o", markersize=3, label=method)
        if method == choice.method:
            at = np.interp(choice.strength, [c.strength for c in own], values)
            axes.plot(choice.strength, at, "o", markersize=10, fillstyle="none", color=colour)
    label = "error of artanh(correlation)" if what == "correlations" else "W1 / standard deviation"
    axes.set(xlabel="strength", ylabel=label, xlim=(-0.05, 1.05))
    axes.legend(frameon=False, fontsize=8)


def draw_supports(axes: Axes, choice: PriorChoice) -> None:
    """CRPS against the support, in order; none at all comes last."""
    supports = sorted(choice.crps, key=lambda s: np.inf if s is None else s)
    values = [choice.crps[s] for s in supports]
    axes.plot(range(len(supports)), values, color=LINES[2], marker="o", markersize=4)
    at = supports.index(choice.support)
    axes.plot(at, values[at], "o", markersize=11, fillstyle="none", color=LINES[2])
    axes.set_xticks(range(len(supports)), ["none" if s is None else f"{s:g}" for s in supports])
    axes.set(xlabel="support / largest distance", ylabel="CRPS / standard deviation")
