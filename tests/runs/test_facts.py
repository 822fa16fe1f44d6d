"""How long a run took and how large its networks are, where both are known by counting."""

import equinox as eqx
import jax.random as jr
import pytest

from subgrid.runs.facts import n_parameters, runtime


@pytest.mark.parametrize(
    ("seconds", "draws", "words"),
    [
        (
            {"train": 100.0, "sample": 20.0},
            {"sample": 400},
            "2 min 0 s; training 1 min 40 s; 50 ms a draw (400 draws, with compilation and writing)",
        ),
        # Two stages that draw: (6 + 24) seconds for 10 draws, and simulation counts in the total alone.
        (
            {"simulate": 60.0, "train": 5.0, "downscale": 6.0, "perfect model": 24.0},
            {"downscale": 4, "perfect model": 6},
            "1 min 35 s; training 5 s; 3 s a draw (10 draws, with compilation and writing)",
        ),
        ({"sample": 2.9}, {"sample": 10}, "2.9 s; 0.29 s a draw (10 draws, with compilation and writing)"),
        ({"score": 3.0}, {"sample": 10}, "3 s"),  # nothing was trained, and sampled elsewhere
    ],
)
def test_seconds_of_the_whole_of_training_and_of_a_draw(seconds, draws, words):
    assert runtime(seconds, draws) == words


def test_weights_and_biases_count_and_settings_do_not():
    assert n_parameters(eqx.nn.Linear(3, 2, key=jr.key(0))) == 3 * 2 + 2
    network = eqx.nn.MLP(4, 1, 8, 2, key=jr.key(0))
    assert n_parameters(network) == (4 * 8 + 8) + (8 * 8 + 8) + (8 + 1)
