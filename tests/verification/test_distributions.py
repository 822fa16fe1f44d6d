"""Distribution distances against closed forms, scipy and numpy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.spatial.distance
import scipy.stats

from subgrid.verification.distributions import (
    covariance_rmse,
    kl_divergence,
    kl_divergence_per_point,
    maximum_mean_discrepancy,
    wasserstein_1,
)

METRICS = {
    "covariance_rmse": covariance_rmse,
    "kl_divergence": lambda pred, ref: kl_divergence(ref, pred),
    "wasserstein_1": wasserstein_1,
    "maximum_mean_discrepancy": maximum_mean_discrepancy,
}


def normals(seed, shape, mean=0.0, std=1.0):
    return jax.device_put(np.asarray(np.random.default_rng(seed).normal(mean, std, shape), np.float32))


# covRMSE


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_scaling_by_a_gives_covariance_rmse_of_a_squared_minus_one(factor):
    ref = normals(0, (200, 3, 4))
    # Float32 arithmetic only: the identity holds for the very samples.
    assert covariance_rmse(factor * ref, ref) == pytest.approx(abs(factor**2 - 1), abs=1e-5)


def test_covariance_rmse_agrees_with_numpy_covariances_of_unequal_sets():
    mixing = np.random.default_rng(0).normal(size=(6, 6))
    pred, ref = normals(1, (50, 6)) @ mixing, normals(2, (70, 6), mean=3.0)
    cov_pred, cov_ref = np.cov(np.float64(pred), rowvar=False), np.cov(np.float64(ref), rowvar=False)
    expected = np.linalg.norm(cov_pred - cov_ref) / np.linalg.norm(cov_ref)
    assert covariance_rmse(pred, ref) == pytest.approx(expected, rel=1e-5)


def test_covariance_rmse_of_many_points_in_chunks():
    pred, ref = normals(40, (20, 1500)), normals(41, (30, 1500))
    expected = np.linalg.norm(np.cov(pred, rowvar=False) - np.cov(ref, rowvar=False))
    expected /= np.linalg.norm(np.cov(ref, rowvar=False))
    assert covariance_rmse(pred, ref) == pytest.approx(expected, rel=1e-4)


def test_covariance_rmse_ignores_a_large_mean():
    ref = normals(3, (500, 5))
    # 290 K costs 290·6e-8 = 2e-5 of each value's digits.
    assert covariance_rmse(ref + 290.0, ref) < 1e-4


# KLD


@pytest.mark.parametrize("shift", [0.5, 1.0])
def test_kl_divergence_of_shifted_normals(shift):
    n, d = 20_000, 16
    ref, pred = normals(4, (n, d)), normals(5, (n, d), mean=shift)
    smoothed_variance = 1 + n**-0.4  # the kernel adds h² = n^(−2/5) to both variances
    # Each point's error is about shift·sqrt(2/n) = .01 shift, plus ~1 % from tails that 20,000 samples do not reach.
    assert kl_divergence(ref, pred) == pytest.approx(d * shift**2 / (2 * smoothed_variance), rel=0.05)


def test_kl_divergence_is_of_ref_from_pred_and_not_the_reverse():
    ref, pred = normals(6, (20_000, 16)), normals(7, (20_000, 16), std=2.0)
    # ln 2 + 1/8 − 1/2 = .318; the reverse is .807. Both variances are smoothed alike, so their ratio stays.
    per_point = kl_divergence_per_point(ref, pred)
    assert jnp.mean(per_point) == pytest.approx(np.log(2) + 1 / 8 - 1 / 2, rel=0.05)


def test_kl_divergence_per_point_agrees_with_scipy_kernel_densities():
    rng = np.random.default_rng(8)
    ref = np.stack([rng.normal(size=400), rng.gamma(2.0, size=400), rng.uniform(280, 300, size=400)], axis=1)
    pred = np.stack([rng.normal(0.3, 1.2, size=300), rng.gamma(2.5, size=300), rng.uniform(279, 302, size=300)], axis=1)

    def truth(x, y):
        p, q = scipy.stats.gaussian_kde(x), scipy.stats.gaussian_kde(y)
        grid = np.linspace(min(x.min(), y.min()) - 3 * x.std(), max(x.max(), y.max()) + 3 * x.std(), 8001)
        log_ratio = p.logpdf(grid) - q.logpdf(grid)
        return scipy.integrate.simpson(np.where(p(grid) > 0, p(grid) * log_ratio, 0), x=grid)

    expected = [truth(ref[:, i], pred[:, i]) for i in range(3)]
    found = kl_divergence_per_point(jnp.asarray(ref, jnp.float32), jnp.asarray(pred, jnp.float32))
    # Same estimator on the same samples: only float32 and the quadrature differ.
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_kl_divergence_does_not_depend_on_the_unit():
    ref, pred = normals(9, (300, 2)), normals(10, (300, 2), mean=0.5)
    assert kl_divergence(1e4 * ref, 1e4 * pred) == pytest.approx(float(kl_divergence(ref, pred)), rel=1e-3)


@pytest.mark.parametrize("offset", [1e2, 1e6])
def test_kl_divergence_of_disjoint_sets_is_large_but_floored(offset):
    ref = normals(11, (300, 2))
    per_point = kl_divergence_per_point(ref, ref + offset)
    # The floor is −ln(1.2e-38) = 87.3 on the kernel sum, which for p is between 1 and n.
    assert jnp.all((per_point > 80) & (per_point < 87.4 + np.log(300)))


def test_one_wild_prediction_cannot_hide_the_divergence():
    ref, pred = normals(12, (300, 2)), normals(13, (300, 2), mean=1.0)
    assert kl_divergence(ref, pred.at[0].set(1e8)) > 0.9  # Σ of two points near ½, or more: the bandwidth explodes


def test_kl_divergence_is_nan_where_there_is_no_density():
    ref = normals(14, (300, 2)).at[:, 1].set(0.1)
    per_point = kl_divergence_per_point(ref, normals(15, (300, 2)))
    assert jnp.isfinite(per_point[0]) and jnp.isnan(per_point[1])


def test_kl_divergence_keeps_the_space_axes():
    ref = normals(16, (50, 2, 3))
    pred = ref.at[:, 1, 2].add(2.0)
    assert set(zip(*np.nonzero(np.asarray(kl_divergence_per_point(ref, pred) > 0.1)), strict=True)) == {(1, 2)}


# Wasserstein-1


@pytest.mark.parametrize("shift", [-2.0, 0.0, 0.25])
def test_wasserstein_of_a_shift_is_the_shift(shift):
    ref = normals(17, (333, 7))
    assert wasserstein_1(ref + shift, ref) == pytest.approx(abs(shift), abs=1e-5)


@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 7), (6, 4), (12, 18), (50, 50), (101, 64)])
def test_wasserstein_agrees_with_scipy_for_unequal_sizes(n, m):
    pred, ref = normals(18, (n, 3), std=2.0), normals(19, (m, 3), mean=0.5)
    expected = np.mean([scipy.stats.wasserstein_distance(pred[:, i], ref[:, i]) for i in range(3)])
    assert wasserstein_1(pred, ref) == pytest.approx(expected, rel=1e-5)


# MMD


def gaussian_mmd(d, distance, std, bandwidth):
    """Closed form of MMD² between N(0, I) and N(μ, std² I), ‖μ‖ = distance, Gaussian kernel."""

    def mean_kernel(variance, gap):
        total = bandwidth**2 + variance
        return (bandwidth**2 / total) ** (d / 2) * np.exp(-(gap**2) / (2 * total))

    return mean_kernel(2 * std**2, 0) + mean_kernel(2, 0) - 2 * mean_kernel(1 + std**2, distance)


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (0.5, 1.0), (0.3, 1.5)])
def test_maximum_mean_discrepancy_is_unbiased(mean, std):
    d, bandwidth = 3, 1.5
    pred, ref = normals(20, (400, 20, d), mean, std), normals(21, (400, 30, d))
    estimates = jax.vmap(lambda x, y: maximum_mean_discrepancy(x, y, bandwidth=bandwidth))(pred, ref)
    expected = gaussian_mmd(d, mean * np.sqrt(d), std, bandwidth)
    # 400 independent estimates: four standard errors of their mean.
    assert jnp.mean(estimates) == pytest.approx(expected, abs=4 * float(jnp.std(estimates)) / np.sqrt(400))


def test_maximum_mean_discrepancy_in_chunks_agrees_with_float64_distances():
    pred, ref = normals(22, (1500, 4), mean=100.2), normals(23, (1100, 4), mean=100.0)
    x, y = np.float64(pred), np.float64(ref)
    kernel = lambda a, b: np.exp(-scipy.spatial.distance.cdist(a, b, "sqeuclidean") / (2 * 2.0**2))  # noqa: E731
    within = [(kernel(a, a).sum() - len(a)) / (len(a) * (len(a) - 1)) for a in (x, y)]
    expected = sum(within) - 2 * kernel(x, y).mean()
    # Kernel means near ½ in float32: absolute error a few times 6e-8.
    assert maximum_mean_discrepancy(pred, ref, bandwidth=2.0) == pytest.approx(expected, abs=1e-6)


def test_the_default_bandwidth_is_the_median_distance_of_the_reference():
    pred, ref = normals(24, (20, 4), mean=1.0), normals(25, (30, 4))
    median = float(np.median(scipy.spatial.distance.pdist(ref)))
    assert maximum_mean_discrepancy(pred, ref) == pytest.approx(
        float(maximum_mean_discrepancy(pred, ref, bandwidth=median)), abs=1e-6
    )


# All of them


@pytest.mark.parametrize("name", ["covariance_rmse", "kl_divergence", "wasserstein_1"])
def test_a_set_against_itself_is_zero(name):
    ref = normals(26, (64, 2, 3))
    assert METRICS[name](ref, ref) == 0


@pytest.mark.parametrize("name", METRICS)
def test_order_of_samples_and_points_does_not_matter(name):
    pred, ref = normals(27, (20, 4), mean=1.0), normals(28, (30, 4))
    points, samples = np.random.default_rng(29).permutation(4), np.random.default_rng(30).permutation(20)
    shuffled = METRICS[name](pred[samples][:, points], ref[:, points])
    assert shuffled == pytest.approx(float(METRICS[name](pred, ref)), rel=1e-4)


@pytest.mark.parametrize("name", METRICS)
def test_traces_once_and_has_finite_gradients(name):
    traces = []

    @jax.jit
    def metric(pred, ref):
        traces.append(name)
        return METRICS[name](pred, ref)

    pred, ref = normals(31, (20, 4), mean=0.5), normals(32, (30, 4))
    assert metric(pred, ref) == pytest.approx(float(METRICS[name](pred, ref)), rel=1e-5)
    metric(2 * pred, ref)
    assert len(traces) == 1
    gradient = jax.grad(METRICS[name])(pred, ref)
    assert jnp.all(jnp.isfinite(gradient)) and jnp.any(gradient != 0)


@pytest.mark.parametrize("name", ["covariance_rmse", "kl_divergence", "maximum_mean_discrepancy"])
def test_one_sample_is_too_few(name):
    with pytest.raises(ValueError, match="ref needs at least 2 samples on axis 0, got 1"):
        METRICS[name](jnp.zeros((3, 4)), jnp.zeros((1, 4)))


def test_an_empty_set_has_no_distance():
    with pytest.raises(ValueError, match="pred needs at least 1 sample on axis 0, got 0"):
        wasserstein_1(jnp.zeros((0, 4)), jnp.zeros((1, 4)))


@pytest.mark.parametrize("name", METRICS)
def test_different_grids_do_not_compare(name):
    with pytest.raises((ValueError, TypeError)):  # TypeError from jaxtyping when its import hook is on
        METRICS[name](jnp.ones((3, 4)), jnp.ones((3, 5)))


def test_options_are_checked():
    x = normals(33, (4, 2))
    with pytest.raises(ValueError, match="n_grid must be at least 16, got 3"):
        kl_divergence(x, x, n_grid=3)
    with pytest.raises(ValueError, match=r"bandwidth must be positive, got 0\.0"):
        maximum_mean_discrepancy(x, x, bandwidth=0.0)
