"""The driver makes the steps that a plain loop would make, and refuses chains that have left the finite numbers."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.mcmc.annealed import AnnealedLangevin
from subgrid.mcmc.driver import Kernel, run_chain, run_chains
from subgrid.mcmc.inverse_transform import InverseTransform
from subgrid.mcmc.langevin import UnadjustedLangevin
from subgrid.mcmc.mala import MALA
from subgrid.mcmc.rejection import Rejection
from subgrid.mcmc.step_size import TunedMALA


def log_normal(x):
    return -jnp.sum(x**2) / 2


KERNELS = {
    "inverse transform": InverseTransform(lambda u: u),
    "rejection": Rejection(log_normal, lambda key: jr.normal(key, (3,)), log_normal, 0.5),
    "unadjusted": UnadjustedLangevin(lambda x: -x, 0.1),
    "adjusted": MALA(log_normal, 1.0),
    "warm-up": TunedMALA(log_normal, 1.0, 0.574),
    "annealed": AnnealedLangevin(lambda x, sigma: -x / (1 + sigma**2), jnp.array([2.0, 1.0, 0.5]), 2),
}


@pytest.mark.parametrize("name", KERNELS)
def test_a_run_is_its_steps_one_after_the_other(name):
    kernel, key, n = KERNELS[name], jr.key(3), 6
    assert isinstance(kernel, Kernel)
    step = jax.jit(lambda state, key: kernel.step(state, key=key))
    chain = run_chain(kernel, kernel.init(jnp.ones(3)), n, key=key)
    state = kernel.init(jnp.ones(3))
    for i, k in enumerate(jr.split(key, n)):
        state, info = step(state, k)
        # Two compilations of the same formulas: equal to rounding, and to the bit in what they decide.
        np.testing.assert_allclose(chain.positions[i], state.position, rtol=2e-5, atol=2e-6)
        assert bool(chain.info.accepted[i]) == bool(info.accepted)
        np.testing.assert_allclose(chain.info.acceptance_probability[i], info.acceptance_probability, rtol=1e-4)
    np.testing.assert_array_equal(chain.state.position, chain.positions[-1])


def test_a_run_goes_on_from_the_state_of_another_and_keeps_what_is_asked_for():
    kernel = MALA(log_normal, 1.0)
    first = run_chain(kernel, kernel.init(jnp.ones(3)), 5, keep=lambda state: None, key=jr.key(0))
    assert first.positions is None
    second = run_chain(kernel, first.state, 5, keep=lambda state: state.log_density, key=jr.key(1))
    assert second.positions[-1] == pytest.approx(float(log_normal(second.state.position)), rel=1e-6)


def test_chains_are_independent_and_forget_their_starts_in_the_burn_in():
    kernel, starts = UnadjustedLangevin(lambda x: -x, 0.5), jnp.full((400, 2), 50.0)
    chains = run_chains(kernel, starts, 2, n_burn_in=30, key=jr.key(0))
    assert chains.positions.shape == (400, 2, 2) and chains.info.accepted.shape == (400, 2)
    last = np.asarray(chains.positions[:, -1])
    # Of the start .5³² · 50 is left; the standard deviation is √(4/3), and four standard errors are allowed for.
    assert abs(last.mean()) < 4 * np.sqrt(4 / 3 / last.size)
    assert abs(np.corrcoef(last[:-1, 0], last[1:, 0])[0, 1]) < 4 / np.sqrt(400)


def test_a_chain_that_leaves_the_finite_numbers_is_named_with_its_step():
    # Curvature 4 is unstable beyond τ = ½: at τ = 1 each step multiplies by −3, and 3^81 is beyond float32 (3.4e38).
    with pytest.raises(
        FloatingPointError, match=r"chain 0 of 2 is not finite at step \d+: .*smaller step_size"
    ) as error:
        run_chains(UnadjustedLangevin(lambda x: -4 * x, 1.0), jnp.ones((2, 1)), 60, n_burn_in=50, key=jr.key(0))
    step = int(str(error.value).split("step ")[1].split(":")[0])
    assert 75 <= step <= 85
    run_chains(UnadjustedLangevin(lambda x: -4 * x, 0.49), jnp.ones((2, 1)), 60, n_burn_in=50, key=jr.key(0))


def test_unnormalisable_densities_run_away_and_are_refused():
    with pytest.raises(FloatingPointError, match="the density cannot be normalised"):
        run_chains(UnadjustedLangevin(lambda x: x, 0.5), jnp.ones((2, 1)), 300, key=jr.key(0))


@pytest.mark.parametrize("steps", [(0, 0), (5, -1)])
def test_numbers_of_steps_that_make_no_sense(steps):
    with pytest.raises(ValueError, match=r"n_steps ≥ 1 and n_burn_in ≥ 0, got"):
        run_chains(MALA(log_normal, 1.0), jnp.ones((2, 1)), steps[0], n_burn_in=steps[1], key=jr.key(0))
