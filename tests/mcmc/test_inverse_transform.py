"""Draws by inverse transform have the distribution of their quantile function, and no infinite ends."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy import stats

from subgrid.mcmc.driver import run_chain
from subgrid.mcmc.inverse_transform import InverseTransform, open_uniform
from subgrid.mcmc.quantile_table import tabulate_quantile

CLOSED = {
    "exponential": (lambda u: -jnp.log1p(-u), stats.expon),
    "Cauchy": (lambda u: jnp.tan(jnp.pi * (u - 0.5)), stats.cauchy),
    "Laplace": (lambda u: -jnp.sign(u - 0.5) * jnp.log1p(-2 * jnp.abs(u - 0.5)), stats.laplace),
    "logistic, tabulated": (tabulate_quantile(lambda x: -x - 2 * jax.nn.softplus(-x)), stats.logistic),
}


@pytest.mark.parametrize("name", CLOSED)
def test_draws_have_the_distribution(name):
    quantile, truth = CLOSED[name]
    kernel = InverseTransform(quantile)
    chain = run_chain(kernel, kernel.init(jnp.zeros(500)), 10, key=jr.key(0))
    x = np.asarray(chain.positions).ravel()
    assert np.isfinite(x).all() and chain.info.accepted.all()
    assert stats.kstest(x, truth.cdf).pvalue > 1e-3


@pytest.mark.parametrize("u", [0.0, 1 - 2.0**-23])
def test_the_ends_are_left_out(u, monkeypatch):
    """Whatever the generator gives, also its two extremes."""
    monkeypatch.setattr(jr, "uniform", lambda key, shape, dtype: jnp.full(shape, u, dtype))
    assert float(open_uniform((), key=jr.key(0))) == u + 2.0**-24
    assert 0 < open_uniform((), key=jr.key(0)) < 1
