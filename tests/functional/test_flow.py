"""Flows in function space: the exact velocity of Gaussians, what it costs to solve, and losses on its floor."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from subgrid.functional.flow import (
    ModewiseVelocity,
    PointwiseVelocity,
    denoised_of_velocity,
    flow_loss,
    gaussian_flow_velocity,
    path_variances,
    solve_adaptively,
)
from subgrid.functional.gaussian_field import GaussianField, field_of, white_field
from subgrid.functional.levels import level_range
from subgrid.functional.objective import loss_over_floor
from subgrid.functional.operators import gaussian_operator, posterior_variances
from subgrid.functional.preconditioning import BandNetwork
from subgrid.numerics.spectra import PowerLaw

from .small import ROUGH, SMOOTH, Multiplier, Nothing, amplitudes, wave, waves

EXACT = gaussian_flow_velocity(SMOOTH, ROUGH)
FIRST, ZEROTH = (field.mode_variances((16,))[:5] for field in (SMOOTH, ROUGH))


@pytest.mark.parametrize("sigma_min", [0.0, 0.1])
def test_the_exact_velocity_is_the_regression_on_the_path(sigma_min):
    # E[dx_t/dt | x_t] of jointly Gaussian dx_t/dt and x_t: their covariance over the variance, at any time.
    t, kept = 0.3, 1 - sigma_min
    a = 1 - kept * t
    slope = (t * FIRST - kept * a * ZEROTH) / (a**2 * ZEROTH + t**2 * FIRST)
    velocity = gaussian_flow_velocity(SMOOTH, ROUGH, 2 * wave(9), sigma_min=sigma_min)
    with jax.enable_x64(True):
        centre = 2 * wave(16)
        found = jax.jit(jax.vmap(lambda x: velocity(t * centre + x, t) - centre))(waves(16))
    np.testing.assert_allclose(np.diag(amplitudes(found)), slope, rtol=1e-6)


@pytest.mark.parametrize("sigma_min", [0.0, 0.1])
def test_the_flow_carries_the_base_to_the_data(sigma_min):
    velocity = gaussian_flow_velocity(SMOOTH, ROUGH, sigma_min=sigma_min)
    with jax.enable_x64(True):
        solve = jax.jit(jax.vmap(lambda x: solve_adaptively(velocity, x, tolerance=1e-8)))
        field, n = solve(waves(16))
    left = sigma_min**2 * ZEROTH
    np.testing.assert_allclose(np.diag(amplitudes(field)), np.sqrt((FIRST + left) / ZEROTH), rtol=1e-5)
    assert np.all((np.asarray(n) - 2) % 6 == 0) and np.all(np.asarray(n) > 50)


@pytest.mark.parametrize("sigma_min", [0.0, 0.1])
def test_a_velocity_states_the_operator_of_a_diffusion(sigma_min):
    denoised = denoised_of_velocity(gaussian_flow_velocity(SMOOTH, ROUGH, sigma_min=sigma_min), sigma_min=sigma_min)
    exact = gaussian_operator(SMOOTH, ROUGH)
    with jax.enable_x64(True):
        for s in (1e3, 0.3, 0.01):
            np.testing.assert_allclose(
                jax.vmap(lambda v, s=s: denoised(v, s))(waves(16)),
                jax.vmap(lambda v, s=s: exact(v, s))(waves(16)),
                atol=1e-9,
            )


def test_the_largest_rate_of_a_mode():
    # ½√(λ₀/λ₁), at the ratio 1e-4 of the specification: 50.005 is the exact maximum.
    data, base = field_of(PowerLaw(0.0, 1.0, 1e-2)), field_of(PowerLaw(0.0, 1.0))
    with jax.enable_x64(True):
        rates = [abs(float(path_variances(data, base, (3,), t)[1][0])) for t in np.linspace(0.985, 0.995, 101)]
    assert max(rates) == pytest.approx(50.005, abs=0.02)


def evaluations(base, n):
    """Of scipy's RK45 at 1e-5 on the amplitudes of modes, as in the specification."""
    data = GaussianField(2.0, 5.0, variance=1.0)
    first, zeroth = (np.asarray(field.mode_variances((n,))) for field in (data, base))
    start = np.sqrt(zeroth) * np.random.default_rng(0).normal(size=len(zeroth))
    rate = lambda t, x: (t * first - (1 - t) * zeroth) / ((1 - t) ** 2 * zeroth + t**2 * first) * x  # noqa: E731
    return solve_ivp(rate, (0, 1), start, rtol=1e-5, atol=1e-5).nfev


@pytest.mark.parametrize(
    ("base", "table"),
    [
        (GaussianField(2.0, 5.0, variance=1.0), [26, 14, 14, 14]),
        (GaussianField(1.6, 5.0, variance=1.0), [26, 26, 26, 14]),
        (GaussianField(1.0, 5.0, variance=1.0), [50, 50, 38, 38]),
        (white_field(), [98, 116, 116, 128]),
    ],
)
def test_evaluations_of_the_specification(base, table):
    found = [evaluations(base, n) for n in (64, 256, 1024, 4096)]
    np.testing.assert_allclose(found, table, atol=12)  # two steps of six: of another random start
    white = base.variance((4096,)) > 100
    assert (found[-1] > found[0]) if white else (found[-1] <= found[0])


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [2.0, 1.6, None])
def test_evaluations_between_fields(alpha):
    """Slow: six programs of an adaptive solver are compiled. The same in quick form is above."""
    base = white_field() if alpha is None else GaussianField(alpha, 5.0, variance=1.0)
    velocity = gaussian_flow_velocity(GaussianField(2.0, 5.0, variance=1.0), base)
    with jax.enable_x64(True):
        coarse, fine = (
            int(solve_adaptively(velocity, base.sample((n,), key=jr.key(0))).n_evaluations) for n in (64, 4096)
        )
    assert fine > 1.4 * coarse if alpha is None else fine <= coarse


