"""What a network is trained on: images of the fields under their symmetries, and what a training is remembered by."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.data.batches import random_shifts
from subgrid.data.normalise import fit_standardiser
from subgrid.downscaling.prior.training import TrainingSettings, _feed, _origin
from subgrid.numerics.symmetries import kolmogorov_symmetries

GROUP = kolmogorov_symmetries(1, n_shifts=3)
FIELDS = np.random.default_rng(0).normal(size=(4, 1, 4, 3)).astype(np.float32)


def images_of(x):
    return jax.vmap(lambda g: g(jnp.asarray(x)))(GROUP.elements())


def batches(training):
    standardiser = fit_standardiser(FIELDS)
    data, draw = _feed(FIELDS, standardiser, 2, training, key=jr.key(0))
    return np.asarray(data), np.asarray(draw(data, jr.key(1)))


def test_batches_are_images_of_the_fields():
    normalised, batch = batches(TrainingSettings(batch_size=300, symmetries=GROUP))
    images = {np.asarray(g).tobytes() for x in normalised for g in images_of(x)}
    found = {x.tobytes() for x in batch}
    assert found <= images
    assert len(found) > 40  # 300 draws of 48 miss 48·(47/48)³⁰⁰ = .1


def test_all_shifts_are_a_case_of_it_and_without_symmetries_fields_are_left_alone():
    normalised, plain = batches(TrainingSettings(batch_size=50))
    assert {x.tobytes() for x in plain} == {x.tobytes() for x in normalised}
    shifted = batches(TrainingSettings(batch_size=50, translation_invariant=True))[1]
    np.testing.assert_array_equal(shifted, random_shifts(jnp.asarray(plain), 2, key=jr.split(jr.key(1))[1]))


def test_symmetries_are_part_of_what_a_training_is_and_their_absence_is_not():
    """A training that was begun before there were any goes on."""
    plain, other = (_origin(FIELDS, TrainingSettings(symmetries=s), jr.key(0))["training"] for s in (None, GROUP))
    assert set(other) - set(plain) == {"symmetries"}
    assert other["symmetries"]["parts"] == (2, 3)


def test_symmetries_are_said_once():
    with pytest.raises(ValueError, match="translation_invariant means all shifts, symmetries another group"):
        TrainingSettings(translation_invariant=True, symmetries=GROUP)
