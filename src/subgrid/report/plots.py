"""Pictures of an ensemble, a line each: `subgrid.plot.members`, `score_map`, `reliability`. Axes in, axes out.

subgrid.plot.members("ensemble.zarr", sample="2003-08-05")
subgrid.plot.score_map("ensemble.zarr", "fine.nc", score="bias").figure.savefig("bias.png")
"""

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.ticker import MaxNLocator

from subgrid.data.fields import DataError
from subgrid.downscaling.verifying.field_sets import FieldSet, Given, ensemble_sets
from subgrid.downscaling.verifying.paired_scores import PairedSums, flatness, paired_blocks
from subgrid.downscaling.verifying.pairing import Pairing
from subgrid.downscaling.verifying.spread_bins import binned_spread
from subgrid.downscaling.verifying.time_steps import date_coordinate
from subgrid.downscaling.verifying.verify import Matched, match, sums_of
from subgrid.report import figures, style
from subgrid.report.panels import Grid, colour_bar, draw_field, grid_of

MapScore: TypeAlias = Literal["CRPS", "bias", "MAE", "RMSE", "spread/skill"]
Sample: TypeAlias = int | str
"""Its number, or the beginning of its date, such as "2003-08-05"."""
PANEL = 3.1
"""Inches: the width of one of several panels."""


def members(
    ensemble: Given,
    *,
    sample: Sample = 0,
    n_members: int = 1,
    variable: str | None = None,
    channel: int = 0,
    axes: Axes | Sequence[Axes] | None = None,
) -> list[Axes]:
    """Members of one sample beside the mean and the spread of all.

    A member looks like a field of the fine archive; the mean is smoother, and the spread, the standard deviation of the
    members, says where they disagree. Members and mean share their colours.

    Args:
        ensemble: as `subgrid.verify` takes it.
        sample: which one, by number or date; default the first.
        n_members: how many are shown, default 1.
        variable: default the first.
        channel: of fields with several, default the first.
        axes: for fields of two axes `n_members` + 2, for fields on a line two; by default a new figure.

    Returns:
        The axes, in the order members, mean, spread; of fields on a line, one with all lines and one with the spread.

    Raises:
        DataError: for a sample or variable that is not there.
        ValueError: for another number of axes.

    Examples:
        >>> subgrid.plot.members("ensemble.zarr", sample="2003-08-05", n_members=2)[0].figure.savefig("members.png")
    """
    fields = _first(ensemble_sets(ensemble, variable))
    number = _number(fields, sample)
    grid, drawn = grid_of(fields), fields.read(np.array([number]))[0, :, channel]
    drawn = drawn[np.isfinite(drawn).any(axis=tuple(range(1, drawn.ndim)))]
    if len(drawn) < 2:
        raise DataError(f"{fields.source}: {_when(fields, number)} has {len(drawn)} members; a spread needs 2.")
    with style.context():
        if grid.y is None:
            return _lines(_given(axes, 2, grid), grid, drawn, fields, number, n_members)
        panels = _given(axes, min(n_members, len(drawn)) + 2, grid)
        return _panels(panels, grid, drawn, fields, number)


