"""The Gaussian part of a prior: which fields get a spectrum, which get components, and how many."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from subgrid.data.normalise import Standardiser
from subgrid.data.stream import StreamedFields
from subgrid.downscaling.prior import gaussian_part
from subgrid.downscaling.prior.gaussian_part import (
    blank_gaussian_part,
    fit_gaussian_part,
    gaussian_part_of,
    invariant_axes,
)
from subgrid.downscaling.prior.training import TrainingSettings
from subgrid.numerics.symmetries import kolmogorov_symmetries, shifts

from ...diffusion.gaussian_fields import ring

WAVES = np.sin(2 * np.pi * (np.arange(16) / 16 + np.random.default_rng(0).uniform(size=(256, 1, 1))))
"""Sine waves at random places: wavenumber 1 holds the variance ½ of every point, 4 in each of its two components."""


def covariance_of(gaussian) -> np.ndarray:
    d = gaussian.mean.size
    columns = jax.vmap(lambda unit: gaussian.apply(lambda v: v, unit))(jnp.eye(d).reshape(d, *gaussian.mean.shape))
    return np.asarray(columns, np.float64).reshape(d, d)


@pytest.mark.parametrize("translation_invariant", [True, False])
def test_waves_have_two_components(translation_invariant):
    gaussian = fit_gaussian_part(np.float32(WAVES), along=(0,) if translation_invariant else ())
    # 4 each; of components those of 256 phases, √(2/256)·4/√2 ≈ .25 off.
    np.testing.assert_allclose(
        np.sort(gaussian.variances)[::-1][:2], [4, 4], atol=1e-3 if translation_invariant else 0.6
    )
    distance = 2 * np.pi * (np.arange(16)[:, None] - np.arange(16)) / 16
    tolerance = 1e-4 if translation_invariant else 0.12  # three sampling errors of ½·√(½/256)
    np.testing.assert_allclose(covariance_of(gaussian), 0.5 * np.cos(distance), atol=tolerance)


def test_translations_that_matter_are_kept():
    # A bump at a fixed place: a spectrum would spread its variance over all places.
    bump = np.exp(-0.5 * ((np.arange(16) - 4) / 1.5) ** 2)
    fields = np.float32(np.random.default_rng(1).normal(size=(400, 1, 1)) * bump)
    fields = fields + np.float32(0.05 * np.random.default_rng(2).normal(size=(400, 1, 16)))
    gaussian = fit_gaussian_part(fields, along=())
    variances = np.diag(covariance_of(gaussian))
    assert variances[4] == pytest.approx(1.0, abs=0.3)  # three of √(2/400), and the noise
    assert variances[12] < 0.01
    spread = np.diag(covariance_of(fit_gaussian_part(fields, along=(0,))))
    np.testing.assert_allclose(spread, (bump**2).mean(), rtol=0.25)


def test_the_number_of_components_grows_with_what_the_archive_can_tell():
    rng, root = np.random.default_rng(3), np.linalg.cholesky(ring())
    few, many = (fit_gaussian_part(np.float32(rng.normal(size=(n, 1, 36)) @ root.T), along=()) for n in (20, 1000))
    assert len(few.variances) < len(many.variances)
    errors = [np.linalg.norm(covariance_of(g) - ring()) / np.linalg.norm(ring()) for g in (few, many)]
    # √((tr² + ‖·‖²)/n)/‖·‖ = .09 at n = 1000, with tr = 36 and ‖·‖ = 13.5; three of them.
    assert errors[1] < 0.27 < errors[0]


@pytest.mark.parametrize("n", [2, 3, 9])
def test_a_handful_of_fields_has_one_direction(n):
    fields = np.float32(np.random.default_rng(4).normal(size=(n, 1, 8)))
    gaussian = fit_gaussian_part(fields, along=())
    assert len(gaussian.variances) == 1
    # Whatever the components, the total variance is that of the fields.
    assert float(gaussian.trace(lambda v: v)) == pytest.approx(fields.var(0).sum(), rel=1e-4)


def test_large_fields_keep_the_leading_components(monkeypatch):
    monkeypatch.setattr(gaussian_part, "MOST_COMPONENTS", 6)
    monkeypatch.setattr(gaussian_part, "MOST_NUMBERS", 5 * 36)
    fields = np.float32(np.random.default_rng(5).normal(size=(50, 1, 36)) @ np.linalg.cholesky(ring()).T)
    for translation_invariant in (True, False):
        gaussian = fit_gaussian_part(fields, along=(0,) if translation_invariant else ())
        assert len(gaussian.variances) <= 6
        assert float(gaussian.trace(lambda v: v)) == pytest.approx(fields.var(0).sum(), rel=0.1)


def test_an_archive_on_disk_is_seen_in_all_its_parts(tmp_path, monkeypatch):
    # The value of a field is its number, so what arrives tells where it came from.
    monkeypatch.setattr(gaussian_part, "MOST_FIELDS", 64)
    arrived = []
    fit = gaussian_part.fit_gaussian_part
    monkeypatch.setattr(
        gaussian_part, "fit_gaussian_part", lambda f, **how: arrived.append(f[:, 0, 0]) or fit(f, **how)
    )
    values = np.repeat(np.arange(640, dtype=np.float32)[:, None], 4, 1)
    values[:, 1:] = np.random.default_rng(6).normal(size=(640, 3))
    dataset = xr.Dataset({"u": (("time", "x"), values)})
    dataset.to_zarr(tmp_path / "u.zarr", zarr_format=3, consolidated=True, encoding={"u": {"chunks": (32, 4)}})
    archive, unchanged = StreamedFields(tmp_path / "u.zarr", "u"), Standardiser(jnp.zeros(1), jnp.ones(1))
    for fields in (archive, archive, values[:, None]):
        gaussian_part_of(fields, unchanged, TrainingSettings())
    first, again, in_memory = arrived
    assert len(np.unique(first)) == len(first) == 64
    np.testing.assert_array_equal(first, np.linspace(0, 639, 64).round())  # of few chunks all are read
    np.testing.assert_array_equal(again, first)
    np.testing.assert_array_equal(in_memory, np.linspace(0, 639, 64).round())


@pytest.mark.parametrize(("n", "chunk"), [(1000, 20), (3000, 100), (6000, 16)], ids=["few", "long chunks", "many"])
def test_slow_series_have_the_same_gaussian_on_disk_and_in_memory(tmp_path, n, chunk):
    """Days like the days before: with neighbours in time on both sides of a fold, 23 components look likeliest."""
    rng, points = np.random.default_rng(7), np.arange(24)
    root = np.linalg.cholesky(np.exp(-abs(points[:, None] - points) / 6) + 0.05 * np.eye(24))
    fields = rng.normal(size=(n, 24)) @ root.T
    for day in range(1, n):
        fields[day] = 0.99 * fields[day - 1] + np.sqrt(1 - 0.99**2) * fields[day]
    fields = fields.astype(np.float32)
    dataset = xr.Dataset({"u": (("time", "x"), fields)})
    dataset.to_zarr(tmp_path / "u.zarr", zarr_format=3, consolidated=True, encoding={"u": {"chunks": (chunk, 24)}})
    archive, unchanged = StreamedFields(tmp_path / "u.zarr", "u"), Standardiser(jnp.zeros(1), jnp.ones(1))
    streamed, whole = (gaussian_part_of(f, unchanged, TrainingSettings()) for f in (archive, fields[:, None]))
    assert abs(len(streamed.variances) - len(whole.variances)) <= 2
    assert len(streamed.variances) < 12
    exact = covariance_of(whole)
    # All chunks: the same fields. Of 375 chunks 128, with as much memory in them: half of the sampling error, which is
    # √((tr² + ‖·‖²)/60)/‖·‖ = .31, as 6000 days count as 6000 (1 − .99²)/(1 + .99²) = 60.
    off = np.linalg.norm(covariance_of(streamed) - exact) / np.linalg.norm(exact)
    assert off < (1e-5 if n // chunk <= 64 else 0.16)


def test_a_blank_has_the_shapes_of_a_fitted_one():
    fitted = fit_gaussian_part(np.float32(WAVES), along=(0,))
    blank = blank_gaussian_part((1, 16), len(fitted.variances))
    described = lambda g: jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), g)  # noqa: E731
    assert described(blank) == described(fitted)


def test_a_group_of_symmetries_says_along_which_axes_a_spectrum_is_right():
    kolmogorov = TrainingSettings(symmetries=kolmogorov_symmetries(1, n_shifts=8))
    assert invariant_axes(kolmogorov, (8, 8)) == (1,)
    assert invariant_axes(kolmogorov, (8, 16)) == ()  # shifts by two points are not all
    assert invariant_axes(TrainingSettings(translation_invariant=True), (8, 8)) == (0, 1)
    assert invariant_axes(TrainingSettings(), (8, 8)) == ()
    fields = np.float32(np.random.default_rng(8).normal(size=(200, 1, 8, 8)) * np.arange(1, 9)[:, None])
    unchanged = Standardiser(jnp.zeros(1), jnp.ones(1))
    variances = np.diag(covariance_of(gaussian_part_of(fields, unchanged, kolmogorov))).reshape(8, 8)
    np.testing.assert_allclose(variances, np.broadcast_to(variances[:, :1], (8, 8)), rtol=1e-3)
    # Shift-reflections by 4 points and half turns mix rows y with y + 4 and with −y: their variances are the means.
    row = np.arange(1, 9) ** 2.0
    images = [np.roll(row, s)[np.r_[0, 7:0:-1]] if flip else np.roll(row, s) for s in (0, 4) for flip in (0, 1)]
    np.testing.assert_allclose(variances[:, 0], np.mean(images, 0), rtol=0.15)  # 3 √(2/(200 · 8 · 4)) and images


def test_groups_act_on_the_last_axes():
    along_x = TrainingSettings(symmetries=shifts((16,)))
    assert invariant_axes(along_x, (8, 16)) == (1,)
    assert invariant_axes(along_x, (16,)) == (0,)
    fields = np.float32(np.random.default_rng(9).normal(size=(40, 1, 8, 16)))
    gaussian = gaussian_part_of(fields, Standardiser(jnp.zeros(1), jnp.ones(1)), along_x)
    variances = np.diag(covariance_of(gaussian)).reshape(8, 16)
    np.testing.assert_allclose(variances, np.broadcast_to(variances[:, :1], (8, 16)), rtol=1e-3)


def test_few_fields_have_no_spectrum_along_some_axes():
    """Eight rows and four fields: covariances of rank four would say that half of all directions are empty."""
    fields = np.float32(np.random.default_rng(10).normal(size=(4, 1, 8, 16)))
    training = TrainingSettings(symmetries=shifts((16,)))
    gaussian = gaussian_part_of(fields, Standardiser(jnp.zeros(1), jnp.ones(1)), training)
    assert float(gaussian.remainder) > 0.5  # white: every variance is 1


def test_two_channels_of_an_archive_on_disk_with_symmetries(tmp_path):
    rng = np.random.default_rng(11)
    u = rng.normal(size=(160, 4, 8)).astype(np.float32)
    values = np.stack([u, 0.5 * u + 0.1 * rng.normal(size=u.shape).astype(np.float32)], 1)
    dataset = xr.Dataset({"u": (("time", "channel", "y", "x"), values)})
    dataset.to_zarr(tmp_path / "u.zarr", zarr_format=3, consolidated=True, encoding={"u": {"chunks": (16, 2, 4, 8)}})
    training, unchanged = TrainingSettings(symmetries=shifts((8,))), Standardiser(jnp.zeros(2), jnp.ones(2))
    gaussian = gaussian_part_of(StreamedFields(tmp_path / "u.zarr", "u"), unchanged, training)
    covariance = covariance_of(gaussian).reshape(2, 32, 2, 32)
    at_a_point = covariance[:, np.arange(32), :, np.arange(32)].mean(0)
    np.testing.assert_allclose(at_a_point, [[1, 0.5], [0.5, 0.26]], atol=0.06)  # 3 √(2/(160 · 32))
