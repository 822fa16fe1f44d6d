"""Scores of a run folder whose stores are made by hand, so that the right answers are known."""

import json

import numpy as np
import pytest
import xarray as xr

from subgrid.data.store import write_zarr
from subgrid.downscaling.interpolation.cubic import cubic_interpolation
from subgrid.experiments.downscale import scoring
from subgrid.runs.record import Record, write_record

from .opening import files, opened

EPSILON = 0.05


def by_hand(path, **fields) -> None:
    """A store with the dimensions that a run's have."""
    dims = dict.fromkeys(("raw", "debiased", "target"), ("condition", "channel", "x_coarse"))
    dims |= {"truth": ("condition", "channel", "x"), "ensemble": ("condition", "member", "channel", "x")}
    variables = {name: (dims[name], values) for name, values in fields.items()}
    write_zarr(xr.Dataset(variables, attrs={"debias_summary": "{}"}), path)


@pytest.fixture(scope="module")
def metrics(archives, tmp_path_factory):
    """The metrics of a run where raw fields are the coarsened reference, debiased ones the independent reference,
    generated ones the reference; and where the members of each perfect-model case are the truth plus 1, 2 and 3 times
    EPSILON."""
    folder = tmp_path_factory.mktemp("scored")
    settings = ["coarsening.factor=4", "data.translation_invariant=false"]
    experiment = opened(folder / "run", [*settings, *files(archives)])
    write_record(experiment.folder, Record("train", {}, seconds=7.0, finished=True, commit="0a1b2c3"))
    write_record(experiment.folder, Record("score", {}, seconds=1.0))  # which is not finished yet
    _, reference, independent = (part.values for part in experiment.fine)
    by_hand(experiment.path("debiased.zarr"), raw=reference[..., ::4], debiased=independent[..., ::4])
    pairs = reference.reshape(-1, 2, *reference.shape[1:])
    by_hand(experiment.path("ensemble.zarr"), ensemble=pairs, target=pairs[:, 0, :, ::4])
    members = reference[:, None] + EPSILON * np.arange(1.0, 4.0, dtype=np.float32)[:, None, None]
    by_hand(experiment.path("perfect_model.zarr"), ensemble=members, target=reference[..., ::4], truth=reference)
    scoring.score(experiment, lambda done, total, note="": None)
    found = json.loads(experiment.path("metrics.json").read_text())
    return found, {(row["group"], row["metric"]): row for row in found["table"]}, reference


@pytest.mark.parametrize("metric", ["covRMSE", "MELRu", "MELRw", "KLD", "W1"])
@pytest.mark.parametrize(("grid", "column"), [("Coarse grid", "raw"), ("Fine grid", "generated")])
def test_a_set_is_at_no_distance_from_itself(metrics, metric, grid, column):
    # Rounding of float32 in sums over some hundred values; all these metrics are of order one for other fields.
    assert metrics[1][grid, metric][column] == pytest.approx(0, abs=1e-4)
    assert metrics[1][grid, metric]["floor"] > 1e-3


@pytest.mark.parametrize("metric", ["covRMSE", "MELRu", "MELRw", "KLD", "W1", "MMD"])
def test_the_floor_is_what_the_twin_scores(metrics, metric):
    row = metrics[1]["Coarse grid", metric]
    assert row["debiased"] == pytest.approx(row["floor"], rel=1e-4)


def test_perfect_model_scores_are_those_of_the_offsets(metrics):
    _, rows, _ = metrics
    # Members t + e, t + 2e, t + 3e: mean distance to t is 2e, to one another (e + 2e + e)/3, half of which is 2e/3.
    assert rows["Perfect model", "CRPS"]["generated"] == pytest.approx(4 / 3 * EPSILON, rel=1e-3)
    # Their variance is e², at every point and in every case.
    assert rows["Perfect model", "variability"]["generated"] == pytest.approx(EPSILON, rel=1e-3)
    # Spread e·√(4/3), corrected for three members, over an error of 2e.
    assert rows["Perfect model", "spread/skill"]["generated"] == pytest.approx(np.sqrt(4 / 3) / 2, rel=1e-3)
    assert rows["Perfect model", "constraint RMSE"]["cubic"] == pytest.approx(0, abs=1e-6)
    assert rows["Fine grid", "variability"]["cubic"] == 0


def test_rows_have_units_and_the_crps_the_noise_of_its_difference(metrics):
    found, rows, reference = metrics
    assert rows["Perfect model", "CRPS"]["units"] == rows["Fine grid", "W1"]["units"] != "1"
    assert {rows["Fine grid", name]["units"] for name in ("covRMSE", "MELRu", "KLD", "MMD", "constraint RMSE")} == {"1"}
    # The ensemble scores 4/3 e in every case: the difference varies as the error of cubic interpolation does.
    periodic = found["config"]["data"]["periodic"]
    cubic = cubic_interpolation(reference[..., ::4], (4,), centred=False, periodic=periodic)
    of_cases = np.abs(cubic - reference).reshape(len(reference), -1).mean(1)
    expected = 2 * np.std(of_cases, ddof=1) / len(reference) ** 0.5
    assert rows["Perfect model", "CRPS"]["noise"] == pytest.approx(expected, rel=1e-3)


def test_the_truth_below_all_members_has_rank_zero(metrics):
    found, _, reference = metrics
    assert found["rank_histogram"] == [reference.size * 3 // 4, 0, 0, 0]  # every fourth point is known


def test_metrics_say_what_they_were_made_with(metrics):
    found = metrics[0]
    assert found["config"]["coarsening"]["factor"] == 4
    assert found["seconds"] == {"train": 7.0}
    assert found["commits"] == {"train": "0a1b2c3", "score": ""}
    assert found["sampling"] == {"method": "conditional-diffusion", "evaluations": 16}
    assert found["machine"]["jax"]
