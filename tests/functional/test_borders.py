"""Whether fields wrap around: a ramp does not, waves do."""

import numpy as np
import pytest

from subgrid.functional.borders import border_steps, require_periodic
from subgrid.numerics.modes import Box

X = np.arange(64) / 64
WAVES = np.cos(2 * np.pi * (X + np.linspace(0, 1, 20)[:, None]))[:, None]
RAMPS = np.ones((4, 1, 1)) * (10 * X - 5)


def test_waves_wrap_around_and_ramps_do_not():
    require_periodic(WAVES, Box((1.0,)))
    require_periodic(RAMPS, Box((1.0,), "neumann"))
    ((over, inside),) = border_steps(RAMPS)
    assert (over, inside) == (pytest.approx(10 - 10 / 64), pytest.approx(10 / 64))
    with pytest.raises(ValueError, match=r"space axis 0: they jump by 9.84 over the edge, and by 0.156 .*neumann"):
        require_periodic(RAMPS, Box((1.0,)))


def test_a_grid_that_holds_both_ends_is_found_by_its_axis():
    both = np.broadcast_to(np.linspace(0, 1, 64), (4, 1, 8, 64))  # a ramp along the second axis alone
    with pytest.raises(ValueError, match="space axis 1"):
        require_periodic(both, Box((1.0, 1.0)))
