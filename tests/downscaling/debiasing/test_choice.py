"""Method and strength by left-out years, in worlds whose difference is known."""

import jax.numpy as jnp
import numpy as np
import pytest

from subgrid.downscaling.debiasing.choice import AnomalySample, choose_debiasing
from subgrid.downscaling.debiasing.of_anomalies import fit_climate_debiaser
from subgrid.downscaling.debiasing.tried import DebiasingChoice
from subgrid.transport.shrinkage import fit_shrunk_gaussian_map

CELLS, DAYS, WORLDS = 12, 30, 12
DISTANCE = np.abs(np.subtract.outer(np.arange(CELLS), np.arange(CELLS)))
SMOOTH, ROUGH = np.exp(-DISTANCE / 6), np.exp(-DISTANCE / 3)


def sample(correlation: np.ndarray, years: int, *, seed: int, std: float = 1.0) -> AnomalySample:
    rng = np.random.default_rng(seed)
    values = std * rng.normal(size=(years * DAYS, CELLS)) @ np.linalg.cholesky(correlation).T
    phase = np.tile(np.arange(DAYS) / 365, years)
    return AnomalySample(values[:, None].astype(np.float32), phase, np.repeat(np.arange(years), DAYS))


def error(source: AnomalySample, target: AnomalySample, strength: float) -> float:
    """⟨(ΔR)²⟩ between the moved distribution of the source and that of the target, without sampling."""
    transport, _ = fit_shrunk_gaussian_map(jnp.asarray(source.values), jnp.asarray(target.values), strength=strength)
    A = np.asarray(transport.matrix, float)
    moved = A @ SMOOTH @ A.T
    std = np.sqrt(np.diag(moved))
    return float(np.mean((moved / np.outer(std, std) - ROUGH)[np.triu_indices(CELLS, 1)] ** 2))


@pytest.mark.slow
@pytest.mark.parametrize("years", [3, 10, 100])
def test_the_chosen_strength_is_not_worse_than_none_or_full(years):
    worlds = [(sample(SMOOTH, years, seed=2 * i), sample(ROUGH, years, seed=2 * i + 1)) for i in range(WORLDS)]
    options = {"methods": ("gaussian",), "marginals": False, "n_harmonics": 1}
    chosen = [choose_debiasing(*pair, **options).strength for pair in worlds]
    errors = np.array([[error(*pair, s) for s in (0.0, 1.0, own)] for pair, own in zip(worlds, chosen, strict=True)])
    better = errors[:, :2].mean(0).argmin()
    worse = errors[:, 2] - errors[:, better]
    assert worse.mean() <= 2 * worse.std(ddof=1) / np.sqrt(WORLDS)
    if years >= 100:
        assert min(chosen) > 0.9


def test_no_difference_moves_little():
    """Both archives of one distribution: no correlations need to be moved."""
    source, target = sample(ROUGH, 10, seed=0), sample(ROUGH, 10, seed=1)
    choice = choose_debiasing(source, target, methods=("none", "gaussian"), n_harmonics=1, n_quantiles=30)
    assert choice.method == "none" or choice.strength <= 0.4


@pytest.mark.slow
def test_a_bias_of_spread_is_seen_and_none_is_not_chosen():
    source, target = sample(ROUGH, 10, seed=2, std=2.0), sample(ROUGH, 10, seed=3)
    choice = choose_debiasing(source, target, n_harmonics=1, n_quantiles=50)
    assert choice.method != "none"
    best = choice.nearest
    assert best.beyond_none < -2 * best.uncertainty
    # Twice the spread: W₁ between N(0, 4) and N(0, 1) is √(2/π), and none leaves it.
    none = next(c for c in choice.tried if c.method == "none")
    assert none.marginals == pytest.approx(np.sqrt(2 / np.pi), rel=0.1)


