"""`subgrid samplers`: what it scores, keeps and refuses, on tiny archives."""

import json

import numpy as np
import pytest

from subgrid.cli import sampler_comparison
from subgrid.cli.config import ConfigError, load_config
from subgrid.cli.experiment import open_experiment
from subgrid.cli.sampler_comparison import compare_samplers
from subgrid.data.store import OutputExists

from .test_conditional_run import SETTINGS

SAMPLERS = ["gaussian-gain", "particles", "conditional-diffusion"]
pytestmark = pytest.mark.filterwarnings("ignore:.*(noise levels|particles collapsed|sigma_max of at least)")


def opened(archives, folder, *settings):
    files = [f"data.{name}={archives / name}.nc" for name in ("fine", "coarse")]
    compared = [f"comparison.samplers={json.dumps(SAMPLERS)}", "comparison.evaluations=[2,4]"]
    return open_experiment(load_config(None, [*SETTINGS, *files, *compared, *settings]), folder)


@pytest.fixture(scope="module")
def compared(archives, tmp_path_factory):
    folder = tmp_path_factory.mktemp("samplers") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("subgrid.cli.unconditional_comparison.N_DRAWS", 256)
        compare_samplers(opened(archives, folder))
    return folder


def rows_of(folder):
    found = json.loads((folder / "samplers.json").read_text())
    return {(row["sampler"], row["evaluations"]): row for row in found["table"]}, found["unconditional"]


def test_each_sampler_is_scored_at_what_it_can_do(compared):
    rows, alone = rows_of(compared)
    guided = {(sampler, n) for sampler in ("gaussian-gain", "particles") for n in (2, 4)}
    assert set(rows) == guided | {("conditional-diffusion", 4)}
    assert all(np.isfinite(row["CRPS"]) and row["CRPS"] > 0 for row in rows.values())
    assert "effective_size" in rows["particles", 4]
    assert alone[-1]["sampler"] == "noise floor"
    for name in ("samplers.md", "crps.svg", "spread.svg"):
        assert (compared / name).stat().st_size > 100


def test_particles_are_those_of_the_sampler_not_of_the_configuration(archives, tmp_path):
    config = opened(archives, tmp_path / "a", "downscaling.method=diffusion", "sampling.particles=4").config
    found = {name: sampler_comparison._configured(config, name, 4).sampling.particles for name in SAMPLERS}
    assert found == {"gaussian-gain": 1, "particles": sampler_comparison.N_PARTICLES, "conditional-diffusion": 1}


def test_seconds_count_draws_whatever_the_chunk():
    assert sampler_comparison._seconds_a_draw([(1.0, 16), (2.0, 32), (3.0, 48)]) == pytest.approx(2 / 32)
    assert sampler_comparison._seconds_a_draw([(1.0, 16)]) is None


def test_more_evaluations_are_added_to_what_is_done(compared, archives, monkeypatch):
    monkeypatch.setattr("subgrid.cli.unconditional_comparison.N_DRAWS", 256)
    before, _ = rows_of(compared)
    more = ['comparison.samplers=["gaussian-gain"]', "comparison.evaluations=[2,5]"]
    compare_samplers(opened(archives, compared, *more))
    after, alone = rows_of(compared)
    assert set(after) == {("gaussian-gain", 2), ("gaussian-gain", 5)}
    assert after["gaussian-gain", 2] == before["gaussian-gain", 2]
    assert {row["evaluations"] for row in alone} == {5, None}


@pytest.mark.parametrize("changed", ["training.n_steps=30", "evaluation.n_conditions=5", "sampling.n_members=4"])
def test_a_folder_of_other_values_is_refused(compared, archives, changed):
    with pytest.raises(OutputExists, match=changed.split("=")[0]):
        opened(archives, compared, changed)


def test_a_jitter_that_only_debiasing_knows_is_refused(archives, tmp_path):
    with pytest.raises(ConfigError, match="give the number"):
        compare_samplers(opened(archives, tmp_path / "b", "downscaling.jitter=debiaser"))
