"""`subgrid samplers`: what it scores, keeps and refuses, on tiny archives."""

import json

import numpy as np
import pytest

from subgrid.data.store import OutputExists
from subgrid.experiments.downscale import sampler_comparison
from subgrid.runs.config import ConfigError

from .opening import SETTINGS, configured, files, finished, planned

SAMPLERS = ["gaussian-gain", "particles", "conditional-diffusion"]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*(noise levels|particles collapsed|sigma_max of at least)"),
]


def settings_of(archives, *more):
    compared = [f"comparison.samplers={json.dumps(SAMPLERS)}", "comparison.evaluations=[2,4]"]
    return [*SETTINGS, *files(archives), *compared, *more]


@pytest.fixture(scope="module")
def compared(archives, tmp_path_factory):
    folder = tmp_path_factory.mktemp("samplers") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("subgrid.experiments.downscale.unconditional_comparison.N_DRAWS", 256)
        finished(folder, settings_of(archives), goal="samplers")
    return folder


def rows_of(folder):
    found = json.loads((folder / "samplers.json").read_text())
    return {(row["sampler"], row["evaluations"]): row for row in found["table"]}, found["unconditional"]


@pytest.mark.slow
def test_each_sampler_is_scored_at_what_it_can_do(compared):
    rows, alone = rows_of(compared)
    guided = {(sampler, n) for sampler in ("gaussian-gain", "particles") for n in (2, 4)}
    assert set(rows) == guided | {("conditional-diffusion", 4)}
    assert all(np.isfinite(row["CRPS"]) and row["CRPS"] > 0 for row in rows.values())
    assert "effective_size" in rows["particles", 4]
    assert alone[-1]["sampler"] == "noise floor"
    for name in ("samplers.md", "crps.svg", "spread.svg"):
        assert (compared / name).stat().st_size > 100


def test_particles_are_those_of_the_sampler_not_of_the_configuration(archives):
    config = configured(settings_of(archives, "downscaling.method=diffusion", "sampling.particles=4"))
    found = {name: sampler_comparison._configured(config, name, 4).sampling.particles for name in SAMPLERS}
    assert found == {"gaussian-gain": 1, "particles": sampler_comparison.N_PARTICLES, "conditional-diffusion": 1}


def test_seconds_count_draws_whatever_the_chunk():
    assert sampler_comparison._seconds_a_draw([(1.0, 16), (2.0, 32), (3.0, 48)]) == pytest.approx(2 / 32)
    assert sampler_comparison._seconds_a_draw([(1.0, 16)]) is None


@pytest.mark.slow
def test_more_evaluations_are_added_to_what_is_done(compared, archives, monkeypatch):
    monkeypatch.setattr("subgrid.experiments.downscale.unconditional_comparison.N_DRAWS", 256)
    before, _ = rows_of(compared)
    more = ['comparison.samplers=["gaussian-gain"]', "comparison.evaluations=[2,5]"]
    finished(compared, settings_of(archives, *more), goal="samplers")
    after, alone = rows_of(compared)
    assert set(after) == {("gaussian-gain", 2), ("gaussian-gain", 5)}
    assert after["gaussian-gain", 2] == before["gaussian-gain", 2]
    assert {row["evaluations"] for row in alone} == {5, None}


@pytest.mark.parametrize("changed", ["training.n_steps=30", "evaluation.n_conditions=5", "sampling.n_members=4"])
def test_a_folder_of_other_values_is_refused(compared, archives, changed):
    with pytest.raises(OutputExists, match=changed.split("=")[0]):
        planned(compared, settings_of(archives, changed), until=["compare samplers"])


def test_a_jitter_that_only_debiasing_knows_is_refused(archives, tmp_path):
    with pytest.raises(ConfigError, match="give the number"):
        finished(tmp_path / "b", settings_of(archives, "downscaling.jitter=debiaser"), goal="samplers")
