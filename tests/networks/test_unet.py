"""The UNet by its symmetries and invariances; random weights everywhere, since its head starts at zero."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.networks.unet import UNet, UNetSettings

from ..cases import few
from .weights import normal, perturbed

KINDS = {
    "1-D": {"n_space": 1, "attention_levels": ()},
    "1-D attention": {"n_space": 1, "attention_levels": (0, 1)},
    "2-D": {"n_space": 2, "attention_levels": (1,)},
}
NOISE = jnp.asarray(0.3)


def build(n_space, *, attention_levels=(), **options):
    sizes = {"channels": (8, 16), "n_blocks": 2, "patch": 2, "embedding": 8, "heads": 2} | options
    settings = UNetSettings(attention_levels=attention_levels, **sizes)
    return UNet(2, 3, n_space, settings, key=jr.key(0))


@pytest.fixture(scope="module", params=few(KINDS, 2), ids=KINDS)
def case(request):
    network = perturbed(build(**KINDS[request.param]))
    x = normal(2, 2, *(16, 8)[: network.stem.weight.ndim - 2])
    run = eqx.filter_jit(network)
    return network, lambda x, noise=NOISE: np.asarray(run(x, noise)), x


def test_periodic_networks_commute_with_translations_by_whole_cells(case):
    _, run, x = case
    axes, shift = tuple(range(1, x.ndim)), (4,) * (x.ndim - 1)  # patch 2 × 2 for the second level
    out = run(x)
    np.testing.assert_allclose(run(np.roll(x, shift, axes)), np.roll(out, shift, axes), atol=2e-5)
    assert np.abs(run(np.roll(x, 1, 1)) - np.roll(out, 1, 1)).max() > 1e-3  # not by parts of a cell


def test_output_depends_on_the_noise_and_on_every_point(case):
    network, run, x = case
    out = run(x)
    assert out.shape == (3, *x.shape[1:])
    assert np.abs(run(x, jnp.asarray(-0.5)) - out).max() > 1e-2
    sensitivity = np.asarray(jax.jit(jax.grad(lambda z: jnp.sum(jnp.sin(network(z, NOISE)))))(x))
    assert np.isfinite(sensitivity).all()
    assert (sensitivity != 0).all()


@pytest.mark.slow
def test_other_paddings_break_the_symmetry_at_the_edge():
    x = jr.normal(jr.key(2), (2, 32))
    for padding in ("reflect", "zero"):
        run = eqx.filter_jit(perturbed(build(1, padding=padding, n_blocks=1)))
        difference = np.abs(run(jnp.roll(x, 4, 1), NOISE) - jnp.roll(run(x, NOISE), 4, 1))
        assert difference.max() > 1e-3


def test_half_precision_is_close():
    x = normal(2, 2, 16)
    full, half = (
        np.asarray(eqx.filter_jit(perturbed(build(1, dtype=dtype)))(x, NOISE)) for dtype in ("float32", "bfloat16")
    )
    assert half.dtype == np.float32
    # bfloat16 has 8 bits: 2⁻⁹ a rounding, some 30 roundings in a row that partly add up.
    assert np.linalg.norm(half - full) < 0.05 * np.linalg.norm(full)
    assert (half != full).any()


@pytest.mark.slow
def test_checkpointing_changes_no_gradient():
    x = jr.normal(jr.key(2), (2, 16))
    loss = eqx.filter_jit(eqx.filter_grad(lambda network: jnp.mean(network(x, NOISE) ** 2)))
    plain, thrifty = (
        jax.tree.leaves(eqx.filter(loss(perturbed(build(1, checkpoint=c))), eqx.is_array)) for c in (False, True)
    )
    for a, b in zip(plain, thrifty, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_untrained_network_is_silent():
    assert not np.any(eqx.filter_jit(build(1))(np.ones((2, 16), np.float32), NOISE))


def test_sizes_that_do_not_fit():
    with pytest.raises(ValueError, match=r"\(18,\) points is not divisible by patch x 2\^\(levels - 1\) = 4"):
        build(1)(jnp.ones((2, 18)), NOISE)
