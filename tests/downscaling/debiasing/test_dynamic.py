"""Dynamic transports as debiasers: Gaussians whose map is known, the same bits after a stop, what is refused."""

import inspect
from dataclasses import replace

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.downscaling.debiasing import fit as fit_debias
from subgrid.downscaling.debiasing.dynamic import check_levels, fit_transport
from subgrid.downscaling.debiasing.fit import apply_debiaser, fit_debiaser_array
from subgrid.downscaling.debiasing.settings import DebiasSettings, TransportSettings, debias_settings
from subgrid.downscaling.debiasing.static import NoDebiasing
from subgrid.numerics.operators import Subsample
from subgrid.training.checkpoint import CheckpointMismatch
from subgrid.transport.ends import Ends
from subgrid.transport.gaussian import monge_matrix

METHODS = ("flow-matching", "interpolant", "rectified-flow", "schrodinger-bridge")
TINY = TransportSettings(n_steps=20, batch_size=16, channels=(8,), n_iterations=2, n_flow_steps=4)

OPERATOR = Subsample((8,), 1)


def circulant(spectrum: list[float]) -> np.ndarray:
    """The covariance on a ring of 8 points with variance s_k in wavenumber k."""
    waves = np.fft.fft(np.eye(8), axis=0) / np.sqrt(8)
    k = np.minimum(np.arange(8), 8 - np.arange(8))
    return (waves.conj().T @ np.diag(np.array(spectrum)[k]) @ waves).real


SOURCE, TARGET = circulant([0.5, 2.0, 1.0, 0.5, 0.5]), circulant([0.5, 1.0, 1.5, 0.8, 0.3])


def draw(covariance: np.ndarray, n: int, mean: float, seed: int) -> np.ndarray:
    values = np.random.default_rng(seed).multivariate_normal(np.full(8, mean), covariance, n)
    return values[:, None].astype(np.float32)


@pytest.fixture(scope="module")
def archives() -> tuple[np.ndarray, np.ndarray]:
    return draw(SOURCE, 1500, 1.0, 0), draw(TARGET, 1200, -0.5, 1)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_between_gaussian_laws_on_a_ring_it_is_the_linear_map(archives, method):
    seen = []
    shifted = method != "interpolant"
    settings = DebiasSettings(translation_invariant=shifted, periodic=True, corrections=(), dynamic=TINY)
    debiaser, summary = fit_debiaser_array(
        *archives, OPERATOR, settings, method=method, report=lambda *now: seen.append(now[:2]), key=jr.key(0)
    )
    assert summary["method"] == method
    assert seen[-1] == ((40, 40) if method in ("rectified-flow", "schrodinger-bridge") else (20, 20))
    y = draw(SOURCE, 500, 1.0, 2)
    # Circulant covariances commute, so rectified, optimal and bridge's maps are all Σ₁^½ Σ₀^(−½), about the means.
    # 1200 fields tell a variance to √(2/1200) = 4 %; 20 steps of training and 4 of integration add some percent more.
    exact = -0.5 + (y - 1.0) @ monge_matrix(SOURCE, TARGET).T
    assert np.sqrt(np.mean((apply_debiaser(debiaser, y) - exact) ** 2)) < 0.12
    assert np.sqrt(np.mean((y - exact) ** 2)) > 1.5


def test_corrections_come_after_and_see_all_fields(archives, monkeypatch):
    seen = {}

    def remember(ends, settings, **options):
        seen.update(source=ends.source, target=ends.target)
        return NoDebiasing(), {}

    monkeypatch.setattr(fit_debias, "fit_transport", remember)
    settings = DebiasSettings(n_quantiles=50)
    debiaser, _ = fit_debiaser_array(*archives, OPERATOR, settings, method="flow-matching", key=jr.key(0))
    assert (len(seen["source"]), len(seen["target"])) == (1500, 1200)
    assert len(debiaser.parts) == 3
    # Of the fields of the fit themselves, quantile mapping restores the mean to what lies between two of 50 quantiles.
    np.testing.assert_allclose(apply_debiaser(debiaser, archives[0]).mean(0), archives[1].mean(0), atol=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["rectified-flow", "schrodinger-bridge"])
def test_vectors_get_a_perceptron_and_a_fit_that_was_stopped_goes_on_to_the_same_bits(archives, tmp_path, method):
    source, target = (jnp.asarray(fields[:400].reshape(-1, 2, 4)) for fields in archives)

    class Stop(Exception):
        pass

    def stop_late(done, total, note):
        if done > 20:  # after the first round or iteration, which is saved
            raise Stop

    ends = Ends(source, target)
    options = {"method": method, "padding": None, "key": jr.key(4)}
    whole, _ = fit_transport(ends, TINY, **options)
    with pytest.raises(Stop):
        fit_transport(ends, TINY, **options, folder=tmp_path, report=stop_late)
    seen = []
    resumed, _ = fit_transport(ends, TINY, **options, folder=tmp_path, report=lambda done, *_: seen.append(done))
    assert min(seen) > 20
    moved = np.asarray(jax.vmap(resumed)(source))
    np.testing.assert_array_equal(moved, jax.vmap(whole)(source))
    # The mean of 400 fields with variance 1 is known to .05 a value, and there are two archives.
    assert np.abs(moved.mean(0) + 0.5).max() < 4 * 0.07
    other = replace(TINY, learning_rate=0.01)
    with pytest.raises(CheckpointMismatch, match=r"was begun with learning_rate = 0\.001, not 0\.01"):
        fit_transport(ends, other, **options, folder=tmp_path)


def test_bad_settings():
    fields = jnp.asarray(draw(SOURCE, 20, 0.0, 0))
    with pytest.raises(ValueError, match="sigma must be positive, got 0"):
        TransportSettings(sigma=0.0)
    with pytest.raises(ValueError, match="n_steps must be at least 1, got 0"):
        TransportSettings(n_steps=0)
    with pytest.raises(ValueError, match="method must be one of"):
        inspect.unwrap(fit_transport)(Ends(fields, fields), method="flow", key=jr.key(0))
    odd = fields[..., :7]
    with pytest.raises(ValueError, match="2 levels need a coarse grid divisible by 2, not of 7 points; name at most 1"):
        fit_transport(Ends(odd, odd), TransportSettings(channels=(8, 8)), method="interpolant", key=jr.key(0))
    with pytest.raises(ValueError, match=r"debias\.patch = 2 does not divide a coarse grid of 7 points"):
        fit_transport(Ends(odd, odd), TransportSettings(patch=2), method="interpolant", key=jr.key(0))
    with pytest.raises(ValueError, match="a coarse grid divisible by 8, not of 12 points; name at most 2"):
        check_levels((8, 8, 8), (12,), patch=2)
    with pytest.raises(TypeError, match="debias_options has no setting 'n_step'; did you mean 'n_steps'"):
        debias_settings(n_step=3)
