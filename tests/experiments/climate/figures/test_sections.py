"""A climate report as a reader meets it: numbers drawn against closed forms, parts missing, and a real browser."""

import json
import re
import shutil
import subprocess
import warnings
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.collections import LineCollection, QuadMesh
from matplotlib.figure import Figure
from subgrid.report.climate_page import write_climate_report

from subgrid.experiments.climate.figures.evidence import ClimateEvidence
from subgrid.experiments.climate.figures.maps import Frame, draw_map, readable_limit
from subgrid.experiments.climate.figures.sections import running_mean_of_cells
from subgrid.experiments.climate.figures.sheets import change_sheet, distance_sheet, stamp_sheet, statistic_sheet
from subgrid.report import climate_figures, climate_maps, style
from subgrid.verification.dependence import DistanceBins

COLUMNS = ("raw", "quantile mapping", "bcsd", "analogues", "generated", "floor")
TABLE = [
    {"group": "tas: unpaired", "metric": "W1", "raw": 1.53, "quantile mapping": 0.43, "bcsd": 0.44, "analogues": 0.5,
     "generated": 0.41, "floor": 0.45, "target": "0", "about": "distance of the values"},
    {"group": "tas: perfect model", "metric": "95 % coverage", "generated": 0.94, "target": ".95", "about": "share"},
]  # fmt: skip
LAT, LON = 36 + np.arange(6.0), -8 + 0.5 * np.arange(8.0)
MASK = np.ones((6, 8), bool)
MASK[:2, :3] = False
FRAME = Frame(LAT, LON, MASK)
DAYS, MEMBERS = 40, 7
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
NEEDS_CHROMIUM = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the path to open the page with")
PROBE = """<script>window.addEventListener("load", () => parent.postMessage({
  images: [...document.images].map(image => image.complete ? image.naturalWidth : 0),
  page: document.documentElement.scrollWidth, window: window.innerWidth}, "*"));</script>"""
# Chromium's own window is never narrower than 500 pixels: a frame plays the phone.
FRAMED = """<!doctype html><div id="probe"></div><script>window.addEventListener("message", event => {
  document.getElementById("probe").textContent = JSON.stringify(event.data); });</script>
<iframe src="probed.html" style="width: {width}px; height: 900px; border: 0"></iframe>"""


def land(values):
    return np.where(MASK, values, np.nan).astype(np.float32)


def make_evidence(variable="tas", **replaced):
    """Days that share a mean, cells that share a signal; precipitation is censored below zero."""
    generator = np.random.default_rng(0)

    def fields(*lead):
        values = generator.normal(size=(*lead, 1, 1)) + 0.5 * generator.normal(size=(*lead, *MASK.shape))
        return land(np.maximum(3 * values, 0) if variable == "pr" else 280 + values)

    reference, truth = fields(DAYS), fields(12)
    content = {
        "variable": variable,
        "units": "mm day-1" if variable == "pr" else "K",
        "lat": LAT,
        "lon": LON,
        "mask": MASK,
        "reference": reference,
        "candidates": {"raw": reference + 1, **{name: fields(30) for name in COLUMNS[1:4]}, "floor": fields(DAYS)},
        "generated": fields(20, MEMBERS),
        "perfect_truth": truth,
        "perfect_ensemble": land(truth[:, None] + 0.2 * generator.normal(size=(12, MEMBERS, *MASK.shape))),
        "dates": [f"2001-01-{day:02d}" for day in range(1, 13)],
        "rank_counts": np.full(MEMBERS + 1, 60),
        "flatness_p": 0.4,
        "effective_samples": 50.0,
        "change": {"input": land(np.full(MASK.shape, 3.0)), "output": land(np.full(MASK.shape, 3.5))},
    }
    return ClimateEvidence(**{**content, **replaced})


def write(path, *evidence):
    return write_climate_report(
        path,
        title="Iberia <in winter>",
        summary=[("Variables", "tas, pr")],
        table=TABLE,
        columns=COLUMNS,
        configuration="[run]\n",
        evidence=list(evidence),
        notes=["A note."],
        timings={"train": 12.0},
    )


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return write(tmp_path_factory.mktemp("climate") / "report.html", make_evidence(), make_evidence("pr"))


