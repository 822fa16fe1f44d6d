"""Sets of points in the plane: Gaussian, eight Gaussians, moons, S-curve, checkerboard and pinwheel.

Every function draws n independent points, `f(n, *, key)`. The default scales are those of the sets behind the
published 2-D tables (Tong et al. 2023, arXiv:2302.00482; Shi et al. 2023, arXiv:2303.16852), as far as their code
tells: unit Gaussian to moons 2(M − (½, 0)) and S-curve 1.5 S with noise .05 before scaling, eight unit Gaussians on
radius 5; for moons to eight Gaussians see `wide_moons` and `wide_eight_gaussians`. Theirs are drawn with even numbers
a mode, ours independently.
"""

import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float

from subgrid.numerics.noise import standard_normal
from subgrid.types import Key

Points = Float[Array, "n 2"]


def gaussian(n: int, *, key: Key) -> Points:
    """Points of N(0, I).

    Args:
        n: number of points.
        key: random key.

    Returns:
        Points (n, 2).
    """
    return standard_normal((n, 2), key=key)


def eight_gaussians(n: int, *, radius: float = 5.0, std: float = 1.0, key: Key) -> Points:
    """Points of eight equal Gaussians, N(r(cos kπ/4, sin kπ/4), s²I): mean 0, covariance (r²/2 + s²)I.

    Args:
        n: number of points.
        radius: r, 5 by default.
        std: s, 1 by default.
        key: random key.

    Returns:
        Points (n, 2).
    """
    mode_key, noise_key = jr.split(key)
    angle = jr.randint(mode_key, (n,), 0, 8) * jnp.pi / 4
    centres = radius * jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=1)
    return centres + std * standard_normal((n, 2), key=noise_key)


def moons(
    n: int, *, scale: float = 2.0, centre: tuple[float, float] = (0.5, 0.0), noise: float = 0.05, key: Key
) -> Points:
    """Points of two half circles that hold each other: scale · (M − centre + noise · ξ).

        M = (cos θ, sin θ) or (1 − cos θ, ½ − sin θ) with equal chances, θ ~ U[0, π]: mean (½, ¼)

    Args:
        n: number of points.
        scale: 2 by default.
        centre: taken off before scaling.
        noise: a standard deviation before scaling, .05 by default.
        key: random key.

    Returns:
        Points (n, 2).
    """
    which_key, angle_key, noise_key = jr.split(key, 3)
    theta = jr.uniform(angle_key, (n,), maxval=jnp.pi)
    circle = jnp.stack([jnp.cos(theta), jnp.sin(theta)], axis=1)
    upper = jr.bernoulli(which_key, 0.5, (n, 1))
    points = jnp.where(upper, circle, jnp.array([1.0, 0.5]) - circle)
    return scale * (points - jnp.array(centre) + noise * standard_normal((n, 2), key=noise_key))


def s_curve(n: int, *, scale: float = 1.5, noise: float = 0.05, key: Key) -> Points:
    """Points of an S, two three-quarter circles: scale · ((sin θ, sgn θ (cos θ − 1)) + noise · ξ), θ ~ U[−3π/2, 3π/2].

    Args:
        n: number of points.
        scale: 1.5 by default.
        noise: a standard deviation before scaling, .05 by default.
        key: random key.

    Returns:
        Points (n, 2).
    """
    angle_key, noise_key = jr.split(key)
    theta = jr.uniform(angle_key, (n,), minval=-1.5 * jnp.pi, maxval=1.5 * jnp.pi)
    points = jnp.stack([jnp.sin(theta), jnp.sign(theta) * (jnp.cos(theta) - 1)], axis=1)
    return scale * (points + noise * standard_normal((n, 2), key=noise_key))


def checkerboard(n: int, *, width: float = 2.0, key: Key) -> Points:
    """Points uniform on the eight dark squares of a board of 4 × 4 squares of side w about the origin.

    The covariance is w² [[4/3, 1/4], [1/4, 4/3]]: dark squares lie on the diagonal.

    Args:
        n: number of points.
        width: w, 2 by default.
        key: random key.

    Returns:
        Points (n, 2).
    """
    square_key, place_key = jr.split(key)
    square = jr.randint(square_key, (n,), 0, 8)
    row, pair = square // 2, square % 2
    corner = jnp.stack([2 * pair + row % 2, row], axis=1) - 2.0
    return width * (corner + jr.uniform(place_key, (n, 2)))


def pinwheel(n: int, *, n_arms: int = 5, scale: float = 3.0, rate: float = 0.25, key: Key) -> Points:
    """Points of arms that bend with the radius.

    A point (1 + .3 ξ, .1 η) is turned by 2πk/n_arms + rate · e^(1 + .3 ξ) and scaled. Turning keeps the radius:
    E‖x‖² = scale² (1 + .3² + .1²).

    Args:
        n: number of points.
        n_arms: number of arms, equally likely.
        scale: 3 by default.
        rate: of the bending, in radians; .25 by default.
        key: random key.

    Returns:
        Points (n, 2).
    """
    arm_key, noise_key = jr.split(key)
    along, across = (standard_normal((n, 2), key=noise_key) * jnp.array([0.3, 0.1]) + jnp.array([1.0, 0.0])).T
    angle = 2 * jnp.pi / n_arms * jr.randint(arm_key, (n,), 0, n_arms) + rate * jnp.exp(along)
    turn = jnp.stack([jnp.cos(angle), jnp.sin(angle), -jnp.sin(angle), jnp.cos(angle)]).reshape(2, 2, n)
    return scale * jnp.einsum("kn,kjn->nj", jnp.stack([along, across]), turn)


def wide_moons(n: int, *, key: Key) -> Points:
    """Points of moons of pooled standard deviation 7: the source of the published moons → eight Gaussians.

    The scale is 7/√.5227, .5227 the variance of both coordinates of the unscaled moons together with noise .1.

    Args:
        n: number of points.
        key: random key.

    Returns:
        Points (n, 2).
    """
    return moons(n, scale=9.68, centre=(0.375, 0.375), noise=0.1, key=key)


def wide_eight_gaussians(n: int, *, key: Key) -> Points:
    """Points of eight Gaussians of width 1.5 on radius 12: the target of the published moons → eight Gaussians.

    Args:
        n: number of points.
        key: random key.

    Returns:
        Points (n, 2).
    """
    return eight_gaussians(n, radius=12.0, std=1.5, key=key)


def draw(name: str, n: int, *, key: Key) -> Points:
    """Points of the set of a name.

    Args:
        name: one of `NAMES`.
        n: number of points.
        key: random key.

    Returns:
        Points (n, 2).

    Raises:
        ValueError: for another name.

    Examples:
        >>> draw("moons", 1000, key=key).shape
        (1000, 2)
    """
    match name:
        case "gaussian":
            return gaussian(n, key=key)
        case "8gaussians":
            return eight_gaussians(n, key=key)
        case "moons":
            return moons(n, key=key)
        case "scurve":
            return s_curve(n, key=key)
        case "checkerboard":
            return checkerboard(n, key=key)
        case "pinwheel":
            return pinwheel(n, key=key)
        case _:
            raise ValueError(f"no 2-D set is called {name!r}; there are {', '.join(NAMES)}.")


NAMES = ("gaussian", "8gaussians", "moons", "scurve", "checkerboard", "pinwheel")
