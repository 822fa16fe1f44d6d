"""All random streams of every kind of run: no two uses share a key, and draws of two periods share no noise."""

from itertools import product
from typing import get_args

import jax
import jax.random as jr
import numpy as np
import pytest
from subgrid.cli.climate_config import Climate, ClimateConfig, ClimateSampling
from subgrid.cli.climate_stages import ClimateRun, noise_of
from subgrid.cli.streams import (
    ClimateStream,
    RunStream,
    TurbulenceStream,
    climate_key,
    gallery_key,
    gaussian_bridge_key,
    run_key,
    sampler_errors_key,
    turbulence_key,
)
from subgrid.cli.toy_config import Toy
from subgrid.cli.toy_stages import Cell, cell_key
from subgrid.cli.turbulence_config import METHODS

from subgrid.cli import turbulence_fits
from subgrid.downscaling.debiasing.fit import DebiasMethod
from subgrid.execution.work_items import sample_keys
from subgrid.numerics.streams import draw_keys, substream
from subgrid.simulate import toy_2d

TIMES, MEMBERS = np.arange(21), np.arange(17)
ENSEMBLES: tuple[ClimateStream, ...] = ("historical", "perfect model", "scenario")


def words(*keys) -> list[tuple[int, ...]]:
    """Key data, one for every key."""
    return [tuple(each) for key in keys for each in np.asarray(jr.key_data(key)).reshape(-1, 2).tolist()]


def with_children(key) -> list[tuple[int, ...]]:
    """A key, and what the first splits and steps of its user make of it (a split is a fold_in of its number)."""
    return words(key, jr.split(key, 20))


def keys_of_a_run(seed: int) -> list[tuple[int, ...]]:
    found = [word for name in get_args(RunStream) if name != "debias" for word in with_children(run_key(seed, name))]
    for method in get_args(DebiasMethod):
        key = run_key(seed, "debias", method)
        found += words(key) + with_children(substream(key, "samples")) + with_children(substream(key, "transport"))
    for name in ("ensemble", "perfect model"):
        condition, member = (each.ravel() for each in np.meshgrid(TIMES, MEMBERS))  # as `sample_ensemble` says
        firsts = jax.vmap(jr.fold_in, (None, 0))(run_key(seed, name), condition)
        found += words(jax.vmap(jr.fold_in)(firsts, member))
    return found


def keys_of_a_climate_run(seed: int) -> list[tuple[int, ...]]:
    training = climate_key(seed, "training")
    prior, calibration = substream(training, "prior"), substream(training, "spread calibration")
    found = words(training, prior, calibration, draw_keys(calibration, TIMES, np.arange(4)))
    for name in ("network", "training", "left-out error"):
        found += with_children(substream(prior, name))
    for name, variable in product(("ranks", "return level", "change"), ("tas", "pr")):
        found += with_children(climate_key(seed, name, variable))
    for name in ENSEMBLES:
        draws = sample_keys(seed, ("climate", name), TIMES, MEMBERS)
        found += words(climate_key(seed, name), substream(climate_key(seed, name), "draws"), draws)
        found += words(jax.vmap(lambda key: jr.split(key, 2))(draws.reshape(-1)))
    assert {"training", "ranks", "return level", "change", *ENSEMBLES} == {*get_args(ClimateStream)}
    return found


def keys_of_a_turbulence_run(seed: int) -> list[tuple[int, ...]]:
    plain = [turbulence_key(seed, name) for name in get_args(TurbulenceStream) if name not in ("fits", "downscale")]
    plain += [turbulence_key(seed, "fits", name) for name in turbulence_fits.NAMES]
    plain += [turbulence_key(seed, "downscale", method) for method in METHODS]
    return [word for key in plain for word in with_children(key)]