def score_map(
    ensemble: Given,
    reference: Given,
    *,
    score: MapScore = "CRPS",
    variable: str | None = None,
    channel: int = 0,
    axes: Axes | None = None,
) -> Axes:
    """The map of a score over all samples that ensemble and reference share; a curve for fields on a line.

    Args:
        ensemble: as `subgrid.verify` takes it.
        reference: as `subgrid.verify` takes it, with samples in common.
        score: "CRPS", "bias" (mean minus truth), "MAE" and "RMSE" of the ensemble mean, or "spread/skill".
        variable: default the first; of the ensemble.
        channel: of fields with several, default the first.
        axes: to draw on; by default a new figure.

    Returns:
        The axes.

    Raises:
        DataError: as `subgrid.verify`, and for an ensemble that shares no samples with the reference.
        ValueError: for a score that does not exist.

    Examples:
        >>> subgrid.plot.score_map("ensemble.zarr", "fine.nc", score="bias")
    """
    if score not in get_args(MapScore):
        raise ValueError(f"there is no map of {score!r}, only of {', '.join(get_args(MapScore))}.")
    matched, pairing = _pairs(ensemble, reference, variable)
    values = _score(sums_of(matched), score)[channel]
    grid, units = grid_of(matched.ensemble), "" if score == "spread/skill" else matched.ensemble.units
    label = style.with_units(f"{score} of {matched.name}", units)
    with style.context():
        panel = _given(axes, 1, grid)[0]
        if grid.y is None:
            panel.plot(grid.x, values, color=style.COLOURS["generated"], linewidth=1.6)
            panel.axhline({"spread/skill": 1.0}.get(score, 0.0), color=style.MUTED, linewidth=0.8)
            panel.set(xlabel=grid.labels[0], ylabel=label, xlim=(grid.x.min(), grid.x.max()))
        else:
            cmap, norm = _score_colours(values, score)
            mesh = draw_field(panel, grid, values, cmap=cmap, norm=norm)
            colour_bar(mesh, [panel], label, values)
        panel.set_title(_span(matched, pairing))
    return panel


def reliability(
    ensemble: Given,
    reference: Given,
    *,
    kind: Literal["ranks", "spread"] = "ranks",
    variable: str | None = None,
    axes: Axes | None = None,
) -> Axes:
    """Whether an ensemble means what it says, over all samples that it shares with the reference.

    "ranks": how often the truth has 0, 1, 2, … members below it. Flat for a reliable ensemble; higher at both ends
    where the spread is too small, in the middle where it is too large, at one end where there is a bias. The grey band
    is what sampling alone does, for as many independent points as correlated cells and times are worth.

    "spread": the error of the ensemble mean in bins of rising spread. On the diagonal where the spread of each case is
    its uncertainty; above it where members agree too much. Grey: a member in the place of the truth.

    Args:
        ensemble: as `subgrid.verify` takes it.
        reference: as `subgrid.verify` takes it, with samples in common.
        kind: which of the two; default "ranks".
        variable: default the first; of the ensemble.
        axes: to draw on; by default a new figure.

    Returns:
        The axes.

    Raises:
        DataError: as `subgrid.verify`, and for an ensemble that shares no samples with the reference.
        ValueError: for a kind that does not exist.

    Examples:
        >>> subgrid.plot.reliability("ensemble.zarr", "fine.nc", kind="spread")
    """
    if kind not in ("ranks", "spread"):
        raise ValueError(f'kind must be "ranks" or "spread", got {kind!r}.')
    matched, pairing = _pairs(ensemble, reference, variable)
    if matched.ensemble.n_members < 2:
        raise DataError(f"{matched.ensemble.source}: {matched.name} has one member, and so neither ranks nor spread.")
    with style.context():
        panel = _given(axes, 1, None)[0]
        if kind == "ranks":
            _draw_ranks(panel, sums_of(matched), pairing, _span(matched, pairing))
        else:
            _draw_spread(panel, matched, pairing)
    return panel


def _first(sets: dict[str, FieldSet]) -> FieldSet:
    return next(iter(sets.values()))


def _pairs(ensemble: Given, reference: Given, variable: str | None) -> tuple[Matched, Pairing]:
    matched = next(match(ensemble, reference, variables=variable))
    if matched.pairing is None:
        raise DataError(
            f"{matched.ensemble.source} and {matched.reference.source} share no samples, which this picture needs; "
            "subgrid.verify compares their distributions."
        )
    return matched, matched.pairing


def _number(fields: FieldSet, sample: Sample) -> int:
    """The position of a sample among all."""
    if isinstance(sample, int):
        if not -fields.n_samples <= sample < fields.n_samples:
            raise DataError(f"{fields.source}: has {fields.n_samples} samples, and so no sample {sample}.")
        return sample % fields.n_samples
    name = date_coordinate(fields)
    dates = [] if name is None else [_date(value) for value in np.asarray(fields.coordinate(name))]
    for i, date in enumerate(dates):
        if date.startswith(sample.replace("T", " ")):
            return i
    after = next((f", {date} the next one after it" for date in sorted(dates) if date > sample), "")
    known = f"dates from {dates[0]} to {dates[-1]}{after}" if dates else "no dates"
    raise DataError(f"{fields.source}: has no sample of {sample!r}; it has {known}.")


