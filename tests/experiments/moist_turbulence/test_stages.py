"""The moist-turbulence experiment at a tiny size: every part, resumed, and refused where settings changed."""

import json
import re
import shutil

import numpy as np
import pytest
import xarray as xr

from subgrid.data.fields import DataError
from subgrid.data.store import OutputExists
from subgrid.experiments import KINDS
from subgrid.experiments.moist_turbulence.archives import read_fields
from subgrid.experiments.moist_turbulence.config import METHODS, TurbulenceConfig
from subgrid.experiments.moist_turbulence.methods import MODELS
from subgrid.experiments.moist_turbulence.stages import RECIPE
from subgrid.runs.launch import dry_run, launch
from subgrid.runs.publishing import publish
from subgrid.runs.record import record_path
from subgrid.runs.stage import in_order

EXPERIMENT = KINDS["turbulence"].load()


def test_stages_are_in_order_and_no_two_make_the_same_part():
    stages = RECIPE.stages(TurbulenceConfig())
    models = {name for names in MODELS.values() for name in names}
    names = [stage.name for stage in stages]
    assert names == [stage.name for stage in in_order(stages)]
    assert names[:2] == ["simulate coarse", "simulate fine"] and names[-2:] == ["score", "report"]
    assert {*names[2:-2]} == {f"fit {name}" for name in models} | {f"downscale with {name}" for name in METHODS}
    parts = [part for stage in stages for part in (*stage.parts, *stage.state)]
    assert len(set(parts)) == len(parts)


@pytest.mark.slow
def test_every_part_is_there_and_the_table_has_every_method(finished):
    metrics = json.loads((finished / "metrics.json").read_text())
    row = next(row for row in metrics["table"] if row["metric"] == "KS")
    every = {"upsampled", "random pairing", "diffusion-bridge", "flow-matching", "dsbm-imf", "floor"}
    assert every <= set(row) and set(metrics["columns"]) == every
    page = (finished / "report.html").read_text()
    assert "https://" not in page and page.count("<figure") == 9
    with xr.open_zarr(finished / "downscaled" / "dsbm-imf.zarr", chunks=None) as stored:
        assert stored.zeta.shape == (4, 1, 64, 64) and sorted(set(stored.wavenumber.values)) == [1, 4]


@pytest.mark.slow
def test_what_is_published_is_what_was_scored(finished, subgrid, tmp_path):
    folder = tmp_path / "published"
    assert subgrid("publish", finished, folder).code == 0
    table = (folder / "table.md").read_text()
    assert "| dsbm-imf |" in table.splitlines()[0] + " |" and table.count("\n") > 10
    assert (folder / "metrics.json").read_bytes() == (finished / "metrics.json").read_bytes()
    assert {"examples.png", "spectrum-vorticity.svg"} <= {path.name for path in folder.iterdir()}


@pytest.mark.slow
def test_the_upsampled_field_is_most_like_its_source_and_random_pairing_is_not(finished):
    curves = json.loads((finished / "metrics.json").read_text())["similarity"]
    assert np.max(curves["upsampled"]) < 1e-3
    assert np.min(curves["random pairing"]) > 0.5  # √2 in the mean; the smallest of few


@pytest.mark.slow
def test_a_finished_run_is_left_as_it_is_and_a_lost_method_is_made_again_alike(finished, tiny, tmp_path):
    assert {each.action for each in dry_run(EXPERIMENT, tiny, finished)[1]} == {"keep"}
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    before = read_fields(folder / "downscaled" / "dsbm-imf.zarr")[0]
    shutil.rmtree(folder / "downscaled" / "dsbm-imf.zarr")
    again = [each.stage.name for each in dry_run(EXPERIMENT, tiny, folder)[1] if each.action != "keep"]
    assert again == ["downscale with dsbm-imf"]  # alike, so that scores and page are of it still
    launch(EXPERIMENT, tiny, folder, until="downscale with dsbm-imf", progress=False)
    after = read_fields(folder / "downscaled" / "dsbm-imf.zarr")[0]
    np.testing.assert_array_equal(after, before)


@pytest.mark.slow
def test_other_settings_are_refused_where_something_was_made_with_them(finished, tiny):
    refused = r"models/dsbm-imf was made with bridge.variance = 0.3, not 0.5; remove models/dsbm-imf to make it anew"
    kept = (finished / "config.toml").read_text()
    with pytest.raises(OutputExists, match=refused):
        launch(EXPERIMENT, tiny, finished, ["bridge.variance=0.5"], progress=False)
    assert (finished / "config.toml").read_text() == kept
    _, planned = dry_run(EXPERIMENT, tiny, finished, ['evaluation.methods=["dsbm-imf"]'])
    assert {each.stage.name: each.action for each in planned} == {
        "simulate coarse": "keep",
        "simulate fine": "keep",
        "fit dsbm-imf": "keep",
        "downscale with dsbm-imf": "keep",
        "score": "remake",
        "report": "remake",
    }


@pytest.mark.slow
def test_settings_of_the_bridges_are_nothing_to_the_flows(finished, tiny, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    for part in ("models", "downscaled"):
        for bridge in (folder / part).glob("dsbm-*"):
            shutil.rmtree(bridge)
    run, planned = dry_run(EXPERIMENT, tiny, folder, ["bridge.variance=0.5"])
    assert run.config.bridge.variance == 0.5
    again = [each.stage.name for each in planned if each.action != "keep"]
    assert again == ["fit dsbm-imf", "downscale with dsbm-imf", "score", "report"]
    with pytest.raises(OutputExists, match=r"models/fine-denoiser was made with training.n_steps = 20, not 60"):
        dry_run(EXPERIMENT, tiny, folder, ["training.n_steps=60"])


@pytest.mark.slow
def test_a_default_of_today_is_not_taken_for_what_an_older_folder_was_made_with(finished, tiny, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    path = record_path(folder, "fit dsbm-imf")
    record = json.loads(path.read_text())
    del record["values"]["normalisation.normal_scores"]
    path.write_text(json.dumps(record))
    refused = "models/dsbm-imf was made by a version that had no normalisation.normal_scores; remove models/dsbm-imf to"
    with pytest.raises(OutputExists, match=re.escape(refused)):
        launch(EXPERIMENT, tiny, folder, progress=False)


@pytest.mark.slow
def test_what_has_no_record_is_neither_gone_on_with_nor_published(simulated, tiny, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(simulated, folder)
    shutil.rmtree(folder / "records")
    refused = f"{folder}: coarse.zarr has no record of what it was made from"
    with pytest.raises(OutputExists, match=re.escape(refused)):
        launch(EXPERIMENT, tiny, folder, progress=False)
    with pytest.raises(DataError, match="What is there is not published"):
        publish(EXPERIMENT, folder, tmp_path / "published", overwrite=False)
