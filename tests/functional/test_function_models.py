"""Diffusion and flow models of functions, from data to samples on other grids.

With a network that does nothing a model is the exact one of Gaussian data, in all that it offers: what it samples has
the spectrum that was measured. A trained network is tested on what no Gaussian has.
"""

from functools import partial

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pytest

from subgrid.functional.function_diffusion import FunctionDiffusion
from subgrid.functional.function_flow import FunctionFlow
from subgrid.functional.gaussian_field import GaussianField, white_field
from subgrid.functional.preparation import FunctionSettings
from subgrid.networks.fno import FNO, FNOSettings
from subgrid.networks.unet import UNet, UNetSettings
from subgrid.training.fitting import TrainingSchedule, warmup_cosine

from .small import ROUGH, Multiplier, Nothing, wave

DATA = GaussianField(2.0, 5.0, variance=1.0)
ONE_STEP = TrainingSchedule(1, optax.adam(1e-3), steps_per_dispatch=1)
KINDS = [FunctionDiffusion, FunctionFlow]
NOISE = GaussianField(1.0, 5.0, variance=1.0)


def draws(field, n, points, seed=0):
    """Of N(0, C), made by NumPy."""
    rng, half = np.random.default_rng(seed), points // 2 + 1
    modes = rng.normal(size=(n, 1, half)) + 1j * rng.normal(size=(n, 1, half))
    modes[..., 0] = np.sqrt(2) * modes[..., 0].real
    if points % 2 == 0:
        modes[..., -1] = 0
    return np.fft.irfft(np.sqrt(field.mode_variances((points,)) / 2) * modes, points, norm="forward")


FIELDS = 3 + 2 * draws(DATA, 400, 32)


@pytest.fixture(scope="module")
def models():
    settings = FunctionSettings(schedule=ONE_STEP, batch_size=4)
    return {kind: kind.fit(FIELDS, noise=NOISE, network=Nothing(), settings=settings, key=jr.key(0)) for kind in KINDS}


def spectrum(fields):
    return np.mean(np.abs(np.fft.rfft(fields[:, 0], norm="forward")) ** 2, 0)


