"""Nearest fields: copies are found, perturbations are as far as they are large, independent fields √2."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy.spatial.distance import cdist

from subgrid.numerics.from_numpy import from_numpy
from subgrid.numerics.symmetries import kolmogorov_symmetries, random_images
from subgrid.verification.memorisation import ROWS_AT_ONCE, nearest_fields, nearest_images

SET = from_numpy(np.random.default_rng(0).normal(50.0, 3.0, (90, 1, 16, 16)))
"""With a mean far from 0, where squared norms would lose the differences."""


def test_a_copy_is_at_distance_zero_and_found():
    order = jr.permutation(jr.key(1), 90)
    found = nearest_fields(SET[order], SET)
    assert (np.asarray(found.distance) == 0).all()
    np.testing.assert_array_equal(found.place, order)


def test_distances_are_those_of_another_library_in_any_number_of_batches():
    samples = jr.normal(jr.key(2), (ROWS_AT_ONCE + 40, 2, 4, 4))
    given = jr.normal(jr.key(3), (31, 2, 4, 4))
    flat = [np.asarray(fields, np.float64).reshape(len(fields), -1) for fields in (samples, given)]
    all_pairs = cdist(*flat)
    found = nearest_fields(np.asarray(samples), given)
    deviation = np.sqrt(np.mean((flat[1] - flat[1].mean(0)) ** 2) * 32)
    np.testing.assert_allclose(found.distance, all_pairs.min(1) / deviation, rtol=1e-5)
    np.testing.assert_array_equal(found.place, all_pairs.argmin(1))


def test_a_perturbed_copy_is_as_far_as_it_was_perturbed():
    """By a tenth of the deviation, whose estimate from 256 points is off by 4/√512 at most."""
    noise = 0.3 * jr.normal(jr.key(4), SET.shape)
    found = nearest_fields(SET + noise, SET)
    np.testing.assert_array_equal(found.place, jnp.arange(90))
    np.testing.assert_allclose(found.distance, 0.1, rtol=4 / np.sqrt(512))


def test_independent_fields_are_the_root_of_two_away():
    """A little less: the least of 90 squared distances 2(1 ± √(2/256))."""
    independent = jr.normal(jr.key(5), SET.shape) * 3 + 50.0
    median = float(jnp.median(nearest_fields(independent, SET).distance))
    assert np.sqrt(2 * (1 - 3 * np.sqrt(2 / 256))) < median < np.sqrt(2)


def test_refusals():
    with pytest.raises(ValueError, match="same channels and grid"):
        nearest_fields(SET[:, :, :8], SET)
    with pytest.raises(ValueError, match="at least two fields"):
        nearest_fields(SET, SET[:1])


def test_an_image_of_a_training_field_is_a_copy_and_an_independent_field_is_not():
    group = kolmogorov_symmetries(2)
    training = jr.normal(jr.key(5), (12, 1, 8, 8))
    images = random_images(training[:6], kolmogorov_symmetries(2, n_shifts=8), key=jr.key(6))  # shifted along x too
    assert float(jnp.max(nearest_images(images, training, group))) < 1e-3
    others = jr.normal(jr.key(7), (6, 1, 8, 8))
    found = nearest_images(others, training, group)
    # By brute force, over all elements and shifts.
    elements = kolmogorov_symmetries(2, n_shifts=8).elements()
    every = jax.vmap(lambda x: jax.vmap(lambda g: g(x))(elements))(others)
    scale = jnp.mean((training - training.mean(0)) ** 2)
    squared = jnp.mean((every[:, :, None] - training) ** 2, axis=(3, 4, 5)) / scale
    np.testing.assert_allclose(found, jnp.sqrt(squared.min((1, 2))), rtol=1e-4)
    assert float(jnp.min(found)) > 0.5
