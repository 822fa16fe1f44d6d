"""Moist turbulence: conservation, orders, exact decay, the energy that the forcing makes, and an advective oracle."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.simulate.moist_turbulence import (
    INTERVAL,
    MoistTurbulence,
    condensation_rate,
    context,
    forcing_spectrum,
    random_forcing,
    tendency,
    trajectories,
)
from subgrid.simulate.periodic_modes import to_grid, to_modes, velocity_modes

UNFORCED = {"energy_input": 0.0, "viscosity": 0.0, "drag": 0.0}


def axes(n):
    """(x, y) in [0, 2π)², fields indexed [y, x]."""
    return np.meshgrid(*[2 * np.pi * np.arange(n) / n] * 2)


def smooth_fields(n, *, offset, seed=0):
    """ζ and c of a few large waves each, c around `offset`."""
    x, y = axes(n)
    rng = np.random.default_rng(seed)
    waves = [(1, 0), (0, 2), (2, -1), (1, 3)]
    make = lambda: sum(rng.normal() * np.cos(a * x + b * y + 6 * rng.random()) for a, b in waves)  # noqa: E731
    return np.stack([make(), offset + 0.1 * make()])


def derivatives(field):
    """(∂_x, ∂_y) by NumPy's complex transform."""
    k = np.fft.fftfreq(field.shape[-1], 1 / field.shape[-1])
    hat = np.fft.fft2(field)
    return np.fft.ifft2(1j * k * hat).real, np.fft.ifft2(1j * k[:, None] * hat).real


def flow(zeta):
    """(u, v) by NumPy: ψ = ∇⁻²ζ, u = −ψ_y, v = ψ_x."""
    k = np.fft.fftfreq(zeta.shape[-1], 1 / zeta.shape[-1])
    square = k**2 + k[:, None] ** 2
    psi = np.fft.ifft2(-np.fft.fft2(zeta) / np.where(square == 0, np.inf, square)).real
    psi_x, psi_y = derivatives(psi)
    return -psi_y, psi_x


def kinetic_energy(zeta):
    return 0.5 * sum((w**2).mean() for w in flow(np.asarray(zeta, np.float64)))


def interpolate(field, n):
    """The modes |k| < n/2 of the field, on n points (more or fewer)."""
    hat, old = np.fft.fftshift(np.fft.fft2(field, norm="forward")), field.shape[-1]
    cut = (old - n) // 2
    hat = hat[cut:-cut, cut:-cut] if cut > 0 else np.pad(hat, -cut)
    return np.fft.ifft2(np.fft.ifftshift(hat), norm="forward").real


def run(system, fields, n_steps, key=None):
    keys = jr.split(jr.key(0) if key is None else key, n_steps)
    body = lambda w, k: (system.step(w, key=k), None)  # noqa: E731
    return np.asarray(to_grid(jax.jit(lambda w: jax.lax.scan(body, w, keys)[0])(to_modes(jnp.asarray(fields)))))


def test_tendency_is_that_of_the_advective_form_without_aliasing():
    n, fine = 24, 64
    system = MoistTurbulence(n, wavenumber=3, amplitude=0.7, viscosity=0.0, time_step=0.01, saturation_gradient=1.3)
    with jax.enable_x64():
        rng = np.random.default_rng(0)
        modes = to_modes(jnp.asarray(rng.normal(size=(2, n, n))))  # all kept modes are full
        modes = modes.at[0, 0, 0].set(0.0)
        got = np.asarray(to_grid(tendency(system, modes, 0.7 * context(n, 3))))
        zeta, c = (interpolate(f, fine) for f in np.asarray(to_grid(modes)))
        rain = np.asarray(to_grid(to_modes(condensation_rate(to_grid(modes)[1]))))
    (u, v), (x, y) = flow(zeta), axes(fine)
    gamma_x = 0.7 * 3 * np.cos(3 * x) * np.sin(3 * y)
    gamma_y = 1.3 + 0.7 * 3 * np.sin(3 * x) * np.cos(3 * y)
    advected = [-sum(w * d for w, d in zip((u, v), derivatives(f), strict=True)) for f in (zeta, c)]
    exact = [advected[0], advected[1] - u * gamma_x - v * gamma_y + 1.0]
    with jax.enable_x64():
        exact = np.stack([np.asarray(to_grid(to_modes(jnp.asarray(interpolate(f, n))))) for f in exact])
    exact[1] -= rain
    np.testing.assert_allclose(got, exact, atol=1e-10 * abs(exact).max())  # double precision