@pytest.mark.parametrize("of_modes", [0.0, 0.5])
def test_the_loss_of_the_exact_velocity_is_its_floor(of_modes):
    n, data, base = 3000, GaussianField(2.0, 5.0, variance=1.0), GaussianField(1.0, 5.0, variance=1.0)
    exact, reach = gaussian_flow_velocity(data, base), level_range(data, base, (16,))
    untrained = ModewiseVelocity(BandNetwork(Nothing(), base.box, (16,)), data, base, level_range(data, base, (16,)))
    nothing = lambda x, t, known=None: 0 * x  # noqa: E731

    @jax.jit
    def losses(key):
        first, second, third = jr.split(key, 3)
        x0 = jax.vmap(lambda k: base.sample((16,), key=k))(jr.split(first, n))
        x1 = jax.vmap(lambda k: data.sample((16,), key=k))(jr.split(second, n))
        options = {"data": data, "base": base, "levels": reach, "of_modes": of_modes, "key": third}
        return [flow_loss(velocity, (x0, x1, None), **options) for velocity in (exact, untrained, nothing)]

    at_floor, same, far = losses(jr.key(0))
    assert float(at_floor) == pytest.approx(1, rel=0.06)  # three standard errors of 3000 draws
    assert float(same) == pytest.approx(float(at_floor), rel=1e-4)
    assert float(far) > 1.5


def test_the_loss_is_that_of_the_diffusion_that_the_flow_is():
    # G(v, s) = a v(x, t) + x: the error of the one is a times that of the other, and so is the root of its floor.
    data, base = GaussianField(2.0, 5.0, variance=1.0), GaussianField(1.0, 5.0, variance=1.0)
    velocity = lambda x, t, known=None: 0.5 * x  # noqa: E731
    u, eta, s = wave(16, 3), wave(16, 2), 0.3
    with jax.enable_x64(True):
        options = {"data": data, "base": base, "levels": (s * 1.0001, s)}
        found = flow_loss(velocity, (eta[None], u[None], None), of_modes=0.5, key=jr.key(0), **options)
        left = u - denoised_of_velocity(velocity)(u + np.sqrt(s) * eta, s)
        of_diffusion = loss_over_floor(left, posterior_variances(data, base, (16,), s), base.box, of_modes=0.5)
    assert float(found) == pytest.approx(float(of_diffusion), rel=1e-3)


@pytest.mark.parametrize("sigma_min", [0.0, 0.02])
@pytest.mark.parametrize("t", [0.0, 1e-6, 0.5, 0.9, 0.99, 1.0])
def test_the_network_is_told_a_level_between_those_of_the_training(t, sigma_min):
    reach = 0.4, 1e-5
    told = PointwiseVelocity(Told(), ROUGH.box, reach, sigma_min)(wave(16), t)
    s = ((1 - (1 - sigma_min) * t) / max(t, 1e-30)) ** 2
    np.testing.assert_allclose(told, np.log(np.clip(s, *reach[::-1])) / 4, rtol=1e-5)
    assert (reach[1] < s < reach[0]) == (t in (0.9, 0.99) or (t == 1 and sigma_min > 0))


def test_a_network_between_modes_is_one_velocity_on_all_grids():
    velocity = ModewiseVelocity(
        BandNetwork(Multiplier(2, 1, key=jr.key(0)), ROUGH.box, (9,), sees_answer=True), SMOOTH, ROUGH, (0.4, 1e-5)
    )
    x = jax.device_put(np.asarray(np.random.default_rng(0).normal(size=(1, 16)), np.float32))
    coarse = jax.jit(lambda x: velocity(ROUGH.box.resize(x, (9,)), 0.4))(x)
    fine = jax.jit(lambda x: ROUGH.box.resize(velocity(x, 0.4), (9,)))(x)
    np.testing.assert_allclose(fine, coarse, atol=1e-5)
    added = jax.jit(lambda x: velocity(ROUGH.box.resize(x, (9,)), 0.4) - EXACT(ROUGH.box.resize(x, (9,)), 0.4))(x)
    assert float(jnp.abs(added).max()) > 1e-3


def test_the_network_alone_sees_known_fields_of_any_grid():
    velocity = PointwiseVelocity(Second(), ROUGH.box, (1.0, 0.1))
    np.testing.assert_allclose(
        jax.jit(lambda x, known: velocity(x, 0.5, known))(wave(16), wave(9, 3)), wave(16, 3), atol=1e-6
    )


class Second(eqx.Module):
    def __call__(self, x, t):
        return x[1:]


class Told(eqx.Module):
    def __call__(self, x, t):
        return t + 0 * x
