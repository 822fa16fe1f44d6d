"""The prior in words, for each kind that there is."""

from types import SimpleNamespace

import equinox as eqx
import jax.random as jr
import pytest

from subgrid.experiments.climate import choices
from subgrid.experiments.climate.run import ClimateRun


@pytest.mark.parametrize(
    ("support", "gain", "refined", "words"),
    [
        (None, None, False, "Gaussian of 40 components, no network; conditioned on C'x in closed form"),
        (2.0, "measured", True, "Gaussian of 40 components, tapered covariances, refined by a network of 8 parameters"),
        (None, "measured", False, "a network of 8 parameters was trained and is not used"),
    ],
)
def test_the_prior_is_named_with_its_components_and_its_network(monkeypatch, tmp_path, support, gain, refined, words):
    network = eqx.nn.Linear(3, 2, key=jr.key(0))  # 3 · 2 weights and 2 biases
    choice = SimpleNamespace(n_components=40, support=support)
    prior = SimpleNamespace(choice=choice, gain=gain, refined=refined, denoiser=SimpleNamespace(network=network))
    monkeypatch.setattr(choices, "load_refined_prior", lambda folder: prior)
    run = object.__new__(ClimateRun)  # of which only the folder is asked for
    run.folder = tmp_path
    assert words in choices.prior_in_words(run)