def sampled(model, shape, n, **options):
    draw = jax.jit(jax.vmap(lambda k: model.sample(shape, key=k, **options)))
    return np.asarray(draw(jr.split(jr.key(1), n)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("points", [32, 49])
def test_samples_have_the_units_and_the_spectrum_of_the_fields(models, kind, points):
    found = spectrum(sampled(models[kind], (points,), 1500, n_levels=3))  # exact for Gaussians all the same
    assert found[0] == pytest.approx(9 + spectrum(FIELDS - 3)[0], rel=0.1)
    np.testing.assert_allclose(found[1:16], spectrum(FIELDS)[1:16], rtol=4 / np.sqrt(1500))
    if points == 49:  # beyond the band: the power law of the last octave, of which 400 fields tell .1 of the exponent
        np.testing.assert_allclose(found[16:24], 4 * DATA.mode_variances((49,))[16:24], rtol=0.35)


@pytest.mark.parametrize(("method", "n_levels", "n"), [("reverse-diffusion", 3, 400), ("langevin", 100, 30)])
def test_other_methods_have_the_same_spectrum(models, method, n_levels, n):
    found = spectrum(sampled(models[FunctionDiffusion], (32,), n, method=method, n_levels=n_levels))
    ratio = found[1:16] / spectrum(FIELDS)[1:16]
    np.testing.assert_allclose(ratio, 1, atol=5 / np.sqrt(n))
    # Langevin's chain keeps some of the noise of levels before: 1.09 times the variance for 100 levels of ten steps.
    assert ratio.mean() == pytest.approx(1.09 if method == "langevin" else 1.0, abs=4 / np.sqrt(15 * n))


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_is_one_function_on_every_grid(models, kind):
    coarse, fine = (jax.jit(lambda k, n=n: models[kind].sample((n,), key=k))(jr.key(3)) for n in (33, 99))
    cut = np.fft.irfft(np.fft.rfft(fine, norm="forward")[:, :17], 33, norm="forward")
    np.testing.assert_allclose(cut, coarse, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_given_field_is_continued(models, kind):
    given = jnp.asarray(FIELDS[5], jnp.float32)

    @jax.jit
    @jax.vmap
    def continued(key):
        field, drift = models[kind].super_resolve(given, (48,), key=key)
        return field, drift, models[kind].sample((48,), like=given, key=key)

    fields, drift, same = continued(jr.split(jr.key(2), 300))
    assert float(drift.max()) < 1e-3
    np.testing.assert_array_equal(fields, same)
    modes = np.fft.rfft(fields[:, 0], norm="forward")
    np.testing.assert_allclose(
        modes[:, :16], np.tile(np.fft.rfft(FIELDS[5, 0], norm="forward")[:16], (300, 1)), atol=2e-3
    )
    np.testing.assert_allclose(
        np.mean(np.abs(modes[:, 16:23]) ** 2, 0), 4 * DATA.mode_variances((48,))[16:23], rtol=0.35 + 4 / np.sqrt(300)
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_coarse_field_conditions_what_is_drawn(models, kind):
    target = 3 + wave(9, 1, 2.0) + wave(9, 3, 0.5)
    draw = jax.jit(jax.vmap(lambda k: models[kind].condition(target, (32,), n_iterations=1, n_levels=24, key=k)))
    modes = np.fft.rfft(draw(jr.split(jr.key(2), 400))[:, 0], norm="forward")
    np.testing.assert_allclose(modes[:, :5], np.tile([3, 1, 0, 0.25, 0], (400, 1)), atol=2e-4)
    # Held out: they keep their variance.
    np.testing.assert_allclose(
        np.mean(np.abs(modes[:, 5:16]) ** 2, 0), spectrum(FIELDS)[5:16], rtol=4 / np.sqrt(400) + 0.02
    )


def test_smoothed_data_are_generated_sharp():
    # Noise too smooth for the data, admissible after smoothing; what is generated is deblurred: mode 20 has the
    # variance of the fields', though it was trained with exp(−2σκ²) = .2 of it.
    fields, sigma = draws(ROUGH, 2000, 64), 5e-5
    settings = FunctionSettings(schedule=ONE_STEP, batch_size=4, smoothing=sigma, any_noise=True)
    model = FunctionDiffusion.fit(fields, noise=ROUGH, network=Nothing(), settings=settings, key=jr.key(0))
    found = spectrum(sampled(model, (64,), 4000, n_levels=3)) / spectrum(fields)
    assert found[20] == pytest.approx(1, abs=0.05)  # three standard errors of 4000
    damped = model.space.data.mode_variances((64,))[0, 20] / spectrum(fields)[20] * spectrum(fields).sum() / 2
    assert np.exp(-2 * sigma * (2 * np.pi * 20) ** 2) == pytest.approx(0.206, abs=1e-3) and damped < 1


@pytest.mark.parametrize("kind", KINDS)
def test_known_fields_reach_the_network(kind):
    known = draws(DATA, 400, 9, seed=1)
    settings = FunctionSettings(schedule=ONE_STEP, batch_size=4)
    model = kind.fit(
        FIELDS, noise=NOISE, network=Multiplier(3, 1, key=jr.key(0)), known=known, settings=settings, key=jr.key(0)
    )
    draw = jax.jit(lambda known: model.sample((32,), known=known, key=jr.key(1)))
    first, second = (draw(jnp.asarray(known[i], jnp.float32)) for i in (0, 1))
    assert np.abs(first - second).max() > 1e-3
    with pytest.raises(ValueError, match="give known="):
        model.sample((32,), key=jr.key(1))


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_of_other_channels_is_refused_before_the_training(kind):
    size = UNetSettings(channels=(4,), n_blocks=1, patch=2)
    with pytest.raises(ValueError, match=r"has to make 1 channels from 2 \(functional.n_features\), on \(32,\) points"):
        kind.fit(FIELDS, noise=NOISE, network=UNet(1, 1, 1, size, key=jr.key(0)), key=jr.key(0))


def rings(n, points, seed=0):
    """2 cos 2π(x + φ) of any phase, and Gaussian fields: the amplitude is near 2, where a Gaussian's may be 0."""
    phase = np.random.default_rng(seed + 1000).uniform(size=(n, 1, 1))
    return 2 * np.cos(2 * np.pi * (np.arange(points) / points + phase)) + 0.5 * draws(DATA, n, points, seed)


def radius(fields):
    return 2 * np.abs(np.fft.rfft(fields[:, 0], norm="forward")[:, 1])


def test_training_finds_what_no_gaussian_has():
    # Of a Gaussian of this variance a fifth of the amplitudes are below 1; of the data none. Scores take longer (slow).
    schedule = TrainingSchedule(200, warmup_cosine(200, peak=2e-2), ema_decay=0.95, steps_per_dispatch=50)
    model = FunctionFlow.fit(
        rings(1000, 16),
        noise=NOISE,
        network=Multiplier(2, 1, width=32, gain=1.0, key=jr.key(1)),
        settings=FunctionSettings(schedule=schedule, batch_size=128),
        key=jr.key(0),
    )
    assert np.mean(radius(FIELDS[:, :] - 3) < 1.0) > 0.2  # of a Gaussian: the measure sees the difference
    found = radius(sampled(model, (33,), 400, n_levels=16))
    assert np.mean(found < 1.0) < 0.05
    assert found.mean() == pytest.approx(2.0, abs=0.15)


def test_training_of_scores_begins_at_the_exact_operator_and_unlearns_noise():
    # On Gaussian data the best network is silent, and the loss 1, whatever a random network began with.
    losses = []
    schedule = TrainingSchedule(100, warmup_cosine(100, peak=2e-2), ema_decay=0.9, steps_per_dispatch=50)
    FunctionDiffusion.fit(
        FIELDS,
        noise=NOISE,
        network=Multiplier(2, 1, gain=1.0, key=jr.key(1)),
        settings=FunctionSettings(schedule=schedule, batch_size=64),
        report=lambda step, metrics: losses.append(metrics["loss"]),
        key=jr.key(0),
    )
    assert losses[-1] == pytest.approx(1.0, abs=0.04) and losses[0] > losses[-1]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_refused(models, kind):
    model, fit = models[kind], partial(kind.fit, network=Nothing(), key=jr.key(0))
    with pytest.raises(ValueError, match=r"asked for \(16,\) points, which do not hold the modes of the \(32,\)"):
        model.sample((16,), key=jr.key(0))
    assert model.space.require_target((31,)) == (31,)  # 15 waves, as 32 points hold
    with pytest.raises(ValueError, match=r"the given field has \(9,\) points.*condition\(\) takes fields of less"):
        model.super_resolve(wave(9), (64,), key=jr.key(0))
    with pytest.raises(ValueError, match=r"\(48,\) points does not hold the modes of the given \(64,\)"):
        model.sample((48,), like=wave(64), key=jr.key(0))
    with pytest.raises(ValueError, match=r"1 channels and axes \(channel, points\), got the shape \(2, 32\)"):
        model.super_resolve(jnp.zeros((2, 32)), (64,), key=jr.key(0))
    with pytest.raises(ValueError, match="do not wrap around along space axis 0: they jump by"):
        fit(np.arange(32.0) + FIELDS, noise=NOISE)


def test_noise_that_is_too_smooth_is_refused_with_the_sums():
    fit = partial(FunctionDiffusion.fit, FIELDS, network=Nothing(), key=jr.key(0))
    settings = FunctionSettings(schedule=ONE_STEP, batch_size=4)
    with pytest.raises(ValueError, match=r"too smooth for these data: the sum of λ₁/λ₂ up to 3.75, 7.5, 15 waves is"):
        fit(noise=GaussianField(1.9, 5.0), settings=settings)
    assert fit(noise=white_field(), settings=settings).largest > 0  # rough enough, and no function: a control
    flow = FunctionFlow.fit(FIELDS, noise=GaussianField(1.9, 5.0), network=Nothing(), settings=settings, key=jr.key(0))
    assert flow.said == "Base and data are independent."


@pytest.mark.parametrize("kind", KINDS)
def test_the_network_alone_has_the_same_front(kind):
    settings = FunctionSettings(
        schedule=ONE_STEP, batch_size=4, preconditioning="points", transport=kind is FunctionFlow
    )
    model = kind.fit(FIELDS, noise=NOISE, network=Nothing(), settings=settings, key=jr.key(0))
    field = jax.jit(lambda k: model.sample((40,), key=k))(jr.key(0))
    assert field.shape == (1, 40) and bool(jnp.isfinite(field).all())
    if kind is FunctionFlow:
        assert "Pairs are of least Cameron–Martin cost. The noise is right" in model.said


def components(n, points, seed=0):
    """±2 cos 2πx and Gaussian fields: two components at one place, which takes a network that knows places."""
    sign = np.random.default_rng(seed + 1000).choice([-1.0, 1.0], size=(n, 1, 1))
    return sign * np.asarray(wave(points, 1, 2.0)) + 0.5 * draws(DATA, n, points, seed)


def trained(kind, noise, preconditioning):
    """On 32 points, in 1500 steps: the slow tests' model."""
    schedule = TrainingSchedule(1500, warmup_cosine(1500, peak=3e-3), ema_decay=0.99, steps_per_dispatch=50)
    size = FNOSettings(width=24, n_layers=2, n_modes=12, embedding=32, coordinates=True)
    return kind.fit(
        components(4000, 32),
        noise=noise,
        network=FNO(2 if preconditioning == "modes" else 1, 1, 1, size, key=jr.key(1)),
        settings=FunctionSettings(schedule=schedule, batch_size=128, preconditioning=preconditioning),
        key=jr.key(0),
    )


def spectral_error(model, n=1500):
    """Mean absolute log ratio of the spectra of fourfold samples and of data, in the band and beyond."""
    found, truth = sampled(model, (129,), n), components(4000, 129, seed=5)
    ratio = np.abs(np.log(spectrum(found)[1:64] / spectrum(truth)[1:64]))
    return found, ratio[:15].mean(), ratio[15:].mean()


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_trained_mixture_at_four_times_the_resolution(kind):
    """Slow: a network is trained. Weights of the components, their means, and spectra within and beyond the band."""
    found, inside, beyond = spectral_error(trained(kind, NOISE, "modes"))
    assert inside < 0.1 and beyond < np.log(2)
    amplitude = 2 * np.fft.rfft(found[:, 0], norm="forward")[:, 1].real
    assert np.mean(amplitude > 0) == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(1500))
    assert np.mean(np.abs(amplitude) < 1.0) < 0.05
    assert np.abs(amplitude).mean() == pytest.approx(2.0, abs=0.1)


@pytest.mark.slow
def test_white_noise_is_no_noise_for_functions():
    """Slow: a network is trained. The negative control: white noise, and a network that is alone with it."""
    _, _, beyond = spectral_error(trained(FunctionDiffusion, white_field(), "points"), 500)
    assert beyond > 0.5
