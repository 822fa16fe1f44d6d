"""Scores of samplers against evaluations of the network: one curve a sampler."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from subgrid.report import style

CURVES: Mapping[str, dict[str, Any]] = {
    "projection": {"color": "#D55E00", "linestyle": (0, (4, 1.6))},
    "moment-matching": {"color": "#0072B2"},
    "gaussian-gain": {"color": "#56B4E9", "linestyle": (0, (1.4, 1.2))},
    "particles": {"color": "#8C6BB1", "linestyle": (0, (5, 1.4, 1.2, 1.4))},
    "conditional-diffusion": {"color": "#009E73"},
    "conditional-flow": {"color": "#E69F00"},
}
"""Any other sampler has the next colour of matplotlib's cycle, dotted."""


def score_curves(axes: Axes, rows: Sequence[Mapping[str, Any]], score: str) -> Axes:
    """One score of every sampler against its evaluations, both logarithmic; 1 is marked for spread/skill."""
    for sampler in dict.fromkeys(row["sampler"] for row in rows):
        own = [row for row in rows if row["sampler"] == sampler]
        places, values = [row["evaluations"] for row in own], [row[score] for row in own]
        look = CURVES.get(sampler, {"linestyle": "dotted"})
        axes.plot(places, values, label=sampler, marker="o", markersize=3, **look)
    if score == "spread/skill":
        axes.axhline(1, color=style.MUTED, linewidth=0.8)
    else:
        axes.set_yscale("log")
    axes.set_xscale("log", base=2)
    axes.set(xlabel="evaluations of the network a draw (levels, or steps)", ylabel=score)
    axes.set_xticks(sorted({row["evaluations"] for row in rows}))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.legend(fontsize=7, frameon=False)
    return axes


def draw_curves(rows: Sequence[Mapping[str, Any]]) -> dict[str, bytes]:
    """crps.svg and spread.svg."""
    return {name: _drawn(rows, score) for name, score in (("crps.svg", "CRPS"), ("spread.svg", "spread/skill"))}


def _drawn(rows: Sequence[Mapping[str, Any]], score: str) -> bytes:
    with style.context():
        figure = Figure(figsize=(style.TILE_WIDTH, 0.75 * style.TILE_WIDTH), layout="constrained")
        score_curves(figure.subplots(), rows, score)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()