def _when(fields: FieldSet, number: int) -> str:
    """A sample in words: its date, or the coordinates that count it."""
    name = date_coordinate(fields)
    if name is not None:
        return _date(np.asarray(fields.coordinate(name))[number])
    values = {d: fields.coordinate(d) for d in fields.lead}
    if any(v is None for v in values.values()):
        return f"sample {number}"
    return ", ".join(f"{d} {np.asarray(v)[number]:g}" for d, v in values.items())


def _date(value: Any) -> str:
    text = str(np.datetime_as_string(value, unit="s") if isinstance(value, np.datetime64) else value)
    return text.replace("T", " ").removesuffix(" 00:00:00")


def _span(matched: Matched, pairing: Pairing) -> str:
    """How many samples, and from when to when."""
    ends = (_when(matched.ensemble, int(pairing.ensemble[i])) for i in (0, -1))
    return f"{matched.name}, {len(pairing)} samples\n{' to '.join(ends)}"


def _given(axes: Axes | Sequence[Axes] | None, n: int, grid: Grid | None) -> list[Axes]:
    """The axes that are drawn on: those given, or those of a new figure."""
    if axes is None:
        from matplotlib import pyplot

        if n == 2 and grid is not None and grid.y is None:
            made = pyplot.figure(figsize=(style.TILE_WIDTH, 4.0), layout="constrained")
            return list(made.subplots(2, 1, height_ratios=(3, 1)))
        if n == 1 and (grid is None or grid.y is None):
            size = style.TILE_WIDTH, 3.2
        else:
            width = PANEL if n > 1 else style.TILE_WIDTH
            size = n * width, (1.0 if grid is None else grid.ratio) * width + 1.15
        made = pyplot.figure(figsize=size, layout="constrained").subplots(1, n, squeeze=False)
        return list(made[0])
    given = [axes] if isinstance(axes, Axes) else list(np.ravel(np.asarray(axes, dtype=object)))
    if len(given) != n:
        raise ValueError(f"this picture needs {n} axes, got {len(given)}.")
    return given


def _panels(
    panels: list[Axes], grid: Grid, drawn: Float[np.ndarray, "member a b"], fields: FieldSet, number: int
) -> list[Axes]:
    """Members, mean and spread on one scale of colours and one from zero."""
    mean, spread = drawn.mean(axis=0, dtype=np.float64), drawn.std(axis=0, ddof=1, dtype=np.float64)
    shown = [*drawn[: len(panels) - 2], mean]
    cmap, norm = style.field_scale(*shown)
    titles = [*(f"member {i + 1}" for i in range(len(shown) - 1)), f"mean of {len(drawn)} members"]
    label = style.with_units(fields.name, fields.units)
    meshes = [draw_field(panels[i], grid, field, cmap=cmap, norm=norm) for i, field in enumerate(shown)]
    for panel, title in zip(panels, titles, strict=False):
        panel.set_title(title)
    colour_bar(meshes[0], panels[:-1], label, *shown)
    largest = float(np.nanmax(spread)) or 1.0
    mesh = draw_field(panels[-1], grid, spread, cmap=style.SPREAD, norm=Normalize(0, largest))
    panels[-1].set_title("spread")
    colour_bar(mesh, panels[-1:], style.with_units("standard deviation", fields.units), spread)
    for panel in panels[1:]:
        panel.tick_params(labelleft=False)
        panel.set_ylabel("")
    panels[0].set_title(f"{titles[0]}, {_when(fields, number)}")
    return panels


