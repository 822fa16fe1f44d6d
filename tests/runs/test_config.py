"""Configurations: strict, helpful, and written out whole."""

import tomllib
from pathlib import Path
from typing import Annotated, Literal

import pytest
from hypothesis import given, settings, strategies as st

from subgrid.runs.config import AsTuple, ConfigError, Configuration, RunTable, Table, absolute, read_tables, validate


class Network(Table):
    channels: Annotated[tuple[int, ...], AsTuple] = (64, 128)
    rate: float = 1e-3
    kind: Literal["unet", "mlp"] = "unet"


class Config(Configuration):
    network: Network = Network()


def loaded(path, overrides=()) -> Config:
    return validate(Config, read_tables(path, overrides), origin=str(path))


def test_resolved_configuration_reads_back_as_itself():
    config = loaded(None, ['run.name=a "quoted" name', "network.channels=[8, 16]", "run.seed=3"])
    assert Config.model_validate(tomllib.loads(config.as_toml())) == config


def test_overrides_win_over_the_file(tmp_path):
    file = tmp_path / "a.toml"
    file.write_text('[run]\nseed = 4\nname = "seven"\n')
    config = loaded(file, ["run.seed=6"])
    assert (config.run.seed, config.run.name) == (6, "seven")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("[network]\nchanels = 4\n", "unknown key 'network.chanels'; did you mean 'channels'?"),
        ("[netwrk]\nrate = 1.0\n", "unknown table 'netwrk'; did you mean 'network'?"),
        ("[network]\nxyz = 1\n", "unknown key 'network.xyz'; valid are channels, rate, kind."),
        ("[run]\nseed = true\n", "run.seed = True: input should be a valid integer"),
        ("[network]\nchannels = 64\n", "network.channels = 64: input should be a valid array"),
        ("[network]\nchannels = '64'\n", "network.channels = '64': input should be a valid array, as [\"64\"]."),
        ("[network]\nkind = 'unett'\n", "network.kind = 'unett': did you mean 'unet'? input should be 'unet' or"),
        ("[network]\nkind = 'xyz'\n", "network.kind = 'xyz': input should be 'unet' or 'mlp'."),
        ("[network]\nrate = inf\n", "network.rate = inf: input should be a finite number"),
        ("network = 5\n", "network = 5: must be a table, [network]"),
        ("[network\n", "not valid TOML"),
    ],
)
def test_mistakes_are_named_with_the_file_and_the_nearest_valid_key(tmp_path, text, wanted):
    file = tmp_path / "wrong.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"wrong\.toml") as raised:
        loaded(file)
    assert wanted in str(raised.value)


def test_every_fault_has_a_sentence_of_its_own(tmp_path):
    file = tmp_path / "wrong.toml"
    file.write_text("[network]\nrate = 'fast'\nkind = 3\n")
    with pytest.raises(ConfigError) as raised:
        loaded(file)
    lines = str(raised.value).splitlines()
    assert len(lines) == 2 and all(line.startswith(f"{file}: network.") for line in lines)


def test_integers_pass_for_floats_and_arrays_for_tuples():
    config = loaded(None, ["network.rate=80", "network.channels=[8, 16]"])
    assert (config.network.rate, config.network.channels) == (80.0, (8, 16))


def test_a_bare_word_is_a_string():
    assert loaded(None, ["network.kind=mlp"]).network.kind == "mlp"


@given(name=st.text())
@settings(max_examples=100, deadline=None)
def test_any_name_survives_being_written_as_toml(name):
    config = Config(run=RunTable(name=name))
    assert Config.model_validate(tomllib.loads(config.as_toml())) == config


@pytest.mark.parametrize("name", ["\U0001f30d", "del \x7f", "tab\t", 'quote " backslash \\'])
def test_odd_characters_survive_the_file(tmp_path, name):
    file = tmp_path / "config.toml"
    file.write_text(Config(run=RunTable(name=name)).as_toml(), encoding="utf-8")
    assert loaded(file).run.name == name


def test_a_folder_in_place_of_a_file(tmp_path):
    with pytest.raises(ConfigError, match="is a folder; name a TOML file"):
        loaded(tmp_path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match=r"gone\.toml: no such configuration file"):
        loaded(tmp_path / "gone.toml")


def test_override_of_a_key_in_what_is_no_table(tmp_path):
    file = tmp_path / "flat.toml"
    file.write_text("network = 5\n")
    with pytest.raises(ConfigError, match=r"--set network\.rate=40: the file has network = 5"):
        loaded(file, ["network.rate=40"])


@pytest.mark.parametrize("override", ["training", "training.n_steps", "n_steps=4", "=4"])
def test_override_without_table_key_and_value_shows_an_example(override):
    with pytest.raises(ConfigError, match=r"--set training\.n_steps=8000"):
        loaded(None, [override])


def test_a_path_that_goes_up_leads_where_the_system_finds_it(tmp_path):
    (tmp_path / "disk" / "far").mkdir(parents=True)
    (tmp_path / "disk" / "tas.nc").write_text("far")
    (tmp_path / "near").mkdir()
    (tmp_path / "near" / "link").symlink_to(tmp_path / "disk" / "far")
    (tmp_path / "near" / "tas.nc").write_text("near")
    for path in ("tas.nc", "./tas.nc", "../near/tas.nc", "link/../tas.nc", "link/../../near/tas.nc"):
        found = Path(absolute(path, tmp_path / "near"))
        assert found.read_text() == (tmp_path / "near" / path).read_text()
        assert ".." not in found.parts
    assert absolute("/a/b.nc", tmp_path) == "/a/b.nc"
    assert absolute("link/x.nc", tmp_path / "near") == str(tmp_path / "near" / "link" / "x.nc")  # as it was called
