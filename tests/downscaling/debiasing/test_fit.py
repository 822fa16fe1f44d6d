"""Debiasers fitted by name: what is refused, what is drawn, and what the corrections restore."""

import inspect
from dataclasses import replace
from typing import get_args

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.downscaling.debiasing import fit as fit_debias
from subgrid.downscaling.debiasing.dynamic import TransportMethod
from subgrid.downscaling.debiasing.fit import (
    DebiasMethod,
    _error_progress,
    apply_debiaser,
    chosen_in_words,
    correct,
    fit_debiaser_array,
)
from subgrid.downscaling.debiasing.settings import DebiasSettings, debias_settings, require_corrections
from subgrid.downscaling.debiasing.static import Composed, NoDebiasing
from subgrid.numerics.operators import Subsample
from subgrid.numerics.symmetries import kolmogorov_symmetries
from subgrid.training.progress import recording
from subgrid.transport.sinkhorn import SinkhornNotConverged, suggested_epsilon

from ...cases import few

IDENTITY = Subsample((4,), 1)


def fields(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 1, 4)).astype(np.float32)


@pytest.fixture
def drawn(monkeypatch):
    """The sets that the entropic map was fitted on and corrected on, in place of the fit itself."""
    from subgrid.transport import sinkhorn

    seen = {}

    def fit(first, second, **limits):
        seen.update(first=np.asarray(first), second=np.asarray(second))
        return NoDebiasing(), sinkhorn.SinkhornSummary(1.0, len(first), len(second), 1, 0.0)

    def remember(debiaser, source, target, corrections, *, n_quantiles):
        seen.update(source=np.asarray(source), target=np.asarray(target))
        return debiaser

    monkeypatch.setattr(sinkhorn, "fit_entropic_map", fit)
    monkeypatch.setattr(fit_debias, "correct", remember)
    return seen


def rows(samples: np.ndarray) -> set[bytes]:
    """Fields, each turned so that its smallest value comes first: shifts of one field are one."""
    return {np.roll(x, -int(x.argmin())).tobytes() for x in samples.reshape(len(samples), -1)}


@pytest.mark.slow
@pytest.mark.parametrize("invariant", [False, True])
def test_corrections_see_no_field_of_the_fit(drawn, invariant):
    fit_debiaser_array(
        fields(30),
        fields(20, 1),
        IDENTITY,
        debias_settings(n_samples=12, translation_invariant=invariant),
        key=jr.key(0),
    )
    for fit, rest, archive, n in (("first", "source", fields(30), 12), ("second", "target", fields(20, 1), 10)):
        assert not rows(drawn[fit]) & rows(drawn[rest])
        assert rows(drawn[fit]) | rows(drawn[rest]) == rows(archive)
        assert len(rows(drawn[fit])) == n


def test_without_corrections_nothing_is_held_back(drawn):
    fit_debiaser_array(
        fields(30), fields(20, 1), IDENTITY, debias_settings(n_samples=99, corrections=()), key=jr.key(0)
    )
    assert rows(drawn["first"]) == rows(fields(30))
    assert rows(drawn["second"]) == rows(fields(20, 1))


def test_shifts_multiply_samples(drawn):
    settings = debias_settings(n_samples=120, corrections=(), translation_invariant=True)
    fit_debiaser_array(fields(30), fields(20, 1), IDENTITY, settings, key=jr.key(0))
    assert len(drawn["first"]) == len(drawn["second"]) == 120
    assert rows(drawn["first"]) == rows(fields(30))
    # 4 copies of each of 30 fields at 4 offsets: 30·4·(1 − (3/4)⁴) = 82 of them differ, give or take 5.
    assert len({x.tobytes() for x in drawn["first"]}) > 60


def images_of(x, group):
    return jax.vmap(lambda g: g(jnp.asarray(x)))(group.elements())


def test_images_of_another_group_multiply_samples(drawn):
    coarse, fine = (np.random.default_rng(seed).normal(size=(5, 1, 4, 3)).astype(np.float32) for seed in (0, 1))
    group = kolmogorov_symmetries(1, n_shifts=3)  # of 12 elements; 2 along y
    settings = debias_settings(n_samples=300, corrections=(), symmetries=group)
    fit_debiaser_array(coarse, fine, Subsample((4, 3), 1), settings, key=jr.key(0))
    for seen, archive in ((drawn["first"], coarse), (drawn["second"], fine)):
        images = {np.asarray(g).tobytes() for x in archive for g in images_of(x, group)}
        assert {x.tobytes() for x in seen} <= images
        assert len({x.tobytes() for x in seen}) > 50  # 300 draws of 60 miss 60·(59/60)³⁰⁰ = .4
    with pytest.raises(ValueError, match="symmetries another group; set one of them"):
        debias_settings(translation_invariant=True, symmetries=group)


