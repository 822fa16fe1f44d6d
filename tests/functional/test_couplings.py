"""Transport in the metric of the base, where data allow it."""

import itertools

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from subgrid.functional.couplings import CameronMartinTransport, choose_transport
from subgrid.functional.gaussian_field import GaussianField
from subgrid.transport.couplings import ExactTransport

from .small import ROUGH, SMOOTH


def test_the_assignment_has_the_least_cost_of_all_permutations():
    rng = np.random.default_rng(0)
    x0, x1 = (jax.device_put(np.asarray(rng.normal(size=(4, 1, 16)), np.float32)) for _ in range(2))
    i, j = jax.jit(lambda a, b, k: CameronMartinTransport(ROUGH)(a, b, key=k))(x0, x1, jr.key(0))
    whiten = jax.jit(jax.vmap(lambda x: ROUGH.multiply(x, -0.5)))
    a, b = (np.asarray(whiten(x)) for x in (x0, x1))
    costs = {p: sum(np.sum((a[k] - b[p[k]]) ** 2) for k in range(4)) for p in itertools.permutations(range(4))}
    assert tuple(np.asarray(j)[np.argsort(i)]) == min(costs, key=costs.get)


def test_small_waves_count_by_the_noise_that_they_have():
    # Two bases and two data that agree in the large wave one way and in the small wave the other way: in L² the large
    # wave decides, in the metric of the base the small one, which the base hardly moves.
    x = np.arange(64) / 64
    large, small = 1.0 * np.cos(2 * np.pi * x), 0.3 * np.cos(2 * np.pi * 20 * x)
    x0 = jnp.asarray(np.stack([large + small, -large - small])[:, None], jnp.float32)
    x1 = jnp.asarray(np.stack([large - small, -large + small])[:, None], jnp.float32)
    for coupling, pairs in ((ExactTransport(), [0, 1]), (CameronMartinTransport(ROUGH), [1, 0])):
        _, j = jax.jit(lambda a, b, k, c=coupling: c(a, b, key=k))(x0, x1, jr.key(0))
        assert list(np.asarray(j)) == pairs


def test_which_cost_is_said():
    coupling, said = choose_transport(SMOOTH, ROUGH, (64,))
    assert isinstance(coupling, CameronMartinTransport) and "least Cameron–Martin cost" in said
    coupling, said = choose_transport(SMOOTH, GaussianField(1.8, 5.0), (64,))
    assert isinstance(coupling, ExactTransport) and "least L² cost" in said and "grows" in said
