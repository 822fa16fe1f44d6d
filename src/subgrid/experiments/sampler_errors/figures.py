"""The error of samplers against their evaluations: one curve a method, and one for another grid; log–log."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from subgrid.report import style
from subgrid.report.plates import Plate, embed

CURVES: Mapping[str, dict[str, Any]] = {
    "gaussian-sde": {"color": "#0072B2", "linewidth": 2.2},
    "gaussian-sde, central grid": {"color": "#0072B2", "linewidth": 1.4, "linestyle": (0, (1.4, 1.2))},
    "gaussian-ode": {"color": "#56B4E9", "linewidth": 2.2, "linestyle": (0, (4, 1.6))},
    "ode-multistep": {"color": "#009E73"},
    "sde-multistep": {"color": "#009E73", "linestyle": (0, (4, 1.6))},
    "heun": {"color": "#E69F00"},
    "euler-maruyama": {"color": "#CC79A7"},
    "ancestral": {"color": "#D55E00"},
    "predictor-corrector": {"color": "#D55E00", "linestyle": (0, (1.4, 1.2))},
}
"""Those of the published figure, its one curve on another grid too."""
OTHER: Mapping[str, Any] = {"linestyle": (0, (5, 1.4, 1.2, 1.4))}
"""Any other method, in the next colour of matplotlib's cycle."""
PANELS = ("unit Gaussian", "mixture, total", "mixture, inside a mode", "narrow mixture, inside a mode")
"""Cases; a field given coarse values looks like the unit Gaussian."""
FLOOR = 1e-5
"""Where errors of rounding are drawn: exact."""
GRID = "exponential"


def curve_of(row: Mapping[str, Any]) -> str:
    """The method, and its grid if it is not the usual one."""
    return row["method"] if row["grid"] == GRID else f"{row['method']}, {row['grid']} grid"


def drawn(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Every method on the usual grid, or on the first grid that there is; and what has a curve of its own."""
    grids = [row["grid"] for row in rows]
    grid = GRID if GRID in grids else grids[0]
    return [row for row in rows if row["grid"] == grid or curve_of(row) in CURVES]


def error_curves(axes: Axes, rows: Sequence[Mapping[str, Any]], *, noise: float | None = None) -> Axes:
    """Errors of one case against evaluations.

    **Arguments:** `rows`, one a method; `noise`, the standard error of errors that were sampled, a grey band.
    """
    for row in rows:
        curve, errors = curve_of(row), np.maximum(row["error"], FLOOR)
        look = CURVES.get(curve) or CURVES.get(row["method"]) or OTHER
        axes.plot(row["evaluations"], errors, marker="o", markersize=3, label=curve, **look)
    if noise is not None:
        axes.axhspan(FLOOR / 2, noise, color=style.COLOURS["floor"], alpha=0.25, linewidth=0)
    axes.axhline(0.01, color=style.MUTED, linewidth=0.8, linestyle=(0, (1.4, 1.2)))
    places = sorted({e for row in rows for e in row["evaluations"]})
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set(xticks=places, ylim=(FLOOR / 2, 3))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    return axes


def errors_plate(metrics: Mapping[str, Any]) -> Plate:
    """Four cases on the default grid, with the exact denoiser."""
    with style.context():
        figure = draw_errors(metrics)
        return Plate(
            "errors",
            "Error of what is sampled",
            *embed(figure),
            "Four panels of curves that fall with the number of evaluations, one a sampler.",
            "As a share of the standard deviation, by evaluations of the denoiser. Errors below the grey band are "
            "those of sampling.",
        )


def draw_errors(metrics: Mapping[str, Any]) -> Figure:
    """A panel a case."""
    figure = Figure(figsize=(1.9 * style.TILE_WIDTH, 1.5 * style.TILE_WIDTH), layout="constrained")
    panels = figure.subplots(2, 2, sharex=True, sharey=True)
    exact = [row for row in metrics["rows"] if row["guidance"] == "exact" and not row["noise"]]
    for axes, case in zip(panels.flat, PANELS, strict=True):
        rows = [row for row in exact if row["case"] == case]
        error_curves(axes, drawn(rows), noise=metrics["sampling_noise"].get(case))
        axes.set_title(case)
    for axes in panels[:, 0]:
        axes.set_ylabel("error, share of the standard deviation")
    for axes in panels[1]:
        axes.set_xlabel("evaluations of the denoiser")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure
