"""The configuration: strict, helpful, and written out whole."""

import tomllib

import pytest

from subgrid.cli.config import Config, ConfigError, load_config


def test_resolved_configuration_reads_back_as_itself():
    config = load_config(None, ['run.name=a "quoted" name', "prior.channels=[8, 16]", "data.periodic=true"])
    assert Config.model_validate(tomllib.loads(config.as_toml())) == config


def test_overrides_win_over_the_file(tmp_path):
    file = tmp_path / "a.toml"
    file.write_text("[training]\nn_steps = 40\nbatch_size = 7\n")
    config = load_config(file, ["training.n_steps=60"])
    assert (config.training.n_steps, config.training.batch_size) == (60, 7)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("[training]\nn_step = 40\n", "unknown key 'training.n_step'; did you mean 'n_steps'?"),
        ("[trainig]\nn_steps = 40\n", "unknown table 'trainig'; did you mean 'training'?"),
        ("[debias]\nepsilon = -1.0\n", "debias.epsilon = -1.0: input should be greater than 0."),
        ("[debias]\nmethod = 'magic'\n", "debias.method = 'magic'"),
        ("[training]\nn_steps = 41\n", "must be a multiple of training.steps_per_dispatch"),
        ("[data]\nsource = 'files'\n", "needs data.fine and data.coarse"),
        ("[data]\nperiodic = false\n", "translation_invariant needs data.periodic"),
        ("[training\n", "not valid TOML"),
    ],
)
def test_mistakes_are_named_with_the_nearest_valid_key(tmp_path, text, wanted):
    file = tmp_path / "wrong.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"wrong\.toml") as raised:
        load_config(file)
    assert wanted in str(raised.value)


@pytest.mark.parametrize("override", ["training", "training.n_steps", "n_steps=4", "=4"])
def test_override_without_table_key_and_value_shows_an_example(override):
    with pytest.raises(ConfigError, match=r"--set training\.n_steps=8000"):
        load_config(None, [override])
