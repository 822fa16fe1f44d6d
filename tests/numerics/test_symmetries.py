"""Groups of symmetries: closed, each element once, the same map on the coarse and on the fine grid."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.numerics.operators import BlockMean, Subsample
from subgrid.numerics.symmetries import Symmetry, SymmetryGroup, augmented, kolmogorov_symmetries, random_images, shifts


def field(*shape, seed=0):
    return jax.device_put(np.asarray(np.random.default_rng(seed).normal(size=shape), np.float32))


_images = eqx.filter_jit(lambda elements, x: jax.vmap(lambda g: g(x))(elements))


def images(group, x):
    return np.asarray(_images(group.elements(), jnp.asarray(x)))


def as_bytes(fields):
    return {one.tobytes() for one in np.asarray(fields)}


def test_the_images_are_the_formulas():
    w = field(16, 4)
    n_y, parts = 16, 8  # of the domain: π/4 is two points
    y, x = np.arange(n_y)[:, None], np.arange(4)[None]
    at = lambda y, x: np.asarray(w)[y % 16, x % 4]  # noqa: E731
    shifted = [at(y + 4 * m, x) for m in range(4)]
    reflected = [-at(y + (2 * m + 1) * n_y // parts, -x) for m in range(4)]
    turned = [at(-y + 4 * m, -x) for m in range(4)]
    both = [-at(-y + (2 * m + 1) * n_y // parts, x) for m in range(4)]
    group = kolmogorov_symmetries(4)
    assert len(group) == 16
    assert as_bytes(images(group, w)) == as_bytes(shifted + reflected + turned + both)
    np.testing.assert_array_equal(images(group, w)[0], w)


@pytest.mark.parametrize("group", [kolmogorov_symmetries(2, n_shifts=4), shifts((4, 8)), kolmogorov_symmetries(3)])
def test_it_is_a_group(group):
    w = field(2, 24, 8)
    elements = group.elements()
    all_images = as_bytes(images(group, w))
    assert len(all_images) == len(group)  # none twice
    one = jax.tree.map(lambda part: jnp.asarray(np.asarray(part)[len(group) // 2 + 1]), elements)
    every = lambda g: (g.inverse()(g(w)), g.after(one)(w), g(one(w)))  # noqa: E731
    back, products, one_by_one = eqx.filter_jit(lambda elements: jax.vmap(every)(elements))(elements)
    np.testing.assert_array_equal(back, np.broadcast_to(w, back.shape))
    np.testing.assert_array_equal(products, one_by_one)
    assert as_bytes(products) == all_images


def test_an_element_is_one_map_on_the_coarse_and_the_fine_grid():
    group, fine = kolmogorov_symmetries(4, n_shifts=8), field(1, 64, 64)
    coarsen = jax.jit(Subsample((64, 64), 8))
    np.testing.assert_array_equal(images(group, coarsen(fine)), coarsen(jnp.asarray(images(group, fine))))
    # Means over blocks move with whole blocks, and are not reflected about a point of the grid.
    mean = jax.jit(BlockMean((64, 64), 8))
    moved, turned = shifts((8, 8)), kolmogorov_symmetries(4)
    np.testing.assert_allclose(images(moved, mean(fine)), mean(jnp.asarray(images(moved, fine))), atol=1e-6)
    assert np.abs(images(turned, mean(fine)) - mean(jnp.asarray(images(turned, fine)))).max() > 0.1


def test_draws_are_uniform_and_images_of_their_own_field():
    group, w = kolmogorov_symmetries(2, n_shifts=3), field(4, 3)
    assert len(group) == 24
    drawn = np.asarray(random_images(jnp.tile(w, (6000, 1, 1)), group, key=jr.key(0)))
    index = {one.tobytes(): i for i, one in enumerate(images(group, w))}
    counts = np.bincount([index[one.tobytes()] for one in drawn], minlength=24)
    assert np.abs(counts - 250).max() < 4.5 * np.sqrt(250)  # binomial standard errors, 24 of them
    single = group.draw(key=jr.key(1))
    assert single.sign.shape == ()
    np.testing.assert_array_equal(single.inverse()(single(w)), w)


def test_an_augmented_archive_has_every_field_as_often():
    group, few = shifts((4,)), jnp.arange(3.0)[:, None] * jnp.ones(4) + jnp.eye(3, 4)
    larger = augmented(few, 10, group, key=jr.key(0))
    base = np.round(np.asarray(larger).sum(1) - 1) / 4  # the sum tells the field
    np.testing.assert_array_equal(base, np.arange(10) % 3)
    np.testing.assert_array_equal(augmented(few, 3, group, key=jr.key(1)), random_images(few, group, key=jr.key(1)))


def test_the_augmented_mean_is_the_mean_over_the_group():
    """What is left of a field averaged over all images: of vorticity, multiples of odd harmonics of cos(k_f y)."""
    y = 2 * np.pi * np.arange(32)[:, None] / 32
    mean = images(kolmogorov_symmetries(4, n_shifts=32), field(32, 32)).mean(0)
    hat = np.fft.rfft(mean[:, 0])
    np.testing.assert_allclose(mean, np.broadcast_to(mean[:, :1], mean.shape), atol=1e-6)
    np.testing.assert_allclose(np.delete(hat, [4, 12]), 0, atol=1e-5)
    np.testing.assert_allclose(hat.imag, 0, atol=1e-5)
    pattern = np.cos(4 * y) * np.ones((1, 32))
    np.testing.assert_allclose(images(kolmogorov_symmetries(4), jnp.asarray(pattern)), [pattern] * 16, atol=1e-6)


def test_bad_input():
    group = kolmogorov_symmetries(4, n_shifts=32)
    element = group.draw(key=jr.key(0))
    with pytest.raises(ValueError, match=r"shift by 1/8 of the domain along axis -2, which 12 points do not allow"):
        element(field(12, 32))
    with pytest.raises(ValueError, match=r"shift by 1/32 of the domain along axis -1, which 16 points do not allow"):
        random_images(field(5, 1, 16, 16), group, key=jr.key(0))
    with pytest.raises(ValueError, match=r"symmetries of 2 axes need a field with as many, got the shape \(32,\)"):
        element(field(32))
    with pytest.raises(ValueError, match="shifts by 3 of 8 parts never come back; use a divisor of 8"):
        SymmetryGroup((8,), (3,))
    assert isinstance(element, Symmetry)
