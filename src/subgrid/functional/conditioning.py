"""One sample given its modes on a coarser grid, for any model that states a denoised form."""

from typing import Any

import numpy as np
from jaxtyping import Array, Float

from subgrid.functional.guidance import condition_on_cutoff
from subgrid.functional.operators import DenoisedForm
from subgrid.functional.preparation import FunctionSpace
from subgrid.functional.reverse import probability_flow, start
from subgrid.numerics.spectral_cutoff import SpectralCutoff
from subgrid.types import Key


def sample_conditioned(
    denoised: DenoisedForm,
    target: Float[Array, "channel *coarse"],
    shape: tuple[int, ...],
    space: FunctionSpace,
    *,
    levels: Float[Array, " level"],
    noise_variance: float = 0.0,
    n_iterations: int = 4,
    key: Key,
) -> Float[Array, "channel *space"]:
    """A sample of p(u | C′u + ε = y) by the probability flow of the guided operator.

    Args:
        denoised: G(v, s) of standardised fields.
        target: y in the fields' units.
        shape: of the sample.
        space: of the model.
        levels: falling variances.
        noise_variance: of ε at each point of y, in the fields' units squared, default 0.
        n_iterations: vector–Jacobian products an evaluation, default 4.
        key: random key.

    Returns:
        A field in the units of the training's.

    Raises:
        ValueError: for a target of other channels, or noise in y of smoothed fields.
    """
    space.require_channels(target)
    if noise_variance and space.standard.smoothing:
        raise ValueError("noise in the target cannot be told from what smoothing took; train without smoothing.")
    operator = SpectralCutoff(shape, target.shape[1:], space.noise.box.boundary)
    relative = noise_variance / np.asarray(space.standard.scale).reshape(-1, *(1,) * space.noise.box.n_space) ** 2
    guided = condition_on_cutoff(
        denoised,
        operator,
        space.standard.forward(target),
        data=space.data,
        noise=space.noise,
        noise_variance=relative,
        n_iterations=n_iterations,
    )
    spaces: dict[str, Any] = {"noise": space.noise, "data": space.data}
    v = start(shape=shape, s=levels[0], denoised=guided, n_channels=space.n_channels, key=key, **spaces)
    u = space.standard.inverse(probability_flow(guided, v, levels, **spaces))
    # The last level leaves .01 of the data's variance or less to the Gaussian: what is exact is put in again.
    return u if noise_variance else u + operator.pseudo_inverse(target - operator(u))
