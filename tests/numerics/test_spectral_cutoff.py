"""The spectral cut-off by the identities of a coarsening, and on waves that it keeps or removes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from subgrid.numerics.spectral_cutoff import SpectralCutoff
from subgrid.types import Coarsening

OPERATORS = [
    SpectralCutoff((12,), (5,)),
    SpectralCutoff((9, 12), (8, 5), gain=np.array([[1.0, 2.0, 0.5]])),
    SpectralCutoff((12,), (5,), "neumann", gain=np.array([1.0, 2.0, 0.5, 3.0, 1.0])),
]


def normals(seed, shape):
    return jax.device_put(np.asarray(np.random.default_rng(seed).normal(size=shape), np.float32))


@pytest.mark.parametrize("operator", OPERATORS)
def test_it_is_a_coarsening(operator):
    x, y = normals(0, (2, *operator.fine_shape)), normals(1, (2, *operator.coarse_shape))

    @jax.jit
    def parts(x, y):
        down, up = operator(x), operator.pseudo_inverse(y)
        back = operator.pseudo_inverse(down)
        return down, operator.adjoint(y), operator(back), up, x - back

    assert isinstance(operator, Coarsening)
    down, adjoint, again, up, removed = parts(x, y)
    np.testing.assert_allclose(jnp.vdot(down, y), jnp.vdot(x, adjoint), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(again, down, atol=1e-5)  # C′C′⁺C′ = C′
    # C′⁺ has no part in the null space: it is orthogonal to what C′ removes.
    np.testing.assert_allclose(jnp.vdot(up, removed), 0, atol=1e-3)


@pytest.mark.parametrize("operator", OPERATORS[1:])
def test_a_ridge_is_that_of_the_normal_equations(operator):
    y = normals(2, operator.coarse_shape)
    units = jnp.eye(np.prod(operator.fine_shape)).reshape(-1, *operator.fine_shape)
    matrix, found = jax.jit(lambda units, y: (operator(units), operator.pseudo_inverse(y, 0.3)))(units, y)
    a = np.asarray(matrix, np.float64).reshape(len(matrix), -1).T
    kept = a @ np.linalg.pinv(a) @ np.asarray(y, np.float64).ravel()  # without Nyquist waves, which have no image
    expected = a.T @ np.linalg.solve(a @ a.T + 0.3 * np.eye(len(a)), kept)
    np.testing.assert_allclose(found.ravel(), expected, atol=1e-5)


def test_it_keeps_waves_of_the_coarse_grid_and_no_others():
    x = np.arange(64) / 64
    kept, lost = np.cos(2 * np.pi * 5 * x + 0.3), np.cos(2 * np.pi * 9 * x)
    coarse = SpectralCutoff((64,), (16,))(jnp.asarray(kept + lost))
    np.testing.assert_allclose(coarse, kept[::4], atol=1e-5)
    # Every fourth point would fold the wave 9 into the wave 7.
    assert np.abs((kept + lost)[::4] - kept[::4]).max() > 0.9


def test_a_coarse_grid_that_is_not_coarser_is_refused():
    with pytest.raises(ValueError, match=r"\(16,\) points does not hold the modes of \(18,\)"):
        SpectralCutoff((16,), (18,))
    assert SpectralCutoff((17,), (18,)).coarse_shape == (18,)  # eight waves on both
