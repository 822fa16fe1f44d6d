"""What keys are, in words, and files to start from."""

import tomllib

import pytest

from subgrid.experiments import KINDS
from subgrid.runs.config import ConfigError
from subgrid.runs.documentation import commented, documented, explain
from subgrid.runs.experiment import kind_of, load_config

from . import letters


def words(text):
    return " ".join(text.split())


@pytest.mark.parametrize("kind", KINDS)
def test_the_file_that_init_writes_can_be_used_and_names_every_key(kind, subgrid, tmp_path):
    path = tmp_path / f"{kind}.toml"
    outcome = subgrid("init", kind, "-o", path)
    assert outcome.code == 0, outcome.err
    assert f"subgrid run {path} --dry-run" in outcome.out.replace("\n", " ")
    experiment = KINDS[kind].load()
    assert kind_of(path, KINDS, default="climate") == kind
    config = load_config(experiment, path)
    for table, keys in experiment.example.items():
        for key, value in keys.items():
            found = getattr(getattr(config, table), key)
            assert (list(found) if isinstance(found, tuple) else found) == value
    text = path.read_text(encoding="utf-8")
    for each in documented(experiment):
        assert f"\n{each.key.partition('.')[2]} = " in text or f"\n# {each.key.partition('.')[2]} = " in text
    refused = subgrid("init", kind, "-o", path)
    assert refused.code == 2 and "exists already" in refused.complaint


@pytest.mark.parametrize("kind", KINDS)
def test_every_default_that_init_writes_in_a_comment_is_one_that_can_be_uncommented(kind, tmp_path):
    experiment = KINDS[kind].load()
    known = {each.key.partition(".")[2]: each.default for each in documented(experiment)}
    lines = []
    for line in commented(KINDS[kind]).splitlines():
        key = line.removeprefix("# ").partition(" = ")[0]
        uncommented = line.startswith("# ") and known.get(key) is not None and f"# {key} = " in line
        lines.append(line.removeprefix("# ") if uncommented else line)
    path = tmp_path / "all.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "short.toml").write_text(commented(KINDS[kind]), encoding="utf-8")
    assert load_config(experiment, path) == load_config(experiment, tmp_path / "short.toml")
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    written = {f"{table}.{key}" for table, keys in tables.items() for key in keys}
    assert written >= {each.key for each in documented(experiment) if each.default is not None}


def test_init_of_a_kind_that_there_is_not(subgrid, tmp_path):
    outcome = subgrid("init", "climat", "-o", tmp_path / "a.toml")
    assert outcome.code == 2 and "no such kind of experiment; did you mean 'climate'?" in outcome.complaint
    assert not (tmp_path / "a.toml").exists()


def test_a_key_is_reported_with_its_values_default_and_consequence():
    text = words(explain("letters.n", letters.KINDS))
    assert text.startswith("letters.n integer (> 0), default 2 (configurations with [letters])")
    assert "How often it is copied." in text
    text = words(explain("letters.word", letters.KINDS))
    assert "string, required" in text and "What is written." in text
    assert "A change concerns: write, and what is made from them." in text
    assert "left out by default" in words(explain("letters.source", letters.KINDS))


def test_a_table_is_reported_key_by_key():
    text = explain("run", letters.KINDS)
    assert "run.name" in text and "run.seed" in text and "letters" not in text.replace("[letters]", "")


def test_an_unknown_key_is_answered_with_the_nearest():
    with pytest.raises(ConfigError, match=r"letters\.wrd: there is no such key; did you mean 'letters\.word'\?"):
        explain("letters.wrd", letters.KINDS)


def test_a_key_of_several_kinds_is_reported_once_where_it_is_the_same():
    text = explain("run.seed", KINDS)
    assert text.count("Of all random streams.") == len({line for line in text.splitlines() if line.startswith("run.")})
    names = "".join(line for line in text.splitlines() if line.startswith("run.seed"))
    assert all(f"[{kind}]" in names for kind in KINDS)


def test_the_command_line_explains(subgrid):
    outcome = subgrid("explain", "training.n_steps")
    assert outcome.code == 0, outcome.err
    assert "training.n_steps  integer (> 0), default 4000" in outcome.out
    assert "A change concerns: train" in words(outcome.out)
    outcome = subgrid("explain", "training.n_step")
    assert outcome.code == 2 and "did you mean 'training.n_steps'?" in outcome.complaint


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_keys_with_types_in_words(kind):
    found = list(documented(KINDS[kind].load()))
    assert found and all(each.kind == kind for each in found)
    for each in found:
        assert "typing" not in each.values and "<class" not in each.values, each.key


def test_a_file_to_start_from_has_its_tables_in_order():
    kind = letters.KINDS["letters"]
    text = commented(kind)
    assert text.startswith(f"# {kind.about}\n")
    assert tomllib.loads(text) == {"run": {}, "letters": {"word": "alpha"}}
    assert "# How often it is copied.\n# n = 2  # integer (> 0)\n" in text
    assert "# source = ...  # string\n" in text