def _lines(
    panels: list[Axes],
    grid: Grid,
    drawn: Float[np.ndarray, "member a"],
    fields: FieldSet,
    number: int,
    n_members: int,
) -> list[Axes]:
    """Members as thin lines, the mean, and a band of one standard deviation, which has a panel of its own too."""
    panel, below = panels
    mean, spread = drawn.mean(axis=0), drawn.std(axis=0, ddof=1)
    colour = style.COLOURS["generated"]
    panel.fill_between(
        grid.x, mean - spread, mean + spread, color=colour, alpha=0.2, linewidth=0, label="mean ± spread"
    )
    for i, member in enumerate(drawn[:n_members]):
        look = {"color": style.COLOURS["debiased"], "linewidth": 1.0, "alpha": max(0.35, 1 / min(n_members, 5))}
        label = "members" if n_members > 1 else "member 1"
        panel.plot(grid.x, member, **look, label=label if i == 0 else None)
    panel.plot(grid.x, mean, color=colour, linewidth=1.8, label=f"mean of {len(drawn)} members")
    below.plot(grid.x, spread, color=colour, linewidth=1.4)
    panel.set(ylabel=style.with_units(fields.name, fields.units))
    below.set(xlabel=grid.labels[0], ylabel=style.with_units("spread", fields.units), ylim=(0, None))
    for each in panels:
        each.set_xlim(grid.x.min(), grid.x.max())
    panel.tick_params(labelbottom=False)
    below.yaxis.set_major_locator(MaxNLocator(3))
    panel.set_title(_when(fields, number), pad=20)
    style.legend_above(panel, columns=3)
    return panels


def _score(sums: PairedSums, score: MapScore) -> Float[np.ndarray, "channel *space"]:
    match score:
        case "CRPS":
            return sums.map_of("crps")
        case "bias":
            return sums.map_of("error")
        case "MAE":
            return sums.map_of("absolute")
        case "RMSE":
            return np.sqrt(sums.map_of("square"))
        case "spread/skill":
            square = sums.map_of("square")
            return np.sqrt(sums.map_of("variance") / np.where(square > 0, square, np.nan))


def _score_colours(values: np.ndarray, score: MapScore) -> tuple[str, Normalize]:
    """About zero or one where that is best and values lie on either side; else from zero on."""
    finite = values[np.isfinite(values)]
    if score == "bias":
        return style.DIVERGING, style.symmetric(np.abs(finite).max(initial=0.0))
    if score == "spread/skill":
        largest = max(float(np.abs(finite - 1).max(initial=0.0)), 0.1)
        return f"{style.DIVERGING}", Normalize(1 - largest, 1 + largest)
    return style.SEQUENTIAL, Normalize(0, float(finite.max(initial=0.0)) or 1.0)


def _draw_ranks(panel: Axes, sums: PairedSums, pairing: Pairing, title: str) -> None:
    known = np.isfinite(sums.shares).all(axis=1)
    if not known.any():
        raise DataError("no sample has all members and a truth, so there are no ranks.")
    test = flatness(sums, pairing)
    counts = np.rint(sums.shares[known].mean(axis=0) * sums.entries)
    effective = None if test is None else test.effective_samples
    figures.rank_histogram(panel, counts, effective=effective)
    said = "" if test is None else ", p < .001" if test.p_value < 1e-3 else f", p = {test.p_value:.2g}"
    panel.set_title(f"{title}{said}", pad=24 if effective is None else 34)


def _draw_spread(panel: Axes, matched: Matched, pairing: Pairing) -> None:
    blocks = lambda: paired_blocks(matched.ensemble, matched.reference, pairing)  # noqa: E731
    curve = binned_spread(blocks())
    largest = 1.08 * float(max(curve.spread.max(), curve.error.max()))
    panel.plot([0, largest], [0, largest], **style.line("reference", linewidth=1.0, label="reliable"))
    if matched.ensemble.n_members > 2:
        floor = binned_spread(blocks(), own=True)
        panel.plot(
            floor.spread, floor.error, **style.line("floor", marker="o", markersize=3, label="a member as truth")
        )
    panel.plot(curve.spread, curve.error, **style.line("generated", marker="o", markersize=4, label="ensemble"))
    unit = matched.ensemble.units
    panel.set(xlabel=style.with_units("spread", unit), ylabel=style.with_units("error of the mean", unit))
    panel.set(xlim=(0, largest), ylim=(0, largest), aspect="equal", title=_span(matched, pairing))
    for axis in (panel.xaxis, panel.yaxis):
        axis.set_major_locator(MaxNLocator(5))
    panel.legend(loc="lower right")