def test_other_methods_have_a_strength_too():
    source, target = sample(SMOOTH, 6, seed=4).values, sample(ROUGH, 6, seed=5).values
    full = fit_climate_debiaser(source, target, method="quantile-mapping", n_quantiles=20).adjust(source)
    half = fit_climate_debiaser(source, target, method="quantile-mapping", strength=0.5, n_quantiles=20).adjust(source)
    np.testing.assert_allclose(half, (source + full) / 2, atol=1e-6)
    with pytest.raises(ValueError, match=r"strength must lie between 0 and 1, got 1\.5"):
        fit_climate_debiaser(source, target, strength=1.5)


@pytest.mark.parametrize("strength", [0.0, 0.3])
def test_a_strength_of_the_gaussian_map_moves_so_much_of_the_correlations_and_all_of_the_rest(strength):
    """Exact moments: at strength s the moved correlations are R̄ + s (R₂ − R̄) for a source of R̄ + s (R₁ − R̄)."""
    source, target = sample(SMOOTH, 40, seed=6, std=3.0), sample(ROUGH, 40, seed=7)
    transport, _ = fit_shrunk_gaussian_map(jnp.asarray(source.values), jnp.asarray(target.values), strength=strength)
    scale = np.asarray(transport.matrix, float) * np.outer(1 / target.values.std(0)[0], source.values.std(0)[0])
    first, second = (np.corrcoef(x.values[:, 0].T) for x in (source, target))
    pooled = (first + second) / 2
    moved = scale @ (pooled + strength * (first - pooled)) @ scale.T
    np.testing.assert_allclose(moved, pooled + strength * (second - pooled), atol=0.01)  # Ledoit–Wolf's part


def test_a_strength_that_is_given_is_not_chosen():
    source, target = sample(ROUGH, 4, seed=12), sample(ROUGH, 4, seed=13)
    choice = choose_debiasing(source, target, methods=("gaussian",), strengths=(0.9,), n_harmonics=1, n_quantiles=20)
    assert choice.strength == 0.9
    one = choose_debiasing(sample(ROUGH, 1, seed=8), target, strengths=(0.9,), n_harmonics=1, n_quantiles=20)
    assert (one.method, one.strength) == ("gaussian", 0.9)


def test_a_single_value_has_no_correlations_to_move():
    first, second = (
        AnomalySample(x.values[:, :, :1], x.phase, x.years)
        for x in (sample(ROUGH, 4, seed=1), sample(ROUGH, 4, seed=2))
    )
    assert choose_debiasing(first, second, methods=("gaussian",), n_harmonics=1, n_quantiles=20).strength == 0


def test_few_years_are_reported_and_one_leaves_nothing_to_choose_by():
    two = choose_debiasing(sample(SMOOTH, 2, seed=8), sample(ROUGH, 2, seed=9), n_harmonics=1, n_quantiles=20)
    assert two.tried and any("2 years are few" in sentence for sentence in two.sentences())
    one = choose_debiasing(sample(SMOOTH, 1, seed=8), sample(ROUGH, 5, seed=9), n_harmonics=1, n_quantiles=20)
    assert (one.method, one.strength, one.tried) == ("gaussian", 0.0, ())
    assert "leave none to choose by" in one.sentences()[0]


def test_more_cells_than_independent_fields_are_reported_with_both_numbers():
    choice = DebiasingChoice("gaussian", 0.0, (), (3, 3), (20.0, 31.0), 84)
    assert DebiasingChoice.from_dict(choice.as_dict()) == choice
    found = choose_debiasing(sample(SMOOTH, 2, seed=8), sample(ROUGH, 2, seed=9), n_harmonics=1, n_quantiles=20)
    few = DebiasingChoice(found.method, found.strength, found.tried, (9, 9), (20.0, 31.0), 84)
    assert any("more values (84) than independent fields (20)" in sentence for sentence in few.sentences())


def test_a_constant_cell_is_left_out_of_the_scores():
    source, target = sample(SMOOTH, 4, seed=10), sample(ROUGH, 4, seed=11)
    for part in (source, target):
        part.values[:, 0, 3] = 0.0
    choice = choose_debiasing(source, target, n_harmonics=1, n_quantiles=20)
    assert all(np.isfinite([c.score, c.uncertainty]).all() for c in choice.tried)
