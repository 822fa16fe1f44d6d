"""The configuration: strict, helpful, and written out whole."""

import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subgrid.cli.config import Config, ConfigError, Run, load_config


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
        ("[training]\nn_steps = '40'\n", "training.n_steps = '40': input should be a valid integer"),
        ("[training]\ntensorboard = 'yes'\n", "training.tensorboard = 'yes': input should be a valid boolean"),
        ("[data]\nn_snapshots = 3.0\n", "data.n_snapshots = 3.0: input should be a valid integer"),
        ("[run]\nseed = true\n", "run.seed = True: input should be a valid integer"),
        ("[prior]\nchannels = []\n", "prior.channels = []: value should have at least 1 item, not 0"),
        ("[prior]\nchannels = 64\n", "prior.channels = 64: input should be a valid array"),
        ("[prior]\nattention_levels = [7]\n", "names level 7, but prior.channels has 2 levels, 0 to 1"),
        ("[prior]\nsigma_max = inf\n", "prior.sigma_max = inf: input should be a finite number"),
        ("training = 5\n", "training = 5: must be a table, [training]"),
        ("[sampling]\nn_levels = 2\n", 'sampling.n_levels = 2: downscaling.method = "conditional-diffusion" needs 3'),
        (
            "[sampling]\nn_levels = 1\n[downscaling]\nmethod = 'diffusion'\n",
            'sampling.n_levels = 1: downscaling.method = "diffusion" needs 2',
        ),
        (
            "[sampling]\nmethod = 'gaussian-ode'\n[downscaling]\nmethod = 'conditional-flow'\n",
            'sampling.method = "gaussian-ode": downscaling.method = "conditional-flow" has steps of its own',
        ),
    ],
)
def test_mistakes_are_named_with_the_nearest_valid_key(tmp_path, text, wanted):
    file = tmp_path / "wrong.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"wrong\.toml") as raised:
        load_config(file)
    assert wanted in str(raised.value)


@pytest.mark.parametrize(("method", "least"), [("conditional-diffusion", 3), ("diffusion", 2), ("conditional-flow", 1)])
def test_the_fewest_levels_of_each_method_pass(method, least):
    config = load_config(None, [f"downscaling.method={method}", f"sampling.n_levels={least}"])
    assert config.sampling.n_levels == least


def test_integers_pass_for_floats_and_arrays_for_tuples():
    config = load_config(None, ["prior.sigma_max=80", "prior.channels=[8, 16]", "prior.attention_levels=[0, 1]"])
    assert (config.prior.sigma_max, config.prior.channels) == (80.0, (8, 16))


@given(name=st.text())
@settings(max_examples=100, deadline=None)
def test_any_name_survives_being_written_as_toml(name):
    config = Config(run=Run(name=name))
    assert Config.model_validate(tomllib.loads(config.as_toml())) == config


@pytest.mark.parametrize("name", ["\U0001f30d", "del \x7f", "tab\t", 'quote " backslash \\'])
def test_odd_characters_survive_the_file(tmp_path, name):
    file = tmp_path / "config.toml"
    file.write_text(Config(run=Run(name=name)).as_toml(), encoding="utf-8")
    assert load_config(file).run.name == name


def test_a_folder_in_place_of_a_file(tmp_path):
    with pytest.raises(ConfigError, match="is a folder; name a TOML file"):
        load_config(tmp_path)


def test_override_of_a_key_in_what_is_no_table(tmp_path):
    file = tmp_path / "flat.toml"
    file.write_text("training = 5\n")
    with pytest.raises(ConfigError, match=r"--set training\.n_steps=40: the file has training = 5"):
        load_config(file, ["training.n_steps=40"])


@pytest.mark.parametrize("override", ["training", "training.n_steps", "n_steps=4", "=4"])
def test_override_without_table_key_and_value_shows_an_example(override):
    with pytest.raises(ConfigError, match=r"--set training\.n_steps=8000"):
        load_config(None, [override])


def test_a_file_of_another_experiment_is_named_as_such(tmp_path):
    (tmp_path / "moist.toml").write_text("[turbulence]\nn_fine = 64\n[network]\npatch = 4\n")
    with pytest.raises(ConfigError, match=r"has the table \[turbulence\], of an experiment for `subgrid run`"):
        load_config(tmp_path / "moist.toml")
