"""The Gaussian of periodic fields: its covariance is the sample covariance, averaged over all translations."""

import tracemalloc
from itertools import product

import equinox as eqx
import jax
import numpy as np
import pytest

from subgrid.diffusion import stationary_prior
from subgrid.diffusion.stationary_prior import fit_stationary_prior


def covariance_of(prior) -> np.ndarray:
    d = prior.mean.size
    columns = _applied(prior, np.eye(d, dtype=np.float32).reshape(d, *prior.mean.shape))
    return np.asarray(columns, np.float64).reshape(d, d)


_applied = eqx.filter_jit(lambda prior, units: jax.vmap(lambda unit: prior.apply(lambda v: v, unit))(units))


def translated(fields: np.ndarray) -> np.ndarray:
    """Every field at every place: what a circulant covariance is the plain covariance of."""
    axes, space = tuple(range(2, fields.ndim)), fields.shape[2:]
    return np.concatenate([np.roll(fields, shift, axes) for shift in product(*map(range, space))])


@pytest.mark.parametrize("shape", [(1, 8), (1, 9), (2, 6), (3, 5), (1, 4, 6), (2, 3, 4)])
def test_covariance_is_that_of_all_translations(shape):
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(shape[0], shape[0]))  # channels depend on each other, and on each other's neighbours
    fields = np.einsum("cd,nd...->nc...", mixing, rng.normal(size=(40, *shape)))
    fields = fields + 0.8 * np.roll(fields[:, ::-1], 1, -1) + 3.0
    prior = fit_stationary_prior(fields)
    everywhere = translated(fields).reshape(-1, np.prod(shape))
    covariance = np.cov(everywhere.T, bias=True)
    # float32 components and variances: some units of 1e-7 of the largest variance.
    np.testing.assert_allclose(covariance_of(prior), covariance, atol=3e-6 * np.trace(covariance))
    np.testing.assert_allclose(prior.mean.reshape(-1), everywhere.mean(0), atol=1e-5)


@pytest.mark.parametrize(("shape", "along"), [((2, 4, 6), (1,)), ((1, 6, 5), (0,)), ((1, 3, 4, 2), (0, 2))])
def test_along_some_axes_it_is_that_of_their_translations(shape, along):
    """Where the distribution differs from place to place along the others."""
    rng = np.random.default_rng(3)
    fields = rng.normal(size=(60, *shape)) * rng.uniform(0.5, 2, size=shape[:2] + (1,) * (len(shape) - 2))
    fields = fields + 0.7 * np.roll(fields, 1, 2) + 0.3 * np.roll(fields, 1, -1) + rng.normal(size=shape)
    prior = fit_stationary_prior(fields, along=along)
    places = product(*(range(shape[1 + axis]) for axis in along))
    axes = tuple(2 + axis for axis in along)
    everywhere = np.concatenate([np.roll(fields, place, axes) for place in places]).reshape(-1, np.prod(shape))
    covariance = np.cov(everywhere.T, bias=True)
    np.testing.assert_allclose(covariance_of(prior), covariance, atol=3e-6 * np.trace(covariance))
    np.testing.assert_allclose(prior.mean.reshape(-1), everywhere.mean(0), atol=1e-5)


@pytest.mark.parametrize("along", [(), (2,), (-1,), (1, 1)])
def test_axes_that_are_none_are_refused(along):
    with pytest.raises(ValueError, match="some of the axes 0 to 1 of space"):
        fit_stationary_prior(np.zeros((5, 1, 4, 4)), along=along)


def test_waves_that_no_field_has_are_no_components():
    fields = np.random.default_rng(4).normal(size=(50, 1, 8, 8))
    modes = np.fft.fft2(fields)
    modes[..., 3:6, :] = modes[..., :, 3:6] = 0  # what is left has wavenumbers to 2 along both axes: 25 components
    fields = np.fft.ifft2(modes).real
    for prior in (fit_stationary_prior(fields), fit_stationary_prior(fields, along=(1,))):
        assert len(prior.variances) == 25
        assert float(prior.remainder) < 1e-12 * float(prior.variances[0])


