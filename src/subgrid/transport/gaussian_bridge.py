"""The Schrödinger bridge between two Gaussians in closed form, static and dynamic, for the reference σ·Brownian motion.

The coupling of N(m₀, Σ₀) and N(m₁, Σ₁) that is closest to that of the reference has

    C = Cov(X₀, X₁) = ½ Σ₀^½ D Σ₀^(−½) − ½σ² I,    D = (4 Σ₀^½ Σ₁ Σ₀^½ + σ⁴ I)^½

(Bunne, Hsieh, Cuturi & Krause 2023, arXiv:2202.05722, Theorem 3), and between the ends runs the Brownian bridge. The
yardstick for every bridge that is trained.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Scalar

from subgrid.numerics.from_numpy import from_numpy
from subgrid.numerics.noise import standard_normal
from subgrid.transport.gaussian import square_roots
from subgrid.types import Key, Velocity


class GaussianBridge(eqx.Module):
    """Brownian bridges of diffusion σ between the ends of a Gaussian coupling; any coupling, not only the optimal one.

    Args:
        mean0: m₀.
        mean1: m₁.
        covariance0: Σ₀.
        covariance1: Σ₁.
        coupling: C = Cov(X₀, X₁); `gaussian_schroedinger_bridge` makes the optimal one.
        sigma: σ > 0.
    """

    mean0: Float[Array, " d"]
    mean1: Float[Array, " d"]
    covariance0: Float[Array, "d d"]
    covariance1: Float[Array, "d d"]
    coupling: Float[Array, "d d"]
    sigma: float = eqx.field(static=True)

    def moments(self, t: Scalar | float) -> tuple[Float[Array, " d"], Float[Array, "d d"]]:
        """Mean and covariance of X_t: (1−t)²Σ₀ + t²Σ₁ + t(1−t)(C + Cᵀ + σ²I)."""
        mixed = self.coupling + self.coupling.T + self.sigma**2 * jnp.eye(len(self.mean0))
        spread = (1 - t) ** 2 * self.covariance0 + t**2 * self.covariance1 + t * (1 - t) * mixed
        return (1 - t) * self.mean0 + t * self.mean1, spread

    def forward(self, x: Float[Array, "*shape"], t: Scalar, context=None) -> Float[Array, "*shape"]:
        """The Markovian drift (E[X₁ | X_t = x] − x)/(1 − t); for the optimal coupling, that of the bridge itself."""
        mean, spread = self.moments(t)
        gain = (1 - t) * self.coupling.T + t * self.covariance1
        flat = x.reshape(-1)
        expected = self.mean1 + gain @ jnp.linalg.solve(spread, flat - mean)
        return ((expected - flat) / (1 - t)).reshape(x.shape)

    def backward(self, x: Float[Array, "*shape"], t: Scalar, context=None) -> Float[Array, "*shape"]:
        """The drift of the reversed process, in reversed time: (E[X₀ | X_t = x] − x)/t."""
        mean, spread = self.moments(t)
        gain = (1 - t) * self.covariance0 + t * self.coupling
        flat = x.reshape(-1)
        expected = self.mean0 + gain @ jnp.linalg.solve(spread, flat - mean)
        return ((expected - flat) / t).reshape(x.shape)

    def draw(self, n: int, *, key: Key) -> tuple[Float[Array, "n d"], Float[Array, "n d"]]:
        """n pairs (x₀, x₁) of the coupling."""
        joint = np.block([[self.covariance0, self.coupling], [self.coupling.T, self.covariance1]])
        values, vectors = np.linalg.eigh(np.asarray(joint, np.float64))
        root = jnp.asarray(vectors * np.sqrt(np.maximum(values, 0)), self.mean0.dtype)
        both = jnp.concatenate([self.mean0, self.mean1]) + standard_normal((n, len(root)), key=key) @ root.T
        return tuple(jnp.split(both, 2, axis=1))  # pyright: ignore[reportReturnType]


def gaussian_schroedinger_bridge(
    mean0: Float[Array, " d"],
    covariance0: Float[Array, "d d"],
    mean1: Float[Array, " d"],
    covariance1: Float[Array, "d d"],
    *,
    sigma: float,
) -> GaussianBridge:
    """The Schrödinger bridge between two Gaussians; the algebra is done in float64, on the host.

        C = ½ Σ₀^½ D Σ₀^(−½) − ½σ² I,    D = (4 Σ₀^½ Σ₁ Σ₀^½ + σ⁴ I)^½

    Args:
        mean0: m₀.
        covariance0: Σ₀, positive definite.
        mean1: m₁.
        covariance1: Σ₁.
        sigma: σ > 0 of the reference motion.

    Returns:
        The bridge.

    Raises:
        ValueError: σ ≤ 0.

    References:
        Bunne, Hsieh, Cuturi & Krause (2023), arXiv:2202.05722, Theorem 3.

    Examples:
        >>> bridge = gaussian_schroedinger_bridge(-0.1 * ones, eye, 0.1 * ones, eye, sigma=1.0)
        >>> bridge.coupling[0, 0]  # (√5 − 1)/2
    """
    require_positive_sigma(sigma)
    root, inverse_root = square_roots(np.asarray(covariance0, np.float64))
    other = np.asarray(covariance1, np.float64)
    middle, _ = square_roots(4 * root @ other @ root + sigma**4 * np.eye(len(root)))
    coupling = (root @ middle @ inverse_root - sigma**2 * np.eye(len(root))) / 2
    return GaussianBridge(mean0, mean1, covariance0, covariance1, from_numpy(coupling, mean0.dtype), sigma)


def markovian_coupling(bridge: GaussianBridge, *, n_steps: int = 2000) -> Float[np.ndarray, "d d"]:
    """Cov(X₀, X₁) of the diffusion with drift `bridge.forward`: one exact pass of iterative Markovian fitting.

    The drift is linear, dX = (A(t)X + b) dt + σ dW, so the covariance is Σ₀ Φᵀ with Φ̇ = A(t) Φ; midpoint rule.
    The drift is 0/0 at t = 1, which the midpoint rule never visits.

    Args:
        bridge: with any coupling.
        n_steps: of the midpoint rule, default 2000.

    Returns:
        The covariance, float64.

    Examples:
        >>> markovian_coupling(bridge)  # bridge.coupling, if it is the optimal one
    """
    c0, c1, c = (np.asarray(part, np.float64) for part in (bridge.covariance0, bridge.covariance1, bridge.coupling))
    eye, h = np.eye(len(c0)), 1 / n_steps

    def slope(t):
        mixed = c + c.T + bridge.sigma**2 * eye
        spread = (1 - t) ** 2 * c0 + t**2 * c1 + t * (1 - t) * mixed
        return (((1 - t) * c.T + t * c1) @ np.linalg.inv(spread) - eye) / (1 - t)

    flow = eye
    for i in range(n_steps):
        a = slope((i + 0.5) * h)
        flow = np.linalg.solve(eye - h / 2 * a, (eye + h / 2 * a) @ flow)
    return c0 @ flow.T


def require_positive_sigma(sigma: float) -> None:
    """Passes for σ > 0.

    Args:
        sigma: σ.

    Raises:
        ValueError: otherwise, as without noise there is no bridge.
    """
    if not sigma > 0:
        raise ValueError(f"sigma must be positive, got {sigma}; for paths without noise use a rectified flow.")


def bridge_velocity(bridge: GaussianBridge) -> Velocity:
    """½(forward − backward), the velocity of the probability flow between the two ends.

    Args:
        bridge: with both drifts.

    Returns:
        v(x, t, context); the context is not used.
    """
    return lambda x, t, context=None: (bridge.forward(x, t) - bridge.backward(x, t)) / 2
