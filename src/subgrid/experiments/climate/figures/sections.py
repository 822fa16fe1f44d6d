"""Climate evidence to plates: maps, values and structure, days with a known truth, the change."""

from collections.abc import Callable, Iterator

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from subgrid.experiments.climate.figures import curves as climate_figures
from subgrid.experiments.climate.figures.evidence import ClimateEvidence
from subgrid.experiments.climate.figures.maps import Frame
from subgrid.experiments.climate.figures.sheets import (
    MEMBERS_STAMPED,
    change_sheet,
    distance_sheet,
    spread_sheet,
    stamp_sheet,
    statistic_sheet,
)
from subgrid.numerics.evenly import evenly_spaced
from subgrid.report import figures, style
from subgrid.report.plates import Plate, Section, embed
from subgrid.verification.cells import wasserstein_1_per_cell
from subgrid.verification.dependence import DistanceBins, correlogram, variogram
from subgrid.verification.extremes import wet_day_frequency
from subgrid.verification.sphere_spectra import RadialSpectrum, radial_spectrum, region_spacing

MAPPED = ("raw", "quantile mapping", "generated", "floor")
"""Sets whose statistics are mapped; the others have their row in the table."""
UPPER = 0.95
DISTANCE_BINS = 16
SPECTRUM_FIELDS = 2000
"""Fields that a spectrum is averaged over: its error is then that of the reference, some per cent a ring."""
DAYS = (0.25, 0.9)
"""Days shown: those whose truth, averaged over the region, is at these quantiles of all days."""

Statistic = Callable[[np.ndarray], np.ndarray]


def climate_sections(evidence: ClimateEvidence) -> list[Section]:
    """All figures that the evidence holds data for, in reading order; those without data are left out."""
    name, frame = evidence.variable, Frame(evidence.lat, evidence.lon, evidence.mask)
    with style.context():
        found = [
            Section(
                f"{name}-maps",
                f"Maps of {name}",
                "Statistics of every cell, over the days that nothing was fitted on. Maps of one column share a scale; "
                "what lies beyond a bar's arrow has the colour of its end. A method is as good as it can be where its "
                "differences look like those of the noise floor: reference against reference.",
                list(_map_plates(evidence, frame)),
            ),
            Section(
                f"{name}-structure",
                f"Values and structure of {name}",
                "Whether values come as often as they should, and whether cells vary together as they should. Quantile "
                "mapping repairs the values of each cell alone; only a joint method can repair the structure.",
                list(_structure_plates(evidence)),
            ),
            Section(
                f"{name}-perfect",
                f"Days of {name} with a known truth",
                "Perfect-model mode: days of the fine reference were coarsened and sampled back. The truth should look "
                "like one more member. Each member should be as sharp as the truth; their mean is smoother, and its "
                "error should be the size of the spread.",
                [*_day_plates(evidence, frame), *_rank_plates(evidence), *_spread_plates(evidence, frame)],
            ),
            Section(
                f"{name}-change",
                f"Change of {name}",
                "Downscaling must keep the change that the coarse model itself projects, while it mends its climate.",
                list(_change_plates(evidence, frame)),
            ),
        ]
    return [section for section in found if section.plates]


def _plate(figure: Figure, name: str, title: str, alt: str, caption: str, *, image: bool = False) -> Plate:
    return Plate(name, title, *embed(figure, image=image), alt, caption)


def _map_plates(evidence: ClimateEvidence, frame: Frame) -> Iterator[Plate]:
    if not evidence.sets:
        return
    yield _statistic_plate(
        evidence,
        frame,
        "mean",
        lambda cells: cells.mean(axis=0),
        "Look for patterns along coasts and mountains: they are what a coarse model cannot know.",
    )
    yield _statistic_plate(
        evidence,
        frame,
        f"{100 * UPPER:g} % quantile",
        lambda cells: np.quantile(cells, UPPER, axis=0),
        "One day in twenty is beyond it: a method may have the mean right and the extremes wrong.",
    )
    if evidence.is_precipitation:
        yield _statistic_plate(
            evidence,
            frame,
            "wet-day frequency",
            wet_day_frequency,
            "Share of days with at least 1 mm. Coarse models drizzle: too many wet days, each too light.",
            units="1",
        )
    yield _distance_plate(evidence, frame)


