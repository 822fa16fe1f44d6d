"""The symmetries of Kolmogorov flow are those of both solvers, to rounding; two others are not."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from subgrid.numerics.symmetries import kolmogorov_symmetries
from subgrid.simulate.kolmogorov_flow import KolmogorovFlow, SpectralSolver
from subgrid.simulate.staggered import StaggeredSolver

FLOW = KolmogorovFlow(16, 0.01, time_step=0.02)
SOLVERS = {"fine": SpectralSolver, "coarse": StaggeredSolver}


def fields():
    """A start without any symmetry: all its modes are random."""
    noise = np.random.default_rng(0).normal(size=(16, 16))
    return noise - noise.mean()


@pytest.fixture(scope="module", params=SOLVERS)
def solved(request):
    """ω ↦ ω ten steps later, of many fields in double precision."""
    with jax.enable_x64(True):
        solver = SOLVERS[request.param](FLOW)
        advance = eqx.filter_jit(lambda solver, w: jax.lax.map(lambda one: solver.advance(one, 10)[0], w))
    return lambda w: advance(solver, w)


def test_all_elements_commute_with_both_solvers(solved):
    with jax.enable_x64(True):
        group = kolmogorov_symmetries(4, n_shifts=4)
        elements, start = group.elements(), jnp.asarray(fields())
        images = jax.vmap(lambda g: g(start))(elements)
        assert images.shape == (64, 16, 16)
        later = solved(jnp.concatenate([start[None], images]))
        expected = jax.vmap(lambda g: g(later[0]))(elements)
        np.testing.assert_allclose(later[1:], expected, atol=2e-13)  # rounding of values near 5, over ten steps
        assert np.abs(later[0] - start).max() > 0.5


def test_mirrors_quarter_turns_and_half_shifts_do_not_commute(solved):
    maps = {
        "mirror in x": lambda w: -jnp.roll(w[:, ::-1], 1, 1),
        "quarter turn": lambda w: jnp.rot90(jnp.roll(w, -1, 0)),
        "shift by half a wave of the force": lambda w: jnp.roll(w, 2, 0),
    }
    with jax.enable_x64(True):
        start = jnp.asarray(fields())
        later = solved(jnp.stack([start, *(change(start) for change in maps.values())]))
        for got, (name, change) in zip(later[1:], maps.items(), strict=True):
            assert np.abs(got - change(later[0])).max() > 0.1, name  # 4 A k_f × .2 time units at most
