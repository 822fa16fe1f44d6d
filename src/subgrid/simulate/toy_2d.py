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
    """N(0, I)."""
    return standard_normal((n, 2), key=key)


def eight_gaussians(n: int, *, radius: float = 5.0, std: float = 1.0, key: Key) -> Points:
    """Eight equal Gaussians, N(r(cos kπ/4, sin kπ/4), s²I): mean 0, covariance (r²/2 + s²)I."""
    mode_key, noise_key = jr.split(key)
    angle = jr.randint(mode_key, (n,), 0, 8) * jnp.pi / 4
    centres = radius * jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=1)
    return centres + std * standard_normal((n, 2), key=noise_key)


def moons(
    n: int, *, scale: float = 2.0, centre: tuple[float, float] = (0.5, 0.0), noise: float = 0.05, key: Key
) -> Points:
    """Two half circles that hold each other: scale · (M − centre + noise · ξ).

        M = (cos θ, sin θ) or (1 − cos θ, ½ − sin θ) with equal chances, θ ~ U[0, π]: mean (½, ¼)

    **Arguments:** `n`; `scale`; `centre`, taken off, and `noise`, a standard deviation, both before scaling; `key`.
    """
    which_key, angle_key, noise_key = jr.split(key, 3)
    theta = jr.uniform(angle_key, (n,), maxval=jnp.pi)
    circle = jnp.stack([jnp.cos(theta), jnp.sin(theta)], axis=1)
    upper = jr.bernoulli(which_key, 0.5, (n, 1))
    points = jnp.where(upper, circle, jnp.array([1.0, 0.5]) - circle)
    return scale * (points - jnp.array(centre) + noise * standard_normal((n, 2), key=noise_key))


def s_curve(n: int, *, scale: float = 1.5, noise: float = 0.05, key: Key) -> Points:
    """An S of two three-quarter circles: scale · ((sin θ, sgn θ (cos θ − 1)) + noise · ξ), θ ~ U[−3π/2, 3π/2]."""
    angle_key, noise_key = jr.split(key)
    theta = jr.uniform(angle_key, (n,), minval=-1.5 * jnp.pi, maxval=1.5 * jnp.pi)
    points = jnp.stack([jnp.sin(theta), jnp.sign(theta) * (jnp.cos(theta) - 1)], axis=1)
    return scale * (points + noise * standard_normal((n, 2), key=noise_key))


def checkerboard(n: int, *, width: float = 2.0, key: Key) -> Points:
    """Uniform on the eight dark squares of a board of 4 × 4 about the origin, of side w = `width`.

    The covariance is w² [[4/3, 1/4], [1/4, 4/3]]: dark squares lie on the diagonal.
    """
    square_key, place_key = jr.split(key)
    square = jr.randint(square_key, (n,), 0, 8)
    row, pair = square // 2, square % 2
    corner = jnp.stack([2 * pair + row % 2, row], axis=1) - 2.0
    return width * (corner + jr.uniform(place_key, (n, 2)))


def pinwheel(n: int, *, n_arms: int = 5, scale: float = 3.0, rate: float = 0.25, key: Key) -> Points:
    """Arms that bend with the radius: a point (1 + .3 ξ, .1 η) turned by 2πk/n_arms + rate · e^(1 + .3 ξ), scaled.

    Turning keeps the radius: E‖x‖² = scale² (1 + .3² + .1²).
    """
    arm_key, noise_key = jr.split(key)
    along, across = (standard_normal((n, 2), key=noise_key) * jnp.array([0.3, 0.1]) + jnp.array([1.0, 0.0])).T
    angle = 2 * jnp.pi / n_arms * jr.randint(arm_key, (n,), 0, n_arms) + rate * jnp.exp(along)
    turn = jnp.stack([jnp.cos(angle), jnp.sin(angle), -jnp.sin(angle), jnp.cos(angle)]).reshape(2, 2, n)
    return scale * jnp.einsum("kn,kjn->nj", jnp.stack([along, across]), turn)


def wide_moons(n: int, *, key: Key) -> Points:
    """Moons of pooled standard deviation 7: the source of the published moons → eight Gaussians.

    7/√.5227, .5227 the variance of both coordinates of the unscaled moons together with noise .1.
    """
    return moons(n, scale=9.68, centre=(0.375, 0.375), noise=0.1, key=key)


def wide_eight_gaussians(n: int, *, key: Key) -> Points:
    """Eight Gaussians of width 1.5 on radius 12: the target of the published moons → eight Gaussians."""
    return eight_gaussians(n, radius=12.0, std=1.5, key=key)


def draw(name: str, n: int, *, key: Key) -> Points:
    """n points of the set called `name`, one of `NAMES`. **Raises:** `ValueError` for another name."""
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
