"""Debiasers side by side on climate archives, through the command line."""

import json

import pytest

from ...downscaling.climate_pair import write_configuration, write_pair


@pytest.fixture(scope="module")
def biased(tmp_path_factory):
    """A climate pair with a bias of 2 K, and its configuration."""
    folder = write_pair(tmp_path_factory.mktemp("pair"))
    write_configuration(folder, "tas")
    with (folder / "run.toml").open("a") as file:
        file.write('\n[comparison]\ndebiasers = ["none", "gaussian"]\n')
    return folder


@pytest.mark.slow
def test_every_method_is_a_row_beside_raw_fields_and_the_floor(biased, subgrid, tmp_path):
    outcome = subgrid("debias", biased / "run.toml", "-o", tmp_path / "run")
    assert outcome.code == 0, outcome.err
    found = json.loads((tmp_path / "run" / "debiasers.json").read_text())
    scores = {name: {row["metric"]: row[name] for row in found["table"]} for name in found["columns"]}
    assert scores.keys() == {"raw", "none", "gaussian", "floor"}
    assert scores["none"] == scores["raw"]  # both are anomalies, without a change
    assert scores["floor"]["tas W1"] > 0
