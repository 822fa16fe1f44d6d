"""Debiasers side by side, through the command line."""

import json

import pytest

from ..downscaling.climate_pair import write_configuration, write_pair

FILES = """
[data]
source = "files"
fine = "{folder}/fine.nc"
coarse = "{folder}/coarse.nc"

[coarsening]
factor = 4

[debias]
n_quantiles = 10

[evaluation]
n_shifts = 1

[comparison]
debiasers = ["none", "quantile-mapping", "gaussian"]
"""


def by_column(path):
    """Scores by column of a `debiasers.json`."""
    rows = json.loads(path.read_text())["table"]
    names = rows[0].keys() - {"group", "metric", "target"}
    return {name: {row["metric"]: row[name] for row in rows} for name in names}


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A climate pair with a bias of 3 K, and its configuration."""
    folder = write_pair(tmp_path_factory.mktemp("pair"))
    write_configuration(folder, "tas")
    with (folder / "run.toml").open("a") as file:
        file.write('\n[comparison]\ndebiasers = ["none", "gaussian"]\n')
    return folder


def test_every_method_is_a_row_beside_raw_fields_and_the_floor(archives, subgrid, tmp_path):
    (tmp_path / "c.toml").write_text(FILES.format(folder=archives))
    outcome = subgrid("debias", tmp_path / "c.toml", "-o", tmp_path / "run")
    assert outcome.code == 0, outcome.err
    scores = by_column(tmp_path / "run" / "debiasers.json")
    assert scores.keys() == {"raw", "none", "quantile-mapping", "gaussian", "floor"}
    assert scores["none"] == scores["raw"]  # T(y) = y
    # Forty fields of training are too few for a gain on others: that each method moved them is all that is told.
    assert all(scores[method] != scores["raw"] for method in ("quantile-mapping", "gaussian"))
    assert "| gaussian |" in outcome.out


def test_what_is_done_is_not_done_again(archives, subgrid, tmp_path):
    (tmp_path / "c.toml").write_text(FILES.format(folder=archives))
    arguments = ("debias", tmp_path / "c.toml", "-o", tmp_path / "run", "--set", 'comparison.debiasers=["none"]')
    assert subgrid(*arguments).code == 0
    record = tmp_path / "run" / "debiasers" / "none.json"
    record.write_text(record.read_text().replace('"seconds": ', '"seconds": 7'))
    assert subgrid(*arguments).code == 0
    assert str(json.loads((tmp_path / "run" / "debiasers.json").read_text())["methods"]["none"]["seconds"])[0] == "7"
    complaint = subgrid(*arguments, "--set", "debias.n_quantiles=5").complaint
    assert "debiasers was made with debias.n_quantiles = 10, not 5" in complaint


def test_of_climate_archives(pair, subgrid, tmp_path):
    outcome = subgrid("debias", pair / "run.toml", "-o", tmp_path / "run")
    assert outcome.code == 0, outcome.err
    scores = by_column(tmp_path / "run" / "debiasers.json")
    assert scores.keys() == {"raw", "none", "gaussian", "floor"}
    assert scores["none"] == scores["raw"]  # both are anomalies, without a change
    assert scores["floor"]["tas W1"] > 0


def test_nothing_to_compare(archives, subgrid, tmp_path):
    (tmp_path / "c.toml").write_text(FILES.format(folder=archives))
    outcome = subgrid("debias", tmp_path / "c.toml", "-o", tmp_path / "run", "--set", "comparison.debiasers=[]")
    assert outcome.code == 2
    assert "comparison.debiasers is empty" in outcome.complaint
