"""Log-likelihood by the probability-flow equation and the instantaneous change of variables.

In u = ln σ the flow is dx/du = x − D(x, eᵘ), so

    log p(x) = log N(x_T; 0, σ_max² I) + ∫_{ln σ_min}^{ln σ_max} (d − tr ∂D/∂x) du

(Song et al. 2021, arXiv:2011.13456, Eq. 39). The terminal density is that of x_T/s = σ_max·ε in unscaled variables.
"""

import diffrax
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Scalar

from subgrid.numerics.divergence import Divergence, exact_divergence
from subgrid.types import Denoiser


def log_likelihood(
    denoiser: Denoiser,
    x: Float[Array, "*shape"],
    *,
    sigma_min: float = 2e-3,
    sigma_max: float = 80.0,
    divergence: Divergence = exact_divergence,
    tolerance: float = 1e-4,
) -> Scalar:
    """log p(x) in nats, of the data blurred by σ_min (formula above).

    Args:
        denoiser: D(x, σ).
        x: one field of d values.
        sigma_min: smallest noise level, default .002.
        sigma_max: largest noise level, default 80; it should dwarf the data.
        divergence: `exact_divergence` (default) or `hutchinson_divergence(n, key=key)`.
        tolerance: relative and absolute, of the adaptive solver (Tsit5), default 1e-4.

    Returns:
        A scalar in nats.

    Raises:
        EquinoxRuntimeError: of diffrax, if the solver needs more than 4096 steps.

    References:
        Song et al. (2021), arXiv:2011.13456, Eq. 39.

    Examples:
        >>> log_likelihood(denoiser, x, sigma_max=80.0)
    """

    def flow(u, state, args):
        velocity, trace = divergence(lambda z: z - denoiser(z, jnp.exp(u)), state[0])
        return velocity, trace

    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(flow),  # pyright: ignore[reportArgumentType]
        diffrax.Tsit5(),
        t0=jnp.log(sigma_min),
        t1=jnp.log(sigma_max),
        dt0=None,
        y0=(x, jnp.zeros((), x.dtype)),
        stepsize_controller=diffrax.PIDController(rtol=tolerance, atol=tolerance),
    )
    assert solution.ys is not None  # saved at t1 by default
    terminal, integral = (leaf[-1] for leaf in solution.ys)
    return jnp.sum(jax.scipy.stats.norm.logpdf(terminal, scale=sigma_max)) + integral