def _statistic_plate(
    evidence: ClimateEvidence, frame: Frame, label: str, statistic: Statistic, looking: str, *, units: str | None = None
) -> Plate:
    name = evidence.variable
    chosen = {"reference": evidence.reference_cells}
    chosen |= {role: cells for role, cells in evidence.sets.items() if role in MAPPED}
    maps = {role: evidence.on_grid(statistic(cells)) for role, cells in chosen.items()}
    figure = statistic_sheet(
        frame,
        maps,
        label=label,
        units=evidence.units if units is None else units,
        precipitation=evidence.is_precipitation,
    )
    rms = "; ".join(
        f"{style.LABELS[role]} {float(np.sqrt(np.nanmean((field - maps['reference']) ** 2))):.3g}"
        for role, field in maps.items()
        if role != "reference"
    )
    return _plate(
        figure,
        f"{name}-{label.replace(' ', '-').replace('-%', '')}",
        label.capitalize(),
        f"Maps of the {label} of {name} for the reference and others, beside differences from the reference. Root mean "
        f"square difference: {rms}.",
        f"Left, the {label} of each set; right, its difference from the reference. {looking}",
        image=True,
    )


def _distance_plate(evidence: ClimateEvidence, frame: Frame) -> Plate:
    reference = evidence.reference_cells
    maps = {
        role: evidence.on_grid(np.asarray(wasserstein_1_per_cell(cells, reference)))
        for role, cells in evidence.sets.items()
    }
    means = "; ".join(f"{style.LABELS[role]} {float(np.nanmean(field)):.3g}" for role, field in maps.items())
    return _plate(
        distance_sheet(frame, maps, label="Wasserstein-1 distance", units=evidence.units),
        f"{evidence.variable}-wasserstein",
        "Distance of the values",
        f"Maps of the Wasserstein-1 distance from the reference, cell by cell. Mean over cells: {means}.",
        "How far the values of all days must be moved to become those of the reference, cell by cell; 0 is best and "
        "the noise floor is what sampling alone leaves. All members count as one set, so that the generated map has "
        "less sampling noise than one series has; the table compares member by member.",
        image=True,
    )


def _structure_plates(evidence: ClimateEvidence) -> Iterator[Plate]:
    name, sets = evidence.variable, evidence.sets
    who = ", ".join(style.LABELS[role] for role in sets) or "no other set"
    figure, axes = _main_and_detail()
    climate_figures.quantile_quantile(axes, evidence.reference_cells, sets, variable=name, units=evidence.units)
    yield _plate(
        figure,
        f"{name}-quantiles",
        "Quantiles",
        f"Quantile–quantile curves of {name}, all cells together, against the reference: {who}; differences below.",
        "Quantiles of all cells and days together, and how far they are off. The ends matter most: a curve that bends "
        "away there has the wrong extremes. Lines may leave the lower panel where they are far off.",
    )
    # Where nothing ever varies (a dry season), nothing varies together.
    if len(evidence.compared_cells) > 1 and np.ptp(evidence.reference_cells, axis=0).any():
        yield from _distance_curves(evidence, who)


def _distance_curves(evidence: ClimateEvidence, who: str) -> Iterator[Plate]:
    name = evidence.variable
    figure, axes = _main_and_detail()
    reference, sets = _by_distance(evidence, correlogram)
    climate_figures.by_distance(axes, reference, sets, quantity="correlation", units="")
    yield _plate(
        figure,
        f"{name}-correlation",
        "Correlation by distance",
        f"Mean correlation over days between cells of {name}, against their distance: {who}; differences below.",
        "How alike two cells are from day to day, by the distance between them. Interpolated fields lie too high: "
        "neighbours that share one coarse cell move together. Noise added cell by cell would lie too low.",
    )
    figure, axes = _main_and_detail()
    if evidence.is_regular:
        reference, sets = _spectra(evidence)
        climate_figures.power_by_wavelength(axes, reference, sets, units=evidence.units)
        yield _plate(
            figure,
            f"{name}-power",
            "Power by wavelength",
            f"Power of the day-to-day deviations of {name} against wavelength: {who}; ratio to the reference below.",
            "Variance of the departures from each cell's own mean, by wavelength (cosine transform, zero outside the "
            "mask, the same for all). Towards the right edge scales get small: interpolation has too little power "
            "there. A ratio of 1 is best.",
        )
        return
    reference, sets = _by_distance(evidence, variogram)
    climate_figures.by_distance(axes, reference, sets, quantity="variogram", units=style.squared(evidence.units))
    yield _plate(
        figure,
        f"{name}-variogram",
        "Variogram",
        f"Variogram of {name} against distance: {who}; differences below.",
        "Half the mean squared difference of two cells' departures from their own means, by distance: small distances "
        "show whether fields are as rough as the reference.",
    )