def meshes(figure):
    """The maps of a figure by title, its colour bars left out."""
    return {
        panel.get_title(loc="left"): child.get_array().reshape(MASK.shape)
        for panel in figure.axes
        for child in panel.get_children()
        if isinstance(child, QuadMesh) and panel.get_title(loc="left")
    }


def differences(axes):
    return {line.get_label(): np.asarray(line.get_ydata()) for line in axes.get_lines()}


def test_a_map_of_differences_holds_the_differences():
    reference = land(np.arange(48.0).reshape(6, 8))
    maps = {"reference": reference, "raw": reference + 1, "generated": reference - 0.25, "floor": reference + 0.5}
    with style.context():
        figure = statistic_sheet(FRAME, maps, label="mean", units="K", precipitation=False)
    drawn = meshes(figure)
    for title, value in (("raw", 1), ("generated", -0.25), ("noise floor", 0.5)):
        np.testing.assert_allclose(drawn[f"{title} − reference"].compressed(), value)
    np.testing.assert_array_equal(drawn["generated"].compressed(), (reference - 0.25)[MASK])
    np.testing.assert_array_equal(drawn["raw"].mask, ~MASK)
    labels = [panel.get_xlabel() for panel in figure.axes]
    assert "mean [K]" in labels and "difference [K]" in labels


def test_raw_fields_may_exceed_the_common_scale_and_an_arrow_says_so():
    near, far = np.full((6, 8), 0.2), np.full((6, 8), 5.0)
    # 1.5 times the 98 % quantile of what is not raw; the largest value where that is less; one where all is zero.
    assert readable_limit({"raw": far, "generated": near}) == pytest.approx(0.3)
    assert readable_limit({"raw": 0.25 * np.ones(4), "generated": near}) == pytest.approx(0.25)
    assert readable_limit({"raw": np.zeros(3), "generated": np.zeros(3)}) == 1.0
    with style.context():
        figure = distance_sheet(FRAME, {"raw": land(far), "generated": land(near)}, label="W1", units="K")
    (bar,) = [panel for panel in figure.axes if panel.get_xlabel() == "W1 [K]"]
    assert bar._colorbar.extend == "max"
    assert bar._colorbar.norm.vmax == pytest.approx(0.3)


def test_stamps_share_a_scale_and_the_spread_has_its_own():
    day = {"truth": land(np.full((6, 8), 2.0)), "member 1": land(np.full((6, 8), -3.0))}
    with style.context():
        figure = stamp_sheet(FRAME, day, land(np.full((6, 8), 0.5)), label="tas", units="K", precipitation=False)
    found = {panel.get_title(loc="left"): panel.collections[0].get_clim() for panel in figure.axes if panel.collections}
    assert found["truth"] == found["member 1"] == (-3, 3)
    assert found["spread"] == (0, 0.5)


def test_the_change_is_drawn_beside_what_was_asked_for():
    given, found = land(np.full((6, 8), 3.0)), land(np.full((6, 8), 3.5))
    with style.context():
        drawn = meshes(change_sheet(FRAME, given, found, units="K", precipitation=False))
    np.testing.assert_allclose(drawn["output − input"].compressed(), 0.5)
    np.testing.assert_allclose(drawn["input"].compressed(), 3)


def test_maps_are_stretched_by_latitude_and_cover_the_mask():
    axes = Figure().add_subplot()
    draw_map(axes, np.zeros((6, 8)), Frame(LAT + 60 - 38.5, LON, MASK), cmap="cividis", norm=style.symmetric(1))
    # Cells reach from 57.5 to 62.5 degrees: 1/cos 60° = 2.
    assert axes.get_aspect() == pytest.approx(2)
    assert axes.get_xlim() == (-8.5, -4)


def test_coasts_replace_the_outline_of_the_mask_where_there_are_any(monkeypatch):
    outline = Figure().add_subplot()
    draw_map(outline, np.zeros((6, 8)), FRAME, cmap="cividis", norm=style.symmetric(1))
    assert len(outline.collections) == 2
    coast = np.array([[-8.0, 36.0], [-6.0, 39.0]])
    monkeypatch.setattr(climate_maps, "coastlines", lambda: (coast,))
    axes = Figure().add_subplot()
    draw_map(axes, np.zeros((6, 8)), FRAME, cmap="cividis", norm=style.symmetric(1))
    (lines,) = [child for child in axes.collections if isinstance(child, LineCollection)]
    np.testing.assert_array_equal(lines.get_segments()[0], coast)
    assert len(axes.collections) == 2


