"""Points in the plane: closed moments, and where points may and may not be."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from subgrid.simulate import toy_2d

N = 20_000
# Moments of N points are off by c/√N, c the moment's own standard deviation (at most 2 in units of the variance);
# four of those.
TOLERANCE = 4 * 2 / np.sqrt(N)


def moments(points):
    points = np.asarray(points, np.float64)
    return points.mean(0), np.cov(points.T)


def moon_moments(scale, centre, noise):
    """From E cos² θ = E sin² θ = ½, E cos θ = 0 and E sin θ = 2/π in each half."""
    mean = np.array([0.5, 0.25])
    second_x = (0.5 + (1 + 0.5)) / 2
    second_y = (0.5 + (0.25 - 2 / np.pi + 0.5)) / 2
    # x and y of either half: E cos θ sin θ = 0; E(1 − cos)(½ − sin) = ½ − 2/π
    mixed = (0.5 - 2 / np.pi) / 2
    covariance = np.array([[second_x, mixed], [mixed, second_y]]) - np.outer(mean, mean)
    return scale * (mean - centre), scale**2 * (covariance + noise**2 * np.eye(2))


def curve_moments(scale, noise):
    """By quadrature over one half; the other is its mirror image."""
    theta = (np.arange(200_000) + 0.5) / 200_000 * 1.5 * np.pi
    x, y = np.sin(theta), np.cos(theta) - 1
    covariance = np.array([[np.mean(x * x), np.mean(x * y)], [np.mean(x * y), np.mean(y * y)]])
    return np.zeros(2), scale**2 * (covariance + noise**2 * np.eye(2))


@pytest.mark.parametrize(
    ("draw", "mean", "covariance"),
    [
        (toy_2d.gaussian, np.zeros(2), np.eye(2)),
        (toy_2d.eight_gaussians, np.zeros(2), (25 / 2 + 1) * np.eye(2)),
        (toy_2d.wide_eight_gaussians, np.zeros(2), (144 / 2 + 2.25) * np.eye(2)),
        (toy_2d.moons, *moon_moments(2.0, [0.5, 0.0], 0.05)),
        (toy_2d.wide_moons, *moon_moments(9.68, [0.375, 0.375], 0.1)),
        (toy_2d.s_curve, *curve_moments(1.5, 0.05)),
        (toy_2d.checkerboard, np.zeros(2), np.array([[16 / 3, 1], [1, 16 / 3]])),
    ],
)
def test_moments_are_the_closed_ones(draw, mean, covariance):
    got_mean, got_covariance = moments(draw(N, key=jr.key(0)))
    width = np.sqrt(np.trace(covariance))
    np.testing.assert_allclose(got_mean, mean, atol=TOLERANCE * width)
    np.testing.assert_allclose(got_covariance, covariance, atol=TOLERANCE * width**2)


def test_wide_moons_have_the_pooled_deviation_of_the_published_source():
    assert float(jnp.std(toy_2d.wide_moons(N, key=jr.key(1)))) == pytest.approx(7, rel=TOLERANCE)


def test_checkerboard_leaves_the_light_squares_empty():
    square = np.floor(np.asarray(toy_2d.checkerboard(N, key=jr.key(0))) / 2).astype(int)
    assert (square.sum(1) % 2 == 0).all()
    _, counts = np.unique(square, axis=0, return_counts=True)
    assert len(counts) == 8 and np.ptp(counts) < 8 * np.sqrt(N / 8)


def test_pinwheel_keeps_radii_and_has_five_arms():
    points = np.asarray(toy_2d.pinwheel(N, key=jr.key(0)), np.float64)
    radius = np.hypot(*points.T)
    # Turning keeps the radius: E r² = 9 (1 + .3² + .1²); arms of one weight cancel every harmonic below the fifth.
    assert np.mean(radius**2) == pytest.approx(9 * 1.1, rel=TOLERANCE)
    turned = np.arctan2(points[:, 1], points[:, 0]) - 0.25 * np.exp(radius / 3)
    harmonics = np.abs([np.mean(np.exp(1j * k * turned)) for k in (1, 2, 3, 4, 5)])
    assert harmonics[:4].max() < 4 / np.sqrt(N) and harmonics[4] > 0.5


@pytest.mark.parametrize("name", toy_2d.NAMES)
def test_every_name_draws_its_set(name):
    assert toy_2d.draw(name, 7, key=jr.key(0)).shape == (7, 2)


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="'swiss'; there are gaussian, 8gaussians"):
        toy_2d.draw("swiss", 3, key=jr.key(0))
