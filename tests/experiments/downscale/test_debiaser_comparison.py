"""Debiasers side by side, through the command line."""

import json

from ...tiny import Call

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
    found = json.loads(path.read_text())
    assert found["by_candidate"]
    return {name: {row["metric"]: row[name] for row in found["table"]} for name in found["columns"]}


def test_every_method_is_a_row_beside_raw_fields_and_the_floor(archives, subgrid: Call, tmp_path):
    (tmp_path / "c.toml").write_text(FILES.format(folder=archives))
    outcome = subgrid("debias", tmp_path / "c.toml", "-o", tmp_path / "run")
    assert outcome.code == 0, outcome.err
    scores = by_column(tmp_path / "run" / "debiasers.json")
    assert list(scores) == ["raw", "none", "quantile-mapping", "gaussian", "floor"]
    assert scores["none"] == scores["raw"]  # T(y) = y
    # Forty fields of training are too few for a gain on others: that each method moved them is all that is asserted.
    assert all(scores[method] != scores["raw"] for method in ("quantile-mapping", "gaussian"))
    assert "| gaussian |" in outcome.out
    assert str(tmp_path / "run" / "debiasers.md") in outcome.out


def test_what_is_done_is_not_done_again(archives, subgrid: Call, tmp_path):
    (tmp_path / "c.toml").write_text(FILES.format(folder=archives))
    arguments = ("debias", tmp_path / "c.toml", "-o", tmp_path / "run", "--set", 'comparison.debiasers=["none"]')
    assert subgrid(*arguments).code == 0
    table, record = tmp_path / "run" / "debiasers.json", tmp_path / "run" / "debiasers" / "none.json"
    before = table.read_bytes(), table.stat().st_mtime_ns
    record.write_text(record.read_text().replace('"seconds": ', '"seconds": 7'))
    assert "| none |" in subgrid(*arguments).out
    assert (table.read_bytes(), table.stat().st_mtime_ns) == before  # the whole comparison is finished
    outcome = subgrid(*arguments, "--set", 'comparison.debiasers=["none", "gaussian"]')
    assert outcome.code == 0, outcome.err
    methods = json.loads(table.read_text())["methods"]
    assert list(methods) == ["none", "gaussian"]
    assert str(methods["none"]["seconds"])[0] == "7"
    complaint = subgrid(*arguments, "--set", "debias.n_quantiles=5").complaint
    assert "debiasers.md was made with debias.n_quantiles = 10, not 5" in complaint


def test_nothing_to_compare(archives, subgrid: Call, tmp_path):
    (tmp_path / "c.toml").write_text(FILES.format(folder=archives))
    outcome = subgrid("debias", tmp_path / "c.toml", "-o", tmp_path / "run", "--set", "comparison.debiasers=[]")
    assert outcome.code == 2
    assert "comparison.debiasers is empty" in outcome.complaint