def test_a_shift_is_a_constant_difference_of_quantiles():
    main, difference = Figure().subplots(2, 1)
    reference = np.random.default_rng(1).normal(size=(50, 9))
    climate_figures.quantile_quantile(
        (main, difference), reference, {"raw": reference + 0.5, "floor": reference}, variable="tas", units="K"
    )
    np.testing.assert_allclose(differences(difference)["raw"], 0.5)
    assert main.get_ylabel() == "quantile [K]"
    assert difference.get_xlabel() == "quantile of the tas reference [K]"


def test_curves_by_distance_leave_empty_bins_out():
    main, difference = Figure().subplots(2, 1)
    distance = np.array([50.0, np.nan, 200.0])
    reference = DistanceBins(distance, np.array([0.9, np.nan, 0.5]), np.array([3, 0, 2]))
    other = DistanceBins(distance, np.array([0.95, np.nan, 0.7]), np.array([3, 0, 2]))
    climate_figures.by_distance((main, difference), reference, {"raw": other}, quantity="correlation", units="")
    np.testing.assert_allclose(differences(difference)["raw"], [0.05, 0.2])
    np.testing.assert_allclose(differences(main)["reference"], [0.9, 0.5])


def test_a_running_mean_keeps_constants_at_coasts_and_slopes_inside():
    constant = running_mean_of_cells(land(np.full((6, 8), 7.0)), MASK)
    np.testing.assert_allclose(constant[MASK], 7)
    assert np.isnan(constant[~MASK]).all()
    slope = np.add.outer(np.arange(6.0), np.arange(8.0))
    np.testing.assert_allclose(running_mean_of_cells(slope, np.ones((6, 8), bool))[1:-1, 1:-1], slope[1:-1, 1:-1])


@pytest.mark.parametrize(("units", "text"), [("K", "K"), ("mm day-1", "mm day⁻¹"), ("m2 s-2", "m² s⁻²"), ("1", "1")])
def test_exponents_are_raised(units, text):
    assert style.raised(units) == text


def test_variances_have_squared_units():
    assert style.with_units("power", style.squared("K")) == "power [K²]"
    assert style.with_units("power", style.squared("mm day-1")) == "power [(mm day⁻¹)²]"
    assert style.with_units("share", "1") == "share"


def figures_by_section(text):
    parts = re.split(r'<section id="([^"]+)">', text)[1:]
    return {name: body.count("<figure>") for name, body in zip(parts[::2], parts[1::2], strict=True) if "<img" in body}


def test_every_section_is_there(page):
    tas = {"tas-maps": 3, "tas-structure": 3, "tas-perfect": 3, "tas-change": 1}
    pr = {"pr-maps": 4, "pr-structure": 3, "pr-perfect": 3, "pr-change": 1}
    text = page.read_text()
    assert figures_by_section(text) == tas | pr
    assert text.count("<b>Wet-day frequency.</b>") == 1