def test_inviscid_flow_conserves_energy_and_enstrophy_to_the_order_of_the_scheme():
    drifts = []
    with jax.enable_x64():
        start = smooth_fields(24, offset=-1.0)
        for step in (0.025, 0.0125):
            system = MoistTurbulence(24, time_step=step, condensation_time=0.1, **UNFORCED)
            zeta = run(system, start, round(2 / step))[0]
            energies = kinetic_energy(zeta) / kinetic_energy(start[0]), (zeta**2).mean() / (start[0] ** 2).mean()
            drifts.append(np.abs(np.array(energies) - 1))
    assert (drifts[1] < 1e-10).all()
    assert (drifts[0] / drifts[1] > 14).all()  # fourth order: 16, from below as the step shrinks


def test_deterministic_part_converges_at_fourth_order():
    with jax.enable_x64():
        # c stays negative, so that max(c, 0) does not limit the order.
        start, results = smooth_fields(16, offset=-8.0), []
        for step in (0.1, 0.05, 0.0125):
            system = MoistTurbulence(
                16, wavenumber=2, time_step=step, viscosity=1e-6, drag=0.1, energy_input=0.0, condensation_time=0.1
            )
            results.append(run(system, start, round(1 / step)))
    assert results[-1][1].max() < 0
    errors = [np.abs(r - results[-1]).max((1, 2)) for r in results[:2]]
    ratio = errors[0] / errors[1]
    assert (ratio > 13).all() and (ratio < 24).all()  # 16 and what the reference's own error, 1/256, adds


@pytest.mark.parametrize("step", [0.001, 0.02])
def test_linear_decay_is_exact_for_any_step(step):
    system = MoistTurbulence(
        16, time_step=step, viscosity=1e-4, drag=0.5, energy_input=0.0, evaporation=0.0, saturation_gradient=0.0
    )
    x, y = axes(16)
    # One wave of ζ advects nothing of itself, and c is constant along it; c < 0 does not condense.
    wave = np.cos(3 * x + 2 * y)
    zeta, c = run(system, np.stack([2 * wave, -1 + 0.5 * wave]), 10)
    rate, t = 1e-4 * 13**4, 10 * step
    np.testing.assert_allclose(zeta, 2 * wave * np.exp(-(rate + 0.5) * t), atol=2e-5)  # float32
    np.testing.assert_allclose(c, -1 + 0.5 * wave * np.exp(-rate * t), atol=2e-5)


def test_uniform_supersaturation_rains_out_and_balances_evaporation():
    still = np.zeros((2, 8, 8)) + np.array([0.0, 0.5])[:, None, None]
    options = {"viscosity": 1e-6, "energy_input": 0.0, "saturation_gradient": 0.0}
    dry = MoistTurbulence(8, time_step=0.001, evaporation=0.0, **options)
    c = run(dry, still, 20)[1]
    # A step of Runge–Kutta multiplies by e^{−.1}(1 + 1e-5/120), twenty of them: 2e-6, below float32 here.
    np.testing.assert_allclose(c, 0.5 * np.exp(-2.0), rtol=1e-5)
    wet = MoistTurbulence(8, time_step=0.01, evaporation=3.0, **options)
    c = run(wet, still, 60)[1]
    np.testing.assert_allclose(c, 3.0 * 0.01, rtol=1e-5)  # e τ
    np.testing.assert_allclose(condensation_rate(jnp.asarray(c)), 3.0, rtol=1e-5)


def test_velocity_is_free_of_divergence_and_has_the_vorticity():
    with jax.enable_x64():
        zeta = smooth_fields(16, offset=0.0)[0]
        u, v = np.asarray(to_grid(velocity_modes(to_modes(jnp.asarray(zeta)))))
    (u_x, u_y), (v_x, v_y) = derivatives(u), derivatives(v)
    np.testing.assert_allclose(u_x + v_y, 0, atol=1e-12)
    np.testing.assert_allclose(v_x - u_y, zeta, atol=1e-12)


