"""Curves of a climate run: axes in, axes out. Quantiles, dependence by distance, power by wavelength."""

from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from subgrid.experiments.climate.figures.maps import readable_limit
from subgrid.report import style
from subgrid.report.figures import Pair
from subgrid.report.summaries import smoothed_magnitude
from subgrid.verification.dependence import DistanceBins
from subgrid.verification.sphere_spectra import RadialSpectrum

LEVELS = np.concatenate([[0.0005, 0.001, 0.002, 0.005], np.arange(0.01, 0.995, 0.01), [0.995, 0.998, 0.999, 0.9995]])
"""Of a quantile–quantile plot: even in the middle, and into both tails as far as some thousand values reach."""
MARKED = {0.05: "5 %", 0.5: "50 %", 0.95: "95 %", 0.999: "99.9 %"}


def quantile_quantile(
    axes: Pair, reference: np.ndarray, sets: dict[str, np.ndarray], *, variable: str, units: str
) -> Pair:
    """Quantiles of all cells together against those of the reference, over their difference from it.

    **Arguments:** `axes`, for the quantiles and for the difference; `sets`, values by role, any shape, one unit;
    "floor" is drawn as a band.
    """
    main, difference = axes
    wanted = np.quantile(reference, LEVELS)
    found = {role: np.quantile(values, LEVELS) for role, values in sets.items()}
    main.plot(wanted, wanted, **style.line("reference", linewidth=1.2, label="as the reference"))
    difference.axhline(0, **style.line("reference", linewidth=1.2))
    if "floor" in found:
        band = smoothed_magnitude(found.pop("floor") - wanted)
        main.fill_between(wanted, wanted - band, wanted + band, **_band())
        difference.fill_between(wanted, -band, band, **_band(None))
    for role, quantiles in found.items():
        main.plot(wanted, quantiles, **style.line(role))
        difference.plot(wanted, quantiles - wanted, **style.line(role))
    _mark_levels(difference, reference)
    main.set(ylabel=style.with_units("quantile", units))
    difference.set(
        ylabel=style.with_units("difference", units),
        xlabel=style.with_units(f"quantile of the {variable} reference", units),
    )
    _finish(axes, {role: quantiles - wanted for role, quantiles in found.items()})
    difference.set_xlim(wanted[0], wanted[-1] if wanted[-1] > wanted[0] else wanted[0] + 1)
    return axes


def by_distance(
    axes: Pair, reference: DistanceBins, sets: dict[str, DistanceBins], *, quantity: str, units: str
) -> Pair:
    """A correlogram or variogram of each set, over its difference from the reference; "floor" becomes a band."""
    main, difference = axes
    filled = np.isfinite(reference.value)
    distance, wanted = reference.distance[filled], reference.value[filled]
    found = {role: bins.value[filled] for role, bins in sets.items()}
    if "floor" in found:
        band = smoothed_magnitude(np.nan_to_num(found.pop("floor") - wanted))
        main.fill_between(distance, wanted - band, wanted + band, **_band())
        difference.fill_between(distance, -band, band, **_band(None))
    main.plot(distance, wanted, **style.line("reference"))
    difference.axhline(0, **style.line("reference", linewidth=1.2))
    for role, values in found.items():
        main.plot(distance, values, **style.line(role))
        difference.plot(distance, values - wanted, **style.line(role))
    main.set(ylabel=style.with_units(quantity, units))
    difference.set(ylabel="difference", xlabel="distance [km]", xlim=(0, distance[-1] if distance.size else 1))
    _finish(axes, {role: values - wanted for role, values in found.items()})
    return axes


def power_by_wavelength(axes: Pair, reference: RadialSpectrum, sets: dict[str, RadialSpectrum], *, units: str) -> Pair:
    """Radial power of day-to-day deviations against wavelength, log-log, over its ratio to the reference."""
    main, ratio = axes
    # All cells alike (a field that never varies) leave no power: nothing can be drawn on a logarithmic axis.
    wavelength, wanted = 1 / reference.wavenumber, _positive(reference.energy[0])
    found = {role: _positive(spectrum.energy[0]) for role, spectrum in sets.items()}
    if "floor" in found:
        band = np.exp(smoothed_magnitude(np.nan_to_num(np.log(found.pop("floor") / wanted))))
        main.fill_between(wavelength, wanted / band, wanted * band, **_band())
        ratio.fill_between(wavelength, 1 / band, band, **_band(None))
    main.plot(wavelength, wanted, **style.line("reference"))
    ratio.axhline(1, **style.line("reference", linewidth=1.2))
    for role, energy in found.items():
        main.plot(wavelength, energy, **style.line(role))
        ratio.plot(wavelength, energy / wanted, **style.line(role))
    main.set(xscale="log", yscale="log", ylabel=style.with_units("power", style.squared(units)))
    ratio.set(xscale="log", ylabel="ratio", xlabel="wavelength [km]", xlim=(wavelength[0], wavelength[-1]))
    limit = 1.1 * readable_limit({role: energy / wanted - 1 for role, energy in found.items()}) if found else 1.0
    ratio.set_ylim(1 - np.clip(limit, 0.1, 1), 1 + np.clip(limit, 0.1, 2))
    ratio.yaxis.set_major_locator(MaxNLocator(5))
    ratio.xaxis.set(major_locator=FixedLocator(_round_numbers(wavelength)), minor_locator=NullLocator())
    ratio.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    main.yaxis.set(major_locator=LogLocator(subs=(1, 2, 5)), minor_locator=NullLocator())
    main.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    main.tick_params(labelbottom=False)
    style.legend_above(main, columns=3)
    return axes


def _finish(axes: Pair, differences: dict[str, np.ndarray]) -> None:
    main, difference = axes
    if differences:
        limit = 1.1 * readable_limit(differences)
        difference.set_ylim(-limit, limit)
    difference.yaxis.set_major_locator(MaxNLocator(5, symmetric=True))
    main.yaxis.set_major_locator(MaxNLocator(5))
    main.tick_params(labelbottom=False)
    style.legend_above(main, columns=3)


def _mark_levels(axes: Axes, reference: np.ndarray) -> None:
    """Dotted lines at a few quantiles, so that one sees where the tail begins; none upon another."""
    positions = np.quantile(reference, list(MARKED))
    apart = 0.06 * float(np.ptp(reference))
    last = float(np.min(reference))
    for position, label in zip(positions, MARKED.values(), strict=True):
        if position - last > apart:
            axes.axvline(position, color=style.MUTED, linewidth=0.7, linestyle=(0, (1, 2)), zorder=1)
            text: dict[str, Any] = {"ha": "right", "va": "bottom", "fontsize": 7, "color": style.MUTED, "rotation": 90}
            axes.text(position, 0.03, f"{label} ", transform=axes.get_xaxis_transform(), **text)
            last = position


def _positive(energy: Float[np.ndarray, " ring"]) -> Float[np.ndarray, " ring"]:
    return np.where(energy > 0, energy, np.nan).astype(np.float64)


def _round_numbers(wavelength: np.ndarray) -> list[int]:
    low, high = sorted((float(wavelength[0]), float(wavelength[-1])))
    marks = [step * 10**power for power in range(6) for step in (1, 2, 5)]
    return [mark for mark in marks if low <= mark <= high] or [round(high)]


def _band(label: str | None = style.LABELS["floor"]) -> dict[str, Any]:
    return {"color": style.COLOURS["floor"], "alpha": 0.4, "linewidth": 0, "zorder": 1, "label": label}
