"""The page as a reader meets it: whole, escaped, alone, and drawn by a real browser without a word on its console."""

import base64
import json
import re
from html.parser import HTMLParser

import pytest

from subgrid.experiments.downscale.figures.sections import sections
from subgrid.report.page import duration, number, render_page

from ..experiments.downscale.figures.synthetic import synthetic
from .browser import NEEDS_CHROMIUM, browse, framed

TABLE = [
    {"group": "Coarse grid", "metric": "covRMSE", "raw": 0.343, "debiased": 0.081, "cubic": None, "generated": None,
     "floor": 0.054, "target": "0", "about": "error of the covariance"},
    {"group": "Coarse grid", "metric": "W1", "raw": 0.2, "debiased": 0.01, "cubic": None, "generated": None,
     "floor": 0.01, "target": "0", "about": "Wasserstein-1 distance", "units": "mm day-1"},
    {"group": "Perfect model", "metric": "spread/skill", "raw": None, "debiased": None, "cubic": None,
     "generated": 0.97, "floor": 1.01, "target": "1", "about": "spread over error", "units": "1"},
    {"group": "Perfect model", "metric": "rank flatness p", "raw": None, "debiased": None, "cubic": 0.31,
     "generated": 1.5e-16, "floor": None, "target": ">.05", "about": "a test", "units": "1"},
]  # fmt: skip
TITLE = "Ensembles <script>alert('x')</script> & floors"


