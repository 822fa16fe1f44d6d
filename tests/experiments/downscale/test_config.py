"""The configuration of a run on two archives: what is refused, and with which words."""

import tomllib

import pytest

from subgrid.experiments.downscale import EXPERIMENT
from subgrid.experiments.downscale.config import DownscaleConfig
from subgrid.runs.config import ConfigError
from subgrid.runs.experiment import load_config

from .opening import configured


def test_resolved_configuration_reads_back_as_itself():
    config = configured(['run.name=a "quoted" name', "prior.channels=[8, 16]", "data.periodic=true"])
    assert DownscaleConfig.model_validate(tomllib.loads(config.as_toml())) == config


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
        load_config(EXPERIMENT, file)
    assert wanted in str(raised.value)


@pytest.mark.parametrize(("method", "least"), [("conditional-diffusion", 3), ("diffusion", 2), ("conditional-flow", 1)])
def test_the_fewest_levels_of_each_method_pass(method, least):
    config = configured([f"downscaling.method={method}", f"sampling.n_levels={least}"])
    assert config.sampling.n_levels == least


def test_integers_pass_for_floats_and_arrays_for_tuples():
    config = configured(["prior.sigma_max=80", "prior.channels=[8, 16]", "prior.attention_levels=[0, 1]"])
    assert (config.prior.sigma_max, config.prior.channels) == (80.0, (8, 16))
