"""Numerical inversion against the quantile functions of scipy, and densities that have none."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

from subgrid.mcmc.quantile_table import NotNormalisable, tabulate_quantile

U = np.array([1e-6, 1e-3, 0.01, 0.3, 0.5, 0.77, 0.999, 0.99999])


def test_quantiles_and_normaliser_in_double_precision():
    with jax.enable_x64(True):
        quantile = tabulate_quantile(lambda x: -((x - 3) ** 2) / 8, centre=3.0, tolerance=1e-13)
        # Newton's steps end at the rounding of F, 1e-16, over the density, 2e-5 at the farthest.
        np.testing.assert_allclose(eqx.filter_jit(quantile)(jnp.asarray(U)), stats.norm(3, 2).ppf(U), atol=1e-10)
        assert float(quantile.log_normaliser) == pytest.approx(np.log(np.sqrt(8 * np.pi)), abs=1e-13)


@pytest.mark.parametrize(
    ("log_density", "bounds", "truth"),
    [
        (lambda x: -jnp.log1p(x**2), {}, stats.cauchy),  # slow tails
        (lambda x: -2 * x, {"lower": 0.0}, stats.expon(scale=0.5)),  # an end
        (lambda x: -jnp.log(x) / 2 + 5, {"lower": 0.0, "upper": 1.0}, stats.beta(0.5, 1)),  # a pole that converges
    ],
)
def test_densities_of_every_kind_in_single_precision(log_density, bounds, truth):
    quantile = eqx.filter_jit(tabulate_quantile(log_density, **bounds))
    # F is right to the tolerance of a cell and to 2⁻²⁴; at the pole, where a half is worth 1/√2 of the whole, to
    # thrice the tolerance.
    np.testing.assert_allclose(truth.cdf(np.asarray(quantile(jnp.asarray(U, jnp.float32)), float)), U, atol=3e-6)


def test_two_wells_with_nothing_between_them():
    log_density = lambda x: jnp.logaddexp(-((x + 30) ** 2) / 2, jnp.log(2.0) - (x - 30) ** 2 / 2)  # noqa: E731
    quantile = tabulate_quantile(log_density)
    left, right = eqx.filter_jit(quantile)(jnp.array([1 / 3 - 1e-3, 1 / 3 + 1e-3]))
    assert left == pytest.approx(-30 + stats.norm.ppf(1 - 3e-3), abs=1e-2)
    assert right == pytest.approx(30 + stats.norm.ppf(1.5e-3), abs=1e-2)


def test_the_table_is_monotone_and_sums_to_the_integral():
    quantile = tabulate_quantile(lambda x: -2 * (x**2 - 1) ** 2)
    assert (jnp.diff(quantile.edges) > 0).all() and (jnp.diff(quantile.cumulative) >= 0).all()
    assert quantile.cumulative[0] == 0 and quantile.cumulative[-1] == 1
    truth = quad(lambda x: np.exp(-2 * (x**2 - 1) ** 2), -10, 10, points=[-1, 1])[0]
    assert np.exp(quantile.log_normaliser) == pytest.approx(truth, rel=1e-6)


@pytest.mark.parametrize(
    ("log_density", "options", "sentence"),
    [
        (lambda x: 0.0 * x, {}, r"does not converge towards −∞: the octave .* give a finite bound"),
        (lambda x: -jnp.log1p(jnp.abs(x)), {"lower": 0.0}, r"does not converge towards ∞"),
        (lambda x: x**2 / 2, {}, r"does not converge towards −∞"),
        (lambda x: -jnp.log(x), {"lower": 0.0, "upper": 1.0}, r"does not converge near .*a pole"),
        (lambda x: jnp.where(x > 1e30, 0.0, -jnp.inf), {}, r"zero wherever it was looked for, .*give centre and scale"),
        (lambda x: -50 * (x - 1e6) ** 2, {}, r"a peak or a pole near .*give centre and scale of the peak"),
    ],
    ids=["flat", "one over x", "growing", "pole", "nowhere", "far and narrow"],
)
def test_integrals_that_do_not_converge_are_named(log_density, options, sentence):
    with pytest.raises(NotNormalisable, match=sentence):
        tabulate_quantile(log_density, **options)


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"needs lower < upper.*got 1.0, 0.0"):
        tabulate_quantile(lambda x: x, lower=1.0, upper=0.0)
    with pytest.raises(ValueError, match=r"log_density is nan at -.*give lower and upper"):
        tabulate_quantile(jnp.sqrt)
