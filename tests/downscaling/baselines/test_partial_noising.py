"""Halfway to noise and back between Gaussians, whose slopes and variances are known; two models and their folder."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.data.fields import DataError
from subgrid.data.normalise import Standardiser
from subgrid.downscaling.baselines.partial_noising import (
    DiffusionBridgeDebiaser,
    NoisingDebiaser,
    diffusion_bridge_debiaser,
    field_key,
    halfway_level,
    load_coarse_priors,
    noising_debiaser,
    train_coarse_priors,
)
from subgrid.downscaling.debiasing.fit import apply_debiaser
from subgrid.downscaling.prior.model import PriorSettings
from subgrid.downscaling.prior.training import TrainingSettings
from subgrid.types import Debiaser

SOURCE, TARGET = 2.0, 0.5
"""l and l′, the variances."""
VARIANCES = {0.1: 1.75, 1.0: 1.0, 10.0: 0.571}
"""Of the output at each s, worked out by hand."""
SIGMA_MIN = 1e-2
SETTINGS = PriorSettings(1, (8,), channels=(8,), n_blocks=1, patch=1, sigma_min=0.02, sigma_max=10.0)
TRAINING = TrainingSettings(
    n_steps=20, batch_size=16, learning_rate=5e-3, steps_per_dispatch=10, checkpoint_every=10, ema_decay=0.9
)
KEY = jr.key(0)


class Gaussian(eqx.Module):
    """The exact denoiser of white fields."""

    variance: float

    def __call__(self, x, sigma):
        return x * self.variance / (self.variance + sigma**2)


def units(mean: float = 0.0, std: float = 1.0) -> Standardiser:
    return Standardiser(jnp.asarray([mean]), jnp.asarray([std]))


def bridge(s: float, n_steps: int = 64, sigma_min: float = SIGMA_MIN, given=None):
    return DiffusionBridgeDebiaser(
        Gaussian(SOURCE), Gaussian(TARGET), *(given or (units(), units())), float(np.sqrt(s)), sigma_min, n_steps
    )


def slope_of(debiaser) -> float:
    y = jnp.asarray([[-2.0, 0.5, 1.0]])
    slopes = np.asarray(eqx.filter_jit(debiaser)(y) / y)
    np.testing.assert_allclose(slopes, slopes[0, 0], rtol=1e-4)  # it is linear
    return float(slopes[0, 0])


@pytest.mark.parametrize("s", VARIANCES)
def test_the_bridge_of_two_models_has_its_slope(s):
    assert isinstance(bridge(s), Debiaser)
    slope = slope_of(bridge(s))
    exact = np.sqrt(TARGET * (SOURCE + s) / (SOURCE * (TARGET + s)))
    # 64 steps of .09 in ln σ at most, of second order: 6e-4 for the longest way; σ_min takes σ_min²/l′ = 2e-4 off.
    assert slope == pytest.approx(exact, rel=1e-3)
    assert slope**2 * SOURCE == pytest.approx(VARIANCES[s], abs=2e-3)


def test_its_error_is_of_second_order():
    s, m = 1.0, SIGMA_MIN**2
    # With the flows cut off at σ_min, and the last evaluation of the denoiser there.
    up = np.sqrt((SOURCE + s) / (SOURCE + m))
    exact = up * np.sqrt((TARGET + m) / (TARGET + s)) * TARGET / (TARGET + m)
    with jax.enable_x64(True):
        errors = [abs(slope_of(bridge(s, n)) / exact - 1) for n in (16, 32, 64)]
    # 2 in the limit, which the coarsest steps, of .3 in ln σ, are away from.
    assert np.log2(errors[1] / errors[2]) == pytest.approx(2, abs=0.15)
    assert np.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.3)


@pytest.mark.parametrize("s", VARIANCES)
def test_noise_and_the_flow_of_one_model_have_slope_and_variance(s):
    n = 100_000
    debiaser = NoisingDebiaser(Gaussian(TARGET), units(), KEY, float(np.sqrt(s)), SIGMA_MIN, 64)
    y = np.sqrt(SOURCE) * jr.normal(jr.key(1), (1, n))
    x = np.asarray(eqx.filter_jit(debiaser)(y))[0]
    slope = np.sqrt(TARGET / (TARGET + s))
    # The regression on y has the standard error slope·√(s/l/n), the variance √(2/n); 1e-3 for steps and σ_min.
    measured = float(np.mean(x * np.asarray(y[0])) / np.mean(np.asarray(y) ** 2))
    assert measured == pytest.approx(slope, rel=4 * np.sqrt(s / SOURCE / n) + 1e-3)
    assert x.var() == pytest.approx(VARIANCES[s], rel=4 * np.sqrt(2 / n) + 2e-3)


def test_units_of_each_archive_are_its_models():
    # In units of a source with mean 5 and std 3 and of a target with mean −1 and std 2.
    moved = bridge(1.0, given=(units(5.0, 3.0), units(-1.0, 2.0)))
    y = jnp.asarray([[-2.0, 0.5, 1.0]])
    there, wanted = eqx.filter_jit(lambda moved, plain, y: (moved(5 + 3 * y), -1 + 2 * plain(y)))(moved, bridge(1.0), y)
    np.testing.assert_allclose(there, wanted, atol=1e-4)


def test_a_field_has_noise_of_its_own_in_whatever_batch():
    debiaser = NoisingDebiaser(Gaussian(TARGET), units(), KEY, 1.0, SIGMA_MIN, 8)
    fields = np.asarray(jr.normal(jr.key(2), (7, 1, 32)))
    whole = apply_debiaser(debiaser, fields)
    np.testing.assert_array_equal(whole, apply_debiaser(debiaser, fields, chunk=2))
    np.testing.assert_array_equal(whole[::-1], apply_debiaser(debiaser, fields[::-1]))
    # One bit of one value, and the noise is another one, by more than that bit explains.
    nudged = fields.copy()
    nudged[:, 0, 5] = np.nextafter(nudged[:, 0, 5], 9)
    assert np.abs(apply_debiaser(debiaser, nudged) - whole).max((1, 2)).min() > 0.3


def test_keys_of_fields_differ_and_swapped_values_do_not_meet():
    y = jnp.asarray([[1.0, 2.0], [2.0, 1.0], [1.0, 2.0], [0.0, 0.0], [1.5, 2.0]])
    keys = np.asarray(jr.key_data(jax.jit(jax.vmap(lambda v: field_key(v, key=KEY)))(y)))
    assert (keys[0] == keys[2]).all()
    assert len({tuple(k) for k in keys}) == 4


def test_fields_of_few_digits_have_keys_of_their_own_too():
    # Values that are multiples of 2⁻⁴: the lower half of every word is zero.
    y = jnp.round(16 * jr.normal(jr.key(3), (3000, 1, 4))) / 16
    keys = np.asarray(jr.key_data(jax.jit(jax.vmap(lambda v: field_key(v, key=KEY)))(y)))
    assert len(np.unique(keys, axis=0)) == len(np.unique(np.asarray(y), axis=0))


def test_half_of_the_way_of_the_usual_process():
    # B(½) = .1/2 + 19.9/8 and σ² = e^B − 1.
    assert halfway_level() == pytest.approx(np.sqrt(np.expm1(0.05 + 19.9 / 8)), rel=1e-5)


def archives() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return tuple((m + s * rng.normal(size=(64, 1, 8))).astype(np.float32) for m, s in ((3.0, 2.0), (0.0, 1.0)))


def train(folder, **options):
    return train_coarse_priors(*archives(), SETTINGS, TRAINING, folder=folder, **{"key": KEY, **options})


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder, steps = tmp_path_factory.mktemp("priors"), []
    return folder, train(folder, report=lambda step, metrics: steps.append(step)), steps


def debiased(priors) -> np.ndarray:
    return apply_debiaser(diffusion_bridge_debiaser(priors, level=1.0, n_steps=4), archives()[0][:4])


def test_both_models_are_trained_one_after_the_other_and_loaded(trained):
    folder, priors, steps = trained
    assert steps == [10, 20, 30, 40]
    np.testing.assert_array_equal(debiased(load_coarse_priors(folder)), debiased(priors))
    np.testing.assert_allclose(priors.source.standardiser.mean, 3.0, atol=4 * 2 / np.sqrt(64 * 8))
    np.testing.assert_allclose(priors.target.standardiser.std, 1.0, atol=4 / np.sqrt(2 * 64 * 8))


def test_a_training_that_was_stopped_in_the_second_model_ends_with_the_same_bits(trained, tmp_path):
    def crash(step, metrics):
        if step == 40:
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        train(tmp_path, report=crash)
    with pytest.raises(DataError):
        load_coarse_priors(tmp_path)
    np.testing.assert_array_equal(debiased(train(tmp_path)), debiased(trained[1]))


def test_levels_that_a_model_does_not_know_are_refused(trained):
    priors = trained[1]
    with pytest.raises(ValueError, match=r"above 0\.02 and up to 10, got 11"):
        diffusion_bridge_debiaser(priors, level=11.0)
    with pytest.raises(ValueError, match=r"got 0\.01"):
        noising_debiaser(priors.target, level=0.01, key=KEY)
    assert noising_debiaser(dataclasses.replace(priors.target), key=KEY).level == halfway_level()