def test_members_cells_and_whole_parts_may_be_missing_on_a_rotated_grid(tmp_path):
    full = make_evidence("pr")
    short, broken = full.generated.copy(), full.perfect_ensemble.copy()
    short[:, -1], broken[:, 1:] = np.nan, np.nan
    sometimes_dry = np.where(np.arange(8) < 4, 0 * full.reference, full.reference)
    rotated = dict(zip(("lat", "lon"), np.meshgrid(LAT, LON, indexing="ij"), strict=True))
    evidence = replace(
        full, **rotated, reference=sometimes_dry, generated=short, perfect_ensemble=broken, change=None,
        rank_counts=np.zeros(0, int), flatness_p=None, candidates={"raw": full.candidates["raw"]},
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        text = write(tmp_path / "report.html", evidence).read_text()
    assert figures_by_section(text) == {"pr-maps": 4, "pr-structure": 3, "pr-perfect": 2}
    assert "<b>Variogram.</b>" in text and "<b>Power by wavelength.</b>" not in text
    assert "20 fields of pr in the set “generated” lacked a value" in text


@pytest.mark.parametrize("kept", [{}, {"generated": land(np.zeros((20, 3, 6, 8)))}], ids=["reference alone", "dry"])
def test_a_season_without_rain_leaves_a_page(tmp_path, kept):
    full = make_evidence("pr")
    absent = {name: getattr(full, name)[:0] for name in ("generated", "perfect_truth", "perfect_ensemble")}
    dry = replace(full, **{**absent, "dates": [], "candidates": {}, "reference": 0 * full.reference, **kept})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        text = write(tmp_path / "report.html", dry).read_text()
    expected = {"pr-structure": 1, "pr-perfect": 1, "pr-change": 1}
    assert figures_by_section(text) == (expected | {"pr-maps": 4} if kept else expected)


def test_members_without_values_are_counted_and_left_out():
    full = make_evidence()
    short = full.generated.copy()
    short[:, -1, 3, 4] = np.nan
    spoilt = replace(full, generated=short)
    assert spoilt.not_finite() == {"generated": 20}
    assert len(spoilt.sets["generated"]) == 20 * (MEMBERS - 1)


def test_the_table_has_the_columns_asked_for(page):
    text = page.read_text()
    head = re.findall(r'<th scope="col"[^>]*class="([^"]*)"', text)
    assert head == ["raw", "quantile-mapping", "bcsd", "analogues", "generated", "floor"]
    assert "3.4× floor" in text and "0.9× floor" in text  # 1.53/.45 and .41/.45
    assert re.findall(r'<td[^>]*class="([a-z-]+) best"', text) == ["generated"]
    assert 'class="pairs"' not in text


def test_links_lead_somewhere_and_nothing_comes_from_outside(page):
    text = page.read_text()
    targets, identifiers = re.findall(r'<a href="#([^"]+)"', text), re.findall(r'id="([^"]+)"', text)
    assert set(targets) <= set(identifiers) and len(identifiers) == len(set(identifiers))
    assert not any("%" in target or " " in target for target in targets)
    assert all(source.startswith("data:") for source in re.findall(r' src="([^"]{5})', text))
    assert "<script" not in text and "&lt;in winter&gt;" in text
    alternatives = re.findall(r' alt="([^"]*)"', text)
    assert len(alternatives) == 21 and all(len(words) > 20 for words in alternatives)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"generated": np.zeros((3, 2, 6, 7), np.float32)}, "generated must end in the axes of the mask"),
        ({"lat": LAT[:-1]}, "lat and lon must be 1-D or 2-D on the grid"),
        ({"mask": np.zeros((6, 8), bool)}, "the mask of tas leaves no cell"),
        ({"reference": np.full((5, 6, 8), np.nan, np.float32)}, "reference of tas needs at least 2 fields"),
        ({"dates": ["2001-01-01"]}, "perfect_ensemble holds 12 cases"),
    ],
)
def test_arrays_that_do_not_fit_are_named(changed, message):
    with pytest.raises(ValueError, match=message):
        make_evidence(**changed)


def test_a_variable_comes_once(tmp_path):
    with pytest.raises(ValueError, match="each variable may come once"):
        write(tmp_path / "report.html", make_evidence(), make_evidence())


@NEEDS_CHROMIUM
@pytest.mark.parametrize("width", [1200, 390])
def test_a_browser_draws_every_figure_in_silence_within_the_window(page, tmp_path, width):
    # The page forbids scripts; the copy must allow the one that looks at it.
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text())
    (tmp_path / "probed.html").write_text(text.replace("</body>", PROBE + "</body>"))
    frame = tmp_path / "frame.html"
    frame.write_text(FRAMED.replace("{width}", str(width)))
    document, _ = browse(frame, tmp_path)
    found = json.loads(re.search(r'<div id="probe">(.*?)</div>', document).group(1))
    assert len(found["images"]) == 21 and all(natural > 0 for natural in found["images"])
    assert found["page"] <= found["window"] == width
    _, messages = browse(page, tmp_path)
    assert "CONSOLE" not in messages


def browse(page, tmp_path):
    """The document after loading, and what the browser had to say."""
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
        "--disable-dev-shm-usage", f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1300,900",
        "--enable-logging=stderr", "--virtual-time-budget=5000", "--dump-dom", page.as_uri(),
    ]  # fmt: skip
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return result.stdout, result.stderr
