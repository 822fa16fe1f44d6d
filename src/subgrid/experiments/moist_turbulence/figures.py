"""Figures of a moist-turbulence run: fields of every method, their histograms and spectra, likeness to the source."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from subgrid.report import style
from subgrid.report.figures import bare
from subgrid.report.plates import Plate, Section, embed
from subgrid.report.summaries import density
from subgrid.verification.spectra import energy_spectrum

HUES = ("#0072B2", "#56B4E9", "#CC79A7", "#8C6BB1", "#E69F00", "#009E73", "#7F4F24")
"""Of the methods in the order of the table, the last of which is what the experiment is about."""
N_BINS = 80
SMALLEST_SHARE = 1e-7
"""Of the energy of the largest shell: where a figure of spectra ends."""


@dataclass(frozen=True)
class TurbulenceEvidence:
    """What the figures are drawn from, physical units.

    Args:
        reference: each quantity's held-out fields; `independent`, those whose distance is the noise floor.
        candidates: the same by method.
        wavenumbers: at which similarity is known.
        similarity: by method, wavenumbers × channels; `similarity_of_anomalies`, without the contexts' patterns.
        examples: rows of fields by column, one row a context and channel.
        cut_off: k*.
    """

    reference: dict[str, np.ndarray]
    independent: dict[str, np.ndarray]
    candidates: dict[str, dict[str, np.ndarray]]
    wavenumbers: list[int]
    similarity: dict[str, Float[np.ndarray, "wavenumber channel"]]
    similarity_of_anomalies: dict[str, Float[np.ndarray, "wavenumber channel"]]
    examples: dict[str, dict[str, np.ndarray]]
    cut_off: int


def turbulence_sections(evidence: TurbulenceEvidence) -> list[Section]:
    """All figures, in reading order."""
    with style.context():
        return [
            Section(
                "fields",
                "Fields: one coarse source, every method",
                "Each row is one held-out coarse field, refined to the fine grid, and what every method makes of it "
                "under the context of the row. There is no true answer: the last column is some fine field of that "
                "context.",
                list(_example_plates(evidence)),
            ),
            Section(
                "quality",
                "Quality: are these fine fields?",
                "Histograms of pixel values and spectra, all contexts together, against held-out fine fields. Grey: "
                "the other half of the held-out fields.",
                [*_histogram_plates(evidence), *_spectrum_plates(evidence)],
            ),
            Section(
                "similarity",
                "Similarity: are they of their source?",
                "Distance of each output from its own coarse source after a low-pass, both z-scored: 0 is the same "
                "pattern, 1.41 an unrelated one.",
                list(_similarity_plates(evidence)),
            ),
        ]


def colours(names: list[str]) -> dict[str, dict[str, Any]]:
    """Line style by candidate: the plain ones dashed, methods in `HUES`."""
    plain = {"upsampled": {"color": "#D55E00"}, "random pairing": {"color": style.COLOURS["floor"]}}
    lines = {name: {**look, "linestyle": style.PATTERNS["raw"]} for name, look in plain.items()}
    methods = [name for name in names if name not in plain]
    hues = HUES[-len(methods) :] if methods else ()
    lines |= {name: {"color": hue, "linestyle": "-"} for name, hue in zip(methods, hues, strict=True)}
    return {name: {"linewidth": 1.4, "label": name, **lines[name]} for name in names}


def draw_histograms(axes: Axes, evidence: TurbulenceEvidence, quantity: str) -> Axes:
    """Densities of pixel values, logarithmic, over the range that holds all but 1e-5 of the reference at either end."""
    reference = evidence.reference[quantity]
    low, high = np.quantile(reference, [1e-5, 1 - 1e-5])
    edges = np.linspace(low, high, N_BINS + 1)
    centres = (edges[1:] + edges[:-1]) / 2
    axes.plot(centres, _positive(evidence.independent[quantity], edges), **style.line("floor", linewidth=4, alpha=0.5))
    axes.plot(centres, _positive(reference, edges), **style.line("reference"))
    for name, look in colours(list(evidence.candidates)).items():
        axes.plot(centres, _positive(evidence.candidates[name][quantity], edges), **look)
    axes.set(yscale="log", xlabel=quantity, ylabel="density", xlim=(low, high))
    style.legend_above(axes, columns=3)
    return axes


def _positive(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """A density without its zeros, which a logarithmic axis has no place for."""
    found = density(values, edges)
    return np.where(found > 0, found, np.nan)


def draw_spectra(axes: Axes, evidence: TurbulenceEvidence, quantity: str) -> Axes:
    """Energy by wavenumber, log-log, as far as the reference holds any."""
    spectrum = lambda fields: np.asarray(energy_spectrum(fields[:, None], 2))[0]  # noqa: E731
    reference = spectrum(evidence.reference[quantity])
    n = int(np.flatnonzero(reference > SMALLEST_SHARE * reference.max())[-1]) + 1
    k = np.arange(1, n + 1)
    axes.plot(k, spectrum(evidence.independent[quantity])[:n], **style.line("floor", linewidth=4, alpha=0.5))
    axes.plot(k, reference[:n], **style.line("reference"))
    for name, look in colours(list(evidence.candidates)).items():
        axes.plot(k, spectrum(evidence.candidates[name][quantity])[:n], **look)
    axes.axvline(evidence.cut_off, color=style.MUTED, linewidth=0.8, linestyle=":")
    bottom = 0.3 * reference[:n].min()
    axes.set(xscale="log", yscale="log", xlabel="wavenumber", ylabel=f"energy of {quantity}", ylim=(bottom, None))
    style.legend_above(axes, columns=3)
    return axes


def draw_similarity(
    axes: Axes, wavenumbers: list[int], curves: dict[str, Float[np.ndarray, "wavenumber channel"]], channel: int
) -> Axes:
    """Distance from the own source by the wavenumber of the low-pass, up to what the worst method has."""
    lines = {name: curve[:, channel] for name, curve in curves.items() if name != "random pairing"}
    for name, look in colours(list(curves)).items():
        if name in lines:
            axes.plot(wavenumbers, lines[name], marker="o", markersize=3, **look)
    top = 1.08 * max(line.max() for line in lines.values())
    axes.set(xlabel="largest wavenumber kept", ylabel="l2 distance from the source", ylim=(0, max(top, 1e-3)))
    style.legend_above(axes, columns=3)
    return axes


def draw_examples(figure: Figure, rows: dict[str, dict[str, np.ndarray]]) -> Figure:
    """One row of fields for each name, a colour scale a row, columns titled once."""
    n_columns = max(map(len, rows.values()))
    panels = figure.subplots(len(rows), n_columns, squeeze=False)
    for i, (name, fields) in enumerate(rows.items()):
        cmap, norm = style.field_scale(*fields.values())
        for panel, (title, field) in zip(panels[i], fields.items(), strict=True):
            panel.imshow(field, cmap=cmap, norm=norm, interpolation="nearest", origin="lower")
            if i == 0:
                panel.set_title(title, fontsize=7)
            bare(panel)
        panels[i, 0].set_ylabel(name, fontsize=7)
    return figure


def _example_plates(evidence: TurbulenceEvidence) -> Iterator[Plate]:
    n_columns = max(map(len, evidence.examples.values()))
    figure = Figure(figsize=(1.25 * n_columns, 1.28 * len(evidence.examples) + 0.2), layout="constrained")
    draw_examples(figure, evidence.examples)
    yield Plate(
        "examples",
        "Coarse fields and what becomes of them",
        *embed(figure, image=True),
        f"Images of vorticity and supersaturation: {', '.join(next(iter(evidence.examples.values())))}.",
        "One colour scale a row. A good method keeps the large eddies of the first column and gives them filaments as "
        "sharp as those of the last.",
    )


def _histogram_plates(evidence: TurbulenceEvidence) -> Iterator[Plate]:
    for quantity in evidence.reference:
        figure = style.tile(3.4)
        draw_histograms(figure.add_subplot(), evidence, quantity)
        yield Plate(
            f"histogram-{quantity.replace(' ', '-')}",
            f"Histogram of {quantity}",
            *embed(figure),
            f"Densities of {quantity} of all methods and of the held-out fine fields.",
            "Logarithmic density of all pixel values.",
        )


def _spectrum_plates(evidence: TurbulenceEvidence) -> Iterator[Plate]:
    for quantity in list(evidence.reference)[:2]:
        figure = style.tile(3.4)
        draw_spectra(figure.add_subplot(), evidence, quantity)
        yield Plate(
            f"spectrum-{quantity}",
            f"Spectrum of {quantity}",
            *embed(figure),
            f"Energy spectra of {quantity} of all methods and of the held-out fine fields.",
            "Dotted: the cut-off k*, where the diffusion bridge turns around. Peaks beyond are the contexts.",
        )


def _similarity_plates(evidence: TurbulenceEvidence) -> Iterator[Plate]:
    vorticity, supersaturation = list(evidence.reference)[:2]
    shown = [
        (vorticity, "", evidence.similarity, 0),
        (supersaturation, "", evidence.similarity, 1),
        (supersaturation, " without the context's pattern", evidence.similarity_of_anomalies, 1),
    ]
    for quantity, addition, curves, channel in shown:
        figure = style.tile(3.4)
        draw_similarity(figure.add_subplot(), evidence.wavenumbers, curves, channel)
        yield Plate(
            f"similarity-{quantity}{'-anomalies' if addition else ''}",
            f"Similarity of {quantity}{addition}",
            *embed(figure),
            f"Distance of the outputs' {quantity}{addition} from their own source by wavenumber, a line a method.",
            "Mean over cases. Fields that have nothing to do with the source score 1.4.",
        )
