"""Figures: axes in, axes out. Each draws numbers of one `Comparison` or a few arrays and touches no global state."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Real
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from subgrid.report import style
from subgrid.report.comparison import Comparison
from subgrid.report.style import Number
from subgrid.report.summaries import (
    covariance_matrix,
    density,
    flat_rank_interval,
    lag_covariance,
    running_mean,
    smoothed_magnitude,
)
from subgrid.verification.spectra import energy_spectrum

MEMBERS_SHOWN = 40
"""Thin lines beyond this many only blacken the figure."""

Pair = tuple[Axes, Axes]


def energy_spectra(axes: Pair, comparison: Comparison, *, resolved: int | None = None) -> Pair:
    """Energy by wavenumber, log-log, over its ratio to the reference.

    The grey band is the difference between two reference sets, smoothed over five wavenumbers.

    Args:
        axes: for the spectra and for the ratio.
        comparison: what is drawn.
        resolved: a wavenumber to mark: the finest wave that the coarse grid can hold.

    Returns:
        The axes.
    """
    main, ratio = axes
    reference, independent = _spectrum(comparison.reference), _spectrum(comparison.independent)
    k = np.arange(1, len(reference) + 1)
    band = np.exp(smoothed_magnitude(_log_ratio(independent, reference)))
    main.fill_between(k, reference / band, reference * band, **_band())
    ratio.fill_between(k, 1 / band, band, **_band())
    main.plot(k, reference, **style.line("reference"))
    ratio.axhline(1, **style.line("reference", linewidth=1))
    largest = 0.0
    dots: dict[str, Any] = {"marker": "o", "markersize": 2.5} if len(k) <= 16 else {}
    for role, fields in comparison.candidates.items():
        energy = _spectrum(fields)
        main.plot(k, energy, **style.line(role), **dots)
        ratio.plot(k, energy / reference, **style.line(role), **dots)
        largest = max(largest, float(np.max(np.abs(_log_ratio(energy, reference)))))
    spectrum_axes(main, ratio, reference, largest)
    if resolved is not None and resolved < k[-1]:
        _mark_resolved(main, ratio, resolved)
    style.legend_above(main)
    return axes


def marginal_densities(axes: Pair, comparison: Comparison, *, variable: str, units: str) -> Pair:
    """Density of the values at all points together, on a linear axis over a logarithmic one, which shows the tails."""
    linear, logarithmic = axes
    sets = {"reference": comparison.reference, "floor": comparison.independent, **comparison.candidates}
    edges = _bin_edges(comparison)
    centres = (edges[1:] + edges[:-1]) / 2
    for role, fields in sets.items():
        values = density(fields, edges)
        if role == "reference":
            linear.fill_between(centres, values, color=style.COLOURS[role], alpha=0.07, linewidth=0)
        linear.plot(centres, values, **style.line(role))
        logarithmic.plot(centres, np.where(values > 0, values, np.nan), **style.line(role))
    linear.set(ylabel="density", ylim=(0, None))
    linear.yaxis.set_major_locator(MaxNLocator(4))
    logarithmic.set(yscale="log", ylabel="density (log)", xlabel=_with_units(variable, units))
    linear.tick_params(labelbottom=False)
    for panel in axes:
        panel.set_xlim(edges[0], edges[-1])
    style.legend_above(linear)
    return axes


def covariance_by_lag(axes: Pair, comparison: Comparison, *, units: str) -> Pair:
    """Covariance between points a lag apart (in 2-D along the last axis), over its difference from the reference."""
    main, difference = axes
    reference, independent = _lag_line(comparison.reference), _lag_line(comparison.independent)
    lags = np.arange(len(reference))
    band = smoothed_magnitude(independent - reference)
    main.fill_between(lags, reference - band, reference + band, **_band())
    difference.fill_between(lags, -band, band, **_band())
    main.plot(lags, reference, **style.line("reference"))
    difference.axhline(0, **style.line("reference", linewidth=1))
    for role, fields in comparison.candidates.items():
        covariance = _lag_line(fields)
        main.plot(lags, covariance, **style.line(role))
        difference.plot(lags, covariance - reference, **style.line(role))
    main.set(ylabel=_with_units("covariance", _squared(units)), xlim=(0, lags[-1]))
    difference.set(ylabel="difference", xlabel="lag (grid points)", xlim=(0, lags[-1]))
    main.tick_params(labelbottom=False)
    difference.yaxis.set_major_locator(MaxNLocator(4, symmetric=True))
    difference.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    style.legend_above(main)
    return axes


def covariance_maps(axes: Sequence[Axes], comparison: Comparison) -> Sequence[Axes]:
    """The reference covariance and, on one diverging scale, the differences of all other sets from it.

    In 1-D the full matrix between points; in 2-D the covariance by lag along both axes. Needs an axes for each set:
    reference, candidates in order, independent. The colour bars are the caller's, from `images[0]` of each axes.
    """
    covariance = covariance_matrix if comparison.n_space == 1 else lag_covariance
    reference = covariance(comparison.reference)
    sets = {**comparison.candidates, "floor": comparison.independent}
    differences = {role: covariance(fields) - reference for role, fields in sets.items()}
    common = style.symmetric(max(np.max(np.abs(values)) for values in differences.values()))
    panels = [("reference", reference, style.symmetric(np.max(np.abs(reference))))]
    panels += [(role, values, common) for role, values in differences.items()]
    for panel, (role, values, norm) in zip(axes, panels, strict=True):
        panel.imshow(values, cmap=style.DIVERGING, norm=norm, interpolation="nearest")
        panel.set_title(style.LABELS[role] + ("" if role == "reference" else " − reference"))
        bare(panel)
    return axes


def member_lines(
    axes: Axes,
    members: Float[np.ndarray, "member space"],
    *,
    truth: Float[np.ndarray, " space"] | None = None,
    cubic: Float[np.ndarray, " space"] | None = None,
    coarse: Float[np.ndarray, " coarse"] | None = None,
    offset: Number = 0.0,
) -> Axes:
    """All members of one case as thin lines with their mean; the truth, the cubic and the coarse points where given."""
    x = np.arange(members.shape[1])
    for member in members[:MEMBERS_SHOWN]:
        axes.plot(x, member, color=style.COLOURS["generated"], linewidth=0.7, alpha=0.5, zorder=2)
    axes.plot(x, members.mean(axis=0), **style.line("generated", label=f"mean of {len(members)} members"))
    if cubic is not None:
        axes.plot(x, cubic, **style.line("cubic"))
    if truth is not None:
        axes.plot(x, truth, **style.line("reference", label="truth", linewidth=1.5))
    if coarse is not None:
        positions = np.arange(len(coarse)) * (len(x) // len(coarse)) + offset
        axes.plot(positions, coarse, "o", label="coarse input", zorder=6, **_points())
    axes.set_xlim(0, x[-1])
    style.legend_above(axes)
    return axes


def member_strip(
    axes: Axes,
    members: Float[np.ndarray, "member space"],
    *,
    truth: Float[np.ndarray, " space"],
    coarse: Float[np.ndarray, " coarse"],
    offset: Number = 0.0,
) -> Axes:
    """One case as an image, space across: coarse input, truth and ensemble mean, then one row for each member."""
    shown = members[:MEMBERS_SHOWN]
    cmap, norm = style.field_scale(truth, shown)
    nearest = _nearest_coarse(members.shape[1], len(coarse), offset)
    height = max(len(shown) // 8, 1)
    gap = np.full((max(height // 2, 1), members.shape[1]), np.nan)
    top = [np.repeat(row[None], height, axis=0) for row in (coarse[nearest], truth, members.mean(axis=0))]
    blocks = [block for row in top for block in (row, gap)]
    rows = np.concatenate([*blocks, shown])
    axes.imshow(rows, cmap=cmap, norm=norm, aspect="auto", interpolation="nearest")
    starts = np.cumsum([0] + [len(block) for block in blocks])
    centres = [starts[2 * i] + (height - 1) / 2 for i in range(3)] + [starts[-1] + (len(shown) - 1) / 2]
    axes.set_yticks(centres, ["coarse", "truth", "mean", "members"])
    axes.set_xlabel("grid point")
    axes.tick_params(left=False)
    axes.grid(False)
    axes.spines[:].set_visible(False)
    return axes


def stamps(axes: Sequence[Axes], fields: dict[str, Float[np.ndarray, "y x"]]) -> Sequence[Axes]:
    """2-D fields side by side on one colour scale, titled; a field titled "spread" has a scale of its own from zero."""
    cmap, norm = style.field_scale(*(field for title, field in fields.items() if title != "spread"))
    for panel, (title, field) in zip(axes, fields.items(), strict=True):
        if title == "spread":
            panel.imshow(field, cmap=style.SPREAD, vmin=0, interpolation="nearest", origin="lower")
        else:
            panel.imshow(field, cmap=cmap, norm=norm, interpolation="nearest", origin="lower")
        panel.set_title(title)
        bare(panel)
    return axes


def before_and_after(
    axes: Sequence[Axes], raw: Float[np.ndarray, "n coarse"], debiased: Float[np.ndarray, "n coarse"]
) -> Sequence[Axes]:
    """1-D coarse fields before and after the transport, one pair an axes."""
    for panel, before, after in zip(axes, raw, debiased, strict=True):
        panel.plot(before, **style.line("raw"), marker="o", markersize=2.5)
        panel.plot(after, **style.line("debiased"), marker="o", markersize=2.5)
        panel.set_xlim(0, len(before) - 1)
        panel.yaxis.set_major_locator(MaxNLocator(3))
        panel.tick_params(labelbottom=panel is axes[-1])
    style.legend_above(axes[0])
    axes[-1].set_xlabel("coarse grid point")
    return axes


def rank_histogram(axes: Axes, counts: Real[np.ndarray, " rank"], *, effective: Number | None = None) -> Axes:
    """How often the truth fell at each rank, and what sampling alone would do to a flat histogram.

    The dark band is the 95 % interval if all points were independent, which points of one field are not; the light band
    takes `effective` points.

    Args:
        axes: to draw on.
        counts: (rank,), how often the truth fell there.
        effective: how many independent points the counts are worth.

    Returns:
        The axes.
    """
    counts = np.asarray(counts)
    total = counts.sum()
    axes.bar(np.arange(len(counts)), counts, width=0.86, color=style.COLOURS["generated"], alpha=0.8, zorder=2)
    axes.axhline(total / len(counts), **style.line("reference", linewidth=1.2, label="flat", zorder=4))
    bands = {"95 %, points independent": (total, 0.55)}
    if effective is not None and effective < total:
        bands = {f"95 %, {effective:,.0f} independent points": (effective, 0.3), **bands}
    for label, (n_points, alpha) in bands.items():
        low, high = (total * share for share in flat_rank_interval(len(counts), n_points))
        axes.axhspan(low, high, color=style.COLOURS["floor"], alpha=alpha, linewidth=0, zorder=3, label=label)
    axes.set(xlabel="members below the truth", ylabel="points", xlim=(-0.7, len(counts) - 0.3))
    axes.xaxis.set_major_locator(MaxNLocator(9, integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda count, _: f"{count:,.0f}"))
    axes.grid(axis="x", visible=False)
    style.legend_above(axes, columns=3 if len(bands) == 1 else 2)
    return axes


def training_loss(axes: Axes, curve: Float[np.ndarray, "2 logged"]) -> Axes:
    """Loss by step, as logged (thin) and as a running mean over a fiftieth of the run."""
    steps, loss = np.asarray(curve)
    colour = style.COLOURS["debiased"]
    axes.plot(steps, loss, color=colour, linewidth=0.6, alpha=0.4, label="as logged")
    axes.plot(steps, running_mean(loss, len(loss) // 100), color=colour, linewidth=1.8, label="running mean")
    axes.set(xlabel="step", ylabel="loss", xlim=(0, steps[-1] if steps[-1] > 0 else 1))
    if np.all(loss > 0):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if loss.max() < 100 * loss.min() else (1,)))
        axes.yaxis.set(major_formatter=FuncFormatter(_plain), minor_locator=NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))
    style.legend_above(axes)
    return axes


def spectrum_axes(main: Axes, ratio: Axes, reference: np.ndarray, largest_log_ratio: Number) -> None:
    """Scales, limits and ticks of energies by wavenumber over their ratios to a reference.

    Args:
        main: of energies.
        ratio: of ratios, below it.
        reference: energies of the waves 1 to n, positive.
        largest_log_ratio: natural logarithm of the ratio that must be seen; between 1.5 and 30 is shown.
    """
    top = reference.max()
    # What lies ten decades down is rounding; ratios beyond 30 would flatten all that is near one.
    main.set(xscale="log", yscale="log", ylabel="energy", ylim=(max(reference.min() / 5, 1e-10 * top), 4 * top))
    limit = np.exp(np.clip(1.15 * largest_log_ratio, np.log(1.5), np.log(30)))
    ratio.set(xscale="log", yscale="log", ylabel="ratio", xlabel="wavenumber (waves per domain)")
    ratio.set_ylim(1 / limit, limit)
    marks = [0.7, 1, 1.4] if limit < 2 else [0.5, 1, 2] if limit < 4 else [0.1, 1, 10] if limit > 10 else [0.2, 1, 5]
    ratio.yaxis.set(major_locator=FixedLocator(marks), minor_locator=NullLocator())
    ratio.yaxis.set_major_formatter(FuncFormatter(_plain))
    for panel in (main, ratio):
        panel.set_xlim(1, len(reference))
        panel.xaxis.set(major_locator=FixedLocator(_ones_twos_fives(len(reference))), minor_locator=NullLocator())
        panel.xaxis.set_major_formatter(FuncFormatter(_plain))
    main.tick_params(labelbottom=False)


def bare(axes: Axes) -> Axes:
    """No ticks, no frame: for images whose axes say nothing.

    Args:
        axes: changed in place.

    Returns:
        The axes.
    """
    axes.set(xticks=[], yticks=[])
    axes.grid(False)
    axes.spines[:].set_visible(False)
    return axes


def _spectrum(fields: np.ndarray) -> np.ndarray:
    """Energies of the complete shells."""
    n_space = fields.ndim - 1
    return np.asarray(energy_spectrum(fields[:, None], n_space), np.float64)[0, : min(fields.shape[1:]) // 2]


def _log_ratio(energy: np.ndarray, reference: np.ndarray) -> np.ndarray:
    tiny = np.finfo(np.float32).eps ** 2 * reference.sum()  # rounding noise of the transform, as in the MELR
    return np.log(np.maximum(energy, tiny) / np.maximum(reference, tiny))


def _mark_resolved(main: Axes, ratio: Axes, wavenumber: int) -> None:
    for panel in (main, ratio):
        panel.axvline(wavenumber, color=style.MUTED, linewidth=0.8, linestyle=(0, (1, 2)), zorder=1)
    note: dict[str, Any] = {"ha": "right", "va": "bottom", "fontsize": 7.5, "color": style.MUTED, "rotation": 90}
    main.text(wavenumber * 0.97, 0.03, "coarse grid ends", transform=main.get_xaxis_transform(), **note)


def _bin_edges(comparison: Comparison) -> np.ndarray:
    """Bins over the range of both references and of all but the last 0.1 % of each candidate's values."""
    references = [comparison.reference, comparison.independent]
    low = [fields.min() for fields in references] + [np.quantile(c, 5e-4) for c in comparison.candidates.values()]
    high = [fields.max() for fields in references] + [np.quantile(c, 1 - 5e-4) for c in comparison.candidates.values()]
    lowest, highest = float(min(low)), float(max(high))
    # Neighbours are correlated: fewer bins than the 2 n^(1/3) of Rice's rule, by the smallest set.
    fewest = min(fields.size for fields in [*references, *comparison.candidates.values()])
    n_bins = int(np.clip(1.5 * np.cbrt(fewest), 24, 80))
    return np.linspace(lowest, highest if highest > lowest else lowest + 1, n_bins + 1)


