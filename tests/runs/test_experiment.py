"""What names a kind of experiment, and which folder a run may have."""

import tomllib
from pathlib import Path

import pytest

from subgrid.data.store import OutputExists
from subgrid.experiments import DEFAULT, KINDS
from subgrid.runs.config import ConfigError
from subgrid.runs.experiment import check_own_folder, keep_config, kind_of, load_config, open_run
from subgrid.runs.kinds import Kind

from . import letters
from .letters import EXPERIMENT, WORD, LettersRun, opened

FILES = sorted((Path(__file__).parents[2] / "experiments").glob("*.toml"))
TWO = {**letters.KINDS, "digits": Kind("gone.digits", "Writes digits.")}
"""The second is never imported: it need not exist to be named."""


def kind(path, text, **options):
    path.write_text(text)
    return kind_of(path, TWO, default="letters", **options)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_configuration_of_the_repository_is_of_one_kind_and_can_be_used(path):
    found = kind_of(path, KINDS, default=DEFAULT)
    config = load_config(KINDS[found].load(), path)
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    assert tables.keys() <= config.model_dump().keys()
    assert found == DEFAULT or found in tables


def test_the_table_in_the_file_names_the_kind(tmp_path):
    assert kind(tmp_path / "a.toml", '[letters]\nword = "a"\n') == "letters"
    assert kind(tmp_path / "a.toml", "[digits]\nn = 1\n") == "digits"


def test_an_override_may_bring_the_table(tmp_path):
    assert kind(tmp_path / "a.toml", "", overrides=["digits.n=1"]) == "digits"


def test_a_file_whose_tables_are_all_of_the_default_kind_is_of_it(tmp_path):
    assert kind(tmp_path / "a.toml", "[run]\nseed = 1\n") == "letters"


def test_two_tables_that_name_kinds_are_both_named(tmp_path):
    with pytest.raises(ConfigError, match=r"a\.toml: has the tables \[letters\] and \[digits\].*keep one of them"):
        kind(tmp_path / "a.toml", "[letters]\n[digits]\n")


def test_a_file_without_a_known_table_is_reported_the_nearest_and_all(tmp_path):
    with pytest.raises(ConfigError) as refused:
        kind(tmp_path / "a.toml", "[leters]\nword = 'a'\n")
    for text in ("no table that names a kind of experiment ([letters], [digits])", "did you mean 'letters'?", "init"):
        assert text in str(refused.value)
    with pytest.raises(ConfigError, match=r"a\.toml: is empty; `subgrid init KIND`"):
        kind(tmp_path / "a.toml", "")


def test_values_that_do_not_go_together_are_reported_with_the_file(tmp_path):
    (tmp_path / "a.toml").write_text('[letters]\nword = "two words"\n')
    with pytest.raises(ConfigError, match=r"a\.toml: letters\.word = 'two words': one word, without spaces"):
        load_config(EXPERIMENT, tmp_path / "a.toml")
    with pytest.raises(ConfigError, match=r"a\.toml with --set: letters\.word = 'b c': one word"):
        load_config(EXPERIMENT, tmp_path / "a.toml", ["letters.word='b c'"])


def test_paths_of_a_file_are_taken_from_its_folder(tmp_path):
    (tmp_path / "a.toml").write_text('[letters]\nword = "a"\nsource = "ink.txt"\n')
    run = open_run(EXPERIMENT, tmp_path / "a.toml", tmp_path / "run")
    assert isinstance(run, LettersRun) and run.config.letters.source == str(tmp_path / "ink.txt")


def test_a_configuration_is_kept_once_and_reads_back_as_itself(tmp_path):
    run = opened(tmp_path)
    keep_config(run)
    before = (tmp_path / "config.toml").stat().st_mtime_ns
    keep_config(opened(tmp_path))
    assert (tmp_path / "config.toml").stat().st_mtime_ns == before
    assert load_config(EXPERIMENT, tmp_path / "config.toml") == run.config
    keep_config(opened(tmp_path, "letters.n=3"))
    assert load_config(EXPERIMENT, tmp_path / "config.toml").letters.n == 3


def test_a_folder_with_the_rest_of_a_killed_write_is_free(tmp_path):
    (tmp_path / ".config.toml.partial-123").write_text("[run")
    keep_config(opened(tmp_path))
    assert (tmp_path / "config.toml").exists()


@pytest.mark.parametrize("name", ["thesis.txt", ".hidden"])
def test_a_folder_with_anything_else_is_not(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(OutputExists, match="exists and is not a run folder"):
        opened(tmp_path)
    with pytest.raises(OutputExists, match="exists and is not a model folder"):
        check_own_folder(tmp_path)


def test_a_file_in_place_of_the_folder(tmp_path):
    (tmp_path / "run").write_text("mine")
    with pytest.raises(OutputExists, match="is a file"):
        opened(tmp_path / "run")


def test_a_folder_of_another_kind_of_experiment_is_named_as_such(tmp_path):
    (tmp_path / "config.toml").write_text("[toy]\nn_steps = 7\n")
    with pytest.raises(OutputExists, match=r"of another kind of experiment, without the table \[letters\]; choose"):
        opened(tmp_path)
    check_own_folder(tmp_path)  # of a model there is no kind


def test_a_kept_configuration_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "config.toml").write_text("[letters\n")
    with pytest.raises(OutputExists, match=r"not valid TOML.* It is what tells a run folder; choose another"):
        opened(tmp_path)


def test_what_has_no_default_is_asked_for():
    with pytest.raises(ConfigError, match=r"letters\.word is missing; it has no default"):
        load_config(EXPERIMENT, None, ["letters.n=2"])
    assert load_config(EXPERIMENT, None, [WORD]).letters.n == 2