@pytest.mark.parametrize("invariant", [False, True])
@pytest.mark.parametrize(("n", "corrections", "minimum"), [(1, (), 2), (0, (), 2), (3, ("marginals",), 4)])
def test_too_few_fields(invariant, n, corrections, minimum):
    message = f"at least {minimum} fields of each archive, got {n} coarse and 50 fine"
    settings = DebiasSettings(corrections=corrections, translation_invariant=invariant)
    with pytest.raises(ValueError, match=message):
        fit_debiaser_array(fields(n), fields(50), IDENTITY, settings, key=jr.key(0))


def test_copies_do_not_make_a_covariance():
    few = np.random.default_rng(0).normal(size=(6, 3, 4)).astype(np.float32)  # 3 held back, of 3 channels
    settings = debias_settings(epsilon=5.0, translation_invariant=True)
    with pytest.raises(ValueError, match="3 fields of 3 channels are left for the corrections; images of so few"):
        fit_debiaser_array(few, few, IDENTITY, settings, key=jr.key(0))


def test_names_are_checked_before_anything_is_fitted():
    unchecked = inspect.unwrap(fit_debiaser_array)  # as users have it: only the tests check annotations
    with pytest.raises(ValueError, match=r"corrections must be among \('covariance', 'marginals'\), got 'marginal'"):
        require_corrections(("covariance", "marginal"))
    with pytest.raises(ValueError, match="got 'variance'"):
        inspect.unwrap(correct)(NoDebiasing(), jnp.ones((9, 4)), jnp.ones((9, 4)), ["variance"], n_quantiles=5)
    with pytest.raises(ValueError, match=r"method must be one of .* got 'quantile'"):
        unchecked(fields(9), fields(9), IDENTITY, method="quantile", key=jr.key(0))


DYNAMIC = get_args(TransportMethod)
TINY = {"n_steps": 2, "batch_size": 8, "channels": (4,), "n_iterations": 2, "n_flow_steps": 2}
"""Of dynamic transports: the corrections after them put the mean right."""


@pytest.mark.parametrize(
    "method",
    [
        pytest.param(name, marks=pytest.mark.slow) if name in DYNAMIC else name
        for name in get_args(DebiasMethod)
        if name != "none"
    ],
)
def test_every_name_maps_from_the_coarse_to_the_coarsened(method):
    every_second, settings = Subsample((8,), 2), debias_settings(n_samples=64, n_quantiles=20, epsilon=3.0, **TINY)
    fine = np.random.default_rng(1).normal(3.0, 2.0, size=(80, 1, 8)).astype(np.float32)
    debiaser, _ = fit_debiaser_array(fields(90), fine, every_second, settings, method=method, key=jr.key(0))
    moved, wanted = apply_debiaser(debiaser, fields(90)), np.asarray(every_second(jnp.asarray(fine)))
    # Means 0 and 3: the other way would end at -1.5 or below. Halves of 80 fields of deviation 2 know their mean to .3.
    np.testing.assert_allclose(moved.mean(0), wanted.mean(0), atol=1.0)


def test_no_corrections_give_the_map_itself():
    debiaser = NoDebiasing()
    assert correct(debiaser, jnp.ones((9, 4)), jnp.ones((9, 4)), (), n_quantiles=5) is debiaser
    assert isinstance(
        correct(debiaser, jnp.asarray(fields(9)), jnp.asarray(fields(9)), ["marginals"], n_quantiles=5), Composed
    )


def test_progress_follows_the_logarithm_of_the_error():
    seen = []
    tell = _error_progress(lambda done, total, note: seen.append((done, total, note)), 1e-2)
    for iterations, error in ((20, 1.0), (40, 0.1), (60, 0.5), (80, 0.001)):
        tell(iterations, error)
    assert [done for done, _, _ in seen] == [0, 50, 15, 100] and seen[1][1:] == (100, "error 1e-01")


@pytest.mark.slow
@pytest.mark.parametrize("invariant", [False, True])
def test_corrections_restore_what_the_entropic_map_blurs(invariant):
    rng, smooth = np.random.default_rng(0), np.array([[0.5, 0.5, 0.0, 0.0], [0.0, 0.5, 0.5, 0.0]])
    kernel = np.concatenate(
        [smooth, np.roll(smooth, 2, axis=1)]
    )  # circulant: the distribution is translation invariant
    source = np.float32(0.6 * rng.normal(size=(4000, 1, 4)) @ kernel)
    target = np.float32(rng.gumbel(size=(4000, 1, 4)) @ kernel)
    unseen = np.float32(0.6 * rng.normal(size=(20_000, 1, 4)) @ kernel)
    operator, spread = IDENTITY, {}
    settings = debias_settings(n_samples=500, epsilon=0.5, translation_invariant=invariant)
    for corrections in ((), ("covariance", "marginals")):
        debiaser, _ = fit_debiaser_array(
            source, target, operator, replace(settings, corrections=corrections), key=jr.key(0)
        )
        mapped = apply_debiaser(debiaser, unseen)[:, 0]
        error = np.cov(mapped.T) - np.cov(target[:, 0].T)
        skewness = ((mapped - mapped.mean(0)) ** 3).mean() / mapped.std() ** 3
        spread[corrections] = np.linalg.norm(error) / np.linalg.norm(np.cov(target[:, 0].T)), skewness
    # A covariance of 3500 samples has a relative error of some √(2/3500)·2 = .05; the skewness of the mean of two
    # Gumbels is 1.14/√2 = .81.
    assert spread[()][0] > 0.15 > 0.08 > spread["covariance", "marginals"][0]
    assert spread["covariance", "marginals"][1] == pytest.approx(1.14 / np.sqrt(2), abs=0.12)


