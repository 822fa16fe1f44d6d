"""The gallery: what is kept and drawn through the command line, and its walks on drifts with known paths."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.cli import gallery_stages
from subgrid.cli.gallery_stages import SIGMA_MAX, SIGMA_MIN, SUBSTEPS, TITLES, ProbabilityFlow


def test_a_run_draws_what_it_keeps_and_trains_once(subgrid, monkeypatch, tmp_path):
    made = []

    def make_paths(config, target):
        made.append(target)
        path = np.random.default_rng(0).normal(size=(3, 5, 2)).astype(np.float32)
        return dict.fromkeys(TITLES, path)

    monkeypatch.setattr(gallery_stages, "make_paths", make_paths)
    config, folder = tmp_path / "gallery.toml", tmp_path / "run"
    config.write_text('[gallery]\ntargets = ["moons"]\n')
    for more in ([], ["--set", 'gallery.targets=["moons", "pinwheel"]']):
        outcome = subgrid("run", config, "-o", folder, *more)
        assert outcome.code == 0, outcome.err
        assert f"page: {folder / 'transport.html'}" in outcome.out.replace("\n", "")
    assert made == ["moons", "pinwheel"]
    assert {path.name for path in folder.iterdir()} == {
        *(f"{name}.{kind}" for name in made for kind in ("npz", "gif")),
        "transport.html",
        "config.toml",
    }
    refused = subgrid("run", config, "-o", folder, "--set", "gallery.n_frames=3")
    assert refused.code == 2 and "gallery.n_frames = 40, not 3" in refused.complaint
    unknown = subgrid("run", config, "-o", folder, "--set", 'gallery.targets=["swiss"]')
    assert unknown.code == 2 and "gallery.targets" in unknown.complaint


def test_the_denoising_picture_of_a_unit_gaussian_stands_still():
    """x_σ = x₀ √(1 + σ²) along the probability flow of N(0, I): the picture x_σ/√(1 + σ²) does not move."""
    angles = jnp.linspace(jnp.arctan(SIGMA_MAX), jnp.arctan(SIGMA_MIN), 40 * SUBSTEPS + 1)
    x, levels = jr.normal(jr.key(0), (5, 2)), jnp.tan(angles)
    flow = ProbabilityFlow(lambda z, sigma: z / (1 + sigma**2))
    paths = gallery_stages._walk(flow, jnp.sqrt(1 + SIGMA_MAX**2) * x, levels)
    picture = np.asarray(paths) / np.sqrt(1 + np.asarray(levels)[::SUBSTEPS, None, None] ** 2)
    assert picture.shape == (41, 5, 2)
    # Heun's steps in σ, the first from 40 to 18, where the flow is nearly linear in σ: a few thousandths.
    np.testing.assert_allclose(picture, np.tile(x, (41, 1, 1)), rtol=1e-2)


def test_without_a_drift_points_wander_as_far_as_sigma_says():
    still = lambda x, t, context=None: jnp.zeros_like(x)  # noqa: E731
    paths = gallery_stages._wander(still, jnp.zeros((2000, 2)), 0.5, 8, jr.key(0))
    assert paths.shape == (1 + 8 // SUBSTEPS, 2000, 2)
    # Half of the time: half of the variance; 4000 squares are known to 2.2 %, three times that.
    assert float(paths[1].var()) == pytest.approx(0.25 / 2, rel=0.07)
