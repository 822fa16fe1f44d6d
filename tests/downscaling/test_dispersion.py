"""The spread about the conditional mean, where it is known."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.diffusion.gaussian_prior import fit_gaussian_prior
from subgrid.downscaling.dispersion import Dispersion, disperse, fit_dispersion, pull
from subgrid.numerics.operators import BlockMean

N, SPACE = 4000, (4, 6)
OPERATOR = BlockMean(SPACE, 2)
GROUPS = np.arange(N) // 400
NONE = np.zeros((N, 1, *SPACE), np.float32)
"""The climatology of fields that are no anomalies."""


def gaussian_fields(n, key):
    """Six blocks of four cells, each a common part and parts of its own."""
    common, own = jr.split(key)
    coarse = jnp.repeat(jnp.repeat(jr.normal(common, (n, 1, 2, 3)), 2, 2), 2, 3)
    return np.asarray(coarse + 0.5 * jr.normal(own, (n, 1, *SPACE)), np.float32)


@pytest.fixture(scope="module")
def fields():
    return gaussian_fields(N, jr.key(0))


@pytest.fixture(scope="module")
def law(fields):
    return fit_gaussian_prior(fields, 8)


def conditional_draws(law, fields, key):
    """x ~ p(x | C′x = C′fields), by pulling draws of the law onto the constraint (Matheron's rule), twice each."""

    def one(field, k):
        return jax.vmap(lambda k: pull(law, OPERATOR, OPERATOR(field))(law.sample(key=k)))(jr.split(k, 2))

    return np.asarray(jax.jit(jax.vmap(one))(fields, jr.split(key, len(fields))))


def test_the_conditional_mean_is_that_of_dense_matrices(law, fields):
    covariance = jax.vmap(lambda e: law.apply(lambda v: v, e.reshape(1, *SPACE)).ravel())(jnp.eye(24))
    c = jax.vmap(lambda e: OPERATOR(e.reshape(1, *SPACE)).ravel())(jnp.eye(24)).T
    y = OPERATOR(jnp.asarray(fields[0]))
    gain = covariance @ c.T @ np.linalg.inv(c @ covariance @ c.T)
    wanted = law.mean.ravel() + gain @ (y.ravel() - c @ law.mean.ravel())
    np.testing.assert_allclose(pull(law, OPERATOR, y)(law.mean).ravel(), wanted, atol=2e-5)


def test_a_sampler_that_is_right_is_left_alone(law, fields):
    found = fit_dispersion(
        law, OPERATOR, fields, NONE, GROUPS, conditional_draws(law, fields, jr.key(1)), active=(True,)
    )
    # 8000 values a bin, of which a quarter are fixed by their block: variances to 4 √(2/6000), scales to half of that;
    # left-out laws of 3600 fields err by some parts in a thousand more.
    np.testing.assert_allclose(found.scales, 1, atol=0.5 * 4 * np.sqrt(2 / 6000) + 0.005)


def test_an_error_that_grows_with_what_is_expected_is_found_and_drawn(law, fields):
    """What strays from its block's mean does so by e^(c+m): a tenth where c + m = −2.3, ten times where it is 2.3."""
    climatology = NONE + np.repeat(np.float32([0.25, -0.25, 0.25]), 2)  # the same for the cells of a block
    mean = np.asarray(jax.vmap(lambda x: pull(law, OPERATOR, OPERATOR(x))(law.mean))(fields))
    truth = mean + np.exp(climatology + mean) * (fields - mean)
    # The coarse values of the truth are no longer those of `fields`: put them back, block by block.
    truth = np.asarray(jax.vmap(lambda t, x: pull(law, OPERATOR, OPERATOR(x))(t))(truth, fields))
    draws = conditional_draws(law, truth, jr.key(2))
    found = fit_dispersion(law, OPERATOR, truth, climatology, GROUPS, draws, active=(True,))
    # The outermost bins are wide; and where least is expected, what the gain owes to the other fields shows.
    middle = slice(3, -2)
    # The law fitted on other fields has a spread of its own, the mean square of all: compare the shape of the table.
    np.testing.assert_allclose(np.log(found.scales[0, middle]), found.levels[0, middle], atol=0.15)
    y = OPERATOR(jnp.asarray(truth[0]))
    drawn = disperse(found, law, OPERATOR, y, jnp.asarray(draws[0, 0]), jnp.asarray(climatology[0]))
    np.testing.assert_allclose(OPERATOR(drawn), y, atol=1e-5)


def test_no_scale_no_change(law, fields):
    flat = Dispersion(jnp.asarray([[-1.0, 1.0]]), jnp.ones((1, 2)))
    y = OPERATOR(jnp.asarray(fields[0]))
    draw = pull(law, OPERATOR, y)(law.sample(key=jr.key(3)))
    np.testing.assert_allclose(disperse(flat, law, OPERATOR, y, draw, jnp.asarray(NONE[0])), draw, atol=1e-5)


def test_other_channels_have_no_table(law, fields):
    draws = conditional_draws(law, fields, jr.key(1))
    found = fit_dispersion(law, OPERATOR, fields, NONE, GROUPS, draws, active=(False,))
    np.testing.assert_array_equal(found.scales, 1)


def test_one_group_cannot_be_left_out(law, fields):
    with pytest.raises(ValueError, match="at least two groups"):
        fit_dispersion(law, OPERATOR, fields, NONE, np.zeros(N), fields[:, None], active=(True,))
