"""The sums of Cameron–Martin and Feldman–Hájek against the specification's, and the sentences."""

import re

import jax
import jax.random as jr
import numpy as np
import pytest

from subgrid.functional.admissibility import check_noise, octaves, partial_sums, require_right_noise
from subgrid.functional.gaussian_field import GaussianField, fit_gaussian_field, white_field
from subgrid.numerics.modes import Box

GRID, WAVES = (4000,), np.array([100.0, 500.0, 1999.0])
LINE = Box((1.0,))


def sums(alpha_data, alpha_noise):
    """Over positive waves, as the specification counts them: half of those of both signs."""
    ratio = GaussianField(alpha_data, 5.0).mode_variances(GRID) / GaussianField(alpha_noise, 5.0).mode_variances(GRID)
    return [partial_sums(values, LINE, GRID, WAVES) / 2 for values in (ratio, ratio**2)]


def test_partial_sums_of_the_specification():
    first, squares = sums(2.0, 1.6)
    np.testing.assert_allclose(first, [1.82, 2.91, 4.18], atol=5e-3)
    np.testing.assert_allclose(squares, [0.095, 0.099, 0.100], atol=5e-4)
    first, squares = sums(2.0, 1.8)
    assert first[2] / first[1] > 2 and squares[2] / squares[1] > 1.3
    np.testing.assert_allclose(sums(2.0, 1.0)[0], [0.030, 0.031, 0.031], atol=5e-4)


@pytest.mark.parametrize(
    ("alpha", "verdict", "words"),
    [
        (1.0, "right", "is right for these data.*0.0613.*settles"),
        (1.6, "too smooth", "8.362, and grows .*squares, 0.1974, 0.1989, 0.1998, settle .*are equivalent"),
        (1.8, "too smooth", "151.6, and grows .* and so do the squares.*choose alpha between 0.5 and 1.5"),
    ],
)
def test_the_answer_shows_the_sums(alpha, verdict, words):
    check = check_noise(GaussianField(2.0, 5.0), GaussianField(alpha, 5.0), GRID)
    assert check.verdict == verdict and check.right == (verdict == "right")
    assert check.waves[-1] == 1999
    assert re.search(words, check.sentence), check.sentence


def test_white_data_become_admissible_by_smoothing():
    # Σ a_k²/λ₂ over positive waves, of the specification.
    noise = GaussianField(1.0, 5.0)
    assert check_noise(white_field(), noise, (256,)).verdict == "too smooth"
    for sigma, total in ((1e-3, 854.8), (1e-2, 37.36)):
        check = check_noise(white_field(), noise, (256,), smoothing=sigma)
        assert check.right
        assert check.cameron_martin[-1] / 2 == pytest.approx(total, abs=0.05 if sigma == 1e-3 else 5e-3)


def test_measured_data_are_judged_by_their_last_octaves():
    data, box = GaussianField(2.5, 5.0, (1.0, 1.0)), (1.0, 1.0)
    draw = jax.jit(jax.vmap(lambda k: data.sample((32, 32), key=k)))
    measured = fit_gaussian_field(np.asarray(draw(jr.split(jr.key(0), 200))), box)
    assert check_noise(measured, GaussianField(1.1, 5.0, box), (32, 32)).right  # by more than d/2 = 1
    smooth = check_noise(measured, GaussianField(1.9, 5.0, box), (32, 32))
    assert not smooth.right
    assert "choose alpha between 1 and 1.4" in smooth.sentence or "choose alpha between 1 and 1.5" in smooth.sentence


def test_what_is_refused():
    rough, smooth = GaussianField(1.0, 5.0), GaussianField(2.0, 5.0)
    require_right_noise(smooth, rough, (64,))
    with pytest.raises(ValueError, match=r"too smooth for these data: the sum of λ₁/λ₂ up to 7.75, 15.5, 31 waves is "):
        require_right_noise(rough, smooth, (64,))
    with pytest.raises(ValueError, match="no noise that is a function is rough enough"):
        require_right_noise(white_field(), rough, (64,))
    with pytest.raises(ValueError, match="no variance in modes where the data vary"):
        require_right_noise(smooth, GaussianField(1.0, 0.0, zero_mean=True, scale=0.0), (64,))
    with pytest.raises(ValueError, match="one box"):
        check_noise(smooth, GaussianField(1.0, 5.0, 2.0), (64,))
    with pytest.raises(ValueError, match="less than 3 octaves"):
        check_noise(smooth, rough, (6,))
    np.testing.assert_allclose(octaves(Box((1.0, 2.0)), (33, 65)), [1, 2, 4, 8, 16, 32])
