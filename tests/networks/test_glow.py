"""Glow as a bijection with a known determinant: by its inverse, by automatic Jacobians, and as a density."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.networks.glow import Glow, GlowSettings, InvertibleMatrix, fitted_to, log_density, log_standard_normal

CASES = {
    "1-D": (2, (8,), GlowSettings(n_levels=2, n_steps=2, filters=4, patch=2)),
    "2-D, odd channels": (3, (4, 8), GlowSettings(n_levels=2, n_steps=2, filters=4, patch=1)),
    "2-D, a patch of 4": (1, (8, 8), GlowSettings(n_levels=2, n_steps=2, filters=4, patch=4)),
}


def noisy(flow, scale=0.3):
    """Weights that mean something, where the couplings start without saying anything."""
    arrays, static = eqx.partition(flow, eqx.is_inexact_array)
    leaves, tree = jax.tree.flatten(arrays)
    keys = jr.split(jr.key(1), len(leaves))
    moved = [leaf + scale * jr.normal(key, leaf.shape) for leaf, key in zip(leaves, keys, strict=True)]
    return eqx.combine(jax.tree.unflatten(tree, moved), static)


@pytest.fixture(scope="module", params=CASES, ids=CASES)
def case(request):
    n_channels, space, settings = CASES[request.param]
    flow = noisy(Glow(n_channels, space, settings, key=jr.key(0)), 0.1)
    return flow, jr.normal(jr.key(2), (n_channels, *space))


def test_the_inverse_undoes_the_flow(case):
    flow, x = case
    latents, _ = eqx.filter_jit(flow.forward)(x)
    assert sum(z.size for z in latents) == x.size
    back = eqx.filter_jit(flow.inverse)(latents)
    assert jnp.abs(latents[0].reshape(-1)[:4] - x.reshape(-1)[:4]).max() > 0.1  # it does something
    np.testing.assert_allclose(back, x, atol=1e-5)  # float32 through four steps


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
    matrix = noisy(InvertibleMatrix(3, key=jr.key(0)))
    x = jr.normal(jr.key(1), (4, 5, 3))
    out, log_det = matrix.forward(x)
    dense = np.stack([np.asarray(matrix.forward(unit.reshape(1, 3))[0][0], np.float64) for unit in jnp.eye(3)], 1)
    np.testing.assert_allclose(out, np.asarray(x) @ dense.T, atol=1e-5)
    assert float(log_det) == pytest.approx(20 * np.linalg.slogdet(dense)[1], abs=1e-4)


def test_a_matrix_starts_as_a_rotation():
    for seed in range(3):
        matrix = InvertibleMatrix(4, key=jr.key(seed))
        dense, log_det = matrix.forward(jnp.eye(4))
        np.testing.assert_allclose(dense @ dense.T, np.eye(4), atol=1e-5)
        assert float(log_det) == pytest.approx(0, abs=1e-5)


def test_a_density_of_two_numbers_integrates_to_one():
    flow = noisy(Glow(1, (2,), GlowSettings(n_levels=1, n_steps=3, filters=8, patch=2), key=jr.key(3)), 0.15)
    axis = jnp.linspace(-14, 14, 351)
    points = jnp.stack(jnp.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 1, 2)
    density = np.exp(np.float64(jax.jit(jax.vmap(lambda x: log_density(flow, x)))(points))).reshape(351, 351)
    edge = max(density[0].max(), density[-1].max(), density[:, 0].max(), density[:, -1].max())
    assert edge < 1e-6
    # The rule of rectangles is as good as exact for what is smooth; couplings have kinks, each worth (step)².
    assert density.sum() * 0.08**2 == pytest.approx(1, abs=5e-3)


def test_the_first_batch_leaves_every_step_with_unit_moments():
    n_channels, space, settings = CASES["2-D, a patch of 4"]
    correlated = jnp.cumsum(jr.normal(jr.key(0), (64, n_channels, *space)), -1) + 3
    flow = fitted_to(Glow(n_channels, space, settings, key=jr.key(1)), correlated)
    latents, _ = jax.vmap(flow.forward)(correlated)
    # The last step is a rotation of channels that have mean 0 and variance 1, then a coupling of scale .98.
    variance = np.mean([float(jnp.mean(z**2)) for z in latents])
    assert variance == pytest.approx(1, abs=0.1)
    assert float(log_density(flow, correlated[0])) > float(log_standard_normal(correlated[0])) + 50


def test_grids_and_channels_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"not divisible by patch x 2\^\(levels - 1\) = 8"):
        Glow(1, (12, 12), GlowSettings(n_levels=2, patch=4), key=jr.key(0))
    with pytest.raises(ValueError, match="no halves"):
        Glow(1, (8,), GlowSettings(n_levels=1, patch=1), key=jr.key(0))
