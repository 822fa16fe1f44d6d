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
from .test_band import coefficients, of_waves, on_grid
from .weights import normal, perturbed

M = 5
TIME = jnp.asarray(0.3)
NETWORKS = {
    "1-D": lambda: FNO(2, 3, 1, FNOSettings(8, 3, M, embedding=8), key=jr.key(0)),
    "2-D U-net": lambda: FNOUNet(2, 3, 2, FNOUNetSettings((M, 2), (6, 8), embedding=8), key=jr.key(0)),
    "2-D": lambda: FNO(2, 3, 2, FNOSettings(6, 2, M, embedding=8), key=jr.key(0)),
    "1-D U-net": lambda: FNOUNet(2, 3, 1, FNOUNetSettings((M, 3), (6, 8), embedding=8), key=jr.key(0)),
}


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
    for y, band, reference, expected in ends:
        error = np.abs(band - reference).max() / np.abs(reference).max()
        assert error < (1e-6 if double else 3e-6)
        np.testing.assert_allclose(y, expected, atol=3e-5 * np.abs(y).max())


def _on_all_grids(run, n_space, double):
    """What the network gives on each grid, its coefficients, those of the finest grid, and the field of these."""
    c = (coefficients(n_space, M) / 10).astype(float if double else np.float32)
    fields = lambda n: on_grid(c, (n, n)[:n_space]).astype(c.dtype)  # noqa: E731
    reference = of_waves(np.float64(run(fields(64), TIME)), M)
    for n in (33,) if n_space == 2 else (32, 33):
        y = np.float64(run(fields(n), TIME))
        yield y, of_waves(y, M), reference, on_grid(reference, y.shape[1:])


def test_activations_on_the_grid_of_the_input_are_not():
    # The negative control: the same activation on the points that happen to be there.
    c = coefficients(1, M) / 10
    silu = lambda x: x / (1 + np.exp(-x))  # noqa: E731
    fine = of_waves(silu(3 * on_grid(c, (256,))), M)
    coarse = of_waves(silu(3 * on_grid(c, (12,))), M)
    assert np.abs(fine - coarse).max() > 1e-3 * np.abs(fine).max()
    ours = jax.jit(lambda c: activation(c, activation_waves(M, 4, jnp.float32)))(3 * c)
    assert np.linalg.norm(ours - fine) < 4e-5 * np.linalg.norm(fine)  # 2e-5 over many white features of unit variance


def test_time_is_alive_in_every_layer():
    network, x = perturbed(NETWORKS["1-D"]()), jnp.asarray(normal(2, 2, 22))
    run = eqx.filter_jit(lambda network, time: network(x, time))
    for layer in range(network.settings.n_layers):
        film = network.layers.film
        # A network in which time enters in this layer alone.
        weight = np.asarray(film.weight) * np.eye(network.settings.n_layers, dtype=np.float32)[layer][:, None, None]
        one = eqx.tree_at(lambda n: n.layers.film.weight, network, jax.device_put(weight))
        assert np.abs(np.asarray(run(one, TIME)) - run(one, jnp.asarray(0.8))).max() > 1e-3


def test_a_translated_input_gives_a_translated_output(case):
    # By whole cells of both its own grid and that of activations: exactly. By others as far as activations fold back.
    _, run, n_space = case
    x = normal(3, 2, *(22,) * n_space)
    y, axes = np.asarray(run(x, TIME)), tuple(range(1, n_space + 1))
    np.testing.assert_allclose(run(np.roll(x, 11, axes), TIME), np.roll(y, 11, axes), atol=3e-5 * np.abs(y).max())
    np.testing.assert_allclose(run(np.roll(x, 3, 1), TIME), np.roll(y, 3, 1), atol=2e-3 * np.abs(y).max())


def test_nothing_is_in_the_nyquist_waves(case):
    _, run, n_space = case
    y = np.asarray(run(normal(3, 2, *(22,) * n_space), TIME))
    waves = np.abs(np.fft.rfftn(y, axes=range(1, y.ndim), norm="forward"))
    assert waves[..., 11].max() < 1e-6 * np.abs(y).max()


def test_waves_above_the_band_pass_by_the_local_branch():
    network = eqx.filter_jit(perturbed(NETWORKS["1-D"]()))
    run = lambda x: np.asarray(network(np.float32(x), TIME))  # noqa: E731
    x = normal(4, 2, 64)
    above = x - on_grid(of_waves(x, M), (64,))
    assert np.abs(run(x) - run(x - above)).max() > 0.01
    double = run(x + above) - run(x)  # linear in what lies above
    np.testing.assert_allclose(double, run(x) - run(x - above), atol=1e-4)


@pytest.mark.parametrize("n_space", [1, 2])
def test_the_spectral_product_is_one_of_complex_modes(n_space):
    # By impulse: the response to a wave is that wave alone, turned and scaled alike wherever it starts.
    product = SpectralProduct(1, M, n_space, key=jr.key(0))
    shape = (24, 24)[:n_space]
    place = np.meshgrid(*(np.arange(n) / n for n in shape), indexing="ij")
    wave = lambda phase: np.cos(2 * np.pi * (2 * place[0] - (place[-1] if n_space == 2 else 0)) + phase)[None]  # noqa: E731
    through = jax.jit(lambda x: from_band(product(to_band(x, M)), shape))
    answer = lambda phase: np.asarray(through(np.float32(wave(phase))))  # noqa: E731
    shifted = np.roll(answer(0.0), 3, axis=1)  # 3 of 24 points, two waves: a quarter of a turn
    np.testing.assert_allclose(answer(-np.pi / 2), shifted, atol=1e-5)
    amplitude = np.sqrt(answer(0.0) ** 2 + answer(np.pi / 2) ** 2)
    np.testing.assert_allclose(amplitude, amplitude.flat[0], rtol=1e-4)
    assert amplitude.flat[0] > 0.05


def test_an_untrained_network_is_silent(case):
    _, _, n_space = case
    silent = eqx.filter_jit(NETWORKS["1-D" if n_space == 1 else "2-D U-net"]())
    assert not np.any(silent(np.ones((2, *(22,) * n_space), np.float32), TIME))


def test_walls_and_coordinates():
    settings = FNOSettings(8, 2, M, extension=0.5, coordinates=True, embedding=8)
    run = eqx.filter_jit(perturbed(FNO(1, 1, 1, settings, key=jr.key(0))))
    field = lambda n: np.float32(np.sin(2 * (np.arange(n) + 0.5) / n))[None]  # noqa: E731
    coarse, fine = np.asarray(run(field(32), TIME)), np.asarray(run(field(128), TIME))
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
