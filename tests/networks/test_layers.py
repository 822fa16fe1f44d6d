"""Layers against SciPy's correlation, hand-made attention, and their own inverses."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy.signal import correlate

from subgrid.networks.correlation import correlation, per_axis, shifted
from subgrid.networks.layers import (
    Convolution,
    Linear,
    NoiseEmbedding,
    ResidualBlock,
    RootMeanSquareNorm,
    SelfAttention,
    depth_to_space,
    space_to_depth,
)

from ..cases import few
from .weights import normal

PAD_MODES = {"periodic": "wrap", "reflect": "reflect", "zero": "constant"}


def pad(x, padding, reach):
    for axis, rule in enumerate(padding):
        x = np.pad(x, [(reach, reach) if a == axis else (0, 0) for a in range(x.ndim)], mode=PAD_MODES[rule])
    return x


@pytest.mark.parametrize(
    "padding", [("periodic",), ("reflect",), ("zero",), ("periodic", "reflect"), ("zero", "periodic")]
)
@pytest.mark.parametrize("kernel", [3, 5])
def test_convolution_is_scipys_correlation(padding, kernel):
    space = (7, 9)[: len(padding)]
    layer = Convolution(2, 3, padding=padding, kernel=kernel, key=jr.key(0))
    layer = eqx.tree_at(lambda c: c.bias, layer, jnp.asarray([0.1, -0.2, 0.3]))
    weight, x = np.float64(layer.weight), normal(1, *space, 2)
    expected = np.zeros((*space, 3))
    for i in range(2):
        for o in range(3):
            expected[..., o] += correlate(
                pad(np.float64(x[..., i]), padding, kernel // 2), weight[..., i, o], mode="valid"
            )
    np.testing.assert_allclose(eqx.filter_jit(layer)(x), expected + np.float64(layer.bias), atol=1e-5)


def plain_correlation(x, weight, padding):
    """The same as `correlation`, from NumPy's padding rules and without a derivative of its own."""
    offsets = np.ndindex(weight.shape[:-2])
    padded = x
    for axis, (rule, width) in enumerate(zip(padding, weight.shape, strict=False)):
        reach = [(width // 2, width // 2) if a == axis else (0, 0) for a in range(x.ndim)]
        padded = jnp.pad(padded, reach, mode=PAD_MODES[rule])
    return sum(
        padded[tuple(slice(o, o + n) for o, n in zip(offset, x.shape, strict=False))] @ weight[offset]
        for offset in offsets
    )


CORRELATIONS = [
    (("periodic",), (8,), 3),
    (("reflect",), (8,), 5),
    (("zero",), (8,), 5),
    (("periodic", "reflect"), (4, 6), 3),
    (("zero", "periodic"), (4, 6), 3),
]


@pytest.mark.parametrize(("padding", "space", "kernel"), few(reversed(CORRELATIONS), 2))
def test_derivatives_of_the_correlation_are_those_of_the_plain_formula(padding, space, kernel):
    x, dx = normal(0, 2, 2, *space, 3)
    weight, dweight = normal(1, 2, *(kernel,) * len(space), 3, 4)

    def derivatives(form):
        f = lambda x, weight: jnp.sin(jax.vmap(lambda field: form(field, weight, padding))(x))  # noqa: E731
        value, pull = jax.vjp(f, x, weight)
        tangents = [(dx, dweight), (dx, 0 * dweight), (0 * dx, dweight)]
        pushed = [jax.jvp(f, (x, weight), direction) for direction in tangents]
        # By one argument alone: the other has no tangent.
        slopes = [jax.grad(lambda *p: jnp.sum(f(*p) ** 2), argument)(x, weight) for argument in (0, 1)]
        return value, pushed, slopes, pull(jnp.cos(value))

    ours, plain = (jax.jit(lambda form=form: derivatives(form))() for form in (correlation, plain_correlation))
    for found, expected, atol in zip(ours, plain, (1e-5, 1e-4, 1e-3, 1e-3), strict=True):
        jax.tree.map(lambda a, b, atol=atol: np.testing.assert_allclose(a, b, atol=atol), found, expected)


@pytest.mark.slow
def test_correlation_can_be_differentiated_twice_and_a_sample_at_a_time():
    x, weight = jr.normal(jr.key(0), (2, 6, 2)), jr.normal(jr.key(1), (3, 2, 2))

    def derivatives(form):
        energy = lambda field, w: jnp.sum(jnp.sin(form(field, w, ("periodic",))) ** 2)  # noqa: E731
        slopes = jax.vmap(jax.grad(energy), (0, None))(x, weight)
        return slopes, jax.grad(lambda w: jnp.sum(jax.grad(energy)(x[0], w) ** 2))(weight)

    ours, plain = derivatives(correlation), derivatives(plain_correlation)
    np.testing.assert_allclose(ours[0], plain[0], atol=1e-4)
    np.testing.assert_allclose(ours[1], plain[1], rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("rule", PAD_MODES)
def test_a_shift_looks_ahead_past_the_edge(rule):
    x, steps = np.arange(1, 6, dtype=np.float32)[:, None], (-2, -1, 0, 1, 2)
    for step, found in zip(steps, jax.jit(lambda x: [shifted(x, s, 0, rule) for s in steps])(x), strict=True):
        np.testing.assert_array_equal(found, pad(x, (rule,), 2)[2 + step : 7 + step])


def test_a_shift_has_the_transpose_of_its_formula():
    x, y = normal(0, 2, 5, 4, 2)
    for rule in PAD_MODES:
        there, back = jax.jit(
            lambda x, y, rule=rule: (pair := jax.vjp(lambda z: shifted(z, -1, 1, rule), x))[0:1] + pair[1](y)
        )(x, y)
        assert np.vdot(there, y) == pytest.approx(np.vdot(x, back), abs=1e-4)


def test_initial_variances():
    x = normal(0, 20_000, 64)
    # Unit variance in, gain² out. The weights are 64 · 32 draws: four standard errors of their variance, 4√(2/2048).
    var = lambda layer, x: np.var(eqx.filter_jit(layer)(x))  # noqa: E731
    assert var(Linear(64, 32, gain=2.0, key=jr.key(1)), x) == pytest.approx(4.0, rel=0.13)
    x = normal(0, 2000, 32)
    assert var(Convolution(32, 32, padding=("periodic",), key=jr.key(1)), x) == pytest.approx(1.0, rel=0.11)


def test_norm_has_unit_mean_square_and_does_not_shift():
    x, norm = 3 + 2 * normal(0, 6, 5, 24), jax.jit(RootMeanSquareNorm())
    normed = np.float64(norm(x))
    assert (normed**2).mean() == pytest.approx(1.0, abs=1e-5)
    np.testing.assert_allclose(normed / normed[0, 0, 0], np.float64(x) / float(x[0, 0, 0]), rtol=1e-5)
    np.testing.assert_allclose(norm(100 * x), normed, rtol=1e-4)


def test_norm_of_a_zero_field_is_finite():
    norm = RootMeanSquareNorm()
    assert np.isfinite(jax.jit(jax.grad(lambda x: jnp.sum(norm(x) ** 2)))(np.zeros((4, 16), np.float32))).all()
    assert jax.eval_shape(norm, jnp.ones((4, 8), jnp.bfloat16)).dtype == jnp.bfloat16


def test_space_to_depth_gathers_blocks():
    x = np.arange(4 * 6 * 2, dtype=np.float32).reshape(4, 6, 2)
    deep = np.asarray(jax.jit(lambda x: space_to_depth(x, 2))(x))
    assert deep.shape == (2, 3, 8)
    np.testing.assert_array_equal(np.sort(deep[1, 2]), np.sort(x[2:4, 4:6].ravel()))


@pytest.mark.parametrize("shape", [(12, 2), (4, 8, 3)])
@pytest.mark.parametrize("factor", [1, 2, 4])
def test_depth_to_space_is_the_inverse(shape, factor):
    x = normal(0, *shape)
    there_and_back = jax.jit(lambda x: depth_to_space(space_to_depth(x, factor), factor))
    np.testing.assert_array_equal(there_and_back(x), x)


def test_attention_by_hand():
    layer = SelfAttention(16, heads=2, key=jr.key(0))
    layer = eqx.tree_at(lambda a: a.project_out.weight, layer, jnp.eye(16))
    x = normal(1, 3, 4, 16)
    flat = np.float64(jax.jit(RootMeanSquareNorm())(x)).reshape(12, 16) @ np.float64(layer.project_in.weight)
    expected = np.zeros((12, 16))
    for head in range(2):
        query, key, value = (flat[:, 16 * part + 8 * head : 16 * part + 8 * head + 8] for part in range(3))
        weights = np.exp(query @ key.T / np.sqrt(8))
        expected[:, 8 * head : 8 * head + 8] = weights / weights.sum(1, keepdims=True) @ value
    np.testing.assert_allclose(eqx.filter_jit(layer)(x), np.float64(x) + expected.reshape(x.shape), atol=2e-4)


def test_residual_blocks_and_attention_start_as_the_identity():
    x = normal(0, 8, 16)
    block = ResidualBlock(16, 4, padding=("zero",), key=jr.key(1))
    np.testing.assert_array_equal(eqx.filter_jit(block)(x, np.ones(4, np.float32)), x)
    np.testing.assert_array_equal(eqx.filter_jit(SelfAttention(16, key=jr.key(1)))(x), x)


def test_noise_embedding_tells_levels_apart():
    embed = NoiseEmbedding(16, key=jr.key(0))
    codes = np.asarray(eqx.filter_jit(eqx.filter_vmap(embed))(np.linspace(-1.6, 1.3, 40, dtype=np.float32)))
    distances = np.linalg.norm(codes[:, None] - codes[None], axis=-1) + 1e9 * np.eye(40)
    assert distances.min() > 0.05 * np.linalg.norm(codes, axis=-1).mean()


def test_complaints():
    assert per_axis("zero", 2) == ("zero", "zero")
    with pytest.raises(ValueError, match="padding must be one of"):
        per_axis("circular", 1)
    with pytest.raises(ValueError, match="for each of 2 axes"):
        per_axis(("zero",), 2)
    with pytest.raises(ValueError, match="10 channels cannot be divided among 4 attention heads"):
        SelfAttention(10, key=jr.key(0))
