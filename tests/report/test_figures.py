"""The numbers drawn, against closed forms; a figure that merely exists would prove nothing."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy.stats import norm

from subgrid.report import figures, style, summaries
from subgrid.report.comparison import Comparison

GENERATOR = np.random.default_rng(1)


def axes_of(n):
    return list(Figure().subplots(n, 1, squeeze=False)[:, 0])


def drawn(axes, role):
    """The y values of the line drawn for a role."""
    lines = [line for line in axes.get_lines() if line.get_label() == style.LABELS[role]]
    assert len(lines) == 1
    return np.asarray(lines[0].get_ydata())


def cosines(k, n_samples, amplitude=1.0, n=32):
    """cos(kx + φ) with equally spaced φ: the sample covariance is exactly ½a² cos(k·lag)."""
    phase = 2 * np.pi * np.arange(n_samples) / n_samples
    return amplitude * np.cos(k * 2 * np.pi * np.arange(n) / n + phase[:, None])


def test_a_single_mode_has_its_energy_drawn_at_its_wavenumber():
    comparison = Comparison(cosines(3, 8), cosines(3, 8), {"raw": cosines(3, 8, 2.0)})
    main, ratio = figures.energy_spectra(tuple(axes_of(2)), comparison)
    expected = np.where(np.arange(1, 17) == 3, 0.5, 0.0)
    np.testing.assert_allclose(drawn(main, "reference"), expected, atol=1e-6)
    np.testing.assert_allclose(drawn(main, "raw"), 4 * expected, atol=1e-6)
    assert drawn(ratio, "raw")[2] == pytest.approx(4, rel=1e-5)
    assert ratio.get_ylim()[1] > 4


def test_a_plane_wave_in_two_dimensions_lands_in_its_shell():
    i, j = np.meshgrid(np.arange(16), np.arange(16), indexing="ij")
    wave = np.cos(2 * np.pi * (3 * i + 4 * j) / 16)[None]
    main, _ = figures.energy_spectra(tuple(axes_of(2)), Comparison(wave, wave, {"generated": wave}))
    np.testing.assert_allclose(drawn(main, "generated"), np.where(np.arange(1, 9) == 5, 0.5, 0.0), atol=1e-6)


def test_the_spectral_floor_is_the_distance_between_the_references():
    reference = GENERATOR.normal(size=(50, 32))
    # A independent of 1.21 times the energy everywhere: the band must reach from 1/1.21 to 1.21 at every wavenumber.
    comparison = Comparison(reference, 1.1 * reference, {})
    _, ratio = figures.energy_spectra(tuple(axes_of(2)), comparison)
    (band,) = ratio.collections
    edges = band.get_paths()[0].vertices[:, 1]
    np.testing.assert_allclose([edges.min(), edges.max()], [1 / 1.21, 1.21], rtol=1e-5)


def test_the_end_of_the_coarse_grid_is_marked():
    reference = GENERATOR.normal(size=(5, 32))
    main, _ = figures.energy_spectra(tuple(axes_of(2)), Comparison(reference, reference, {}), resolved=4)
    assert [4, 4] in [list(line.get_xdata()) for line in main.get_lines()]


def test_densities_are_those_of_the_distribution():
    sample = GENERATOR.normal(size=(2000, 100))
    comparison = Comparison(sample, GENERATOR.normal(size=(2000, 100)), {"raw": 1 + sample})
    linear, logarithmic = figures.marginal_densities(tuple(axes_of(2)), comparison, variable="u", units="K")
    lines = {line.get_label(): line for line in linear.get_lines()}
    for name, mean in (("reference", 0), ("raw", 1)):
        x, y = lines[name].get_data()
        # 200,000 values, at most 80 bins: a bin's standard error at the mode is about .003, and 5 of them .015.
        np.testing.assert_allclose(y, norm.pdf(x, mean), atol=0.015)
    inside = drawn(linear, "raw") > 0
    np.testing.assert_array_equal(drawn(linear, "raw")[inside], drawn(logarithmic, "raw")[inside])
    assert logarithmic.get_xlabel() == "u [K]"
    assert logarithmic.get_yscale() == "log"


def test_density_integrates_to_the_share_of_values_inside():
    values = np.array([0.1, 0.2, 0.6, 5.0])
    heights = summaries.density(values, np.array([0.0, 0.5, 1.0]))
    np.testing.assert_allclose(heights, [1.0, 0.5])


@pytest.mark.parametrize("k", [1, 2, 5])
def test_lag_covariance_of_a_mode_is_a_cosine(k):
    covariance = summaries.lag_covariance(cosines(k, 8))
    np.testing.assert_allclose(covariance, 0.5 * np.cos(2 * np.pi * k * np.arange(-16, 17) / 32), atol=1e-12)


def test_lag_covariance_is_the_mean_of_the_diagonals_of_the_covariance():
    fields = 7 + GENERATOR.normal(size=(20, 9)).cumsum(axis=1)
    matrix = np.cov(fields.T, ddof=0)
    np.testing.assert_allclose(summaries.covariance_matrix(fields), matrix, atol=1e-10)
    diagonals = [np.diagonal(matrix, lag).mean() for lag in range(-4, 5)]
    np.testing.assert_allclose(summaries.lag_covariance(fields), diagonals, atol=1e-10)


def test_lag_covariance_in_two_dimensions_pairs_points_along_both_axes():
    fields = GENERATOR.normal(size=(6, 5, 4))
    anomaly = fields - fields.mean(axis=0)
    covariance = summaries.lag_covariance(fields)
    assert covariance.shape == (5, 5)
    assert covariance[2, 2] == pytest.approx(fields.var(axis=0).mean())
    # Lag (+2, −1): middle row 2 plus 2, middle column 2 minus 1.
    assert covariance[4, 1] == pytest.approx(np.mean(anomaly[:, :-2, 1:] * anomaly[:, 2:, :-1]))


def test_the_lag_figure_starts_at_the_variance():
    reference = GENERATOR.normal(size=(40, 32))
    comparison = Comparison(reference, GENERATOR.normal(size=(40, 32)), {"cubic": 0.5 * reference})
    main, difference = figures.covariance_by_lag(tuple(axes_of(2)), comparison, units="K")
    variance = reference.var(axis=0).mean()
    assert drawn(main, "reference")[0] == pytest.approx(variance)
    assert drawn(main, "cubic")[0] == pytest.approx(variance / 4)
    assert drawn(difference, "cubic")[0] == pytest.approx(-0.75 * variance)
    assert main.get_ylabel() == "covariance [K²]"


def test_covariance_maps_show_differences_on_one_scale():
    reference = GENERATOR.normal(size=(40, 8))
    comparison = Comparison(reference, 1.1 * reference, {"raw": 2 * reference, "debiased": reference})
    panels = figures.covariance_maps(axes_of(4), comparison)
    matrix = np.cov(reference.T, ddof=0)
    images = [panel.images[0] for panel in panels]
    for image, multiple in zip(images, (1, 3, 0, 0.21), strict=True):
        np.testing.assert_allclose(image.get_array(), multiple * matrix, atol=1e-12)
    limits = {image.get_clim() for image in images[1:]}
    assert len(limits) == 1
    low, high = limits.pop()
    assert -low == high == pytest.approx(3 * np.abs(matrix).max())


def test_rank_bars_are_the_counts_and_the_band_is_binomial():
    counts = np.array([80, 120, 100, 100])
    axes = figures.rank_histogram(axes_of(1)[0], counts, effective=40)
    heights = [bar.get_height() for bar in axes.patches if bar.get_width() == pytest.approx(0.86)]
    np.testing.assert_array_equal(heights, counts)
    assert drawn_flat(axes) == 100
    low, high = summaries.flat_rank_interval(4, 400)
    # Normal approximation of a binomial: ±1.96 √(np(1 − p)) = ±17 of 100; a whole count either way.
    np.testing.assert_allclose([400 * low, 400 * high], [83, 117], atol=1)
    wide_low, wide_high = summaries.flat_rank_interval(4, 40)
    assert wide_low < low < 0.25 < high < wide_high


def drawn_flat(axes):
    return next(line.get_ydata()[0] for line in axes.get_lines() if line.get_label() == "flat")


def test_independent_points_count_fully_and_one_wave_as_two():
    white = GENERATOR.normal(size=(4000, 30))
    # Each of 31 lags but the middle adds 1/(4000 · pairs) to Σρ²: less than a thousandth.
    assert summaries.effective_points(white) == pytest.approx(30, rel=0.01)
    # ρ = cos, whose square averages ½ over the domain; 33 lags of 32 points count the end twice.
    assert summaries.effective_points(cosines(1, 8)) == pytest.approx(2, rel=0.07)
    assert summaries.effective_points(np.ones((5, 30))) == 1.0


def test_member_lines_hold_members_mean_truth_and_coarse_points():
    members = GENERATOR.normal(size=(5, 16))
    truth, coarse = GENERATOR.normal(size=16), GENERATOR.normal(size=4)
    axes = figures.member_lines(axes_of(1)[0], members, truth=truth, coarse=coarse, offset=1.5)
    lines = {line.get_label(): line for line in axes.get_lines()}
    np.testing.assert_array_equal([line.get_ydata() for line in axes.get_lines()[:5]], members)
    np.testing.assert_allclose(lines["mean of 5 members"].get_ydata(), members.mean(axis=0))
    np.testing.assert_array_equal(lines["truth"].get_ydata(), truth)
    np.testing.assert_array_equal(lines["coarse input"].get_xdata(), [1.5, 5.5, 9.5, 13.5])


def test_the_strip_ends_with_one_row_a_member():
    members, truth = GENERATOR.normal(size=(5, 8)), GENERATOR.normal(size=8)
    axes = figures.member_strip(axes_of(1)[0], members, truth=truth, coarse=np.array([-1.0, 1.0]))
    rows = np.ma.filled(axes.images[0].get_array(), np.nan)
    np.testing.assert_array_equal(rows[-5:], members)
    # Subsampled: fine points 0…2 lie nearer to coarse point 0, points 3…7 to the one at 4 (a tie at 2 goes to even).
    np.testing.assert_array_equal(rows[0], [-1, -1, -1, 1, 1, 1, 1, 1])
    np.testing.assert_array_equal(rows[2], truth)


def test_stamps_share_a_scale_but_for_the_spread():
    fields = {"truth": GENERATOR.normal(size=(6, 6)), "member 1": 3 * GENERATOR.normal(size=(6, 6))}
    panels = figures.stamps(axes_of(3), {**fields, "spread": np.full((6, 6), 9.0)})
    truth, member, spread = (panel.images[0] for panel in panels)
    np.testing.assert_array_equal(member.get_array(), fields["member 1"])
    assert truth.get_clim() == member.get_clim() != spread.get_clim()
    assert truth.get_clim()[0] == -truth.get_clim()[1]


def test_before_and_after_draws_pairs():
    raw, debiased = GENERATOR.normal(size=(2, 2, 8))
    for panel, before, after in zip(figures.before_and_after(axes_of(2), raw, debiased), raw, debiased, strict=True):
        np.testing.assert_array_equal(drawn(panel, "raw"), before)
        np.testing.assert_array_equal(drawn(panel, "debiased"), after)


def test_the_loss_is_drawn_as_logged_and_its_mean_keeps_a_constant():
    curve = np.stack([np.arange(1, 401), np.full(400, 0.25)])
    axes = figures.training_loss(axes_of(1)[0], curve)
    for line in axes.get_lines():
        np.testing.assert_allclose(line.get_ydata(), 0.25)
    np.testing.assert_allclose(summaries.running_mean(np.array([1.0, 2.0, 6.0]), 1), [1.5, 3.0, 4.0])


def test_colours_differ_and_leave_global_settings_alone():
    import matplotlib

    before = dict(matplotlib.rcParams)
    with style.context():
        style.tile(2.0)
    assert dict(matplotlib.rcParams) == before
    assert len(set(style.COLOURS.values())) == len(style.COLOURS) == len(style.LABELS)
