"""A fit goes on from its own checkpoints alone."""

import json

import jax.random as jr
import numpy as np
import pytest

from subgrid.training.checkpoint import CheckpointMismatch
from subgrid.training.origin import digest, key_data, require_same_origin

ORIGIN = {"settings": {"channels": (8, 16), "sigma": 0.5}, "key": key_data(jr.key(0)), "n_steps": 10}


def test_the_same_goes_on_and_what_may_differ_may(tmp_path):
    path = tmp_path / "run" / "fit.json"
    require_same_origin(path, ORIGIN, resuming=False)
    require_same_origin(path, ORIGIN, resuming=True)
    require_same_origin(path, {**ORIGIN, "n_steps": 20}, resuming=True, may_differ=("n_steps",))
    assert json.loads(path.read_text())["n_steps"] == 20


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"settings": {"channels": (8, 16), "sigma": 0.6}}, r"settings: sigma = 0\.5, not 0\.6"),
        ({"key": key_data(jr.key(1))}, r"key = \[0, 0\], not \[0, 1\]"),
        ({"fields": digest(np.zeros(3))}, "fields = None, not"),
    ],
)
def test_what_differs_is_named(tmp_path, other, message):
    path = tmp_path / "fit.json"
    require_same_origin(path, ORIGIN, resuming=False)
    with pytest.raises(CheckpointMismatch, match=f"was begun with {message}"):
        require_same_origin(path, {**ORIGIN, **other}, resuming=True)
    assert json.loads(path.read_text())["settings"]["sigma"] == 0.5


def test_digests_tell_bits_shapes_and_types_apart():
    x = np.arange(6, dtype=np.float32)
    assert digest(x) == digest(x.copy()) == digest(x[::-1][::-1])
    assert len({digest(x), digest(x[::-1]), digest(x.reshape(2, 3)), digest(x.view(np.int32)), digest(x, x)}) == 5


def test_where_nothing_was_kept_nothing_goes_on(tmp_path):
    with pytest.raises(CheckpointMismatch, match=r"no readable fit\.json"):
        require_same_origin(tmp_path / "fit.json", ORIGIN, resuming=True)
    (tmp_path / "fit.json").write_text('{"settings": ')
    with pytest.raises(CheckpointMismatch, match=r"no readable fit\.json"):
        require_same_origin(tmp_path / "fit.json", ORIGIN, resuming=True)
