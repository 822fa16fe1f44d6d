"""Spectra against sums over very many modes, Matérn's closed form, and draws of a known one."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.numerics.modes import Box
from subgrid.numerics.spectra import (
    Flat,
    MeasuredSpectrum,
    PowerLaw,
    limit_variance,
    measure_spectrum,
    point_variance,
)

LINE, SQUARE = Box((1.0,)), Box((1.0, 1.0))


def test_variances_of_the_specification():
    np.testing.assert_allclose(
        PowerLaw(2.0, 5.0)(LINE, (64,))[:5], [1.6e-3, 2.40531e-4, 2.98887e-5, 6.91408e-6, 2.31913e-6], rtol=2e-6
    )
    np.testing.assert_allclose(
        PowerLaw(1.0, 5.0)(LINE, (64,))[:5], [0.04, 0.0155091, 0.00546706, 0.00262946, 0.00152287], rtol=3e-6
    )


@pytest.mark.parametrize(
    ("law", "box", "grid", "rtol"),
    [
        (PowerLaw(2.0, 5.0), LINE, (4096,), 1e-9),
        (PowerLaw(2.0, 5.0, zero_mean=True), LINE, (4096,), 1e-9),
        (PowerLaw(1.0, 5.0, 3.0), LINE, (1 << 18,), 1e-5),  # the tail is 1/(2π²) over half the points
        (PowerLaw(3.0, 4.0), Box((1.0, 3.0)), (256, 512), 1e-8),
        (PowerLaw(2.0, 3.0), Box((1.0, 2.0), "neumann"), (512, 1024), 2e-6),
        (PowerLaw(2.0, 100.0), LINE, (1 << 14,), 1e-9),
        (PowerLaw(3.0, 2.0), Box((1.0,) * 3), (64,) * 3, 2e-5),
    ],
)
def test_the_variance_of_the_limit_is_the_sum_over_very_many_modes(law, box, grid, rtol):
    assert limit_variance(law, box) == pytest.approx(point_variance(law(box, grid), box, grid), rel=rtol)


def test_the_variance_of_the_limit_in_closed_form():
    # Σ_{k≠0} (2πk)^{−4} = 2ζ(4)/(2π)⁴ = 1/720, and Σ_k 1/((2πk)² + τ²) = coth(τ/2)/(2τ).
    assert limit_variance(PowerLaw(2.0, 0.0, zero_mean=True), LINE) == pytest.approx(1 / 720, rel=1e-9)
    assert limit_variance(PowerLaw(1.0, 5.0), LINE) == pytest.approx(1 / np.tanh(2.5) / 10, rel=1e-9)


def test_a_measured_spectrum_is_that_of_the_draws_and_goes_on_by_their_law():
    law, n = PowerLaw(2.5, 5.0), 400
    keys = jr.split(jr.key(0), n)
    modes = jax.jit(jax.vmap(lambda k: SQUARE.white_modes((32, 32), key=k)))(keys) * np.sqrt(law(SQUARE, (32, 32)))
    fields = np.asarray(SQUARE.from_modes(modes, (32, 32)))[:, None]
    measured = measure_spectrum(fields, SQUARE)
    ratio = measured(SQUARE, (32, 32))[0] / law(SQUARE, (32, 32))
    inside = SQUARE.weights((32, 32)) > 0
    assert np.sqrt(np.mean((ratio[inside] - 1) ** 2)) == pytest.approx(1 / np.sqrt(n), rel=0.15)  # of |c|², exponential
    assert measured.exponents[0] == pytest.approx(5.0, abs=0.15)
    beyond = measured(SQUARE, (96, 96))[0] / law(SQUARE, (96, 96))
    kept = SQUARE.weights((96, 96)) > 0
    assert np.all(np.abs(np.log(beyond[kept][beyond[kept] != 0])) < 0.6)
    shells = beyond[np.sqrt(SQUARE.squared_wavenumbers((96, 96))) > 2 * np.pi * 24]
    assert np.median(shells) == pytest.approx(1, abs=0.15)  # an exponent .15 wrong, over an octave


@pytest.mark.parametrize("box", [LINE, Box((1.0,), "neumann")])
def test_a_measured_spectrum_keeps_the_values_of_its_grid_on_any_other(box):
    values = np.arange(1.0, len(box.weights((16,))[None][0]) + 1)[None] ** -3
    measured = MeasuredSpectrum(values, (16,), np.array([3.0]), np.array([1.0]))
    for grid in [(9,), (16,), (33,)]:
        held = min(len(box.weights(grid)), 8 if box is LINE else 16)
        held -= grid == (9,) and box is LINE and 3  # 0 … 4
        np.testing.assert_allclose(measured(box, grid)[0, :held], values[0, :held])


def test_a_flat_or_rising_tail_does_not_rise():
    rng = np.random.default_rng(0)
    white = measure_spectrum(rng.normal(size=(50, 1, 32)), LINE)
    assert 0 <= white.exponents[0] < 0.5
    assert point_variance(Flat(2.0)(LINE, (65,)), LINE, (65,)) == 4 * 65


def test_what_is_refused():
    with pytest.raises(ValueError, match="tau = 0 leaves the mean of the fields without bounds"):
        PowerLaw(2.0, 0.0)
    with pytest.raises(ValueError, match="must not be negative, got -1"):
        PowerLaw(2.0, -1.0)
    with pytest.raises(ValueError, match="4 points along each axis, got \\(3,\\)"):
        measure_spectrum(np.zeros((2, 1, 3)), LINE)
    with pytest.raises(ValueError, match="NaN or infinite"):
        measure_spectrum(np.full((2, 1, 8), np.nan), LINE)


def test_a_law_through_fields_of_every_other_cosine_keeps_their_energy():
    """Ramps ±(x − ½) have odd cosines alone, c_n² = 8/(πn)⁴: the law gives all modes half of that.

    So shells beyond the grid keep their energy, 8/π⁴ · Σ n⁻⁴ over odd n from 65 to 255.
    """
    box = Box((1.0,), "neumann")
    x = (np.arange(1024) + 0.5) / 1024
    ramps = np.array([1.0, -1.0])[:, None, None] * (x - 0.5)
    fields = np.asarray(box.resize(jnp.asarray(ramps, jnp.float32), (64,)))
    found = measure_spectrum(fields, box)(box, (256,))[0]
    odd = np.arange(65, 256, 2.0)
    assert found[64:].sum() == pytest.approx(8 / np.pi**4 * np.sum(odd**-4), rel=0.1)
