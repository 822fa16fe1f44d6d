"""Interpolants: ends, closed derivatives, and the exact Gaussian velocity against the equations it must solve."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from subgrid.transport.interpolants import (
    EncodingDecoding,
    LinearInterpolant,
    Trigonometric,
    VariancePreservingInterpolant,
    gaussian_velocity,
    interpolate,
    rates,
    require_times_where_regular,
)

PI = np.pi
INTERPOLANTS = {
    "linear": LinearInterpolant(),
    "linear with noise": LinearInterpolant(0.7),
    "trigonometric": Trigonometric(),
    "trigonometric with noise": Trigonometric(1.3),
    "variance preserving": VariancePreservingInterpolant(),
    "encoding-decoding": EncodingDecoding(),
}
SLOPES = {  # by hand
    "linear": lambda t: (-1, 1, 0),
    "linear with noise": lambda t: (-1, 1, 0.7 * (1 - 2 * t) / (2 * np.sqrt(t * (1 - t)))),
    "trigonometric": lambda t: (-PI / 2 * np.sin(PI / 2 * t), PI / 2 * np.cos(PI / 2 * t), 0),
    "trigonometric with noise": lambda t: (
        -PI / 2 * np.sin(PI / 2 * t),
        PI / 2 * np.cos(PI / 2 * t),
        1.3 * (1 - 2 * t) / (2 * np.sqrt(t * (1 - t))),
    ),
    "variance preserving": lambda t: (-t / np.sqrt(1 - t**2), 1, 0),
    "encoding-decoding": lambda t: PI * np.sin(2 * PI * t) * np.array([-(t < 0.5), -(t > 0.5), 1.0]),
}
MEAN0, MEAN1 = np.array([0.5, -1.0]), np.array([-0.3, 2.0])
COV0, COV1 = np.array([[1.0, 0.6], [0.6, 1.0]]), np.array([[2.0, -0.5], [-0.5, 0.5]])


@pytest.mark.parametrize("name", INTERPOLANTS)
def test_ends(name):
    at_start, at_end = (INTERPOLANTS[name](jnp.asarray(t)) for t in (0.0, 1.0))
    np.testing.assert_allclose(at_start, (1, 0, 0), atol=1e-6)
    np.testing.assert_allclose(at_end, (0, 1, 0), atol=1e-6)


@pytest.mark.parametrize("name", INTERPOLANTS)
@pytest.mark.parametrize("t", [0.1, 0.4, 0.8])
def test_rates_are_the_derivatives(name, t):
    np.testing.assert_allclose(rates(INTERPOLANTS[name], jnp.asarray(t)), SLOPES[name](t), atol=1e-5)


def test_variance_is_kept_where_it_says_so():
    t = jnp.linspace(0.0, 1.0, 33)
    for interpolant in (Trigonometric(), VariancePreservingInterpolant()):
        alpha, beta, _ = jax.vmap(interpolant)(t)
        np.testing.assert_allclose(alpha**2 + beta**2, 1, atol=1e-6)


def test_encoding_decoding_passes_through_pure_noise():
    np.testing.assert_allclose(EncodingDecoding()(jnp.asarray(0.5)), (0, 0, 1), atol=1e-6)


def test_moments_of_the_interpolant():
    rng, n, t = np.random.default_rng(0), 50_000, jnp.asarray(0.3)
    x0, x1, z = (jax.device_put(np.asarray(rng.normal(size=n) * s, np.float32)) for s in (1.0, 2.0, 1.0))
    got = np.asarray(interpolate(LinearInterpolant(0.7)(t), x0, x1, z), np.float64).var()
    assert got == pytest.approx(0.49 + 4 * 0.09 + 0.49 * 0.21, rel=4 * np.sqrt(2 / n))


def test_velocity_between_independent_gaussians_on_the_straight_line():
    # v = m₁ − m₀ + (tΣ₁ − (1−t)Σ₀)((1−t)²Σ₀ + t²Σ₁)⁻¹(x − m_t), as in the specification.
    velocity = gaussian_velocity(LinearInterpolant(), *map(jnp.asarray, (MEAN0, COV0, MEAN1, COV1)))
    x = np.array([0.7, 0.2])
    for t in (0.0, 0.3, 1.0):
        inverse = np.linalg.inv((1 - t) ** 2 * COV0 + t**2 * COV1)
        slope = (t * COV1 - (1 - t) * COV0) @ inverse
        expected = MEAN1 - MEAN0 + slope @ (x - (1 - t) * MEAN0 - t * MEAN1)
        np.testing.assert_allclose(velocity(jnp.asarray(x), jnp.asarray(t)), expected, rtol=1e-4)


@pytest.mark.parametrize("name", INTERPOLANTS)
@pytest.mark.parametrize("coupled", [False, True])
def test_velocity_transports_the_moments(name, coupled):
    # The transport equation of a Gaussian distribution under v = u + A(x − m): ṁ = u and Σ̇ = AΣ + ΣAᵀ.
    interpolant = INTERPOLANTS[name]
    cross = np.array([[0.2, 0.4], [-0.3, 0.1]]) * coupled

    def moments(t):
        a, b, g = interpolant(jnp.asarray(t))
        spread = a**2 * COV0 + b**2 * COV1 + a * b * (cross + cross.T) + g**2 * np.eye(2)
        return np.asarray(a * MEAN0 + b * MEAN1), np.asarray(spread)

    with jax.enable_x64(True):
        distributions = map(jnp.asarray, (MEAN0, COV0, MEAN1, COV1))
        velocity = gaussian_velocity(interpolant, *distributions, coupling=jnp.asarray(cross))
        for t, h in ((0.2, 1e-5), (0.7, 1e-5)):
            (before, spread_before), (after, spread_after) = moments(t - h), moments(t + h)
            mean, spread = moments(t)
            at = jnp.asarray(mean), jnp.asarray(t)
            slope = np.asarray(jax.jacfwd(velocity)(*at))
            np.testing.assert_allclose(velocity(*at), (after - before) / (2 * h), atol=1e-7)  # differences: h²
            change = (spread_after - spread_before) / (2 * h)
            np.testing.assert_allclose(slope @ spread + spread @ slope.T, change, atol=1e-7)


def test_complaints_about_times():
    inside, whole = jnp.linspace(0.01, 0.99, 9), jnp.linspace(0.0, 1.0, 9)
    for interpolant in (LinearInterpolant(), Trigonometric()):
        np.testing.assert_array_equal(require_times_where_regular(interpolant, whole, score=False), whole)
    require_times_where_regular(LinearInterpolant(1.0), inside, score=True)
    # Singular at t = 1 only:
    require_times_where_regular(VariancePreservingInterpolant(), whole, score=False, last=False)
    with pytest.raises(ValueError, match=r"times must lie in \[0, 1\], got 1\.2"):
        require_times_where_regular(LinearInterpolant(), jnp.asarray([0.0, 1.2]), score=False)
    with pytest.raises(ValueError, match=r"times must lie in \[0, 1\], got nan"):
        require_times_where_regular(LinearInterpolant(), jnp.asarray([jnp.nan, 0.2]), score=False, last=False)
    with pytest.raises(ValueError, match=r"VariancePreservingInterpolant: a derivative .* singular at t = 1;"):
        require_times_where_regular(VariancePreservingInterpolant(), whole, score=False)
    with pytest.raises(ValueError, match="LinearInterpolant: a derivative of its coefficients is singular at t = 0;"):
        require_times_where_regular(LinearInterpolant(1.0), whole, score=False, last=False)
    with pytest.raises(ValueError, match="EncodingDecoding: gamma is 0 at t = 0, where the score"):
        require_times_where_regular(EncodingDecoding(), whole, score=True)
    with pytest.raises(ValueError, match=r"Trigonometric: gamma is 0 at t = 0\.01"):
        require_times_where_regular(Trigonometric(), inside, score=True)


def test_times_that_are_traced_are_refused_when_used():
    check = eqx.filter_jit(lambda t: require_times_where_regular(LinearInterpolant(1.0), t, score=True, last=False))
    inside = jnp.linspace(0.01, 1.0, 5)
    np.testing.assert_array_equal(check(inside), inside)
    for bad in (jnp.linspace(0.0, 1.0, 5), jnp.linspace(0.1, 1.5, 5)):
        with pytest.raises(eqx.EquinoxRuntimeError, match=r"LinearInterpolant: a time lies outside \[0, 1\], or where"):
            check(bad)


def test_negative_noise():
    for interpolant in (LinearInterpolant, Trigonometric):
        with pytest.raises(ValueError, match=r"sigma must not be negative, got -0\.1"):
            interpolant(-0.1)
