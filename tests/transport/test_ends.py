"""Minibatches of pairs: contexts stay with their samples through every coupling, and unequal archives are fine."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.numerics.from_numpy import from_numpy
from subgrid.transport.couplings import EntropicTransport, ExactTransport, Independent
from subgrid.transport.ends import Ends, Pairs, draw_pairs, take_pairs

RNG = np.random.default_rng(0)
SOURCE, TARGET = from_numpy(RNG.normal(size=(300, 2))), from_numpy(RNG.normal(1.0, 1.0, (70, 2)))
COUPLINGS = {"none": Independent(), "exact": ExactTransport(), "entropic": EntropicTransport(1.0)}


def label(x):
    return 3 * x[..., :1] - x[..., 1:]  # tells which sample it belongs to


@pytest.mark.parametrize("name", COUPLINGS)
@pytest.mark.parametrize("of_target", [True, False])
def test_contexts_move_with_their_sample(name, of_target):
    ends = Ends(SOURCE, TARGET, label(TARGET if of_target else SOURCE), of_target)
    pairs = jax.jit(lambda key: draw_pairs(ends, 64, coupling=COUPLINGS[name], key=key))(jr.key(2))
    np.testing.assert_array_equal(pairs.context, label(pairs.x1 if of_target else pairs.x0))


def test_pairs_are_samples_of_their_archives_and_coupled_ones_are_closer():
    ends = Ends(SOURCE, TARGET)
    cost = {}
    for name, coupling in COUPLINGS.items():
        pairs = draw_pairs(ends, 64, coupling=coupling, key=jr.key(3))
        for drawn, archive in ((pairs.x0, SOURCE), (pairs.x1, TARGET)):
            rows = {tuple(row) for row in np.asarray(archive).tolist()}
            assert {tuple(row) for row in np.asarray(drawn).tolist()} <= rows
        cost[name] = float(jnp.mean(jnp.sum((pairs.x0 - pairs.x1) ** 2, 1)))
        assert pairs.context is None
    # Independent: 2 + 2 + 2; exact: about the shift, 2.
    assert cost["exact"] < cost["entropic"] < cost["none"]


def test_every_sample_is_drawn():
    pairs = draw_pairs(Ends(SOURCE, TARGET), 6000, key=jr.key(4))
    # 300 samples, 6000 draws: one is missed with probability 300·e^{−20}.
    assert len(np.unique(pairs.x0[:, 0])) == 300 and len(np.unique(pairs.x1[:, 0])) == 70


def test_taken_pairs_stay_pairs():
    pairs = Pairs(SOURCE, 2 * SOURCE, label(SOURCE))
    taken = take_pairs(pairs, 50, key=jr.key(5))
    np.testing.assert_array_equal(taken.x1, 2 * taken.x0)
    np.testing.assert_array_equal(taken.context, label(taken.x0))
    assert take_pairs(Pairs(SOURCE, TARGET[:1].repeat(300, 0)), 5, key=jr.key(6)).context is None


def test_complaints():
    with pytest.raises(ValueError, match=r"source fields have shape \(2,\), target fields \(1,\); they must agree"):
        Ends(SOURCE, TARGET[:, :1])
    with pytest.raises(ValueError, match="the context has 300 samples, the target 70; they must agree"):
        Ends(SOURCE, TARGET, label(SOURCE))
    with pytest.raises(ValueError, match="the context has 70 samples, the source 300; they must agree"):
        Ends(SOURCE, TARGET, label(TARGET), False)