def test_forcing_is_real_and_every_draw_makes_the_stated_energy():
    system = MoistTurbulence(32)
    force = jax.jit(jax.vmap(lambda key: random_forcing(system, key=key)))(jr.split(jr.key(1), 64))
    again = np.fft.rfft2(np.asarray(to_grid(force)), norm="forward")
    np.testing.assert_allclose(again, force, atol=1e-5)  # a complex remainder would be lost by `to_grid`
    input_rate = [kinetic_energy(0.01 * np.asarray(to_grid(f))) / 0.01 for f in force]
    np.testing.assert_allclose(input_rate, 0.1, rtol=1e-5)
    assert not np.any(force[:, 0, 0])
    # Phases are independent of each other: the mean over draws of a mode is below 4 of its standard errors, 1/√64.
    assert np.abs(np.asarray(force).mean(0)).max() < 4 / 8 * np.abs(force).max()


def test_forcing_spectrum_is_the_stated_bell():
    s = forcing_spectrum(MoistTurbulence(128))
    centre = s.shape[0] // 2
    assert s[centre, 0] == 0
    assert s[centre, 5] / s[centre, 3] == pytest.approx(np.exp(-0.5))  # one δ from k_f
    assert s[centre + 3, 4] == pytest.approx(s[centre, 5])  # isotropic


def test_measured_energy_input_is_epsilon():
    system = MoistTurbulence(16, time_step=0.02, energy_input=0.3, viscosity=0.0, drag=0.0)
    body = lambda w, key: (system.step(w, key=key), None)  # noqa: E731
    one = lambda key: to_grid(jax.lax.scan(body, system.rest(), jr.split(key, 50))[0])[0]  # noqa: E731
    zeta = jax.jit(jax.vmap(one))(jr.split(jr.key(2), 100))
    energies = np.array([kinetic_energy(z) for z in zeta])
    # Nothing dissipates: E = ε t on average, t = 1; four standard errors of the mean over 100 runs.
    assert abs(energies.mean() - 0.3) < 4 * energies.std() / 10
    assert energies.std() / 10 < 0.02


@pytest.mark.slow
def test_stationary_run_dissipates_what_is_put_in():
    drag, viscosity = 0.25, 1e-7
    system = MoistTurbulence(16, time_step=0.0125, drag=drag, viscosity=viscosity)
    # Energy forgets its start in 1/2μ = 2 units: 15 units are enough to be stationary.
    zeta = trajectories([system] * 8, n_frames=120, n_spin_up=60, key=jr.key(3))[:, :, 0]
    hat = np.abs(np.fft.fft2(zeta, norm="forward")) ** 2
    k = np.fft.fftfreq(16, 1 / 16)
    square = k**2 + k[:, None] ** 2
    weight = np.where(square == 0, 0, (drag + viscosity * square**4) / np.maximum(square, 1))
    dissipation = (hat * weight).sum((2, 3)).mean(1)
    # Runs are independent: four standard errors over eight of them.
    error = dissipation.std(ddof=1) / np.sqrt(8)
    assert abs(dissipation.mean() - 0.1) < 4 * error
    assert error < 0.005


@pytest.fixture(scope="module")
def coarse():
    """Two coarse runs of 50 units after 25: c forgets in about 10 units, so about 10 independent values of its mean."""
    return trajectories([MoistTurbulence(32)] * 2, n_frames=200, n_spin_up=100, key=jr.key(4))


@pytest.mark.slow
def test_supersaturation_of_the_coupled_system(coarse):
    c = coarse[:, :, 1]
    # Its spatial mean varies by .4, so by .12 over 10 values; about −.5 at this age (long runs: −.67).
    assert -1.0 < c.mean() < -0.2
    # Water: d⟨c⟩/dt = e − ⟨rain⟩. Rain is sampled every .25, so four standard errors over frames that are correlated.
    change = (c[:, -1] - c[:, 0]).mean((1, 2)) / (199 * INTERVAL)
    rain = np.maximum(c, 0).mean((2, 3)) / 0.01
    np.testing.assert_allclose(rain.mean() + change.mean(), 1.0, atol=4 * rain.std() / np.sqrt(2 * 200 / 10))


