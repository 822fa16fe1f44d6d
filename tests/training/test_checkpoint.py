"""Checkpoints: what was saved comes back bit for bit, and another model's store is refused by name."""

import logging

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.training.checkpoint import CheckpointMismatch, Checkpoints, load_weights, save_weights


def tree(width=3, name="weight"):
    return {
        name: jr.normal(jr.key(0), (width, 2)),
        "nested": [jnp.asarray(7, jnp.int32), (jnp.asarray([1.5], jnp.bfloat16), None)],
    }


def test_round_trip_keeps_bits_and_types(tmp_path):
    checkpoints = Checkpoints(tmp_path / "run")
    assert checkpoints.latest() is None
    checkpoints.save(40, tree())
    step, back = Checkpoints(tmp_path / "run").restore(like=tree())
    assert step == 40
    np.testing.assert_array_equal(back["weight"], tree()["weight"])
    assert back["nested"][0].dtype == jnp.int32
    assert back["nested"][1][0].dtype == jnp.bfloat16
    assert back["nested"][1][1] is None


def test_newest_are_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step in (1, 2, 3):
        checkpoints.save(step, {"x": jnp.asarray(float(step))})
    assert Checkpoints(tmp_path).restore(like={"x": jnp.zeros(())})[1]["x"] == 3.0
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.isdigit()) == ["2", "3"]


def test_a_half_written_checkpoint_is_passed_over(tmp_path):
    Checkpoints(tmp_path).save(1, {"x": jnp.ones(())})
    (tmp_path / "2.orbax-checkpoint-tmp-123").mkdir()  # what a crash while writing leaves
    assert Checkpoints(tmp_path).latest() == 1


def test_mismatches_name_the_folder_and_the_array(tmp_path):
    save_weights(tmp_path / "model", tree())
    with pytest.raises(
        CheckpointMismatch, match=r"model holds another model: \['weight'\] has shape \(3, 2\), expected \(4, 2\)"
    ):
        load_weights(tmp_path / "model", like=tree(width=4))
    with pytest.raises(CheckpointMismatch, match=r"2 arrays differ in name, first \['other'\]"):
        load_weights(tmp_path / "model", like=tree(name="other"))


def test_nothing_to_restore(tmp_path):
    with pytest.raises(FileNotFoundError, match="no checkpoint in"):
        load_weights(tmp_path / "missing", like=tree())
    assert not (tmp_path / "missing").exists()


def test_weights_can_be_written_again(tmp_path):
    # A run killed between the weights and the settings writes the weights once more when it resumes.
    save_weights(tmp_path, {"x": jnp.zeros(2)})
    save_weights(tmp_path, {"x": jnp.ones(2)})
    np.testing.assert_array_equal(load_weights(tmp_path, like={"x": jnp.zeros(2)})["x"], [1.0, 1.0])


def test_warnings_of_other_libraries_stay(tmp_path):
    Checkpoints(tmp_path).save(1, {"x": jnp.ones(())})
    assert logging.getLogger("absl").isEnabledFor(logging.WARNING)