def test_leading_components_are_kept_and_the_rest_is_one_variance():
    fields = np.random.default_rng(0).normal(size=(60, 1, 10))
    fields = fields + np.roll(fields, 1, -1) + np.roll(fields, 2, -1)
    whole, few = fit_stationary_prior(fields), fit_stationary_prior(fields, 4)
    assert len(few.variances) == 4
    np.testing.assert_allclose(few.variances, whole.variances[:4], rtol=1e-5)
    assert (np.diff(whole.variances) <= 1e-6).all()
    total = float(whole.variances.sum() + whole.remainder)
    assert float(few.variances.sum() + 6 * few.remainder) == pytest.approx(total, rel=1e-5)
    components = np.asarray(whole.directions).reshape(9, 10)
    np.testing.assert_allclose(components @ components.T, np.eye(9), atol=1e-5)


def test_translations_are_samples():
    # One field alone has no covariance; with all its places it has a spectrum, |x̂_k|².
    field = np.random.default_rng(1).normal(size=(1, 1, 12))
    prior = fit_stationary_prior(field)
    power = np.abs(np.fft.fft(field[0, 0] - field.mean(), norm="ortho")) ** 2
    found = np.append(prior.variances, prior.remainder)
    np.testing.assert_allclose(np.sort(found), np.sort(power), atol=1e-5)


def test_places_stand_for_samples():
    # Of a circulant covariance, 8 fields at 16 places tell more than the 8 fields: errors of the plain covariance are
    # √((tr² + ‖·‖²)/n), of the circulant one some √(‖·‖²/n), since every wavenumber has samples of its own.
    rng = np.random.default_rng(2)
    distance = np.minimum(d := abs(np.arange(16)[:, None] - np.arange(16)), 16 - d)
    exact = np.exp(-0.5 * (distance / 2) ** 2) + 0.1 * np.eye(16)
    drawn = (rng.normal(size=(100, 8, 16)) @ np.linalg.cholesky(exact).T)[:, :, None]
    plain = [np.linalg.norm(np.cov(fields[:, 0].T, bias=True) - exact) for fields in drawn]
    found = [np.linalg.norm(covariance_of(fit_stationary_prior(fields)) - exact) for fields in drawn[:40]]
    assert np.mean(found) < 0.7 * np.mean(plain)


@pytest.mark.parametrize("at_once", [1, 24, 100, 24 * 39])
def test_blocks_of_any_length_add_up_to_the_whole(monkeypatch, at_once):
    """Fewer values than one field has, one field, some with a shorter block at the end, all but one."""
    fields = 3.0 + np.random.default_rng(4).normal(size=(40, 2, 12))
    fields = fields + 0.8 * np.roll(fields[:, ::-1], 1, -1)
    whole = covariance_of(fit_stationary_prior(fields))
    monkeypatch.setattr(stationary_prior, "AT_ONCE", at_once)
    # Sums in another order: float64 rounding, and float32 of what is returned.
    np.testing.assert_allclose(covariance_of(fit_stationary_prior(fields)), whole, atol=3e-6 * np.trace(whole))


def test_memory_is_bounded_however_long_the_archive(monkeypatch):
    monkeypatch.setattr(stationary_prior, "AT_ONCE", 2**16)
    fields = np.random.default_rng(5).normal(size=(2**14, 1, 16, 16)).astype(np.float32)  # 16 MiB
    tracemalloc.start()
    fit_stationary_prior(fields, 8)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # 2^16 values in float64 and, some four times, as complex: 5 MiB. All at once they were 32 MiB and 64 MiB each.
    assert peak < 12 * 2**20


def test_a_single_value_has_no_direction():
    with pytest.raises(ValueError, match="no component"):
        fit_stationary_prior(np.zeros((5, 1, 1)))
