"""Animations: the frames that were given, in colours that mean something, small, whole and without network."""

import base64
import json
import re

import numpy as np
import pytest
from PIL import Image

from subgrid.experiments.gallery import animation
from subgrid.experiments.gallery.animation import draw_frame, write_gif, write_page
from subgrid.report.animation import HOLD, MILLISECONDS

N_FRAMES = 4


@pytest.fixture(scope="module")
def paths():
    rng = np.random.default_rng(0)
    start, end = rng.normal(size=(2, 30, 2))
    t = np.linspace(0, 1, N_FRAMES)[:, None, None]
    return {"flow": (1 - t) * start + t * (end + 3), "bridge": (1 - t) * start + t * end}


def test_gif_plays_all_frames_and_holds_the_last(paths, tmp_path):
    path = write_gif(tmp_path / "moves.gif", paths)
    with Image.open(path) as image:
        durations = []
        for frame in range(getattr(image, "n_frames", 1)):
            image.seek(frame)
            durations.append(image.info["duration"])
        assert image.width / image.height == pytest.approx(2 * 2.1 / 2.35, rel=0.02)
        assert image.info["loop"] == 0
    # Equal frames are written as one of their whole duration.
    assert durations == [MILLISECONDS] * (N_FRAMES - 1) + [MILLISECONDS * (1 + HOLD)]


def test_points_are_drawn_where_they_are(tmp_path):
    """One point, moving from the left to the right of its panel."""
    point = np.array([[[-1.0, 0.0]], [[1.0, 0.0]]])
    for frame, side in ((0, 0.065), (1, 0.935)):
        path = tmp_path / f"{frame}.png"
        draw_frame({"one": point}, frame).savefig(path, format="png")
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"), np.int32)
        blue = np.abs(pixels - np.array([0, 0x72, 0xB2])).sum(-1) < 60
        assert blue.any()
        # ±1 in a square from −1.15 to 1.15, give or take its margins.
        assert np.nonzero(blue)[1].mean() / pixels.shape[1] == pytest.approx(side, abs=0.03)


def test_panels_of_different_length_are_refused(paths, tmp_path):
    with pytest.raises(ValueError, match=r"as many frames, got \{'flow': 4, 'bridge': 2\}"):
        write_gif(tmp_path / "moves.gif", {"flow": paths["flow"], "bridge": paths["bridge"][:2]})


def test_page_holds_the_paths_and_asks_nobody(paths, tmp_path):
    text = write_page(tmp_path / "page.html", {"moons </script>": paths}).read_text(encoding="utf-8")
    assert not re.search(r"https?://|src=|@import|url\(", text)
    assert text.count("</script>") == 1
    content = json.loads(re.search(r"const gallery = (.*);\n", text).group(1))  # pyright: ignore[reportOptionalMemberAccess]
    packed = content["sets"]["moons </script>"]
    limit = animation.limits_of(paths)
    for panel, (title, path) in zip(packed["panels"], paths.items(), strict=True):
        assert (panel["title"], panel["frames"], panel["points"]) == (title, N_FRAMES, 30)
        values = np.frombuffer(base64.b64decode(panel["data"]), "<i2").reshape(N_FRAMES, 30, 2)
        unpacked = values / packed["quantum"] * limit
        inside = np.abs(path) < limit  # beyond, a point is at the border
        np.testing.assert_allclose(unpacked[inside], path[inside], atol=limit / packed["quantum"])
