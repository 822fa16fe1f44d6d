"""Folds: a whole run each, resumed, and their scores side by side."""

import json
from dataclasses import replace

import pytest

from subgrid.runs.config import ConfigError
from subgrid.runs.experiment import Experiment, Folds
from subgrid.runs.folds import fold_table, run_folds
from subgrid.training.progress import recording

from .letters import EXPERIMENT, RECIPE, record_of

FOLDS = Folds("climate.training", {"wet": "wet winters", "dry": "dry winters"}, ("raw", "generated"))


def row(metric, **numbers):
    return {"group": "tas", "metric": metric, "target": "0", "about": "a distance", **numbers}


@pytest.fixture
def file(tmp_path):
    (tmp_path / "a.toml").write_text('[letters]\nword = "alpha"\n')
    return tmp_path / "a.toml"


def folded(file, folder, *overrides, experiment=EXPERIMENT):
    said = []
    with recording(lambda sentence: said.append(sentence.strip())):
        table = run_folds(experiment, file, folder, overrides, progress=False)
    return table, [sentence for sentence in said if sentence.split(":")[0] not in ("write", "copy", "score", "report")]


def test_a_table_has_a_row_a_metric_that_all_folds_have_and_columns_by_fold():
    first = row("W1", raw=1.0, generated=0.5, bcsd=9.0, **{"independent fields": 30})
    wet = {"table": [first, row("only here", raw=2.0)]}
    dry = {"table": [row("W1", raw=1.5, generated=None)]}
    table = fold_table(FOLDS, {"wet": wet, "dry": dry})
    shown = ("raw", "generated", "independent fields")
    assert table.columns == tuple(f"{fold}: {column}" for column in shown for fold in ("wet", "dry"))
    assert table.rows == [
        row(
            "W1",
            **{
                "wet: raw": 1.0, "dry: raw": 1.5, "wet: generated": 0.5, "dry: generated": None,
                "wet: independent fields": 30, "dry: independent fields": None,
            },
        )
    ]  # fmt: skip
    assert "| tas | W1 | 1 | 1.5 | 0.5 | 30 |" in table.as_markdown()  # what no fold has a number of is left out


def test_each_fold_is_a_run_of_its_own_and_their_scores_are_in_one_table(file, tmp_path):
    table, said = folded(file, tmp_path / "folds")
    assert said == [
        "first: letters.half = first", "wrote alpha", "second: letters.half = second", "wrote alpha",
    ]  # fmt: skip
    assert [table.rows[0][f"{name}: generated"] for name in ("first", "second")] == [20, 22]  # alphafirst, alphasecond
    written = json.loads((tmp_path / "folds" / "folds.json").read_text())
    assert written["folds"] == ["first", "second"] and written["table"] == table.rows
    assert set(written["commits"]["first"]) == {"write", "copy", "score"}
    assert (tmp_path / "folds" / "folds.md").read_text(encoding="utf-8") == table.as_markdown()
    assert (tmp_path / "folds" / "second" / "report.html").exists()


def test_folds_that_are_finished_are_not_made_again(file, tmp_path):
    folded(file, tmp_path / "folds")
    before = record_of(tmp_path / "folds" / "first", "copy")["id"]
    _, said = folded(file, tmp_path / "folds")
    assert said == ["first: letters.half = first", "second: letters.half = second"]
    assert record_of(tmp_path / "folds" / "first", "copy")["id"] == before


def test_a_fold_that_others_go_on_with_leaves_no_table_and_the_others_are_made(file, tmp_path):
    with pytest.raises(ConfigError) as complaint:
        folded(file, tmp_path / "folds", "letters.others=true")
    assert "there is no table yet; first: two copies are still to do; submit them." in str(complaint.value)
    assert (tmp_path / "folds" / "second" / "copies").exists()
    assert not (tmp_path / "folds" / "folds.md").exists()


def test_the_key_that_folds_differ_in_is_left_out_of_the_file(file, tmp_path):
    with pytest.raises(ConfigError, match=r"a\.toml: letters\.half is what the folds differ in: leave it out"):
        folded(file, tmp_path / "folds", "letters.half=first")


def test_experiments_without_folds_are_named(file, tmp_path):
    bare: Experiment = replace(EXPERIMENT, recipe=lambda: replace(RECIPE, folds=None))
    with pytest.raises(ConfigError, match=r"experiments of the table \[letters\] have no folds"):
        folded(file, tmp_path / "folds", experiment=bare)
