"""Spectra: Parseval, single waves, harmonics from scipy, and what a mask does."""

import numpy as np
import pytest
from scipy.special import sph_harm_y

from subgrid.verification.sphere_spectra import (
    legendre_functions,
    radial_spectrum,
    region_spacing,
    spectral_log_ratio,
    spherical_spectrum,
)


def gaussians(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


# On the plane


def test_energy_adds_up_to_the_variance_also_on_a_mask():
    fields = gaussians(0, 7, 2, 12, 17) + 280
    mask = gaussians(1, 12, 17) > -0.5
    for chosen in (None, mask):
        cells = fields[..., mask] if chosen is not None else fields.reshape(7, 2, -1)
        energy = radial_spectrum(fields, (55.0, 42.0), mask=chosen).energy.sum(axis=1)
        # Values near 280 are kept to 3e-5.
        np.testing.assert_allclose(energy, cells.var(axis=-1).mean(axis=0), rtol=1e-4)


@pytest.mark.parametrize(("m", "n"), [(4, 0), (0, 9), (6, 8)])
def test_a_cosine_wave_sits_at_its_wavenumber(m, n):
    y, x = np.meshgrid(np.arange(32) + 0.5, np.arange(48) + 0.5, indexing="ij")
    wave = np.cos(np.pi * m * y / 32) * np.cos(np.pi * n * x / 48)
    dy, dx = 50.0, 40.0
    found = radial_spectrum(wave[None, None], (dy, dx))
    k = np.hypot(m / (2 * 32 * dy), n / (2 * 48 * dx))
    # A ring is 1/16 of the Nyquist wavenumber 1/100 wide.
    assert abs(found.wavenumber[found.energy[0].argmax()] - k) < 0.01 / 16
    assert found.energy[0].max() == pytest.approx(wave.var(), rel=1e-5)


def test_a_gradient_across_the_region_does_not_pollute_small_scales():
    ramp = np.broadcast_to(np.linspace(0, 1, 64)[None, None, None], (1, 1, 64, 64))
    energy = radial_spectrum(ramp, (1.0, 1.0)).energy[0]
    # Mirrored, a ramp is a triangle wave: coefficients fall as k⁻², so all energy beyond wavenumber 8 of 32 rings of
    # a half wave is 1 − (96/π⁴) Σ_{odd ≤ 15} j⁻⁴ < 1e-3; a Fourier series of the jump would leave 4 %.
    assert energy[8:].sum() < 1e-3 * energy.sum()


def test_white_noise_has_equal_energy_per_coefficient_despite_a_mask():
    mask = np.ones((24, 24), bool)
    mask[:10, :9] = False
    fields = np.where(mask, gaussians(2, 2000, 1, 24, 24), np.nan)
    found, full = (radial_spectrum(x, (1.0, 1.0), mask=m) for x, m in ((fields, mask), (np.nan_to_num(fields), None)))
    assert found.energy.sum() == pytest.approx(1.0, rel=0.02)
    # Zero fill of white noise: the same shape as with the zeros there, less the mean over another set of cells.
    ratio = found.energy[0, 2:] / full.energy[0, 2:]
    np.testing.assert_allclose(ratio, ratio.mean(), rtol=0.03)


def test_log_ratio_of_scaled_fields():
    mask = gaussians(3, 16, 16) > -1
    x = gaussians(4, 5, 2, 16, 16)
    pair = (radial_spectrum(scale * x, (1.0, 1.0), mask=mask) for scale in (3.0, 1.0))
    np.testing.assert_allclose(spectral_log_ratio(*pair), 2 * np.log(3), rtol=1e-5)
    with pytest.raises(ValueError, match="different rings"):
        spectral_log_ratio(radial_spectrum(x, (1.0, 1.0)), radial_spectrum(x, (2.0, 2.0)))


def test_spacing_of_the_iberian_grid():
    dy, dx = region_spacing(np.arange(35.25, 44.5, 0.5), np.arange(-9.75, 4.5, 0.5))
    assert dy == pytest.approx(40030.2 / 720, rel=1e-4)  # half a degree of the mean circumference
    assert dx == pytest.approx(dy * np.cos(np.radians(39.75)), rel=1e-6)
    with pytest.raises(ValueError, match="lat must have at least 2 points and even steps"):
        region_spacing(np.array([1.0, 2.0, 4.0]), np.arange(3.0))


# On the sphere


@pytest.mark.parametrize("grid", ["cell-centred", "gaussian", "with poles"])
@pytest.mark.parametrize(("degree", "order"), [(0, 0), (1, 0), (3, 2), (7, 7), (9, 4)])
def test_a_harmonic_has_all_its_energy_at_its_degree(grid, degree, order):
    n = 24
    lat = {
        "cell-centred": 90 - (np.arange(n) + 0.5) * 180 / n,
        "gaussian": np.degrees(np.arcsin(np.polynomial.legendre.leggauss(n)[0])),
        "with poles": np.linspace(-90, 90, n),
    }[grid]
    lon = np.arange(0, 360, 7.5)
    theta, phi = np.meshgrid(np.radians(90 - lat), np.radians(lon), indexing="ij")
    field = np.sqrt(4 * np.pi) * np.real(sph_harm_y(degree, order, theta, phi)) * (np.sqrt(2) if order else 1)
    energy = spherical_spectrum(field[None, None], lat)[0]
    expected = np.zeros(energy.size)
    expected[degree] = 1.0  # unit mean square over the sphere
    np.testing.assert_allclose(energy, expected, atol=1e-5)


def test_legendre_functions_agree_with_scipy():
    sine = np.linspace(-0.99, 0.99, 7)
    found = legendre_functions(12, sine)
    for degree in (0, 1, 5, 12):
        for order in range(degree + 1):
            theirs = np.sqrt(4 * np.pi) * np.real(sph_harm_y(degree, order, np.arccos(sine), 0.0))
            np.testing.assert_allclose(np.abs(found[order, degree]), np.abs(theirs), atol=1e-10)


def test_energy_of_a_band_limited_field_is_its_area_weighted_variance():
    n_lat, n_lon = 30, 60
    lat = -90 + (np.arange(n_lat) + 0.5) * 6
    lon = np.arange(n_lon) * 6.0
    rng = np.random.default_rng(5)
    theta, phi = np.meshgrid(np.radians(90 - lat), np.radians(lon), indexing="ij")
    terms = [
        rng.normal() * np.real(np.exp(1j * rng.uniform(0, 7)) * sph_harm_y(degree, order, theta, phi))
        for degree in range(1, 11)
        for order in range(degree + 1)
    ]
    field = np.sum(terms, axis=0)
    # Parseval holds with exact integrals: Fejér's first rule, written down in closed form.
    j, t = np.arange(1, n_lat // 2 + 1), np.pi * (np.arange(n_lat) + 0.5) / n_lat
    weights = 2 / n_lat * (1 - 2 * np.sum(np.cos(2 * np.outer(t, j)) / (4 * j**2 - 1), axis=1))
    variance = np.sum(weights[:, None] * field**2) / (2 * n_lon)
    energy = spherical_spectrum(field[None, None], lat)[0]
    assert energy[0] == pytest.approx(0, abs=1e-8)
    assert energy.sum() == pytest.approx(variance, rel=1e-5)


def test_bad_input_is_explained():
    with pytest.raises(ValueError, match="do not span the globe; use radial_spectrum"):
        spherical_spectrum(np.zeros((1, 1, 19, 29)), np.arange(35.25, 44.5, 0.5))
    with pytest.raises(ValueError, match="with 30 latitudes"):
        spherical_spectrum(np.zeros((1, 1, 29, 60)), -87 + 6 * np.arange(30.0))
    with pytest.raises(ValueError, match="4 points an axis"):
        radial_spectrum(np.zeros((1, 8, 8)), (1.0, 1.0))
    with pytest.raises(ValueError, match="spacing must be positive"):
        radial_spectrum(np.zeros((1, 1, 8, 8)), (1.0, -1.0))
