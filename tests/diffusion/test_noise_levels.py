"""Grids of noise levels: their ends, their spacing, and their complaints."""

import jax.numpy as jnp
import numpy as np
import pytest

from subgrid.diffusion.noise_levels import central_grid, exponential_grid, karras_grid, time_grid
from subgrid.diffusion.process import VarianceExploding, VariancePreserving

GRIDS = {
    "Karras": lambda n: karras_grid(n, sigma_max=50.0, sigma_min=0.01),
    "exponential": lambda n: exponential_grid(n, sigma_max=50.0, sigma_min=0.01),
    "central": lambda n: central_grid(n, sigma_max=50.0, sigma_min=0.01),
    "VE": lambda n: time_grid(VarianceExploding(sigma_min=0.01, sigma_max=50.0), n),
}


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("n", [2, 33])
def test_ends_and_order(name, n):
    levels = GRIDS[name](n)
    assert levels.shape == (n,)
    assert levels[0] == pytest.approx(50.0, rel=1e-4)
    assert levels[-1] == pytest.approx(0.01, rel=1e-4)
    assert (jnp.diff(levels) < 0).all()


def test_karras_values():
    # Karras et al. (2022), Eq. 5, worked for three levels: the middle one is ((80^(1/7) + .002^(1/7))/2)^7.
    middle = ((80 ** (1 / 7) + 0.002 ** (1 / 7)) / 2) ** 7
    np.testing.assert_allclose(karras_grid(3), [80.0, middle, 0.002], rtol=1e-4)


def test_exponential_steps_are_equal_and_are_the_time_grid_of_variance_exploding():
    np.testing.assert_allclose(jnp.diff(jnp.log(GRIDS["exponential"](20))), -np.log(5000) / 19, rtol=1e-4)
    np.testing.assert_allclose(GRIDS["VE"](20), GRIDS["exponential"](20), rtol=1e-4)


def test_central_grid_is_densest_in_the_middle():
    # d ln σ/du = (σ + c)²/(cσ), smallest at σ = c.
    levels = np.float64(central_grid(65, centre=0.3))
    middles, steps = np.sqrt(levels[:-1] * levels[1:]), -np.diff(np.log(levels))
    assert middles[np.argmin(steps)] == pytest.approx(0.3, rel=0.05)
    np.testing.assert_allclose(np.diff(levels / (levels + 0.3)), np.diff(levels / (levels + 0.3)).mean(), rtol=1e-3)


def test_time_grid_takes_equal_steps_in_time():
    process = VariancePreserving()
    levels = np.float64(time_grid(process, 11))
    # t from B = ln(1 + σ²) = .05·… by the quadratic formula, in double precision.
    times = (-0.1 + np.sqrt(0.01 + 2 * 19.9 * np.log1p(levels**2))) / 19.9
    np.testing.assert_allclose(np.diff(times), (times[-1] - 1) / 10, rtol=1e-3)
    assert levels[-1] == pytest.approx(process.sigma_min, rel=1e-4)


@pytest.mark.parametrize("grid", [karras_grid, exponential_grid, central_grid])
def test_complaints(grid):
    with pytest.raises(ValueError, match="must be at least 2, got 1"):
        grid(1)
    with pytest.raises(ValueError, match=r"0 < sigma_min < sigma_max, got 3\.0 and 2\.0"):
        grid(8, sigma_min=3.0, sigma_max=2.0)
    with pytest.raises(ValueError, match="0 < sigma_min"):
        grid(8, sigma_min=0.0)
