"""The mean profile: the laminar flow's amplitude, the standard error of noise, and symmetries."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.simulate.kolmogorov_flow import KolmogorovFlow
from subgrid.simulate.staggered import Velocity, vorticity_of
from subgrid.verification.mean_profile import mean_profile, profile_amplitude, profile_anomalies

N = 32
Y = 2 * np.pi * np.arange(N) / N


def test_amplitude_of_the_laminar_flow():
    """−A k_f/(νk_f² + μ), of its vorticity by differences over h, 2 sin(k_f h/2)/(k_f h) as large."""
    flow = KolmogorovFlow(N)
    assert flow.laminar_speed == pytest.approx(8.6207, abs=1e-4)
    u = flow.laminar_speed * np.sin(4 * (Y + np.pi / N))[:, None] * np.ones(N)
    omega = vorticity_of(Velocity(jnp.asarray(u, jnp.float32), jnp.zeros((N, N))))
    expected = -34.4828 * np.sinc(4 / N)
    np.testing.assert_allclose(profile_amplitude(omega[None, None], 4), [expected], rtol=1e-5)


def test_noise_and_other_waves_are_averaged_away():
    """Within 4 standard errors s√(2/N) of .5 cos 4y; a shift by half a wave turns the sign."""
    noise = np.asarray(jr.normal(jr.key(0), (200, 2, N, N)))
    fields = noise + (0.5 * np.cos(4 * Y) + 2 * np.sin(4 * Y) + 3 * np.cos(3 * Y))[:, None]
    error = np.sqrt(2 / (200 * N * N))
    assert np.abs(profile_amplitude(fields, 4) - 0.5).max() < 4 * error
    np.testing.assert_allclose(
        profile_amplitude(np.roll(fields, N // 8, axis=2), 4), -profile_amplitude(fields, 4), atol=1e-5
    )
    assert abs(float(profile_amplitude(fields, 5)[0])) < 4 * error


def test_anomalies_have_no_profile_and_keep_what_changes_along_x():
    fields = jr.normal(jr.key(1), (50, 1, N, N)) + 3.0
    given = fields + jnp.asarray(7 * np.cos(4 * Y))[:, None]
    found = profile_anomalies(given)
    np.testing.assert_allclose(mean_profile(found), 0, atol=1e-5)
    np.testing.assert_allclose(found, profile_anomalies(fields), atol=1e-5)


def test_a_wave_that_is_not_resolved_is_refused():
    with pytest.raises(ValueError, match="wavenumber must be from 1 to 3 on 8 points"):
        profile_amplitude(np.zeros((1, 1, 8, 8)), 4)
