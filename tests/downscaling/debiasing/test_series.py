"""The adapters against what they adapt."""

import jax
import jax.numpy as jnp
import numpy as np

from subgrid.downscaling.debiasing.series import Fieldwise, InTransformedSpace, SeriesDebiaser
from subgrid.downscaling.debiasing.static import fit_quantile_mapping
from subgrid.downscaling.preparation.transforms import CensoredRoot, ChannelTransforms

RNG = np.random.default_rng(0)
SOURCE, TARGET = (RNG.normal(m, s, size=(300, 1, 2, 3)).astype(np.float32) for m, s in ((0, 1), (2, 3)))


class Shifted:
    """T(y) = y + amount."""

    def __init__(self, amount):
        self.amount = amount

    def adjust(self, fields):
        return (fields + self.amount).astype(np.float32)


def test_fieldwise_is_the_vmapped_debiaser():
    mapping = fit_quantile_mapping(jnp.asarray(SOURCE), jnp.asarray(TARGET))
    series = Fieldwise(mapping, batch_size=70)  # 300 is not a multiple of it
    expected = jax.vmap(mapping)(jnp.asarray(SOURCE))
    np.testing.assert_allclose(series.adjust(SOURCE), expected, atol=1e-6)
    np.testing.assert_allclose(series.adjust(SOURCE[:3]), expected[:3], atol=1e-6)
    assert isinstance(series, SeriesDebiaser)


def test_in_transformed_space_rain_is_never_negative():
    rain = RNG.gamma(0.3, 8.0, size=(200, 1, 4)).astype(np.float32)
    transforms = ChannelTransforms((CensoredRoot(),))
    lowered = InTransformedSpace(transforms, Shifted(-1.0)).adjust(rain)
    # (√x − 1)² where that is clearly wet, zero where it is clearly negative.
    np.testing.assert_allclose(lowered[rain > 2], (np.sqrt(rain[rain > 2]) - 1) ** 2, rtol=1e-5)
    np.testing.assert_array_equal(lowered[rain < 1], 0.0)
    unmoved = InTransformedSpace(transforms, Shifted(0.0)).adjust(rain)
    np.testing.assert_allclose(unmoved, np.where(rain < 0.1, 0, rain), rtol=3e-6)
