"""Figures of Kolmogorov flow: cases, methods side by side, spectra, tails, profiles."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from subgrid.report import style
from subgrid.report.figures import bare, spectrum_axes
from subgrid.report.plates import Plate, embed
from subgrid.verification.spectra import energy_spectrum
from subgrid.verification.tails import log_density

Image = Float[np.ndarray, "_ _"]
Fields = Float[np.ndarray, "_ 1 y x"]

HUES = ("#009E73", "#D55E00", "#0072B2", "#CC79A7", "#E69F00", "#56B4E9", "#8C6BB1", "#B8860B")
PATTERNS: Sequence[Any] = ("-", (0, (4, 1.6)), (0, (1.4, 1.2)))
LARGEST_RATIO = 8.0
"""Of energies, where a figure ends: a method that has lost a scale leaves it."""
BINS = 81
ROOM = 1.5
"""Amplitudes of the reference beyond its own range that the axis of a mean profile shows."""
IN_A_ROW = 4
"""Maps that a tile holds side by side."""
EMPTY = 1e-12
"""Share of the energy below which a shell holds rounding only."""


def looks(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """A hue for each method, and another pattern where the hues are used up."""
    return {
        name: {"color": HUES[i % len(HUES)], "linestyle": PATTERNS[i // len(HUES) % len(PATTERNS)], "linewidth": 1.3}
        for i, name in enumerate(names)
    }


def sheet(cases: Sequence[Mapping[str, Image]], *, spread: str = "spread") -> Figure:
    """Maps in one range of colours, each case in rows of four; one titled `spread` has a scale of its own."""
    rows = [row for case in cases for row in _rows(case)]
    n_columns = max(map(len, rows))
    shown = [image for row in rows for title, image in row.items() if title != spread]
    limit = 1.2 * float(np.median([np.quantile(np.abs(image), 0.998) for image in shown]))  # not of one that diverged
    colours: dict[str, Any] = {"cmap": style.DIVERGING, "norm": style.symmetric(limit)}
    figure = style.tile(1.35 * len(rows) + 0.2)
    panels = figure.subplots(len(rows), n_columns, squeeze=False)
    for axes_row, row in zip(panels, rows, strict=True):
        for axes in axes_row:
            axes.set_visible(False)
        for axes, (title, image) in zip(axes_row, row.items(), strict=False):
            axes.set_visible(True)
            own = {"cmap": style.SPREAD, "vmin": 0} if title == spread else colours
            bare(axes).imshow(image, **own, origin="lower", interpolation="nearest")
            axes.set_title(title.replace("+", "+\n"), fontsize=6)
    bar = figure.colorbar(ScalarMappable(**colours), ax=panels, shrink=min(0.9, 1.4 / len(rows) + 0.3), aspect=25)
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    return figure


def _rows(case: Mapping[str, Image]) -> list[dict[str, Image]]:
    """The maps of a case, cut into rows."""
    maps = list(case.items())
    return [dict(maps[i : i + IN_A_ROW]) for i in range(0, len(maps), IN_A_ROW)]


def spectra_figure(fields: Mapping[str, Fields], reference: Fields, independent: Fields, observed: int) -> Figure:
    """Energy by wavenumber over its ratio to the reference; grey: between two sets of the reference.

    `observed` is the last wave that the observed points hold.
    """
    truth, other = _spectrum(reference), _spectrum(independent)
    n = int(np.flatnonzero(truth > EMPTY * truth.sum())[-1]) + 1  # beyond, the solver keeps no wave
    truth, other, k = truth[:n], other[:n], np.arange(1, n + 1)
    figure = style.tile(4.6)
    main, ratio = figure.subplots(2, 1, sharex=True, height_ratios=[1.2, 1])
    main.plot(k, truth, **style.line("reference"))
    band = np.exp(np.abs(np.log(other / truth)))
    ratio.fill_between(k, 1 / band, band, color=style.COLOURS["floor"], alpha=0.5, linewidth=0)
    for name, look in looks(list(fields)).items():
        energy = _spectrum(fields[name])[:n]
        main.plot(k, energy, label=name, **look)
        ratio.plot(k, energy / truth, **look)
    for axes in (main, ratio):
        axes.axvline(observed + 0.5, color=style.MUTED, linewidth=0.8, linestyle=":")
    spectrum_axes(main, ratio, truth, np.log(LARGEST_RATIO))
    style.legend_above(main, columns=2)
    return figure


def tails_figure(fields: Mapping[str, Fields], reference: Fields, independent: Fields) -> Figure:
    """Densities of vorticity, in standard deviations of the reference, on a logarithmic axis."""
    std = reference.std()
    edges = np.linspace(-6, 6, BINS + 1)
    middle = (edges[1:] + edges[:-1]) / 2
    figure = style.tile(3.6)
    axes = figure.subplots()
    axes.plot(middle, _density(independent / std, edges), **style.line("floor"))
    axes.plot(middle, _density(reference / std, edges), **style.line("reference"))
    for name, look in looks(list(fields)).items():
        axes.plot(middle, _density(fields[name] / std, edges), label=name, **look)
    axes.set(yscale="log", xlabel="vorticity, standard deviations", ylabel="density", ylim=(1e-6, 1))
    style.legend_above(axes, columns=2)
    return figure


def profile_figure(fields: Mapping[str, Fields], reference: Fields, independent: Fields) -> Figure:
    """Mean vorticity along y; a method that is far from the reference leaves the figure."""
    figure = style.tile(3.2)
    axes = figure.subplots()
    known = reference.mean((0, 1, 3))
    y = np.arange(len(known))
    axes.plot(y, independent.mean((0, 1, 3)), **style.line("floor"))
    axes.plot(y, known, **style.line("reference"))
    for name, look in looks(list(fields)).items():
        axes.plot(y, fields[name].mean((0, 1, 3)), label=name, **look)
    room = ROOM * (np.ptp(known) or 1.0) / 2
    axes.set(xlabel="point along y", ylabel="mean vorticity", ylim=(known.min() - room, known.max() + room))
    style.legend_above(axes, columns=2)
    return figure


def ranks_figure(histograms: Mapping[str, Sequence[int]]) -> Figure:
    """Shares of ranks of the truth, a line each; flat is reliable."""
    figure = style.tile(3.2)
    axes: Axes = figure.subplots()
    for name, look in looks(list(histograms)).items():
        counts = np.asarray(histograms[name], float)
        axes.plot(counts / counts.mean(), label=name, marker="o", markersize=3, **look)
    axes.axhline(1, **style.line("reference", linewidth=1, label="reliable"))
    axes.set(xlabel="members below the truth", ylabel="over the mean", ylim=(0, None))
    style.legend_above(axes, columns=2)
    return figure


def plate(name: str, title: str, figure: Figure, alt: str, caption: str, *, image: bool = False) -> Plate:
    """A figure for the page."""
    return Plate(name, title, *embed(figure, image=image), alt, caption)


def _spectrum(fields: Fields) -> np.ndarray:
    """Energies of the waves 1 to n/2, complete shells."""
    return np.asarray(energy_spectrum(jnp.asarray(fields), 2))[0, : fields.shape[-1] // 2]


def _density(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    return np.exp(log_density(values, edges))
