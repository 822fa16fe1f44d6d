"""A real browser, without a window: what it loads, and what it has to say."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
NEEDS_CHROMIUM = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the path to open the page with")

PROBE = """
<script>
window.addEventListener("load", () => {
  const images = [...document.images].map(image => image.complete ? image.naturalWidth : 0);
  const floor = document.querySelector("td.floor"), table = document.querySelector(".scroll");
  parent.postMessage({
    images, page: document.documentElement.scrollWidth, window: window.innerWidth,
    floor: floor && floor.getBoundingClientRect(), hidden: table && table.scrollWidth - table.clientWidth,
  }, "*");
});
</script>
"""
# Chromium's own window is never narrower than 500 pixels: a frame plays the phone.
FRAME = """<!doctype html><div id="probe"></div>
<script>
window.addEventListener("message", event => {
  document.getElementById("probe").textContent = JSON.stringify(event.data);
});
</script>
<iframe src="probed.html" style="width: {width}px; height: 900px; border: 0"></iframe>
"""


def framed(page: Path, tmp_path: Path, width: int) -> Path:
    """The page in a frame of a width, with a script that tells what was drawn."""
    # The page forbids scripts; the copy must allow the one that looks at it.
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text())
    (tmp_path / "probed.html").write_text(text.replace("</body>", PROBE + "</body>"))
    frame = tmp_path / "frame.html"
    frame.write_text(FRAME.replace("{width}", str(width)))
    return frame


def browse(page, tmp_path, width):
    """The document after loading, and what the browser had to say."""
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
        "--disable-dev-shm-usage", f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},900",
        "--enable-logging=stderr", "--virtual-time-budget=5000", "--dump-dom", page.as_uri(),
    ]  # fmt: skip
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return result.stdout, result.stderr