def _by_distance(evidence: ClimateEvidence, measure: Callable[..., DistanceBins]):
    distances, chosen = evidence.distances, evidence.compared_cells
    # Beyond four fifths of the largest distance only pairs of opposite corners are left.
    edges = np.linspace(0, 0.8 * float(distances.max()), DISTANCE_BINS + 1)
    edges[-1] = np.nextafter(edges[-1], np.inf)
    reference = measure(evidence.reference_cells[:, chosen], distances, edges)
    return reference, {role: measure(cells[:, chosen], distances, edges) for role, cells in evidence.sets.items()}


def _spectra(evidence: ClimateEvidence) -> tuple[RadialSpectrum, dict[str, RadialSpectrum]]:
    spacing = region_spacing(evidence.lat, evidence.lon)

    def spectrum(cells: np.ndarray) -> RadialSpectrum:
        chosen = evenly_spaced(len(cells), SPECTRUM_FIELDS)
        departures = evidence.on_grid(cells[chosen] - cells.mean(axis=0))
        return radial_spectrum(departures[:, None], spacing, mask=evidence.mask)

    return spectrum(evidence.reference_cells), {role: spectrum(cells) for role, cells in evidence.sets.items()}


def _day_plates(evidence: ClimateEvidence, frame: Frame) -> Iterator[Plate]:
    truth = evidence.perfect_truth[:, evidence.mask] if len(evidence.perfect_truth) else np.zeros((0, 1))
    means = truth.mean(axis=1)
    order = np.argsort(np.where(np.isfinite(means), means, np.inf))[: int(np.isfinite(means).sum())]
    for share in DAYS[: len(order)]:
        case = int(order[round(share * (len(order) - 1))])
        members = evidence.perfect_ensemble[case]
        members = members[np.isfinite(members[:, evidence.mask]).all(axis=1)]
        if len(members):
            yield _day_plate(evidence, frame, case, members, share)


def _day_plate(evidence: ClimateEvidence, frame: Frame, case: int, members: np.ndarray, share: float) -> Plate:
    truth, mean, inside = evidence.perfect_truth[case], members.mean(axis=0), evidence.mask
    spread = members.std(axis=0, ddof=1) if len(members) > 1 else np.zeros_like(mean)
    error = float(np.sqrt(np.mean((truth - mean)[inside] ** 2)))
    expected = float(np.sqrt(np.mean(spread[inside] ** 2) * (1 + 1 / len(members))))
    figure = stamp_sheet(
        frame,
        _stamps(evidence, case, members),
        spread,
        label=evidence.variable if evidence.is_precipitation else f"{evidence.variable} − mean of all days",
        units=evidence.units,
        precipitation=evidence.is_precipitation,
    )
    date, units = evidence.dates[case], style.raised(evidence.units)
    drawn = "" if evidence.is_precipitation else ", as departures from the mean of all days"
    return _plate(
        figure,
        f"{evidence.variable}-day-{case}",
        date,
        f"{evidence.variable} on {date}: the truth, what is left of it on the coarse grid, the mean of {len(members)} "
        f"members, {min(len(members), MEMBERS_STAMPED)} of them, and their spread.",
        f"A day whose regional mean exceeds that of {100 * share:g} % of all days{drawn}. Error of the mean "
        f"{error:.3g} {units}, to be expected from the spread {expected:.3g} {units} (root mean square over cells). "
        f"Of {len(members)} members, those shown should differ in detail and share the coarse view.",
        image=True,
    )


def _stamps(evidence: ClimateEvidence, case: int, members: np.ndarray) -> dict[str, np.ndarray]:
    """The fields of one day, titled: departures from the mean of all days, but for precipitation.

    Temperatures of all days look alike, with cold mountains: what members differ in is seen in departures only.
    """
    usual = 0.0 if evidence.is_precipitation else evidence.on_grid(evidence.reference_cells.mean(axis=0))
    truth = evidence.perfect_truth[case] - usual
    if evidence.perfect_coarse is None:
        coarse = {"truth, 3 × 3 mean": running_mean_of_cells(truth, evidence.mask)}
    else:
        # Its own mean is taken out: the coarse mountains are not the fine ones.
        own = 0.0 if evidence.is_precipitation else np.mean(evidence.perfect_coarse, axis=0)
        coarse = {"coarse input": evidence.perfect_coarse[case] - own}
    shown = {f"member {i + 1}": member - usual for i, member in enumerate(members[:MEMBERS_STAMPED])}
    return {"truth": truth, **coarse, "mean of members": members.mean(axis=0) - usual, **shown}


