"""Guidance by known points: the given part of the field replaces the denoiser's."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from subgrid.types import Denoiser


def inpainting(denoiser: Denoiser, known: Bool[Array, "*shape"], values: Float[Array, "*shape"]) -> Denoiser:
    """D̃ = values where `known`, D elsewhere.

    With `samplers.Ancestral` the known part then follows exactly the law of `values` noised to each level; wrap the
    method in `samplers.Resampled` so that the free part comes to agree with it (RePaint: Lugmayr et al. 2022).
    """
    return lambda x, sigma: jnp.where(known, values, denoiser(x, sigma))
