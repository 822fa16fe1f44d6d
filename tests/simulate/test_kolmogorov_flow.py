"""Kolmogorov flow, the fine solver: exact solutions, invariants, orders, and another scheme in NumPy."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.simulate.kolmogorov_flow import KolmogorovFlow, SpectralSolver, greatest_speed, initial_vorticity

from .carpenter_kennedy import axes, carpenter_kennedy, invariants, three_waves

UNFORCED = {"viscosity": 0.0, "drag": 0.0, "amplitude": 0.0}


def run(flow, vorticity, n_steps):
    """ω after n_steps, in double precision."""
    with jax.enable_x64(True):
        advance = eqx.filter_jit(lambda solver, w, n: solver.advance(w, n))
        later, n_finite = advance(SpectralSolver(flow), jnp.asarray(vorticity), jnp.asarray(n_steps))
        assert n_finite == n_steps
        return np.asarray(later)


def test_flow_from_rest_and_the_laminar_flow_are_exact_along_y():
    flow = KolmogorovFlow(16, time_step=0.5)  # the linear part is exact: no step is too large for it
    _, y = axes(16)
    rate = flow.viscosity * flow.wavenumber**2 + flow.drag
    laminar = -flow.wavenumber / rate * np.cos(flow.wavenumber * y)  # of u = sin(4y)/rate, which is 34.4828 at most
    assert laminar.max() == pytest.approx(34.4828, abs=1e-4)
    assert flow.laminar_speed == pytest.approx(8.6207, abs=1e-4)
    np.testing.assert_allclose(run(flow, laminar, 50), laminar, atol=1e-12)  # eps × 34 × 50
    np.testing.assert_allclose(run(flow, 0 * laminar, 4), laminar * (1 - np.exp(-2 * rate)), atol=1e-12)


def test_taylor_green_vortices_decay_exactly():
    x, y = axes(16)
    start = 4 * np.cos(2 * x) * np.cos(2 * y)
    later = run(KolmogorovFlow(16, 0.02, amplitude=0.0, time_step=0.1), start, 10)
    np.testing.assert_allclose(later, start * np.exp(-(2 * 0.02 * 4 + 0.1)), atol=1e-13)  # .7710515858
    assert later[0, 0] / 4 == pytest.approx(0.7710515858, abs=1e-10)


def test_energy_and_enstrophy_are_conserved():
    start = three_waves(16)
    # What is left of time stepping is (3 dt)⁵/144 a unit, 2e-15 here: K|u| is 3 at most.
    later = run(KolmogorovFlow(16, time_step=1e-3, **UNFORCED), start, 1000)
    np.testing.assert_allclose(invariants(later), invariants(start), rtol=1e-14)
    assert np.abs(later - start).max() > 0.5  # and it moved
    assert abs(later.mean()) < 1e-15


def test_steps_are_of_fourth_order():
    results = [run(KolmogorovFlow(16, 0.01, time_step=h), three_waves(16), round(0.8 / h)) for h in (0.1, 0.05, 0.025)]
    errors = [np.abs(a - b).max() for a, b in itertools.pairwise(results)]
    assert 3.7 < np.log2(errors[0] / errors[1]) < 4.6


@pytest.mark.parametrize(
    ("n", "energy", "enstrophy", "modes"),
    [
        (64, 0.274564, 3.602165, (-0.383350j, 0.586568, -1.693592)),
        (32, 0.274565, 3.602213, (-0.383339j, 0.586559, -1.693617)),
    ],
)
def test_reference_values_and_another_scheme(n, energy, enstrophy, modes):
    later = run(KolmogorovFlow(n, 0.01, time_step=0.02), three_waves(n), 50)
    assert invariants(later) == (pytest.approx(energy, abs=6e-7), pytest.approx(enstrophy, abs=6e-7))  # six digits
    hat = np.fft.fft2(later, norm="forward")
    np.testing.assert_allclose([hat[2, 1], hat[2, 2], hat[4, 0]], modes, atol=6e-7)  # [ky, kx]
    other = carpenter_kennedy(KolmogorovFlow(n, 0.01, time_step=0.02), three_waves(n), 50)
    np.testing.assert_allclose(later, other, atol=4e-6)  # second order: 4.7e-7 at a step of .01
    assert np.abs(later - other).max() > 1e-7  # it is another scheme


def test_the_other_scheme_is_of_second_order():
    results = [
        carpenter_kennedy(KolmogorovFlow(16, 0.01, time_step=h), three_waves(16), round(0.8 / h))
        for h in (0.04, 0.02, 0.01)
    ]
    errors = [np.abs(a - b).max() for a, b in itertools.pairwise(results)]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.1)


def test_starts_have_their_speed_and_spectrum():
    flow = KolmogorovFlow(32)
    starts = jax.jit(jax.vmap(lambda key: initial_vorticity(flow, key=key)))(jr.split(jr.key(0), 2000))
    np.testing.assert_allclose(jax.jit(jax.vmap(greatest_speed))(starts), 3, rtol=1e-5)
    hat = np.fft.rfft2(starts, norm="forward")
    # ω̂ = k·LN(k)/k·noise, so its power is LN(k)² of a log-normal with mode 4 and variance ¼; a mode of 2000 fields is
    # known to 1/√2000 = 2 %, a common factor to less.
    density = lambda k: np.exp(-2 * (np.log(4) + 0.25 - np.log(k)) ** 2) / k  # noqa: E731
    power = np.array([(np.abs(hat[:, ky, kx]) ** 2).mean() for ky, kx in ((0, 2), (3, 4), (-4, 3), (0, 8), (6, 6))])
    expected = density(np.array([2, 5, 5, 8, np.sqrt(72)])) ** 2
    np.testing.assert_allclose(power / power.mean() * expected.mean() / expected, 1, atol=0.12)
    assert np.abs(hat[:, 11:-10]).max() < 1e-5 and np.abs(hat[:, 0, 0]).max() < 1e-5


def test_bad_input():
    for options, message in [
        ({"n_points": 33}, "n_points must be even and at least 8, got 33"),
        ({"n_points": 8}, "wavenumber must be between 1 and 2, the largest that 8 points resolve, got 4"),
        ({"viscosity": -1.0}, "viscosity must be a number that is not negative, got -1"),
        ({"drag": np.nan}, "drag must be a number that is not negative, got nan"),
        ({"time_step": 0.0}, "time_step must be positive, got 0"),
    ]:
        with pytest.raises(ValueError, match=message):
            KolmogorovFlow(**options)
    assert KolmogorovFlow(viscosity=0.0, drag=0.0).laminar_speed == np.inf
    assert KolmogorovFlow(**UNFORCED).laminar_speed == 0