@pytest.mark.slow
def test_frames_hold_only_kept_modes_and_no_mean_vorticity(coarse):
    hat = np.abs(np.fft.rfft2(coarse[0, -1], norm="forward"))
    largest = 10  # 3 × 10 < 32
    np.testing.assert_allclose(hat[:, :, largest + 1 :], 0, atol=1e-5)
    np.testing.assert_allclose(hat[:, largest + 1 : -largest], 0, atol=1e-5)
    assert hat[0, 0, 0] < 1e-5
    assert coarse.dtype == np.float32


def test_runs_together_are_the_runs_alone_and_keys_fix_the_bits():
    systems = [MoistTurbulence(16, wavenumber=k, viscosity=1e-6, time_step=0.025) for k in (0, 1, 4)]
    seen = []
    together = trajectories(systems, n_frames=3, n_spin_up=2, report=lambda *p: seen.append(p), key=jr.key(5))
    assert seen == [(i, 5) for i in range(1, 6)]
    np.testing.assert_array_equal(together, trajectories(systems, n_frames=3, n_spin_up=2, key=jr.key(5)))
    longer = trajectories(systems, n_frames=5, key=jr.key(5))
    np.testing.assert_array_equal(together, longer[:, 2:])  # the spin-up is only dropped
    alone = trajectories(systems[:1], n_frames=5, key=jr.key(5))
    np.testing.assert_allclose(alone[0], longer[0], atol=1e-4)  # float32, in another order of summation
    other = trajectories(systems, n_frames=3, n_spin_up=2, key=jr.key(6))
    assert np.abs(other - together)[:, :, 0].max(axis=(1, 2, 3)).min() > 0.1
    # Runs are forced independently; the last two differ in k too.
    assert np.abs(together[0, :, 0] - together[1, :, 0]).max() > 0.1


def test_context():
    x, y = axes(32)
    np.testing.assert_allclose(context(32, 4), np.sin(4 * x) * np.sin(4 * y), atol=1e-6)
    assert not np.any(context(32, 0))


def test_bad_input():
    with pytest.raises(ValueError, match="n_points must be even and at least 8, got 33"):
        MoistTurbulence(33)
    with pytest.raises(
        ValueError, match="no viscosity is published for n_points = 48; use one of 32, 64, 128, 256, 512"
    ):
        MoistTurbulence(48)
    with pytest.raises(ValueError, match="no time_step is published for n_points = 48"):
        MoistTurbulence(48, viscosity=1e-7)
    with pytest.raises(ValueError, match="wavenumber must be between 0 and 10"):
        MoistTurbulence(32, wavenumber=16)
    with pytest.raises(
        ValueError, match=r"below 2.78 condensation_time = 0\.0278, where Runge-Kutta is stable, got 0\.05"
    ):
        MoistTurbulence(32, time_step=0.05)
    with pytest.raises(ValueError, match="must name at least one run"):
        trajectories([], n_frames=1, key=jr.key(0))
    with pytest.raises(ValueError, match="equal in all but wavenumber and amplitude"):
        trajectories([MoistTurbulence(32), MoistTurbulence(32, drag=0.1)], n_frames=1, key=jr.key(0))
    with pytest.raises(ValueError, match="n_frames must be at least 1"):
        trajectories([MoistTurbulence(32)], n_frames=0, key=jr.key(0))
    with pytest.raises(ValueError, match="time_step must divide the interval"):
        trajectories([MoistTurbulence(32, time_step=0.003)], n_frames=1, key=jr.key(0))


def test_a_run_that_blows_up_is_an_error():
    wild = MoistTurbulence(16, viscosity=0.0, time_step=0.025, energy_input=1e6)
    with pytest.raises(ArithmeticError, match=r"blew up before frame .*; use a smaller time_step"):
        trajectories([wild], n_frames=20, key=jr.key(0))
