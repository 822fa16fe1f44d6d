"""Super-resolution by coupled noise: the given band is kept, what is beyond it has the variance of the data."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.functional.levels import variance_levels
from subgrid.functional.operators import mixture_operator
from subgrid.functional.resolution import extend, require_modes, super_resolve
from subgrid.functional.reverse import encode, probability_flow, start

from .small import ROUGH, SMOOTH, wave

BOX = ROUGH.box


def test_an_extended_field_has_its_own_modes_and_those_of_the_draw_beyond():
    given, draw = wave(9, 2) + wave(9, 4), wave(32, 2, 5.0) + wave(32, 4, 5.0) + wave(32, 5) + wave(32, 9)
    expected = wave(32, 2) + wave(32, 4) + wave(32, 5) + wave(32, 9)
    np.testing.assert_allclose(jax.jit(lambda v, z: extend(v, z, BOX))(given, draw), expected, atol=2e-6)


def test_a_mixture_is_continued_without_drift():
    # The operator is exact on every grid, and modes beyond the given ones decide nothing about the component.
    denoised = mixture_operator(np.array([0.5, 0.5]), jnp.stack([wave(9, 1, 0.1), wave(9, 1, -0.1)]), SMOOTH, ROUGH)
    levels = variance_levels(48, largest=20.0, smallest=1e-6)
    given = wave(16, 1, -0.08) + wave(16, 5, 0.001)

    @jax.jit
    @jax.vmap
    def continued(key):
        return super_resolve(
            given,
            (48,),
            encode=lambda u: encode(denoised, u, levels, noise=ROUGH, data=SMOOTH),
            decode=lambda v: probability_flow(denoised, v, levels, noise=ROUGH, data=SMOOTH),
            draw=start(ROUGH, (48,), levels[0], data=SMOOTH, key=key),
            box=BOX,
        )

    fields, drift = continued(jr.split(jr.key(0), 1500))
    assert float(drift.max()) < 0.01
    modes = np.fft.rfft(fields[:, 0], norm="forward")
    np.testing.assert_allclose(modes[:, 1], -0.04, atol=4e-4)
    beyond = np.mean(np.abs(modes[:, 8:13]) ** 2, 0)
    np.testing.assert_allclose(beyond, SMOOTH.mode_variances((48,))[8:13], rtol=4 / np.sqrt(1500))


def test_a_grid_below_the_band_is_refused():
    require_modes((33,), (34,), BOX, "asked for", "no")
    with pytest.raises(ValueError, match=r"asked for \(16,\) points, which do not hold the modes of the \(64,\)"):
        require_modes((16,), (64,), BOX, "asked for", "take more")