def red(n, size, seed):
    """Periodic fields (n, 1, size, size) whose amplitudes fall as k^-1.5, of unit variance."""
    k = np.hypot(*np.meshgrid(*[np.fft.fftfreq(size) * size] * 2))
    amplitude = np.where(k > 0, np.maximum(k, 1) ** -1.5, 0.0)
    noise = np.random.default_rng(seed).normal(size=(n, size, size))
    fields = np.fft.ifft2(np.fft.fft2(noise) * amplitude).real
    return (fields / fields.std())[:, None].astype(np.float32)


@pytest.mark.parametrize(("mean", "spread", "size"), few([(290.0, 5.0, 16), (0.0, 1.0, 64)]))
def test_an_epsilon_from_the_fields_suits_every_unit(mean, spread, size):
    """Some dozens of fields, K and mK, near 0 and near 300: the map of scaled fields is the scaled map.

    By powers of two all of float32 is scaled, and the map to the bit. By others the fields are rounded otherwise, by
    6e-8 of them; a field between two targets moves the more, the less epsilon is beside the cost. How far the few that
    lie so are moved depends on the machine (.002 and .016 of the deviation were seen): the rest must not be.
    """
    coarse, fine = mean + 1 + 1.2 * spread * red(40, size, 1), mean + spread * red(48, size, 2)
    settings, operator = debias_settings(corrections=()), Subsample((size, size), 1)

    def mapped(unit):
        scaled = coarse * np.float32(unit), fine * np.float32(unit)
        debiaser, summary = fit_debiaser_array(*scaled, operator, settings, key=jr.key(0))
        assert summary["doublings"] == 0
        return apply_debiaser(debiaser, scaled[0]) / np.float64(unit)

    as_it_is = mapped(1.0)
    assert as_it_is.std() == pytest.approx(fine.std(), rel=0.15)  # it is no blur
    np.testing.assert_array_equal(mapped(1024.0), as_it_is)
    for unit in (1000.0, 1e-3):
        moved = np.sqrt(np.mean((mapped(unit) - as_it_is) ** 2, axis=(1, 2, 3))) / as_it_is.std()
        assert np.median(moved) < 1e-3 and moved.max() < 0.02


def test_an_epsilon_is_doubled_until_the_solver_converges_and_said():
    coarse, fine, said = red(30, 8, 1), red(32, 8, 2), []
    settings = debias_settings(corrections=(), max_iterations=60)
    with recording(said.append):
        _, summary = fit_debiaser_array(coarse, fine, Subsample((8, 8), 1), settings, key=jr.key(0))
    n = summary["doublings"]
    assert 0 < n == len(said) and "Sinkhorn reached a marginal error" in said[0] and "twice" in said[0]
    ends = np.random.default_rng(0).permutation(coarse), fine  # of all fields, in any order, it is the same
    assert summary["epsilon"] == pytest.approx(2**n * suggested_epsilon(*map(jnp.asarray, ends)), rel=1e-5)
    assert f"doubled {n} time" in str(chosen_in_words(summary))


def test_an_epsilon_that_is_given_is_kept_or_refused():
    coarse, fine, operator = red(30, 8, 1), red(32, 8, 2), Subsample((8, 8), 1)
    settings = debias_settings(corrections=(), max_iterations=40, epsilon=0.01)
    with pytest.raises(SinkhornNotConverged, match=r"epsilon = 0\.01;"):
        fit_debiaser_array(coarse, fine, operator, settings, key=jr.key(0))
    _, summary = fit_debiaser_array(coarse, fine, operator, debias_settings(corrections=(), epsilon=9.0), key=jr.key(0))
    assert summary["epsilon"] == 9.0 and chosen_in_words(summary) is None


def test_many_fields_are_moved_a_chunk_at_a_time_and_it_is_told():
    fields, told = np.arange(14.0, dtype=np.float32).reshape(7, 1, 2), []
    moved = apply_debiaser(lambda y: 2 * y + 1, fields, chunk=3, report=lambda *now: told.append(now))
    np.testing.assert_array_equal(moved, 2 * fields + 1)
    assert told == [(3, 7), (6, 7), (7, 7)]
