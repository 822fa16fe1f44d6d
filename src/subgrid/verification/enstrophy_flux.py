"""Flux of enstrophy through wavenumbers: which scales of a two-dimensional flow feed which."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Complex, Float

from subgrid.simulate.periodic_modes import ModeGrid, grid_of, largest_kept, to_grid, to_modes, velocity_modes

FLOWS_AT_ONCE = 64
"""Bounds memory at some ten fields each."""


@jax.jit
def enstrophy_flux(vorticity: Float[Array, "n channel y x"]) -> Float[Array, "channel wavenumber"]:
    """Enstrophy that advection takes from the waves |κ| ≤ k to shorter ones, averaged over flows.

        Π(k) = Σ_{|κ| ≤ k} Re ω̂*(κ) (u·∇ω)^(κ),      u = (−∂ψ/∂y, ∂ψ/∂x),  ∇²ψ = ω

    Positive towards smaller scales: without force and friction d/dt Σ_{|κ| ≤ k} ½|ω̂|² = −Π(k). Modes beyond n/3 are
    left out, of the flow and of the product (the 2/3 rule): no product aliases, enstrophy is conserved, and Π ends with
    0. A flow whose waves are all of one length advects nothing of them.

    Args:
        vorticity: ω = ∂v/∂x − ∂u/∂y on the periodic square [0, 2π)², indexed [y, x], in 1/time. Without its sign, or
            with the axes exchanged, the flux has the other sign.

    Returns:
        Π at k = 1 … ⌈√2 K⌉, K the largest wavenumber kept, in 1/time³, for each channel.

    Raises:
        ValueError: for a grid that is not square.

    References:
        Kraichnan (1967), doi:10.1063/1.1762301; Boffetta & Ecke (2012), doi:10.1146/annurev-fluid-120710-101240.

    Examples:
        >>> flux = enstrophy_flux(vorticity)
        >>> flux[0, 7]  # through k = 8
    """
    n = vorticity.shape[-1]
    if vorticity.shape[2:] != (n, n):
        raise ValueError(f'vorticity must have axes "n channel y x" and a square grid, got shape {vorticity.shape}.')
    grid = grid_of(n)
    shell, weight = _shells(grid), np.where((grid.kx == 0) | (2 * grid.kx == n), 1.0, 2.0)

    def one_flow(omega: Float[Array, "channel y x"]) -> Float[Array, "channel wavenumber"]:
        transfer = weight * jax.vmap(partial(_transfer, grid))(to_modes(omega))
        sums = jnp.zeros((len(omega), int(shell.max()) + 1), transfer.dtype).at[:, shell].add(transfer)
        n_shells = int(np.ceil(np.sqrt(2) * largest_kept(n)))
        return jnp.cumsum(sums, axis=1)[:, 1 : n_shells + 1]

    return jnp.mean(lax.map(one_flow, vorticity, batch_size=min(len(vorticity), FLOWS_AT_ONCE)), axis=0)


def _transfer(grid: ModeGrid, omega: Complex[Array, "ky kx"]) -> Float[Array, "ky kx"]:
    """Re ω̂* (u·∇ω)^, what each mode loses."""
    u, v = to_grid(velocity_modes(omega))
    along_x, along_y = to_grid(1j * jnp.stack([grid.kx * omega, grid.ky * omega]))
    return jnp.real(jnp.conj(omega) * to_modes(u * along_x + v * along_y))


def _shells(grid: ModeGrid) -> np.ndarray:
    """The least whole number k with |κ| ≤ k, from |κ|², which is whole."""
    return np.ceil(np.sqrt(grid.square)).astype(int)
