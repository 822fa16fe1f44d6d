"""How noise of variance σ² moves data: the exponents of the specification, and the bound."""

import numpy as np
import pytest

from subgrid.functional.distances import gaussian_wasserstein_2
from subgrid.functional.gaussian_field import GaussianField

SHAPE = (200_001,)  # all of the modes that noise of σ = 1e-4 uncovers
SIGMAS = np.geomspace(1e-4, 1e-2, 9)


def distances(data, noise):
    clean, rough = data.mode_variances(SHAPE), noise.mode_variances(SHAPE)
    return [gaussian_wasserstein_2(clean, clean + s**2 * rough, noise.box, SHAPE) for s in SIGMAS]


@pytest.mark.parametrize(
    ("data", "alpha", "exponent"),
    [
        (GaussianField(2.0, 5.0, scale=0.0), 1.0, 1.0),  # a point mass
        (GaussianField(2.0, 5.0), 1.0, 1.5),
        (GaussianField(2.0, 5.0), 1.4, 2.0),
    ],
)
def test_exponents_of_the_noise_and_the_bound(data, alpha, exponent):
    noise = GaussianField(alpha, 5.0)
    found, bound = np.array(distances(data, noise)), np.sqrt(noise.variance(SHAPE)) * SIGMAS
    assert np.polyfit(np.log(SIGMAS), np.log(found), 1)[0] == pytest.approx(exponent, abs=0.02)
    assert np.all(found <= bound * (1 + 1e-12))
    assert np.allclose(found, bound) == (exponent == 1.0)  # attained by the point mass alone


def test_the_distance_is_that_of_two_shifted_scales():
    field = GaussianField(2.0, 5.0, (1.0, 1.0))
    variances = field.mode_variances((16, 16))
    # Twice the amplitude: the distance of every mode is its own standard deviation.
    assert gaussian_wasserstein_2(4 * variances, variances, field.box, (16, 16)) == pytest.approx(
        np.sqrt(field.variance((16, 16)))
    )
