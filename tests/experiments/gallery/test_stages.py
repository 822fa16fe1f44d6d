"""The gallery through the command line: what is kept, drawn, shown and published."""

import numpy as np

from subgrid.experiments.gallery import stages as gallery_stages
from subgrid.experiments.gallery.config import GalleryConfig
from subgrid.experiments.gallery.paths import TITLES
from subgrid.experiments.gallery.stages import RECIPE
from subgrid.runs.stage import in_order


def test_stages_are_in_order_and_no_two_make_the_same_part():
    stages = RECIPE.stages(GalleryConfig())
    moved = [f"move {target}" for target in ("8gaussians", "moons", "scurve", "checkerboard", "pinwheel")]
    names = [*moved, "animate", "report"]
    assert [stage.name for stage in stages] == [stage.name for stage in in_order(stages)] == names
    parts = [part for stage in stages for part in (*stage.parts, *stage.state)]
    assert len(set(parts)) == len(parts)


def test_a_run_draws_what_it_keeps_and_trains_once(subgrid, monkeypatch, tmp_path):
    made = []

    def make_paths(table, target, *, report, key):
        made.append(target)
        path = np.random.default_rng(0).normal(size=(3, 5, 2)).astype(np.float32)
        return dict.fromkeys(TITLES, path)

    monkeypatch.setattr(gallery_stages, "make_paths", make_paths)
    config, folder = tmp_path / "gallery.toml", tmp_path / "run"
    config.write_text('[gallery]\ntargets = ["moons"]\n')
    for more in ([], ["--set", 'gallery.targets=["moons", "pinwheel"]']):
        outcome = subgrid("run", config, "-o", folder, *more)
        assert outcome.code == 0, outcome.err
        assert f"report: {folder / 'report.html'}" in outcome.out.replace("\n", "")
    assert made == ["moons", "pinwheel"]
    assert {path.name for path in folder.iterdir()} == {
        *(f"{name}.{kind}" for name in made for kind in ("npz", "gif")),
        "transport.html",
        "report.html",
        "config.toml",
        "records",
        "log.txt",
    }
    # Both pages are of both sets.
    assert '"pinwheel"' in (folder / "transport.html").read_text()
    page = (folder / "report.html").read_text()
    assert page.count("data:image/gif;base64,") == 2 and "https://" not in page
    refused = subgrid("run", config, "-o", folder, "--set", "gallery.n_frames=3")
    assert refused.code == 2 and "gallery.n_frames = 40, not 3" in refused.complaint
    unknown = subgrid("run", config, "-o", folder, "--set", 'gallery.targets=["swiss"]')
    assert unknown.code == 2 and "gallery.targets" in unknown.complaint

    published = subgrid("publish", folder, tmp_path / "docs")
    assert published.code == 0, published.err
    files = {path.name: path.read_bytes() for path in (tmp_path / "docs").iterdir()}
    assert set(files) == {"config.toml", "moons.gif", "pinwheel.gif"}
    assert files["moons.gif"] == (folder / "moons.gif").read_bytes()