class Reader(HTMLParser):
    """Tags with their attributes, and the text of table cells row by row."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.rows, self.text, self._in_cell = [], [], [], False
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self._in_cell = True
        if tag == "small":
            self._in_cell = False

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.rows[-1][-1] = " ".join(self.rows[-1][-1].split())
            self._in_cell = False

    def handle_data(self, data):
        self.text.append(data)
        if self._in_cell:
            self.rows[-1][-1] += data.replace("\u200b", "")


@pytest.fixture(scope="module", params=[(32,), pytest.param((16, 16), marks=pytest.mark.slow)], ids=["1d", "2d"])
def page(request, tmp_path_factory):
    text = render_page(
        title=TITLE,
        summary=[("system", "a few waves"), ("seed", "0")],
        table=TABLE,
        columns=("raw", "debiased", "cubic", "generated", "floor"),
        configuration='[data]\nsystem = "<waves>"\n',
        shown=sections(synthetic(request.param)),
        notes=["A note & nothing more."],
        timings={"train": 125.0, "sample": 3.2},
    )
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_page_needs_nothing_from_outside(page):
    reader = Reader(page.read_text())
    for tag, attributes in reader.tags:
        assert tag not in ("script", "iframe", "object", "embed"), "the page runs no script and frames nothing"
        for name in ("src", "href", "srcset", "action", "data"):
            value = attributes.get(name, "#")
            assert value.startswith(("#", "data:")), f"{tag} {name}={value[:60]} leaves the page"
    styles = re.findall(r"<style>(.*?)</style>", page.read_text(), re.DOTALL)
    assert len(styles) == 1
    assert "url(" not in styles[0] and "@import" not in styles[0]


def test_embedded_drawings_fetch_nothing_either(page):
    sources = [attributes["src"] for tag, attributes in Reader(page.read_text()).tags if tag == "img"]
    for source in sources:
        if source.startswith("data:image/svg+xml;base64,"):
            drawing = base64.b64decode(source.split(",", 1)[1]).decode()
            links = re.findall(r'(?:xlink:)?href="([^"]{0,40})', drawing)
            assert all(link.startswith(("#", "data:")) for link in links)


def test_links_inside_the_page_lead_somewhere(page):
    tags = Reader(page.read_text()).tags
    identifiers = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    targets = {attributes["href"][1:] for tag, attributes in tags if tag == "a"}
    assert targets and targets <= set(identifiers)


def test_every_row_of_the_table_is_there_with_dashes_for_none(page):
    rows = Reader(page.read_text()).rows
    assert rows[0] == ["Metric", "raw", "debiased", "cubic", "generated", "noise floor"]
    assert ["Coarse grid"] in rows and ["Perfect model"] in rows
    assert ["covRMSE", "0.343", "0.0810", "—", "—", "0.0540"] in rows
    assert ["W1[mm day⁻¹]", "0.200", "0.0100", "—", "—", "0.0100"] in rows
    # Where the target is not zero, the metric says so.
    assert ["spread/skill[1] best 1", "—", "—", "—", "0.970", "1.01"] in rows
    assert ["rank flatness p[1] wanted > .05", "—", "—", "0.310", "1.50×10⁻¹⁶", "—"] in rows


def test_cells_say_how_many_floors_they_are_and_which_is_best(page):
    text = page.read_text()
    assert "6.4× floor" in text and "1.5× floor" in text  # .343/.054 and .081/.054
    marked = [attributes["class"] for tag, attributes in Reader(text).tags if tag == "td"]
    assert [each for each in marked if "best" in each] == ["debiased best", "debiased best"]
    # And words say it too, for those who see no tint.
    assert text.count('<small class="mark">best</small>') == 2


def test_a_score_that_misses_its_bound_is_marked_with_a_word(page):
    text = page.read_text()
    marked = [attributes["class"] for tag, attributes in Reader(text).tags if tag == "td"]
    assert [each for each in marked if "fails" in each] == ["generated fails long"]  # not the cubic one, of .31
    assert '1.50×10⁻¹⁶<small class="mark">fails</small>' in text
    assert "nearer than the next candidate by more than the noise" in text  # what the marks mean, below the table


def test_explanations_stand_on_the_page(page):
    words = " ".join(Reader(page.read_text()).text)
    for row in TABLE:
        assert row["about"] in words
    assert "A note & nothing more." in words
    assert "2 min 5 s" in words
    assert 'system = "<waves>"' in words


def test_markup_in_a_title_is_escaped(page):
    text = page.read_text()
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
    assert TITLE in Reader(text).text


def test_every_figure_has_words_for_who_cannot_see_it(page):
    images = [attributes for tag, attributes in Reader(page.read_text()).tags if tag == "img"]
    assert len(images) == 17
    assert all(len(image["alt"]) > 20 for image in images)


def test_the_page_is_small_and_whole(page):
    assert page.stat().st_size < 4e6
    assert page.read_text().rstrip().endswith("</html>")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "—"), (0.0, "0"), (0.343, "0.343"), (0.05, "0.0500"), (29.3, "29.3"), (-0.5, "−0.500"), (1234.5, "1230"),
        (0.99999, "1.00"), (1.46e-5, "1.46×10⁻⁵"), (2.5e7, "2.50×10⁷"), (float("nan"), "NaN"), (float("-inf"), "−∞"),
    ],
)  # fmt: skip
def test_numbers_have_three_digits(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.42, "0.42 s"), (12.4, "12 s"), (59.8, "1 min 0 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")],
)
def test_durations_are_said_as_people_say_them(seconds, text):
    assert duration(seconds) == text


@NEEDS_CHROMIUM
def test_the_console_stays_silent(page, tmp_path):
    _, messages = browse(page, tmp_path, 1200)
    assert [line for line in messages.splitlines() if "CONSOLE" in line] == []


@NEEDS_CHROMIUM
def test_the_console_would_have_been_heard(tmp_path):
    page = tmp_path / "loud.html"
    page.write_text("<!doctype html><script>console.error('heard')</script>")
    _, messages = browse(page, tmp_path, 1200)
    assert "CONSOLE" in messages and "heard" in messages


WIDE = [
    {"group": "tas: unpaired", "metric": "W1", "target": "0", "units": "K", "independent fields": 82.0,
     **dict.fromkeys(("raw", "quantile mapping", "bcsd", "analogues", "interpolation + noise"), 0.0816),
     "generated": 1.46e-5, "floor": 0.0459},
]  # fmt: skip


def test_groups_with_columns_of_their_own_have_tables_of_their_own():
    head = {"target": "–", "about": ""}
    rows = [
        {"group": "fine", "metric": "guided", "KLD": 0.1, "W1": 2.0, **head},
        {"group": "fine, 8x", "metric": "guided", "KLD": 0.2, "W1": 3.0, **head},
        {"group": "perfect model", "metric": "guided", "CRPS": 0.7, **head},
    ]
    shared = {"configuration": "", "shown": [], "notes": [], "timings": {}, "summary": []}
    columns = ("KLD", "W1", "CRPS")
    one, apart = (render_page(title="t", table=rows, columns=columns, **shared, apart=each) for each in (False, True))
    headers = [re.findall(r'columnheader"[^>]*>.*?</span>(\w+)</span>', table) for table in apart.split("<table")[1:]]
    assert headers == [["KLD", "W1"], ["CRPS"]]
    assert one.count("<table") == 1 and one.count('missing"') == 4 and 'missing"' not in apart
    assert 'columnheader">Candidate<' in apart and 'class="marks"' not in apart
    assert 'columnheader">Metric<' in one and 'class="marks"' in one


@NEEDS_CHROMIUM
@pytest.mark.parametrize("width", [1280, 800])
def test_the_noise_floor_of_a_wide_table_is_seen_without_scrolling(tmp_path, width):
    columns = ("raw", "quantile mapping", "bcsd", "analogues", "interpolation + noise", "generated", "floor")
    shared = {"configuration": "", "shown": [], "notes": [], "timings": {}, "summary": []}
    path = tmp_path / "report.html"
    path.write_text(render_page(title="wide", table=WIDE, columns=columns, **shared), encoding="utf-8")
    document, _ = browse(framed(path, tmp_path, width), tmp_path, 1400)
    found = json.loads(re.search(r'<div id="probe">(.*?)</div>', document).group(1))
    assert found["window"] == width and 0 < found["floor"]["left"] < found["floor"]["right"] <= width
    assert found["hidden"] == 0  # nor does any other column lie outside


@NEEDS_CHROMIUM
@pytest.mark.parametrize("width", [1200, 390])
def test_a_browser_draws_every_figure_within_the_window(page, tmp_path, width):
    document, _ = browse(framed(page, tmp_path, width), tmp_path, 1300)
    found = json.loads(re.search(r'<div id="probe">(.*?)</div>', document).group(1))
    assert len(found["images"]) == 17
    assert all(natural > 0 for natural in found["images"])
    assert found["window"] == width
    assert found["page"] <= found["window"]
