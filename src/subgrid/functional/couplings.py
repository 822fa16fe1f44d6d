"""Minibatch transport between base and data, in the metric of the base where that makes sense."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from subgrid.functional.admissibility import check_noise
from subgrid.functional.gaussian_field import GaussianField
from subgrid.transport.couplings import Coupling, ExactTransport, Indices, assignment, squared_distances
from subgrid.types import Key, Spatial


class CameronMartinTransport(eqx.Module):
    """The assignment of least Σ‖C^{−1/2}(x₀ − x₁)‖², C of the base: every mode counts by the noise it has.

    Pairs are optimal in the Cameron–Martin metric, in which a shift of the base costs its relative entropy. Only for
    data that lie in that space (`check_noise`): elsewhere the cost is dominated by the smallest waves of the grid.

    Args:
        base: N(0, C).

    Examples:
        >>> i, j = CameronMartinTransport(base)(x0, x1, key=key)
    """

    base: GaussianField = eqx.field(static=True)

    def __call__(self, x0: Float[Array, "n *shape"], x1: Float[Array, "n *shape"], *, key: Key) -> Indices:
        whiten = jax.vmap(lambda x: self.base.multiply(x, -0.5))
        return jnp.arange(len(x0)), assignment(squared_distances(whiten(x0), whiten(x1)))


def choose_transport(data: GaussianField, base: GaussianField, grid: Spatial) -> tuple[Coupling, str]:
    """Transport in the Cameron–Martin metric where Σ λ₁/λ₂ settles, else in L²; and which it is.

    Args:
        data: Gaussian of the data's spectrum.
        base: N(0, C).
        grid: whose modes are summed.

    Returns:
        The coupling, and a sentence.

    Examples:
        >>> coupling, said = choose_transport(data, base, (64,))
    """
    check = check_noise(data, base, grid)
    if check.right:
        return CameronMartinTransport(base), f"Pairs are of least Cameron–Martin cost. {check.sentence}"
    return ExactTransport(), f"Pairs are of least L² cost. {check.sentence}"
