"""The warm-up ends at the step size of the wanted acceptance, and says so where there is none."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy.stats import norm

from subgrid.mcmc.driver import run_chain
from subgrid.mcmc.step_size import tune_step_size

D = 64


def log_normal(x):
    return -jnp.sum(x**2) / 2


@pytest.fixture(scope="module")
def tuned():
    return tune_step_size(log_normal, jnp.zeros(D), key=jr.key(0))


def test_the_step_size_is_that_of_the_optimal_acceptance(tuned):
    kernel, state = tuned
    # 2Φ(−√(dτ³/8)) = .574 gives τ = .34 in 64 dimensions, the limit of many; warm-up and limit allow for a tenth each.
    expected = (8 / D) ** (1 / 3) * norm.ppf(1 - 0.574 / 2) ** (2 / 3)
    assert float(kernel.step_size) == pytest.approx(expected, rel=0.2)
    run = jax.jit(lambda k: run_chain(kernel, state, 4000, keep=lambda state: None, key=k))
    assert run(jr.key(1)).info.accepted.mean() == pytest.approx(0.574, abs=0.05)  # some hundredths, as documented


def test_the_step_size_goes_with_the_square_of_the_unit(tuned):
    wide, state = tune_step_size(lambda x: log_normal(x / 300), jnp.zeros(D), key=jr.key(0))
    assert float(wide.step_size) == pytest.approx(300**2 * float(tuned[0].step_size), rel=0.2)
    assert float(jnp.std(state.position)) == pytest.approx(300, rel=4 / np.sqrt(2 * D))


@pytest.mark.parametrize(
    "log_density",
    [lambda x: 0.0 * jnp.sum(x), pytest.param(jnp.sum, marks=pytest.mark.slow)],  # the same, compiled anew
    ids=["flat", "rising"],
)
def test_a_density_that_does_not_fall_off_is_named(log_density):
    with pytest.raises(ArithmeticError, match=r"acceptance is .* \(wanted 0.574\).*cannot be normalised"):
        tune_step_size(log_density, jnp.ones(1), key=jr.key(0))


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"target_acceptance between 0 and 1, got 1000, 1.0 and 1.5"):
        tune_step_size(log_normal, jnp.zeros(2), target_acceptance=1.5, key=jr.key(0))
    with pytest.raises(ValueError, match=r"log_density is -inf at the start; start where p\(x\) > 0"):
        tune_step_size(lambda x: jnp.sum(jnp.log(x)), jnp.zeros(2), key=jr.key(0))
