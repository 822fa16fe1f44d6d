"""Guidance by known points: the given part of the field replaces the denoiser's."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from subgrid.types import Denoiser


def inpainting(denoiser: Denoiser, known: Bool[Array, "*shape"], values: Float[Array, "*shape"]) -> Denoiser:
    """The denoiser that knows some points: D̃ = values where `known`, D elsewhere.

    With `Ancestral` the known part then follows exactly the distribution of `values` noised to each level; wrap the
    method in `Resampled` so that the free part comes to agree with it (RePaint).

    Args:
        denoiser: D of p(x).
        known: True where the field is given.
        values: the given field, in the denoiser's units; not used elsewhere.

    Returns:
        A denoiser.

    References:
        Lugmayr et al. (2022), arXiv:2201.09865.

    Examples:
        >>> guided = inpainting(denoiser, known, values)
        >>> x = draw(guided, values.shape, levels, method=Resampled(Ancestral()), key=key)
    """
    return lambda x, sigma: jnp.where(known, values, denoiser(x, sigma))
