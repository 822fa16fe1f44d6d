"""Ranges of levels, which are variances."""

import numpy as np
import pytest

from subgrid.functional.gaussian_field import GaussianField
from subgrid.functional.levels import level_range, variance_levels

from .small import ROUGH, SMOOTH


def test_the_range_hides_and_uncovers_every_mode():
    # λ₁/λ₂ = 1/(κ² + 25), from wave 0 to wave 31.
    largest, smallest = level_range(SMOOTH, ROUGH, (64,))
    assert largest == pytest.approx(10 / 25)
    assert smallest == pytest.approx(0.01 / ((2 * np.pi * 31) ** 2 + 25))


def test_modes_that_float32_cannot_resolve_set_no_level():
    _, smallest = level_range(GaussianField(6.0, 5.0), ROUGH, (256,))
    assert smallest >= 0.01 * 1e-7 * 5.0**-10


def test_levels_are_even_in_their_logarithm():
    np.testing.assert_allclose(variance_levels(3, largest=100.0, smallest=0.01), [100, 1, 0.01], rtol=1e-5)


def test_what_is_refused():
    with pytest.raises(ValueError, match="at least 2, got 1"):
        variance_levels(1, largest=1.0, smallest=0.1)
    with pytest.raises(ValueError, match=r"0 < smallest < largest, got 1\.0 and 0\.1"):
        variance_levels(4, largest=0.1, smallest=1.0)
    with pytest.raises(ValueError, match="are the fields all 0"):
        level_range(GaussianField(2.0, 5.0, scale=0.0), ROUGH, (64,))
