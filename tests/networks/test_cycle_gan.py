"""The generator and the critic of a cycleGAN: they must not clip fields, or forget how large they are."""

import equinox as eqx
import jax
import jax.random as jr
import numpy as np
import pytest

from subgrid.networks.cycle_gan import (
    PUBLISHED_TRANSLATION,
    CriticSettings,
    InstanceNorm,
    PatchCritic,
    Translation,
    TranslationSettings,
)

from .weights import normal, perturbed

SMALL = TranslationSettings(channels=4, n_blocks=2, patch=2, n_levels=1)


def test_instance_norm_has_the_moments_of_each_channel_alone():
    x = 3 + 5 * normal(0, 8, 8, 3) * np.float32([1, 2, 3])
    out = np.asarray(eqx.filter_jit(InstanceNorm())(x))
    np.testing.assert_allclose(out.mean((0, 1)), 0, atol=1e-5)
    np.testing.assert_allclose(out.std((0, 1)), 1, atol=1e-4)


def test_the_generator_commutes_with_shifts_by_whole_cells():
    run, x = eqx.filter_jit(perturbed(Translation(2, 2, SMALL, key=jr.key(0)))), normal(2, 2, 16, 8)
    out = np.asarray(run(x))
    assert out.shape == x.shape
    np.testing.assert_allclose(run(np.roll(x, (4, 4), (1, 2))), np.roll(out, (4, 4), (1, 2)), atol=2e-5)
    assert np.abs(np.asarray(run(np.roll(x, 1, 1))) - np.roll(out, 1, 1)).max() > 1e-3


def test_amplitudes_reach_the_output_and_are_not_clipped():
    run, x = eqx.filter_jit(perturbed(Translation(1, 1, SMALL, key=jr.key(0)))), normal(2, 1, 16)
    small, large, larger = (np.abs(run(np.float32(scale) * x)).max() for scale in (1.0, 100.0, 200.0))
    assert large > 10 * small
    # What runs past the blocks grows with the field, what they add does not; biases are the rest.
    assert larger / large == pytest.approx(2, abs=0.1)


def test_the_published_generator_has_its_number_of_weights():
    network = eqx.filter_eval_shape(lambda: Translation(1, 2, PUBLISHED_TRANSLATION, key=jr.key(0)))
    count = sum(leaf.size for leaf in jax.tree.leaves(network) if hasattr(leaf, "size"))
    # 7 × 7 stem and head; a level gathers 4 points; six blocks of two 3 × 3 convolutions at width 128.
    ends = 49 * 32 + 32 + 49 * 32 + 1
    levels = (128 * 64 + 64) + (256 * 128 + 128) + (128 * 256 + 256) + (64 * 128 + 128)
    assert count == ends + levels + 6 * 2 * (9 * 128 * 128 + 128)


def test_a_score_depends_on_its_patch_and_its_neighbours_alone():
    critic = eqx.filter_jit(PatchCritic(1, 1, CriticSettings(channels=4, patch=2, n_levels=1), key=jr.key(0)))
    x = normal(2, 1, 64)
    scores, moved = (np.asarray(critic(each)) for each in (x, x + np.float32(np.arange(64) == 32)))
    assert scores.shape == (16,)
    changed = np.flatnonzero(scores != moved)
    assert 8 in changed and changed.min() >= 6 and changed.max() <= 10


def test_a_critic_tells_fields_by_their_amplitude():
    critic = eqx.filter_jit(PatchCritic(1, 2, CriticSettings(channels=4, patch=2, n_levels=1), key=jr.key(0)))
    x = normal(2, 1, 16, 16)
    assert np.abs(np.asarray(critic(2 * x)) - critic(x)).max() > 0.1
