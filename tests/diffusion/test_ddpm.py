"""The DDPM chain on N(2, ¼) with the exact noise predictor: every variance has a closed form."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.diffusion.ddpm import (
    ancestral_sample,
    as_denoiser,
    cosine_schedule,
    ddim_sample,
    linear_schedule,
    noise_prediction_loss,
)

MEAN, VARIANCE = 2.0, 0.25


@pytest.fixture(scope="module")
def chain():
    schedule = linear_schedule()

    def predict_noise(x, t):
        bar = schedule.alpha_bars[t]
        return jnp.sqrt(1 - bar) * (x - jnp.sqrt(bar) * MEAN) / (VARIANCE * bar + 1 - bar)

    return predict_noise, schedule


def ddim(chain, x, n_steps, key, eta=0.0):
    return np.asarray(jax.jit(lambda x, key: ddim_sample(*chain, x, n_steps=n_steps, eta=eta, key=key))(x, key))


def exact_moments(run, n, key, monkeypatch):
    """Mean and variance of an affine chain a·x + Σ bᵢξᵢ + c from x ~ N(0, 1), read off without sampling.

    Column i < n of the field gets ξᵢ = 1 and no other noise; the last two start at 0 and at 1.
    """
    step_keys = jr.key_data(jr.split(key, n))
    hit = lambda key: 1.0 * (step_keys == jr.key_data(key)).all(-1)  # noqa: E731
    monkeypatch.setattr(jr, "normal", lambda key, shape, dtype: jnp.append(hit(key), jnp.zeros(2)))
    out = np.float64(run(jnp.zeros(n + 2).at[-1].set(1.0), key))
    monkeypatch.undo()
    return out[-2], np.sum((out[:n] - out[-2]) ** 2) + (out[-1] - out[-2]) ** 2


# The published .25075 and .24613; their sixth digits from the recursion of the variance in float64.
@pytest.mark.parametrize(("variance", "expected"), [("beta", 0.250752), ("posterior", 0.246125)])
def test_ancestral_variance(variance, expected, chain, monkeypatch):
    mean, got = exact_moments(
        lambda x, k: ancestral_sample(*chain, x, variance=variance, key=k), 1000, jr.key(0), monkeypatch
    )
    assert got == pytest.approx(expected, abs=5e-5)  # a thousand float32 steps, each rounding by 6e-8, thrice
    assert mean == pytest.approx(2.0, abs=0.02)  # what is left of the data's mean in x_T, √ᾱ_T·2 = .013


@pytest.mark.slow
def test_ancestral_sampling_draws_that_distribution(chain):
    draws = ancestral_sample(*chain, jr.normal(jr.key(0), (50_000,)), variance="beta", key=jr.key(1))
    # Standard errors: .5/√n = .0022 and .25·√(2/n) = .0016; four of each.
    assert draws.mean() == pytest.approx(2.0, abs=0.009)
    assert draws.var() == pytest.approx(0.25075, abs=0.0064)


def test_ddim_is_deterministic_for_eta_zero(chain):
    x = jr.normal(jr.key(0), (16,))
    run = jax.jit(lambda key: ddim_sample(*chain, x, n_steps=20, key=key))
    first, second = (np.asarray(run(jr.key(k))) for k in (1, 2))
    np.testing.assert_array_equal(first, second)
    assert (ddim(chain, x, 20, jr.key(1), eta=1.0) != first).all()


def test_ddim_converges_to_the_probability_flow(chain):
    # The flow maps x_T to the data by quantiles: μ + ½·(x_T − √ᾱ_T μ)/√(¼ᾱ_T + 1 − ᾱ_T).
    x = jnp.asarray([-2.0, -0.3, 0.0, 1.7])
    bar = np.float64(chain[1].alpha_bars[-1])
    exact = MEAN + 0.5 * (np.asarray(x) - np.sqrt(bar) * MEAN) / np.sqrt(VARIANCE * bar + 1 - bar)
    errors = [np.abs(ddim(chain, x, n, jr.key(0)) - exact).max() for n in (50, 100, 200, 1000)]
    # First order: the error halves with the step, down to the chain's own resolution (σ₀ = .01).
    assert errors[0] / errors[1] == pytest.approx(2.0, rel=0.25)
    assert errors[1] / errors[2] == pytest.approx(2.0, rel=0.25)
    assert errors[3] < 0.01


def test_ddim_with_eta_one_on_all_steps_is_the_ancestral_chain(chain):
    x = jr.normal(jr.key(0), (64,))
    subsequence = ddim(chain, x, 1000, jr.key(1), eta=1.0)
    ancestral = jax.jit(lambda x, key: ancestral_sample(*chain, x, variance="posterior", key=key))(x, jr.key(1))
    # Song, Meng & Ermon (2021), Sec. 4.1; float32 over a thousand steps with 1 − ᾱ/ᾱ′ down to 1e-4.
    np.testing.assert_allclose(subsequence, ancestral, atol=2e-3)


@pytest.mark.parametrize("n_steps", [0, 1001])
def test_ddim_refuses_a_wrong_number_of_steps(chain, n_steps):
    with pytest.raises(ValueError, match=rf"between 1 and the chain's 1000, got {n_steps}"):
        ddim_sample(*chain, jnp.zeros(2), n_steps=n_steps, key=jr.key(0))


def test_one_ddim_step_is_the_denoised_start(chain):
    # E[x₀ | x_T] for a Gaussian, by its regression.
    x = jnp.asarray([0.4, -1.0])
    bar = np.float64(chain[1].alpha_bars[-1])
    slope = np.sqrt(bar) * VARIANCE / (VARIANCE * bar + 1 - bar)
    exact = MEAN + slope * (np.asarray(x) - np.sqrt(bar) * MEAN)
    np.testing.assert_allclose(ddim(chain, x, 1, jr.key(0)), exact, atol=1e-3)


def test_as_denoiser_is_the_posterior_mean(chain):
    denoiser, schedule = as_denoiser(*chain), chain[1]
    for t in (10, 300, 800):
        sigma = jnp.sqrt(1 / schedule.alpha_bars[t] - 1)
        x = jnp.asarray([1.0, 2.0, 5.0])
        exact = MEAN + VARIANCE / (VARIANCE + float(sigma) ** 2) * (np.asarray(x) - MEAN)
        np.testing.assert_allclose(denoiser(x, sigma), exact, rtol=1e-3, atol=1e-3)


def test_schedules():
    # ln ᾱ_T = Σ ln(1 − β) in double precision: Ho et al. quote ᾱ_T ≈ 4e-5.
    bars = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))
    np.testing.assert_allclose(linear_schedule().alpha_bars, bars, rtol=1e-4)
    cosine = cosine_schedule(1000)
    angle = np.pi / 2 * (np.array([0.5, 0.0]) + 0.008) / 1.008
    assert cosine.alpha_bars[499] == pytest.approx(np.cos(angle[0]) ** 2 / np.cos(angle[1]) ** 2, rel=1e-3)
    assert float(cosine.betas.max()) == pytest.approx(0.999)
    assert bool((cosine.betas > 0).all())


def test_loss_of_the_exact_predictor(chain):
    # E‖ε − ε*‖² = ᾱ v/(ᾱ v + 1 − ᾱ), averaged over t.
    predict_noise, schedule = chain
    batch = MEAN + 0.5 * jr.normal(jr.key(0), (4000, 8))
    bars = np.float64(schedule.alpha_bars)
    expected = np.mean(VARIANCE * bars / (VARIANCE * bars + 1 - bars))
    zero_of = lambda x, t: jnp.zeros_like(x)  # noqa: E731
    got, zero = jax.jit(
        lambda batch: [noise_prediction_loss(f, schedule, batch, key=jr.key(1)) for f in (predict_noise, zero_of)]
    )(batch)
    # The spread of the mean over t of 4000 draws: ≤ std(value over t ∈ [0, 1]) ≈ .35 and χ²₈/8 ≈ .5: .6/√4000 = .01.
    assert got == pytest.approx(expected, abs=0.03)
    assert zero == pytest.approx(1.0, abs=4 * np.sqrt(2 / 32000))


def test_gradient_through_the_loss_is_finite(chain):
    loss = lambda a: noise_prediction_loss(lambda x, t: a * x, chain[1], jnp.ones((4, 3)), key=jr.key(0))  # noqa: E731
    gradient = jax.jit(jax.grad(loss))(0.5)
    assert np.isfinite(gradient)
