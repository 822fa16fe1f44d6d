"""The errors of samplers against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import sqrtm

from subgrid.diffusion.driver import sample_with
from subgrid.diffusion.noise_levels import exponential_grid
from subgrid.downscaling.upsampling.choices import METHODS
from subgrid.experiments.sampler_errors import cases, errors as sampler_errors
from subgrid.experiments.sampler_errors.config import SamplerErrorsTable


def rows_of(*methods):
    """With one guided method, which is exact; every method is compiled by itself."""
    table = SamplerErrorsTable(
        methods=methods,
        guided_methods=("gaussian-sde",),
        grids=("exponential", "variance-preserving"),
        guidances=("projection",),
        evaluations=(4, 32),
    )
    with jax.enable_x64(True):
        return sampler_errors.component_rows(table, report=lambda what: None)


def errors(rows, **wanted):
    found = [row for row in rows if all(row[key] == value for key, value in wanted.items())]
    assert len(found) == 1
    return dict(zip(found[0]["evaluations"], found[0]["std"], strict=True))


@pytest.mark.slow
def test_the_unit_gaussian_is_the_one_of_the_docstrings():
    rows = rows_of("gaussian-sde", "ode-multistep", "heun")
    case = {"case": "unit Gaussian", "grid": "exponential"}
    assert errors(rows, method="ode-multistep", **case)[32] == pytest.approx(1.007, abs=5e-4)
    assert errors(rows, method="heun", **case)[32] == pytest.approx(1.075, abs=5e-4)  # 16 levels, 31 evaluations
    assert errors(rows, method="gaussian-sde", **case)[4] == pytest.approx(1.0, abs=1e-9)
    preserving = errors(rows, method="ode-multistep", case="unit Gaussian", grid="variance-preserving")
    assert 1.03 < preserving[32] < 1.076  # a little better than the whole schedule, which begins at 152 and not at 80


def test_exact_steps_are_exact_in_every_case():
    exact = rows_of("gaussian-sde")
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


@pytest.mark.parametrize("name", METHODS)
def test_levels_that_evaluations_pay_for(name):
    """What a whole draw asks of the denoiser, counted: at most 32, and with one level more it would be more."""
    method = METHODS[name](cases.gaussian_of_mixture((1,), std=0.3))

    def asked(n):
        calls = []
        denoiser = lambda x, sigma: calls.append(sigma) or x  # noqa: E731
        noises = jnp.zeros((n, method.n_noises, 1))
        with jax.disable_jit():  # a loop would be traced once
            sample_with(denoiser, jnp.ones(1), exponential_grid(n), noises, method=method)
        return len(calls)

    n = sampler_errors.n_levels(method, 32)
    assert asked(n) <= 32 < asked(n + 1)
