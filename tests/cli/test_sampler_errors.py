"""The table of sampler errors: its parts against closed forms, and a tiny one through the command line."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import sqrtm
from scipy.stats import norm

from subgrid.cli import sampler_cases, sampler_error_table, sampler_errors
from subgrid.cli.toy_config import SamplerErrors

TINY = [
    '--set=sampler_errors.methods=["gaussian-sde", "gaussian-ode", "ancestral", "heun"]',
    '--set=sampler_errors.guided_methods=["gaussian-sde"]',
    '--set=sampler_errors.grids=["exponential"]',
    "--set=sampler_errors.evaluations=[4, 33]",
    "--set=sampler_errors.n_samples=20000",
]


@pytest.fixture(scope="module")
def rows():
    table = SamplerErrors(
        methods=("gaussian-sde", "ode-multistep", "heun"),
        guided_methods=("gaussian-sde",),
        grids=("exponential", "variance-preserving"),
        guidances=("projection",),
        evaluations=(4, 32),
    )
    with jax.enable_x64(True):
        return sampler_errors.directions_rows(table, report=lambda what: None)


def errors(rows, **wanted):
    found = [row for row in rows if all(row[key] == value for key, value in wanted.items())]
    assert len(found) == 1
    return dict(zip(found[0]["evaluations"], found[0]["std"], strict=True))


def test_the_unit_gaussian_is_the_one_of_the_docstrings(rows):
    told = {"case": "unit Gaussian", "grid": "exponential"}
    assert errors(rows, method="ode-multistep", **told)[32] == pytest.approx(1.007, abs=5e-4)
    assert errors(rows, method="heun", **told)[32] == pytest.approx(1.075, abs=5e-4)  # 16 levels, 31 evaluations
    assert errors(rows, method="gaussian-sde", **told)[4] == pytest.approx(1.0, abs=1e-9)
    preserving = errors(rows, method="ode-multistep", case="unit Gaussian", grid="variance-preserving")
    assert 1.03 < preserving[32] < 1.076  # a little better than the whole schedule, which begins at 152 and not at 80


def test_exact_steps_are_exact_in_every_case(rows):
    exact = [row for row in rows if row["method"] == "gaussian-sde"]
    assert len({(row["case"], row["noise"]) for row in exact}) == 1 + 2 + 2 * 2 * 2
    assert max(max(row["error"]) for row in exact) < 1e-9


def test_distance_of_gaussians():
    rng = np.random.default_rng(0)
    (a, b), m = rng.normal(size=(2, 5, 5)), rng.normal(size=5)
    P, Q = a @ a.T, b @ b.T
    root = np.real(sqrtm(P))
    square = m @ m + np.trace(P) + np.trace(Q) - 2 * np.trace(np.real(sqrtm(root @ Q @ root)))
    got = sampler_errors.gaussian_errors(m, P, np.zeros(5), Q)
    assert got["error"] == pytest.approx(np.sqrt(square / np.trace(Q)), rel=1e-6)
    assert got["std"] == pytest.approx(np.sqrt(np.trace(P) / np.trace(Q)))
    assert sampler_errors.gaussian_errors(m, P, m, P)["error"] < 1e-6


def test_conditioned_fields_are_those_of_dense_algebra():
    with jax.enable_x64(True):
        exact, noisy = (sampler_cases.conditioned("36 points", noise) for noise in (0.0, 0.05))
        for given in exact:
            operator = given.conditional.operator
            np.testing.assert_allclose(operator(given.mean.reshape(1, 36)), given.target, atol=1e-9)
            assert np.trace(given.covariance) < 36
        for given, loose in zip(exact, noisy, strict=True):
            assert np.linalg.eigvalsh(loose.covariance - given.covariance).min() > -1e-9  # noise tells less
            # The conditional that samplers are given is the same by another route.
            conditional = loose.conditional.given(loose.target)
            np.testing.assert_allclose(conditional.mean.reshape(-1), loose.mean, atol=1e-9)


def test_mixture_by_quadrature():
    total, inside = sampler_cases.exact_mixture_spreads(0.3)
    # .3·.7·2² + .3² is the variance; inside a mode .3, but for what lies beyond the border, 3.3 deviations away.
    assert total == pytest.approx(np.sqrt(0.84 + 0.09), rel=1e-5)
    assert inside == pytest.approx(0.3, rel=2e-3)
    x, sigma = np.linspace(-3, 3, 7), 0.8
    grid = np.linspace(-5, 5, 20_001)
    density = 0.3 * norm.pdf(grid, -1.2, 0.3) + 0.7 * norm.pdf(grid, 0.8, 0.3)
    weights = density * norm.pdf(x[:, None], grid, sigma)
    expected = (weights * grid).sum(1) / weights.sum(1)
    np.testing.assert_allclose(
        sampler_cases.denoise_mixture(jnp.asarray(x), jnp.asarray(sigma), std=0.3), expected, atol=1e-5
    )


def test_levels_that_evaluations_pay_for():
    counts = {"gaussian-sde": 32, "heun": 16, "predictor-corrector": 16}
    for name, n in counts.items():
        assert (
            sampler_errors.n_levels(
                sampler_errors.method_of(name)(sampler_cases.gaussian_of_mixture((1,), std=0.3)), 32
            )
            == n
        )


def test_numbers_of_the_table():
    written = [sampler_error_table.number(value) for value in (3e-9, 2.34e-5, 0.0123, 0.28, 39.4)]
    assert written == ["0", "2.3e-05", "0.012", "0.28", "39"]


@pytest.mark.slow  # a minute of compilation; the parts above hold the numbers
def test_a_run_writes_numbers_table_and_figure_and_is_published(subgrid, tmp_path):
    config, folder = tmp_path / "errors.toml", tmp_path / "run"
    config.write_text("[sampler_errors]\n")
    outcome = subgrid("run", config, "-o", folder, *TINY)
    assert outcome.code == 0, outcome.err
    assert "unit Gaussian" in outcome.out
    metrics = json.loads((folder / "metrics.json").read_text())
    guided = [row for row in metrics["rows"] if row["guidance"] != "exact"]
    exact = [row for row in guided if row["guidance"] != "projection"]
    assert len(exact) == 2 * 8 and max(max(row["error"]) for row in exact) < 1e-5
    assert {row["products"] for row in guided} == {0, 1, 4}
    ancestral = [row for row in metrics["rows"] if row["method"] == "ancestral" and row["case"] == "mixture, total"]
    assert ancestral[0]["error"][1] > 0.05
    assert "| gaussian-sde | exponential | exact | 0 | 0 |" in (folder / "table.md").read_text()
    published = subgrid("publish", folder, tmp_path / "docs")
    assert published.code == 0, published.err
    assert sorted(p.name for p in (tmp_path / "docs").iterdir()) == [
        "config.toml",
        "errors.svg",
        "metrics.json",
        "table.md",
    ]
