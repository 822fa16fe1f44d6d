"""Noising processes: inverses, derivatives by finite differences, and the marginals that each claims."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.diffusion.process import (
    CosineVariancePreserving,
    VarianceExploding,
    VariancePreserving,
    drift_and_diffusion,
    perturb,
    prior_std,
    rates,
)

PROCESSES = {
    "VP": VariancePreserving(),
    "VP steep": VariancePreserving(beta_min=0.5, beta_max=8.0),
    "VP cosine": CosineVariancePreserving(),
    "VE": VarianceExploding(),
    "VE narrow": VarianceExploding(sigma_min=0.1, sigma_max=5.0),
}
preserving = [name for name in PROCESSES if name.startswith("VP")]
processes = pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
TIMES = (0.05, 0.3, 0.7, 0.99)


@processes
def test_time_of_inverts_noise_level(process):
    top = float(process.noise_level(jnp.ones(())))
    for sigma in np.geomspace(process.sigma_min, top, 15):
        back = process.noise_level(process.time_of(jnp.asarray(sigma)))
        # float32: near t = 1 the cosine's σ = tan φ amplifies rounding of φ by σ ≈ 80, that is 80·1e-7.
        assert back == pytest.approx(sigma, rel=3e-4)


@processes
def test_noise_grows_with_time(process):
    times = jnp.linspace(process.time_of(jnp.asarray(process.sigma_min)), 1.0, 200)
    assert (jnp.diff(jax.vmap(process.noise_level)(times)) > 0).all()


@pytest.mark.parametrize("name", preserving)
def test_variance_is_preserved(name):
    process = PROCESSES[name]
    for time in TIMES:
        scale, sigma = process.scale(jnp.asarray(time)), process.noise_level(jnp.asarray(time))
        assert scale**2 * (1 + sigma**2) == pytest.approx(1.0, rel=2e-4)  # as above: float32 times σ


@processes
def test_rates_by_finite_differences(process):
    h = 2e-3
    for time in TIMES[:-1]:
        scale_rate, sigma_rate = rates(process, jnp.asarray(time))
        ends = [(process.scale(jnp.asarray(t)), process.noise_level(jnp.asarray(t))) for t in (time - h, time + h)]
        scale, sigma = (float(b - a) / (2 * h) for a, b in zip(*ends, strict=True))
        # Central differences: h²·(third derivative)/6 ≈ 1e-6 · β³, and float32 rounding over 2h, 3e-5.
        assert scale_rate == pytest.approx(scale, rel=2e-3, abs=1e-4)
        assert sigma_rate == pytest.approx(sigma, rel=2e-3, abs=1e-4)


def test_coefficients_of_song_et_al():
    # VP: dx = −½β x dt + √β dW.  VE: dx = σ√(2 ln(σ_max/σ_min)) dW.
    for time in TIMES:
        drift, diffusion = drift_and_diffusion(VariancePreserving(), jnp.asarray(time))
        beta = 0.1 + 19.9 * time
        assert drift == pytest.approx(-beta / 2, rel=1e-4)
        assert diffusion == pytest.approx(np.sqrt(beta), rel=1e-4)
        drift, diffusion = drift_and_diffusion(VarianceExploding(), jnp.asarray(time))
        assert drift == 0.0
        assert diffusion == pytest.approx(0.002 * 40000**time * np.sqrt(2 * np.log(40000)), rel=1e-4)


def test_coefficients_at_the_start():
    # s²(1 + σ²) = 1 makes dx = −½β x dt + √β dW of any variance-preserving process: g² = −2f, also at t = 0.
    for process, beta in ((VariancePreserving(), 0.1), (VariancePreserving(beta_min=0.5, beta_max=8.0), 0.5)):
        drift, diffusion = drift_and_diffusion(process, jnp.zeros(()))
        assert drift == pytest.approx(-beta / 2, rel=1e-5)
        assert diffusion == pytest.approx(np.sqrt(beta), rel=1e-5)
    drift, diffusion = drift_and_diffusion(CosineVariancePreserving(), jnp.zeros(()))
    assert diffusion**2 == pytest.approx(-2 * float(drift), rel=1e-4)
    assert diffusion > 0
    assert jax.grad(lambda t: drift_and_diffusion(VariancePreserving(), t)[1])(jnp.zeros(())) > 0


@processes
def test_variance_is_the_square_of_the_noise_level(process):
    for time in (0.0, *TIMES):
        sigma = float(process.noise_level(jnp.asarray(time)))
        assert process.variance(jnp.asarray(time)) == pytest.approx(sigma**2, rel=1e-5)


@processes
def test_coefficients_reproduce_the_marginals(process):
    # Variance of x_t given x₀: dv/dt = 2fv + g² from the coefficients must arrive at s²σ² (fourth-order Runge–Kutta).
    start, end, n = 0.1, 0.9, 400

    def rate(time, v):
        drift, diffusion = drift_and_diffusion(process, time)
        return 2 * drift * v + diffusion**2

    def step(v, time):
        h = (end - start) / n
        a = rate(time, v)
        b = rate(time + h / 2, v + h / 2 * a)
        c = rate(time + h / 2, v + h / 2 * b)
        d = rate(time + h, v + h * c)
        return v + h / 6 * (a + 2 * b + 2 * c + d), None

    variance = lambda time: (process.scale(time) * process.noise_level(time)) ** 2  # noqa: E731
    times = start + (end - start) / n * jnp.arange(n)
    got, _ = jax.lax.scan(step, variance(jnp.asarray(start)), times)
    assert got == pytest.approx(float(variance(jnp.asarray(end))), rel=1e-3)  # float32 over 400 steps


def test_prior_std_is_scale_times_noise_level():
    assert prior_std(VariancePreserving()) == pytest.approx(np.sqrt(1 - np.exp(-10.05)), rel=1e-5)
    assert prior_std(VarianceExploding()) == pytest.approx(80.0, rel=1e-5)
    assert prior_std(CosineVariancePreserving()) == pytest.approx(80 / np.sqrt(1 + 80**2), rel=1e-5)


@processes
def test_perturbed_data_have_the_marginal(process):
    time, n = jnp.asarray(0.6), 50_000
    x = perturb(process, jnp.full((n,), 2.0), time, key=jr.key(0))
    scale, sigma = process.scale(time), process.noise_level(time)
    std = float(scale * sigma)
    assert abs(float(x.mean() - 2 * scale)) < 4 * std / np.sqrt(n)
    assert x.std() == pytest.approx(std, rel=4 / np.sqrt(2 * n))  # four standard errors


def test_default_range_of_the_linear_process():
    assert VariancePreserving().noise_level(jnp.ones(())) == pytest.approx(np.sqrt(np.expm1(10.05)), rel=1e-4)
