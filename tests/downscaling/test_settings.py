"""Settings by their names: lists are as good as tuples."""

import numpy as np

from subgrid.downscaling.prior.model import PriorSettings
from subgrid.downscaling.prior.training import TrainingSettings
from subgrid.downscaling.settings import as_tuples, sort_settings


def test_lists_are_tuples_however_deep():
    given = {"channels": [8, 16], "options": {"hidden": [4], "named": "abc"}, "n": np.array([4, 8])}
    assert as_tuples(given) == {"channels": (8, 16), "options": {"hidden": (4,), "named": "abc"}, "n": (4, 8)}
    assert as_tuples(None) is None and as_tuples("abc") == "abc"


def test_settings_that_are_lists_can_be_told_apart_by_jax():
    own, _ = sort_settings("fit", {"channels": [8, 16], "attention_levels": []}, PriorSettings, TrainingSettings)
    assert own == {"channels": (8, 16), "attention_levels": ()}
    assert hash(tuple(own.items())) == hash((("channels", (8, 16)), ("attention_levels", ())))