def _lag_line(fields: np.ndarray) -> np.ndarray:
    covariance = lag_covariance(fields)
    middle = [size // 2 for size in covariance.shape]
    return covariance[(*middle[:-1], slice(middle[-1], None))]


def _nearest_coarse(n_fine: int, n_coarse: int, offset: Number) -> np.ndarray:
    positions = (np.arange(n_fine) - offset) / (n_fine // n_coarse)
    return np.clip(np.round(positions).astype(int), 0, n_coarse - 1)


def _band() -> dict[str, Any]:
    return {"color": style.COLOURS["floor"], "alpha": 0.4, "linewidth": 0, "zorder": 1, "label": style.LABELS["floor"]}


def _points() -> dict[str, Any]:
    return {"markersize": 3.5, "markerfacecolor": "white", "markeredgecolor": style.INK, "markeredgewidth": 1}


def _with_units(name: str, units: str) -> str:
    return f"{name} [{units}]" if units not in ("", "1") else name


def _squared(units: str) -> str:
    return units if units in ("", "1") else f"{units}²" if units.isalpha() else f"({units})²"


def _plain(value: Number, _: int) -> str:
    return f"{value:g}"


def _ones_twos_fives(largest: int) -> list[int]:
    if largest <= 6:
        return list(range(1, largest + 1))
    return [step * 10**power for power in range(6) for step in (1, 2, 5) if step * 10**power <= largest]
