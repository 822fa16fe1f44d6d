"""Glow as a bijection with a known determinant: by its inverse, by automatic Jacobians, and as a density."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.networks.glow import Glow, GlowSettings, InvertibleMatrix, fitted_to, log_density, log_standard_normal

from .weights import normal, perturbed

CASES = {
    "1-D": (2, (8,), GlowSettings(n_levels=2, n_steps=2, filters=4, patch=2)),
    "2-D, odd channels": (3, (4, 8), GlowSettings(n_levels=2, n_steps=2, filters=4, patch=1)),
    "2-D, a patch of 4": (1, (8, 8), GlowSettings(n_levels=2, n_steps=2, filters=4, patch=4)),
}


@pytest.fixture(scope="module", params=CASES, ids=CASES)
def case(request):
    n_channels, space, settings = CASES[request.param]
    return perturbed(Glow(n_channels, space, settings, key=jr.key(0))), normal(2, n_channels, *space)


def test_the_inverse_undoes_the_flow(case):
    # In double precision, where nothing but rounding is left: that of float32 is 1e-5, of the machine at hand.
    with jax.enable_x64(True):
        flow, x = jax.tree.map(lambda leaf: leaf.astype(float) if eqx.is_inexact_array(leaf) else leaf, case)
        latents, back = eqx.filter_jit(lambda flow, x: (latents := flow.forward(x)[0], flow.inverse(latents)))(flow, x)
        assert sum(z.size for z in latents) == x.size
        assert np.abs(np.ravel(latents[0])[:4] - np.ravel(x)[:4]).max() > 0.1  # it does something
        np.testing.assert_allclose(back, x, atol=1e-12)


def test_the_determinant_is_that_of_the_jacobian(case):
    flow, x = case

    @eqx.filter_jit
    def jacobian_and_claim(flow, x):
        flat = lambda v: jnp.concatenate([z.reshape(-1) for z in flow.forward(v.reshape(x.shape))[0]])  # noqa: E731
        return jax.jacobian(flat)(x.reshape(-1)), flow.forward(x)[1]

    jacobian, claimed = jacobian_and_claim(flow, x)
    _, expected = np.linalg.slogdet(np.float64(jacobian))
    assert abs(expected) > 0.1
    assert float(claimed) == pytest.approx(expected, abs=1e-4 * x.size)  # rounding of float32, a value


def test_a_matrix_counts_as_often_as_there_are_points():
    matrix = perturbed(InvertibleMatrix(3, key=jr.key(0)), 0.3)
    x = normal(1, 4, 5, 3)
    forward = eqx.filter_jit(lambda x, unit: (*matrix.forward(x), matrix.forward(unit)[0]))
    out, log_det, columns = forward(x, np.eye(3, dtype=np.float32))
    dense = np.float64(columns).T
    np.testing.assert_allclose(out, np.asarray(x) @ dense.T, atol=1e-5)
    assert float(log_det) == pytest.approx(20 * np.linalg.slogdet(dense)[1], abs=1e-4)


def test_a_matrix_starts_as_a_rotation():
    forward = eqx.filter_jit(lambda matrix: matrix.forward(jnp.eye(4)))
    for seed in range(3):
        dense, log_det = forward(InvertibleMatrix(4, key=jr.key(seed)))
        dense = np.asarray(dense)
        np.testing.assert_allclose(dense @ dense.T, np.eye(4), atol=1e-5)
        assert float(log_det) == pytest.approx(0, abs=1e-5)


def test_a_density_of_two_numbers_integrates_to_one():
    flow = perturbed(Glow(1, (2,), GlowSettings(n_levels=1, n_steps=3, filters=8, patch=2), key=jr.key(3)), 0.15)
    axis = np.linspace(-14, 14, 351, dtype=np.float32)
    points = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 1, 2)
    density = np.exp(np.float64(jax.jit(jax.vmap(lambda x: log_density(flow, x)))(points))).reshape(351, 351)
    edge = max(density[0].max(), density[-1].max(), density[:, 0].max(), density[:, -1].max())
    assert edge < 1e-6
    # The rule of rectangles is as good as exact for what is smooth; couplings have kinks, each worth (step)².
    assert density.sum() * 0.08**2 == pytest.approx(1, abs=5e-3)


def test_the_first_batch_leaves_every_step_with_unit_moments():
    n_channels, space, settings = CASES["2-D, a patch of 4"]
    correlated = jnp.asarray(np.cumsum(normal(0, 64, n_channels, *space), -1) + 3)

    @eqx.filter_jit
    def passed(flow, x):
        flow = fitted_to(flow, x)
        return jax.vmap(flow.forward)(x)[0], log_density(flow, x[0]), log_standard_normal(x[0])

    latents, fitted, plain = passed(Glow(n_channels, space, settings, key=jr.key(1)), correlated)
    # The last step is a rotation of channels that have mean 0 and variance 1, then a coupling of scale .98.
    variance = np.mean([np.mean(np.square(z)) for z in latents])
    assert variance == pytest.approx(1, abs=0.1)
    assert float(fitted) > float(plain) + 50


def test_grids_and_channels_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"not divisible by patch x 2\^\(levels - 1\) = 8"):
        Glow(1, (12, 12), GlowSettings(n_levels=2, patch=4), key=jr.key(0))
    with pytest.raises(ValueError, match="no halves"):
        Glow(1, (8,), GlowSettings(n_levels=1, patch=1), key=jr.key(0))
