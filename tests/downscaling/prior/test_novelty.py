"""Coarse fields from the training's distribution, and from elsewhere."""

import warnings

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.data.normalise import fit_standardiser
from subgrid.diffusion.gaussian_conditional import condition
from subgrid.diffusion.stationary_prior import fit_stationary_prior
from subgrid.downscaling.prior.novelty import Outside, OutsideTraining, outside
from subgrid.numerics.operators import BlockMean

OPERATOR = BlockMean((16,), 2)
WAVES = np.exp(-0.5 * ((np.arange(16)[:, None] - np.arange(16) + 8) % 16 - 8) ** 2 / 2)


def fields(n: int, seed: int) -> np.ndarray:
    """Smoothed white noise about 20, physical units."""
    return (20 + 3 * np.random.default_rng(seed).normal(size=(n, 1, 16)) @ WAVES).astype(np.float32)


TRAINING = fields(4096, 0)
STANDARDISER = fit_standardiser(TRAINING)
PRIOR = fit_stationary_prior(np.asarray(STANDARDISER.normalise(jnp.asarray(TRAINING), 1)))
CONDITIONAL = condition(PRIOR, OPERATOR, (1, 8))


def found(coarse: np.ndarray, conditional=CONDITIONAL):
    return outside(conditional, STANDARDISER, np.asarray(coarse), TRAINING)


def test_fields_of_the_same_distribution_are_inside():
    novelty = found(OPERATOR(jnp.asarray(fields(4000, 1))))
    # One in a hundred of 4000, and the quantile of 4096 training fields: √(.01·.99/4000) = .0016 each.
    assert novelty.beyond == pytest.approx(0.01, abs=4 * np.sqrt(2) * 0.0016)
    assert novelty.ratio.max() < 1.5
    np.testing.assert_allclose(np.quantile(novelty.quantile, [0.25, 0.5, 0.75]), [0.25, 0.5, 0.75], atol=0.04)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        novelty.warn()


@pytest.mark.parametrize("m", [30, 50, 500])
def test_few_training_fields_are_no_reason_to_warn(m):
    # Distances of independent fields from one distribution.
    rng, false = np.random.default_rng(0), 0
    for _ in range(300):
        scale, found = np.sort(rng.chisquare(24, m)), rng.chisquare(24, 2048)
        inside = Outside(np.searchsorted(scale, found) / m, np.sqrt(found / scale[-1]), m)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            inside.warn()
        false += len(caught)
    assert false <= 6  # 2 %: the tail of a Beta distribution beyond four standard deviations is not that of a Gaussian


def test_distances_are_those_of_chi_squared():
    """(y − C′m)ᵀS⁻¹(y − C′m) of 8 values has mean 8 and variance 16, whatever S."""
    normal = STANDARDISER.normalise(jnp.asarray(fields(4000, 1)), 1)
    distances = np.asarray(jax.vmap(lambda x: CONDITIONAL.distance(OPERATOR(x)))(normal))
    # Means of 4000: √(16/4000)/8 = .8 %; four of those, and the spectrum's own error.
    assert distances.mean() == pytest.approx(1, rel=0.05)
    assert distances.var() == pytest.approx(16 / 64, rel=0.15)


@pytest.mark.parametrize("n", [1, 50])
def test_shifted_fields_are_outside_and_the_warning_names_the_quantile(n):
    shifted = np.asarray(OPERATOR(jnp.asarray(fields(n, 1)))) + 60
    novelty = found(shifted)
    assert novelty.beyond == 1 and novelty.ratio.min() > 1
    farthest = int(novelty.ratio.argmax())
    with pytest.warns(OutsideTraining, match=rf"100\.0% of {n} coarse fields .* field {farthest}, at quantile 1\.0000"):
        novelty.warn()


def test_one_field_far_away_is_enough():
    coarse = np.array(OPERATOR(jnp.asarray(fields(1000, 1))))
    coarse[17] += 200
    novelty = found(coarse)
    assert novelty.beyond < 0.03
    with pytest.warns(OutsideTraining, match="field 17, at quantile 1"):
        novelty.warn()


def test_noise_of_the_conditional_widens_its_distribution():
    """Fields as uncertain as the jitter are inside; an exact model finds them outside, where C′x rarely varies."""
    jitter = 1.0
    coarse = np.array(OPERATOR(jnp.asarray(fields(2000, 1))))
    coarse = coarse + jitter * np.asarray(jr.normal(jr.key(0), coarse.shape))
    wide = condition(PRIOR, OPERATOR, (1, 8), noise_variance=(jitter / float(STANDARDISER.std[0])) ** 2)
    assert found(coarse).beyond > 3 * found(coarse, wide).beyond