def keys_of_small_experiments(seed: int) -> list[tuple[int, ...]]:
    table = Toy(n_seeds=5)
    cells = product(table.tasks, ("floor", *table.methods), range(table.n_seeds))
    keys = [cell_key(seed, Cell(*cell)) for cell in cells]
    keys += [gaussian_bridge_key(seed, d) for d in (2, 5, 20, 50)]
    keys += [gallery_key(seed, name) for name in toy_2d.NAMES]
    keys += [sampler_errors_key(seed)]
    return [word for key in keys for word in with_children(key)]


KINDS = [keys_of_a_run, keys_of_a_climate_run, keys_of_a_turbulence_run, keys_of_small_experiments]


@pytest.mark.parametrize("seed", [0, 1])
def test_no_two_uses_in_any_experiment_share_a_key(seed):
    found = [word for kind in KINDS for word in kind(seed)]
    found += with_children(jr.key(seed))  # what a user may do with the seed
    # Names of fewer keys would hide a collision of many: a small climate run alone has three ensembles of 357 draws.
    assert len(found) > 3 * 21 * 17 * 3
    doubled = len(found) - len(set(found))
    assert not doubled


def test_a_prior_and_its_draws_from_one_key_of_the_user_are_apart():
    """`train_climate` and `downscale_climate` with the same key, as an example may have it."""
    key = jr.key(0)
    training = [substream(substream(key, "prior"), name) for name in ("network", "training", "left-out error")]
    draws = words(draw_keys(key, TIMES, MEMBERS), draw_keys(substream(key, "spread calibration"), TIMES, MEMBERS))
    assert not {*draws} & {word for each in training for word in with_children(each)}
    assert len({*draws}) == len(draws)


def climate_run(tmp_path, *, common_noise: bool) -> ClimateRun:
    table = Climate(fine="fine.nc", coarse="coarse.nc", scenario="later.nc", variables=("tas",))
    return ClimateRun(ClimateConfig(climate=table, sampling=ClimateSampling(common_noise=common_noise)), tmp_path)


def noise(run: ClimateRun, store: str) -> np.ndarray:
    """The first numbers of every draw, (time, member, 8)."""
    names, _ = noise_of(run, store)
    keys = sample_keys(run.config.run.seed, names, TIMES, MEMBERS).reshape(-1)
    drawn = jax.vmap(lambda key: jr.normal(key, (8,)))(keys)
    return np.asarray(drawn).reshape(len(TIMES), len(MEMBERS), 8)


def test_noise_of_two_periods_is_independent_by_default_and_shared_by_choice(tmp_path):
    run = climate_run(tmp_path, common_noise=False)
    stores = [noise(run, f"{name}.zarr") for name in ("ensemble", "scenario", "perfect_model")]
    for i, j in ((0, 1), (0, 2), (1, 2)):
        r = np.corrcoef(stores[i].ravel(), stores[j].ravel())[0, 1]
        assert abs(r) < 4 / np.sqrt(stores[i].size)
    # The spread over members of a mean over times of a difference is √(2/times) for independent normals; from 17
    # members and 8 numbers it is known to 1/√(2·16·8) = 6 %.
    spread = (stores[1] - stores[0]).mean(0).std(0, ddof=1).mean()
    assert spread == pytest.approx(np.sqrt(2 / len(TIMES)), rel=0.25)
    run = climate_run(tmp_path, common_noise=True)
    np.testing.assert_array_equal(noise(run, "ensemble.zarr"), noise(run, "scenario.zarr"))
    np.testing.assert_array_equal(noise(run, "ensemble.zarr"), stores[0])
    np.testing.assert_array_equal(noise(run, "perfect_model.zarr"), stores[2])


def test_without_a_scenario_there_is_nothing_to_share(tmp_path):
    run = climate_run(tmp_path, common_noise=True)
    run.config = run.config.model_copy(update={"climate": run.config.climate.model_copy(update={"scenario": None})})
    assert noise_of(run, "ensemble.zarr")[1].startswith("independent")
