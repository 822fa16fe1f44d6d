"""Losses in function space, and the floors that no operator can go below for Gaussian data.

    L²:         mean over points of (η + F(v))² = (u − G(v))²,      floor Σ sλ₁λ₂/S
    weighted:   ‖(sC)^{−1/2} (u − G(v))‖²,                          floor Σ λ₁/S

Both have the same minimiser. The first means the same on every grid; the second has a finite floor only where data are
smoother than the noise by more than d/2 (`check_noise`), and grows with the grid elsewhere.

The first is blind to modes of little energy: at the level that decides such a mode, the larger ones have more left to
find, and what a network does to it costs nothing. A third loss counts every mode of one grid the same,

    of modes:   mean over modes of |u_k − G_k|²/p_k,   p = sλ₁λ₂/S,     floor 1

and as only modes of the training grid are counted, it is the same on every finer one. Trainings minimise a share of
each (`operator_loss`).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree, Scalar, Shaped

from subgrid.functional.gaussian_field import GaussianField, as_gain
from subgrid.functional.operators import DenoisedForm, posterior_variances, shrinkage
from subgrid.numerics.modes import Box
from subgrid.numerics.stratified import stratified_uniforms
from subgrid.types import Key

ROUNDING = 1e-12
"""Of the largest variance: less is rounding of float32 fields."""


def square_loss(error: Float[Array, "channel *space"]) -> Scalar:
    """The square of u − G(v), mean over channels and points.

    Args:
        error: u − G(v) = −(η + F(v)).

    Returns:
        A scalar.
    """
    return jnp.mean(error**2)


def weighted_loss(error: Float[Array, "channel *space"], s: Scalar | float, noise: GaussianField) -> Scalar:
    """‖(sC)^{−1/2}(u − G(v))‖², a sum over modes, mean over channels; Nyquist waves are left out.

    Args:
        error: u − G(v).
        s: variance of the noise.
        noise: N(0, C).

    Returns:
        A scalar.
    """
    shape, variances = error.shape[1:], noise.mode_variances(error.shape[1:])
    precision = as_gain(noise.box.weights(shape)) / jnp.where(variances > 0, s * variances, jnp.inf)
    modes = noise.box.to_modes(error)
    return jnp.sum(precision * jnp.abs(modes) ** 2) / len(error)


def modes_loss(error: Float[Array, "channel *space"], variances: Float[Array, "..."], box: Box) -> Scalar:
    """Mean over modes of |e_k|²/p_k: every mode weighs the same.

    Args:
        error: e, on the training grid.
        variances: p, that a Gaussian leaves of each mode, in the place of the error's modes.
        box: of the modes.

    Returns:
        A scalar. Modes whose variance is lost in the rounding of float32 fields hardly count.
    """
    weights = as_gain(box.weights(error.shape[1:]))
    floor = jnp.where(variances > 0, variances + ROUNDING * jnp.max(variances), jnp.inf)
    counted = jnp.sum(weights * (variances > 0)) * len(error) / (len(variances) if variances.ndim > weights.ndim else 1)
    return jnp.sum(weights * jnp.abs(box.to_modes(error)) ** 2 / floor) / counted


def loss_over_floor(
    error: Float[Array, "channel *space"], variances: Float[Array, "..."], box: Box, *, of_modes: float = 0.0
) -> Scalar:
    """(1 − w) e²/Σp + w mean_k |e_k|²/p_k: an error beside what a Gaussian leaves, at points and mode by mode.

    Args:
        error: e, on the training grid.
        variances: p, as of `modes_loss`.
        box: of the modes.
        of_modes: w, default 0.

    Returns:
        A scalar, 1 where the error is what a Gaussian leaves.
    """
    square = square_loss(error) / _at_points(box, error.shape[1:], variances)
    return (1 - of_modes) * square + of_modes * modes_loss(error, variances, box) if of_modes else square


def square_floor(data: GaussianField, noise: GaussianField, shape: tuple[int, ...], s: Scalar | float) -> Scalar:
    """The least `square_loss` of Gaussian data, Σ sλ₁λ₂/S over modes, mean over channels.

    Args:
        data: N(0, C₁).
        noise: N(0, C₂).
        shape: of the grid.
        s: variance of the noise.

    Returns:
        A scalar.

    Examples:
        >>> square_floor(data, noise, (64,), 1.0)  # .4178 for α = 2 and 1, τ = 5, unit variances
    """
    return _at_points(noise.box, shape, posterior_variances(data, noise, shape, s))


def weighted_floor(data: GaussianField, noise: GaussianField, shape: tuple[int, ...], s: Scalar | float) -> Scalar:
    """The least `weighted_loss` of Gaussian data, Σ λ₁/S over modes, mean over channels.

    Args:
        data: N(0, C₁).
        noise: N(0, C₂).
        shape: of the grid.
        s: variance of the noise.

    Returns:
        A scalar, which grows with the grid for noise that is too smooth.
    """
    return _at_points(noise.box, shape, shrinkage(data, noise, shape, s))


def operator_loss(
    denoised: DenoisedForm,
    batch: Float[Array, "batch channel *space"],
    *,
    data: GaussianField,
    noise: GaussianField,
    levels: tuple[float, float],
    known: PyTree[Shaped[Array, "batch ..."]] | None = None,
    of_modes: float = 0.0,
    key: Key,
) -> Scalar:
    """The L² loss of a batch over its floor, so that every level weighs the same, and a share of that of modes.

        ⟨(1 − w) (u − G)²/Σ sλ₁λ₂/S + w mean_k |u_k − G_k|²/p_k⟩,      G of u + η,  η ~ N(0, sC)

    with s log-uniform and stratified over the batch.

    Args:
        denoised: G(v, s), or G(v, s, known).
        batch: fields u, of zero mean.
        data: the measured Gaussian of the fields, of which the floor is.
        noise: N(0, C).
        levels: the largest and the smallest s.
        known: what each field is conditioned on, default nothing.
        of_modes: w, default 0.
        key: random key.

    Returns:
        A scalar; 1 for Gaussian data and the exact operator, and for an untrained one that starts from it.

    References:
        Lim et al. (2023), arXiv:2302.07400.
    """
    level_key, noise_key = jax.random.split(key)
    n, n_channels, *space = batch.shape
    largest, smallest = levels
    s = smallest * (largest / smallest) ** stratified_uniforms(n, key=level_key)

    def error(u, given, s, own):
        eta = jnp.sqrt(s) * noise.sample(tuple(space), n_channels=n_channels, key=own)
        left = u - denoised(u + eta, s, given)
        return loss_over_floor(left, posterior_variances(data, noise, tuple(space), s), noise.box, of_modes=of_modes)

    return jnp.mean(jax.vmap(error)(batch, known, s, jax.random.split(noise_key, n)))


def _at_points(box: Box, shape: tuple[int, ...], values: Float[Array, "..."]) -> Scalar:
    """Σ over modes, mean over channels."""
    axes = tuple(range(-box.n_space, 0))
    return jnp.mean(jnp.sum(as_gain(box.weights(shape)) * values, axis=axes))
