"""The bridge as a downscaler: what it adds to its interpolation, and that it comes back from its folder."""

from dataclasses import replace

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.data.fields import DataError
from subgrid.downscaling.upsampling.bridge import (
    UpsamplerSettings,
    fit_upsampler,
    load_upsampler,
)
from subgrid.downscaling.upsampling.guided import sample_ensemble
from subgrid.training.checkpoint import CheckpointMismatch

pytestmark = pytest.mark.slow

TINY = UpsamplerSettings(
    1, (4,), (4,), translation_invariant=True, channels=(8,), n_blocks=1, n_iterations=2, n_steps=20, batch_size=16,
    n_sampling_steps=10,
)  # fmt: skip


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """Fine fields with one large wave, which interpolation keeps, and rough noise, which it does not know."""
    rng, x = np.random.default_rng(0), 2 * np.pi * np.arange(16) / 16
    phase = rng.uniform(0, 2 * np.pi, (2, 800, 1, 1))
    waves = np.sqrt(2) * np.cos(x + phase)
    fine = np.float32(waves[0] + 0.3 * rng.normal(size=(800, 1, 16)))
    coarse = np.float32(waves[1][..., ::4])
    folder, seen = tmp_path_factory.mktemp("bridge"), []
    upsampler = fit_upsampler(coarse, fine, TINY, folder=folder, report=lambda *now: seen.append(now), key=jr.key(0))
    return folder, upsampler, coarse, fine, seen


@pytest.mark.slow
def test_samples_have_the_spectrum_of_fine_fields_and_stay_near_their_coarse_field(fitted):
    _, upsampler, coarse, fine, seen = fitted
    ensemble = sample_ensemble(upsampler, coarse[:200], 2, key=jr.key(1)).reshape(400, 16)
    assert seen[-1][:2] == (40, 40)
    power = lambda fields: np.mean(np.abs(np.fft.rfft(fields.reshape(-1, 16))) ** 2, 0)  # noqa: E731
    # The spectrum is that of the Gaussian bridge, in closed form. 800 fields know a mode's power to 5 %, 400 samples
    # to 7 %, ten Euler steps and a last one without noise take some 10 % of what is rough.
    np.testing.assert_allclose(power(ensemble)[1:8], power(fine)[1:8], rtol=0.4)
    start = upsampler.start(jnp.asarray(coarse[:200]))
    apart = np.repeat(np.asarray(start)[:, 0], 2, 0) - ensemble
    assert np.mean(apart**2) < 0.5  # against 2.1 for two independent fields; .09 is the noise alone


@pytest.mark.slow
def test_it_comes_back_from_its_folder(fitted):
    folder, upsampler, coarse, _, _ = fitted
    loaded, y = load_upsampler(folder), jnp.asarray(coarse[0])
    draw = eqx.filter_jit(lambda upsampler, key: upsampler(y, key=key))
    np.testing.assert_array_equal(draw(loaded, jr.key(2)), draw(upsampler, jr.key(2)))


def test_another_bridge_is_refused(fitted, tmp_path):
    folder, _, coarse, fine, _ = fitted
    with pytest.raises(CheckpointMismatch, match=r"was begun with sigma = 0\.3, not 0\.5"):
        fit_upsampler(coarse, fine, replace(TINY, sigma=0.5), folder=folder, key=jr.key(0))
    with pytest.raises(CheckpointMismatch, match="was begun with fields"):
        fit_upsampler(coarse[::-1].copy(), fine, TINY, folder=folder, key=jr.key(0))
    with pytest.raises(CheckpointMismatch, match="was begun with key"):
        fit_upsampler(coarse, fine, TINY, folder=folder, key=jr.key(9))
    with pytest.raises(DataError, match="holds no fitted bridge"):
        load_upsampler(tmp_path)
