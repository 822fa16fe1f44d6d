"""Modes of a box against waves written out, orthonormality, and one function on many grids."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.numerics.modes import Box

PERIODIC, WALLS = Box((1.0, 2.0)), Box((1.0, 2.0), "neumann")
GRIDS = [(8, 9), (15, 12)]


def wave(grid, k, phase=0.3):
    y, x = np.meshgrid(*(np.arange(n) / n for n in grid), indexing="ij")
    return jnp.asarray(np.cos(2 * np.pi * (k[0] * y + k[1] * x) + phase))


def cosine(grid, k):
    """√2 cos(πn x) along each axis, 1 for n = 0, at the middle of cells."""
    parts = [
        np.cos(np.pi * k * (np.arange(n) + 0.5) / n) * (np.sqrt(2) if k else 1) for k, n in zip(k, grid, strict=True)
    ]
    return jnp.asarray(np.outer(*parts))


@pytest.mark.parametrize("grid", GRIDS)
def test_a_wave_is_the_same_function_on_every_grid_that_holds_it(grid):
    waves = [(0, 0), (1, 0), (0, 3), (3, -2), (-1, 3)]
    here, there = (jnp.stack([wave(of, k) for k in waves]) for of in (grid, (16, 21)))
    np.testing.assert_allclose(jax.jit(lambda v: PERIODIC.resize(v, (16, 21)))(here), there, atol=2e-6)
    np.testing.assert_allclose(jax.jit(lambda v: PERIODIC.resize(v, grid))(there), here, atol=2e-6)


def test_a_cosine_between_walls_is_the_same_function_on_every_grid():
    waves = [(0, 0), (1, 0), (0, 3), (7, 5)]
    here, there = (jnp.stack([cosine(of, k) for k in waves]) for of in ((8, 9), (16, 21)))
    np.testing.assert_allclose(jax.jit(lambda v: WALLS.resize(v, (16, 21)))(here), there, atol=5e-6)
    np.testing.assert_allclose(jax.jit(lambda v: WALLS.resize(v, (8, 9)))(there), here, atol=5e-6)


def test_the_second_derivative_is_minus_the_squared_wavenumber():
    grid = (9, 8)  # of cos 2π(2y/1 + 3x/2) and of √2 cos(2πy) · √2 cos(3πx/2), on sides of 1 and 2.
    squared = (2 * np.pi) ** 2 * (4 + 9 / 4)
    second = lambda box, v: jax.jit(lambda v: box.multiply(v, box.squared_wavenumbers(grid)))(v)  # noqa: E731
    np.testing.assert_allclose(second(PERIODIC, wave(grid, (2, 3))), squared * wave(grid, (2, 3)), atol=3e-3)
    squared = np.pi**2 * (4 + 9 / 4)
    np.testing.assert_allclose(second(WALLS, cosine(grid, (2, 3))), squared * cosine(grid, (2, 3)), atol=3e-3)


@pytest.mark.parametrize("box", [PERIODIC, WALLS])
@pytest.mark.parametrize("grid", GRIDS)
def test_the_mean_square_of_a_field_is_the_weighted_sum_over_modes(box, grid):
    field = jax.device_put(np.asarray(np.random.default_rng(0).normal(size=grid), np.float32))
    field = jax.jit(lambda v: box.multiply(v, np.ones(1)))(field)  # without its Nyquist waves
    modes = jax.jit(box.to_modes)(field)
    np.testing.assert_allclose(np.sum(box.weights(grid) * np.abs(modes) ** 2), np.mean(np.square(field)), rtol=1e-5)
    np.testing.assert_allclose(jax.jit(lambda m: box.from_modes(m, grid))(modes), field, atol=2e-6)
    held = np.prod([n - (n % 2 == 0) if box.boundary == "periodic" else n for n in grid])
    assert box.weights(grid).sum() == held


@pytest.mark.parametrize("box", [PERIODIC, WALLS])
def test_white_modes_are_one_function_on_every_grid(box):
    draw = lambda grid: jax.jit(lambda k: box.white_modes(grid, key=k))(jr.key(1))  # noqa: E731
    largest = draw((12, 15))
    for grid in [(9, 8), (12, 6)]:
        cut = jax.jit(lambda modes, grid=grid: box.resize_modes(modes, (12, 15), grid))(largest)
        np.testing.assert_array_equal(cut, draw(grid))


@pytest.mark.parametrize("box", [Box((1.0,)), Box((1.0,), "neumann"), PERIODIC])
def test_white_modes_are_standard_normal_and_independent(box):
    grid = (9, 7)[: box.n_space]

    @jax.jit
    @jax.vmap
    def there_and_back(key):
        modes = box.white_modes(grid, key=key)
        return modes, box.to_modes(box.from_modes(modes, grid))

    modes, again = (np.asarray(each) for each in there_and_back(jr.split(jr.key(2), 4000)))
    np.testing.assert_allclose(again, modes, atol=2e-5)  # they are those of real fields
    flat = modes.reshape(4000, -1)
    gram = np.abs(flat.T @ flat.conj()) / 4000
    # Four standard errors, √(1/4000) of a complex product and √(2/4000) of a real square.
    np.testing.assert_allclose(gram, np.eye(len(gram)), atol=4 * np.sqrt(2 / 4000))


def test_no_energy_is_left_in_nyquist_waves():
    for grid, n in [((8, 8), 5 + 7), ((8, 9), 5), ((9, 8), 9)]:
        assert (PERIODIC.weights(grid) == 0).sum() == n
    modes = np.random.default_rng(0).normal(size=(8, 5)) + 0j
    fields = jax.jit(lambda m: PERIODIC.from_modes(m, (8, 8)))(jnp.asarray(modes, jnp.complex64))
    left = np.abs(np.fft.rfft2(fields, norm="forward"))
    np.testing.assert_allclose(left[PERIODIC.weights((8, 8)) == 0], 0, atol=1e-6)
    assert left[1:3, 1:3].min() > 0.01


def test_what_a_box_refuses():
    with pytest.raises(ValueError, match="positive number for each side"):
        Box((1.0, 0.0))
    with pytest.raises(ValueError, match=r"2 numbers of points, one for each side, got \(8,\)"):
        PERIODIC.require_shape((8,))
    assert Box((1.0,)).holds((33,), (34,)) and not Box((1.0,)).holds((33,), (35,))
    assert not Box((1.0,), "neumann").holds((33,), (34,))
