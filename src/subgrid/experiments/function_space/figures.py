"""Figures of models of functions: one sample on every grid, spectra past the training grid, cost by resolution."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from subgrid.report import style
from subgrid.report.figures import bare
from subgrid.report.plates import Plate, embed

LOOKS: Mapping[str, dict[str, Any]] = {
    "diffusion": {"color": "#009E73"},
    "flow": {"color": "#0072B2"},
    "diffusion-points": {"color": "#E69F00"},
    "diffusion-white": {"color": "#D55E00", "linestyle": (0, (4, 1.6))},
    "flow-white": {"color": "#CC79A7", "linestyle": (0, (4, 1.6))},
}
SHADES = ("#08306b", "#4292c6", "#9ecae1")
"""Of one function from its coarsest grid to its finest."""
SMALLEST_SHARE = 1e-9
"""Of the energy of the largest shell: where a figure of spectra ends."""

Fields = Mapping[int, Float[np.ndarray, "channel *space"]]
"""One function on every grid, by points an axis."""


def lines_plate(samples: Mapping[str, Fields]) -> Plate:
    """One sample of every candidate on all grids, in one dimension."""
    with style.context():
        figure = Figure(figsize=(2 * style.TILE_WIDTH, 1.5 * len(samples) + 0.6), layout="constrained")
        panels = figure.subplots(len(samples), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (name, fields) in zip(panels, samples.items(), strict=True):
            _overlaid(axes, fields)
            axes.set_title(name)
        figure.legend(*panels[0].get_legend_handles_labels(), ncols=len(SHADES), loc="outside upper right")
        panels[-1].set_xlabel("place")
        return Plate(
            "samples",
            "One sample, drawn on every grid",
            *embed(figure),
            "A panel for each candidate with one curve a grid, which lie on each other where noise is a function.",
            "The same key on every grid. For models of functions the curves are one function; for models of vectors "
            "each grid has another.",
        )


def _overlaid(axes: Axes, fields: Fields) -> None:
    grids = sorted(fields)
    for n, shade in reversed([*zip(grids, (SHADES * len(grids))[: len(grids)], strict=True)]):
        axes.plot((np.arange(n) + 0.5) / n, fields[n][0], color=shade, linewidth=1, label=f"{n} points")


def stamps_plate(samples: Mapping[str, Fields], limit: float) -> Plate:
    """One sample of every candidate on all grids, in two dimensions, in one range of colours."""
    grids = sorted(next(iter(samples.values())))
    with style.context():
        figure = Figure(figsize=(2.3 * len(grids) + 0.4, 2.4 * len(samples)), layout="constrained")
        panels = figure.subplots(len(samples), len(grids), squeeze=False)
        colours: dict[str, Any] = {"cmap": style.DIVERGING, "norm": style.symmetric(limit)}
        for row, (name, fields) in zip(panels, samples.items(), strict=True):
            for axes, n in zip(row, grids, strict=True):
                bare(axes).imshow(fields[n][0], **colours, origin="lower", interpolation="nearest")
                axes.set_title(f"{name}, {n} × {n}" if n == grids[0] else f"{n} × {n}")
        figure.colorbar(ScalarMappable(**colours), ax=panels, shrink=0.6, aspect=30)
        return Plate(
            "samples",
            "One sample, drawn on every grid",
            *embed(figure, image=True),
            "Rows of maps: a candidate each, from the training grid to the finest.",
            "Each row is one key. Models of functions show the same field in more detail; the last row is one field of "
            "the truth.",
        )


def spectra_plate(spectra: Mapping[str, Sequence[float]], n: int, last: int, dimension: int) -> Plate:
    """Energies on one grid of all candidates and the truth; `last` is the last shell that the training grid holds."""
    truth = np.asarray(spectra["truth"])[1:]
    count = int(np.flatnonzero(truth > SMALLEST_SHARE * truth.max())[-1]) + 1
    k = np.arange(1, count + 1)
    with style.context():
        figure = style.tile(1.15 * style.TILE_WIDTH * 0.75)
        axes = figure.subplots()
        axes.plot(k, truth[:count], **style.line("reference", linewidth=2.4))
        for name, look in LOOKS.items():
            if name in spectra:
                axes.plot(k, np.asarray(spectra[name])[1 : count + 1], label=name, linewidth=1.4, **look)
        axes.axvline(last + 0.5, color=style.MUTED, linewidth=0.8, linestyle=":")
        axes.set(xscale="log", yscale="log", xlabel="waves per domain", ylabel="energy")
        axes.set_ylim(0.1 * truth[:count].min(), 5 * truth.max())
        style.legend_above(axes, columns=3)
        grid = " × ".join([str(n)] * dimension)
        return Plate(
            f"spectrum-{n}",
            f"Spectrum on {grid} points",
            *embed(figure),
            "Energy by wavenumber of the truth and of every candidate, with a line where the training grid ends.",
            "Dotted: the last wave of the training grid. Right of it nothing has been trained.",
        )


def cost_plate(evaluations: Mapping[str, Mapping[int, float]]) -> Plate:
    """Evaluations of an adaptive solver against resolution."""
    with style.context():
        figure = style.tile(0.85 * style.TILE_WIDTH * 0.75)
        axes = figure.subplots()
        for name, counts in evaluations.items():
            grids = sorted(counts)
            axes.plot(grids, [counts[n] for n in grids], marker="o", label=name, **LOOKS[name])
        axes.set_xscale("log", base=2)
        axes.set_xticks(sorted({n for counts in evaluations.values() for n in counts}))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set(xlabel="points an axis", ylabel="evaluations", ylim=(0, None))
        style.legend_above(axes, columns=2)
        return Plate(
            "cost",
            "Evaluations for one sample",
            *embed(figure),
            "Evaluations by number of points: level for a base that is a function, rising for white noise.",
            "An adaptive solver of fifth order at one tolerance.",
        )