def running_mean_of_cells(field: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Mean over the cells of the mask among each cell and its eight neighbours; NaN outside the mask."""
    padded = [np.pad(np.where(mask, values, 0.0), 1) for values in (field, np.ones_like(field))]
    windows = [np.lib.stride_tricks.sliding_window_view(values, (3, 3)).sum(axis=(2, 3)) for values in padded]
    return np.where(mask, windows[0] / np.maximum(windows[1], 1), np.nan)


def _rank_plates(evidence: ClimateEvidence) -> Iterator[Plate]:
    counts = np.asarray(evidence.rank_counts)
    if not counts.size or not counts.sum():
        return
    figure = style.tile(3.1)
    figures.rank_histogram(figure.add_subplot(), counts, effective=evidence.effective_samples)
    p = evidence.flatness_p
    verdict = "" if p is None else f" Flatness: p = {p:.2g} by a χ² test on effective samples."
    band = "is too narrow: neighbours in space and time repeat each other's rank"
    if evidence.effective_samples is not None:
        band += "; the light one counts only the effective samples that the test found"
    yield _plate(
        figure,
        f"{evidence.variable}-ranks",
        "Rank histogram",
        f"Rank of the truth among {len(counts) - 1} members over {counts.sum():,} cells and days; counts from rank 0: "
        + ", ".join(str(int(count)) for count in counts)
        + f".{verdict}",
        "Flat is reliable; a valley in the middle means too little spread, a hill too much, a slope a bias. The dark "
        f"band takes all points as independent and {band}.{verdict}",
    )


def _spread_plates(evidence: ClimateEvidence, frame: Frame) -> Iterator[Plate]:
    if evidence.spread is None:
        return
    spread, factor = (evidence.spread[name] for name in ("spread", "factor"))
    outside = np.zeros_like(evidence.mask) if evidence.constrained is None else evidence.mask & ~evidence.constrained
    hatched = f" {outside.sum()} cells under no coarse cell are hatched." if outside.any() else ""
    yield _plate(
        spread_sheet(frame, spread, factor, outside),
        f"{evidence.variable}-spread",
        "Spread, estimated from left-out years",
        f"Maps of the standard deviation of members of {evidence.variable} on a usual day, mean "
        f"{float(np.nanmean(spread)):.3g}, and of the factor by which left-out years changed it, mean "
        f"{float(np.nanmean(factor)):.3g}.{hatched}",
        "Standard deviation of members about their mean on a day with usual coarse values, in units of the anomalies "
        "(of precipitation, of its root), and the factor by which errors of left-out years changed what the prior says "
        f"itself.{hatched}",
        image=True,
    )


def _change_plates(evidence: ClimateEvidence, frame: Frame) -> Iterator[Plate]:
    if evidence.change is None or not {"input", "output"} <= set(evidence.change):
        return
    given, found = (np.where(evidence.mask, evidence.change[name], np.nan) for name in ("input", "output"))
    error = found - given
    if not np.isfinite(error).any():
        return
    rms = float(np.sqrt(np.nanmean(error**2)))
    units = style.raised(evidence.units)
    yield _plate(
        change_sheet(frame, given, found, units=evidence.units, precipitation=evidence.is_precipitation),
        f"{evidence.variable}-change",
        "Change to the scenario",
        f"Maps of the change of the mean of {evidence.variable} from the historical seasons to the scenario: of the "
        f"coarse model, mean {float(np.nanmean(given)):.3g} {units}, of the output, mean {float(np.nanmean(found)):.3g}"
        f" {units}, and their difference, root mean square {rms:.3g} {units}.",
        "Change of the mean from the historical seasons to the scenario. Input: the coarse model's own, interpolated. "
        "The difference should be small and without a sign that lasts over a whole region; what sampling alone leaves "
        "is about the spread of seasonal means over √(number of seasons).",
        image=True,
    )


def _main_and_detail() -> tuple[Figure, tuple[Axes, Axes]]:
    figure = style.tile(4.1)
    main, below = figure.subplots(2, 1, sharex=True, height_ratios=[1.25, 1])
    return figure, (main, below)
