"""A climate report as a reader meets it: every section, parts missing, and a real browser."""

import json
import re
import warnings
from dataclasses import replace

import numpy as np
import pytest

from subgrid.experiments.climate.figures.evidence import warnings_of
from subgrid.experiments.climate.figures.sections import climate_sections, running_mean_of_cells
from subgrid.report.page import render_page

from ....report.browser import NEEDS_CHROMIUM, browse, framed
from ....tiny import sketched
from .synthetic import COLUMNS, LAT, LON, MASK, land, make_evidence

TABLE = [
    {"group": "tas: unpaired", "metric": "W1", "raw": 1.53, "quantile mapping": 0.43, "bcsd": 0.44, "analogues": 0.5,
     "generated": 0.41, "floor": 0.45, "target": "0", "about": "distance of the values"},
    {"group": "tas: perfect model", "metric": "95 % coverage", "generated": 0.94, "target": ".95", "about": "share"},
]  # fmt: skip


def rendered(*evidence):
    return render_page(
        title="Iberia <in winter>",
        summary=[("Variables", "tas, pr")],
        table=TABLE,
        columns=COLUMNS,
        configuration="[run]\n",
        shown=[section for each in evidence for section in climate_sections(each)],
        notes=["A note.", *(note for each in evidence for note in warnings_of(each))],
        timings={"train": 12.0},
    )


def written(folder):
    path = folder / "report.html"
    path.write_text(rendered(make_evidence(), make_evidence("pr")), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """With sketches, where no test looks at the figures themselves."""
    with sketched():
        return written(tmp_path_factory.mktemp("climate"))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return written(tmp_path_factory.mktemp("drawn"))


def figures_by_section(text):
    parts = re.split(r'<section id="([^"]+)">', text)[1:]
    return {name: body.count("<figure>") for name, body in zip(parts[::2], parts[1::2], strict=True) if "<img" in body}


def test_a_running_mean_keeps_constants_at_coasts_and_slopes_inside():
    constant = running_mean_of_cells(land(np.full((6, 8), 7.0)), MASK)
    np.testing.assert_allclose(constant[MASK], 7)
    assert np.isnan(constant[~MASK]).all()
    slope = np.add.outer(np.arange(6.0), np.arange(8.0))
    np.testing.assert_allclose(running_mean_of_cells(slope, np.ones((6, 8), bool))[1:-1, 1:-1], slope[1:-1, 1:-1])


@pytest.mark.slow
def test_every_section_is_there(page):
    tas = {"tas-maps": 3, "tas-structure": 3, "tas-perfect": 3, "tas-change": 1}
    pr = {"pr-maps": 4, "pr-structure": 3, "pr-perfect": 3, "pr-change": 1}
    text = page.read_text()
    assert figures_by_section(text) == tas | pr
    assert text.count("<b>Wet-day frequency.</b>") == 1


@pytest.mark.slow
def test_members_cells_and_whole_parts_may_be_missing_on_a_rotated_grid():
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
        text = rendered(evidence)
    assert figures_by_section(text) == {"pr-maps": 4, "pr-structure": 3, "pr-perfect": 2}
    assert "<b>Variogram.</b>" in text and "<b>Power by wavelength.</b>" not in text
    assert "20 fields of pr in the set “generated” lacked a value" in text


@pytest.mark.parametrize("kept", [{}, {"generated": land(np.zeros((20, 3, 6, 8)))}], ids=["reference alone", "dry"])
def test_a_season_without_rain_leaves_a_page(kept):
    full = make_evidence("pr")
    absent = {name: getattr(full, name)[:0] for name in ("generated", "perfect_truth", "perfect_ensemble")}
    dry = replace(full, **{**absent, "dates": [], "candidates": {}, "reference": 0 * full.reference, **kept})
    with warnings.catch_warnings(), sketched():
        warnings.simplefilter("error")
        text = rendered(dry)
    expected = {"pr-structure": 1, "pr-perfect": 1, "pr-change": 1}
    assert figures_by_section(text) == (expected | {"pr-maps": 4} if kept else expected)


def test_the_table_has_the_columns_asked_for(page):
    text = page.read_text()
    head = re.findall(r'<th scope="col"[^>]*class="([^"]*)"', text)
    assert head == ["raw", "quantile-mapping", "bcsd", "analogues", "generated", "floor"]
    assert "3.4× floor" in text and "0.9× floor" in text  # 1.53/.45 and .41/.45
    assert re.findall(r'<td[^>]*class="([a-z-]+) best"', text) == []  # the next is within the noise, .45
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


@pytest.mark.slow
@NEEDS_CHROMIUM
@pytest.mark.parametrize("width", [1200, 390])
def test_a_browser_draws_every_figure_in_silence_within_the_window(drawn, tmp_path, width):
    document, _ = browse(framed(drawn, tmp_path, width), tmp_path, 1300)
    found = json.loads(re.search(r'<div id="probe">(.*?)</div>', document).group(1))
    assert len(found["images"]) == 21 and all(natural > 0 for natural in found["images"])
    assert found["page"] <= found["window"] == width
    _, messages = browse(drawn, tmp_path, 1300)
    assert "CONSOLE" not in messages
