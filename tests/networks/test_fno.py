"""Fourier neural operators: one map at every resolution, time alive in every layer, translations passed on."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.networks.band import from_band, to_band
from subgrid.networks.fno import FNO, FNOSettings, SpectralProduct, activation, activation_waves
from subgrid.networks.fno_unet import FNOUNet, FNOUNetSettings

from ..cases import few
from .test_band import coefficients

M = 5
TIME = jnp.asarray(0.3)
NETWORKS = {
    "1-D": lambda: FNO(2, 3, 1, FNOSettings(8, 3, M, embedding=8), key=jr.key(0)),
    "2-D U-net": lambda: FNOUNet(2, 3, 2, FNOUNetSettings((M, 2), (6, 8), embedding=8), key=jr.key(0)),
    "2-D": lambda: FNO(2, 3, 2, FNOSettings(6, 2, M, embedding=8), key=jr.key(0)),
    "1-D U-net": lambda: FNOUNet(2, 3, 1, FNOUNetSettings((M, 3), (6, 8), embedding=8), key=jr.key(0)),
}


def perturbed(network):
    """Its ends start at zero: away from it everything acts."""
    arrays, static = eqx.partition(network, eqx.is_array)
    leaves, tree = jax.tree.flatten(arrays)
    keys = jr.split(jr.key(1), len(leaves))
    noisy = [leaf + 0.1 * jr.normal(k, leaf.shape) for leaf, k in zip(leaves, keys, strict=True)]
    return eqx.combine(jax.tree.unflatten(tree, noisy), static)


@pytest.fixture(scope="module", params=few(NETWORKS, 2))
def case(request):
    n_space = int(request.param[0])
    network = perturbed(NETWORKS[request.param]())
    return network, eqx.filter_jit(network), n_space


@pytest.mark.parametrize("double", [True, False])
def test_it_is_the_same_map_at_every_resolution(case, double):
    # Relative to the largest coefficient. A field in the band is one function on all grids, even and odd: to 1e-6 in
    # double precision. In single precision rounding is as large (1.06e-6 on one processor, below 1e-6 on others), and
    # point values add up some twenty coefficients, each rounded.
    with jax.enable_x64(double):
        ends = list(_on_all_grids(*case[1:], double))
    for on_grid, band, reference, expected in ends:
        error = np.abs(band - reference).max() / np.abs(reference).max()
        assert error < (1e-6 if double else 3e-6)
        np.testing.assert_allclose(on_grid, expected, atol=3e-5 * np.abs(on_grid).max())


def _on_all_grids(run, n_space, double):
    """What the network gives on each grid, its coefficients, those of the finest grid, and the field of these."""
    c = jnp.asarray(coefficients(n_space, M) / 10, float if double else jnp.float32)
    reference = to_band(run(from_band(c, (256,) if n_space == 1 else (128, 128)), TIME), M)
    for n in (33, 64) if n_space == 2 else (32, 33, 64, 65):
        on_grid = run(from_band(c, (n, n)[:n_space]), TIME)
        expected = from_band(reference, on_grid.shape[1:])
        yield tuple(np.asarray(each) for each in (on_grid, to_band(on_grid, M), reference, expected))


def test_activations_on_the_grid_of_the_input_are_not():
    # The negative control: the same activation on the points that happen to be there.
    c = coefficients(1, M) / 10
    fine = to_band(jax.nn.silu(3 * from_band(c, (256,))), M)
    coarse = to_band(jax.nn.silu(3 * from_band(c, (12,))), M)
    assert np.abs(fine - coarse).max() > 1e-3 * np.abs(fine).max()
    ours = activation(3 * c, activation_waves(M, 4, jnp.float32))
    assert np.linalg.norm(ours - fine) < 4e-5 * np.linalg.norm(fine)  # 2e-5 over many white features of unit variance


def test_time_is_alive_in_every_layer():
    network, x = perturbed(NETWORKS["1-D"]()), jr.normal(jr.key(2), (2, 22))
    run = eqx.filter_jit(lambda network, time: network(x, time))
    for layer in range(network.settings.n_layers):
        film = network.layers.film
        # A network in which time enters in this layer alone.
        only = jnp.zeros(network.settings.n_layers).at[layer].set(1.0)
        weight = film.weight * only[:, None, None]
        one = eqx.tree_at(lambda n: n.layers.film.weight, network, weight)
        assert np.abs(run(one, TIME) - run(one, TIME + 0.5)).max() > 1e-3


def test_a_translated_input_gives_a_translated_output(case):
    # By whole cells of both its own grid and that of activations: exactly. By others as far as activations fold back.
    _, run, n_space = case
    x = jr.normal(jr.key(3), (2, *(22,) * n_space))
    y, axes = run(x, TIME), tuple(range(1, n_space + 1))
    np.testing.assert_allclose(run(jnp.roll(x, 11, axes), TIME), jnp.roll(y, 11, axes), atol=3e-5 * np.abs(y).max())
    np.testing.assert_allclose(run(jnp.roll(x, 3, 1), TIME), jnp.roll(y, 3, 1), atol=2e-3 * np.abs(y).max())


def test_nothing_is_in_the_nyquist_waves(case):
    _, run, n_space = case
    y = run(jr.normal(jr.key(3), (2, *(22,) * n_space)), TIME)
    waves = np.abs(np.fft.rfftn(y, axes=range(1, y.ndim), norm="forward"))
    assert waves[..., 11].max() < 1e-6 * np.abs(y).max()


def test_waves_above_the_band_pass_by_the_local_branch():
    network = eqx.filter_jit(perturbed(NETWORKS["1-D"]()))
    x = jr.normal(jr.key(4), (2, 64))
    above = x - from_band(to_band(x, M), (64,))
    assert np.abs(network(x, TIME) - network(x - above, TIME)).max() > 0.01
    double = network(x + above, TIME) - network(x, TIME)  # linear in what lies above
    np.testing.assert_allclose(double, network(x, TIME) - network(x - above, TIME), atol=1e-4)


@pytest.mark.parametrize("n_space", [1, 2])
def test_the_spectral_product_is_one_of_complex_modes(n_space):
    # By impulse: the response to a wave is that wave alone, turned and scaled alike wherever it starts.
    product = SpectralProduct(1, M, n_space, key=jr.key(0))
    shape = (24, 24)[:n_space]
    place = np.meshgrid(*(np.arange(n) / n for n in shape), indexing="ij")
    wave = lambda phase: np.cos(2 * np.pi * (2 * place[0] - (place[-1] if n_space == 2 else 0)) + phase)[None]  # noqa: E731
    answer = lambda phase: from_band(product(to_band(jnp.asarray(wave(phase), jnp.float32), M)), shape)  # noqa: E731
    shifted = np.roll(answer(0.0), 3, axis=1)  # 3 of 24 points, two waves: a quarter of a turn
    np.testing.assert_allclose(answer(-np.pi / 2), shifted, atol=1e-5)
    amplitude = np.sqrt(answer(0.0) ** 2 + answer(np.pi / 2) ** 2)
    np.testing.assert_allclose(amplitude, amplitude.flat[0], rtol=1e-4)
    assert amplitude.flat[0] > 0.05


def test_an_untrained_network_is_silent(case):
    _, _, n_space = case
    silent = eqx.filter_jit(NETWORKS["1-D" if n_space == 1 else "2-D U-net"]())
    assert not np.any(silent(jnp.ones((2, *(22,) * n_space)), TIME))


def test_walls_and_coordinates():
    settings = FNOSettings(8, 2, M, extension=0.5, coordinates=True, embedding=8)
    run = eqx.filter_jit(perturbed(FNO(1, 1, 1, settings, key=jr.key(0))))
    field = lambda n: jnp.asarray(np.sin(2 * (np.arange(n) + 0.5) / n))[None]  # noqa: E731
    coarse, fine = run(field(32), TIME), run(field(128), TIME)
    np.testing.assert_allclose(coarse, fine.reshape(1, 32, 4).mean(-1), atol=0.02 * np.abs(fine).max())


def test_complaints():
    network = NETWORKS["1-D"]()
    with pytest.raises(ValueError, match="does not hold the 5 modes"):
        network(jnp.zeros((2, 8)), TIME)
    with pytest.raises(ValueError, match="n_space must be 1 or 2"):
        FNO(1, 1, 3, key=jr.key(0))
    with pytest.raises(ValueError, match="from 0 to 1"):
        FNOSettings(extension=2.0)
    with pytest.raises(ValueError, match="must fall from level to level"):
        FNOUNetSettings(n_modes=(4, 4), widths=(8, 8))
    with pytest.raises(ValueError, match="one number a level"):
        FNOUNetSettings(n_modes=(4, 2), widths=(8,))
