"""The conditional sampler: a diffusion prior, guided to one coarse field, run down the noise levels."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float, PyTree

from subgrid.data.normalise import Standardiser
from subgrid.diffusion.driver import Method, draw
from subgrid.diffusion.gaussian_conditional import ConditionalGaussian
from subgrid.diffusion.gaussian_steps import Gaussian
from subgrid.training.progress import starts_at
from subgrid.types import Coarsening, Denoiser, Key, ProgressReport

Guide = Callable[[Denoiser, Coarsening, Float[Array, "channel *coarse"]], Denoiser]
MethodFor = Callable[[Gaussian], Method]
"""How to step, given the Gaussian nearest to what is sampled: `GaussianSDE` itself, or `lambda _: Heun()`."""


class DiffusionUpsampler(eqx.Module):
    """One draw of x ~ p(x | C′x = y) for one debiased coarse field y, in physical units.

    Args:
        denoiser: of normalised fields.
        conditional: the prior's Gaussian part under C′, made by `condition`; of normalised fields.
        standardiser: physical ↔ normalised.
        guide: `guide(denoiser, operator, y)`, the guided denoiser.
        noise_levels: (level,), decreasing, in normalised units.
        method: of sampling, given the Gaussian conditional N(m_y, Σ_y).

    Examples:
        >>> conditional = condition(prior.gaussian, operator, (1, 24))
        >>> upsample = DiffusionUpsampler(denoiser, conditional, standardiser, moment_matching, levels, GaussianSDE)
        >>> x = upsample(y, key=key)
    """

    denoiser: Denoiser
    conditional: ConditionalGaussian
    standardiser: Standardiser
    guide: Guide = eqx.field(static=True)
    noise_levels: Float[Array, " level"]
    method: MethodFor

    def __call__(self, y: Float[Array, "channel *coarse"], *, key: Key) -> Float[Array, "channel *fine"]:
        operator, target = self.conditional.operator, normalised_target(self.standardiser, self.conditional.operator, y)
        guided, gaussian = self.guide(self.denoiser, operator, target), self.conditional.given(target)
        x = draw(guided, gaussian.mean.shape, self.noise_levels, method=self.method(gaussian), key=key)
        return self.standardiser.restore(x, len(operator.fine_shape))


def method_for(method: MethodFor | Method) -> MethodFor:
    """A method of sampling as made from a Gaussian; of a sampler that needs none, the same for any.

    Args:
        method: a sampler such as `Heun()`, or what makes one from a Gaussian, such as `GaussianSDE`.

    Returns:
        What makes a sampler from a Gaussian.

    Examples:
        >>> method_for(Heun())(gaussian)  # Heun()
    """
    if isinstance(method, type) or not isinstance(method, Method):
        return method  # pyright: ignore[reportReturnType]
    return _Fixed(method)


class _Fixed(eqx.Module):
    """The one method, whatever the Gaussian."""

    method: Method

    def __call__(self, gaussian: Gaussian) -> Method:
        return self.method


def normalised_target(
    standardiser: Standardiser, operator: Coarsening, y: Float[Array, "channel *coarse"]
) -> Float[Array, "channel *coarse"]:
    """y in the units of normalised fields: C′ of the normalised x for every x with C′x = y.

    With mean μ and standard deviation s of the channels, y ↦ (y − C′μ)/s.

    Args:
        standardiser: μ and s.
        operator: C′.
        y: (channel, *coarse), physical units.

    Returns:
        The target, same shape, normalised.

    Examples:
        >>> target = normalised_target(prior.standardiser, operator, y)
    """
    n_space = len(operator.fine_shape)
    # The mean goes through C′ as a field, so operators whose rows do not sum to one are normalised rightly too.
    mean = standardiser.restore(jnp.zeros((y.shape[0], *operator.fine_shape)), n_space)
    return (y - operator(mean)) / standardiser.std.reshape(-1, *(1,) * (y.ndim - 1))


def sample_ensemble(
    upsampler: Callable,
    coarse: Float[Array | np.ndarray, "condition channel *coarse"],
    n_members: int,
    *,
    chunk: int = 256,
    report: ProgressReport | None = None,
    key: Key,
) -> Float[np.ndarray, "condition member channel *fine"]:
    """`n_members` draws for every coarse field.

    Member m of condition i uses the key fold_in(fold_in(key, i), m) and nothing else, so an ensemble is the same
    whatever else is sampled with it, and a larger one begins with the smaller.

    Args:
        upsampler: `upsampler(y, key=key)`, one draw.
        coarse: (condition, channel, *coarse), kept on the host.
        n_members: draws for each, 1 or more.
        chunk: fields sampled at a time, on which the memory of the device depends (256 fields of 192 points keep two
            cores busy).
        report: `report(done, total)`, called after each chunk.
        key: of all draws.

    Returns:
        The ensemble (condition, member, channel, *fine), on the host.

    Raises:
        ValueError: for no fields, no members or no chunk.

    Examples:
        >>> ensemble = sample_ensemble(upsampler, coarse, 16, key=key)
        >>> ensemble.shape  # (condition, 16, channel, *fine)
    """
    return sample_members(upsampler, coarse, n_members, chunk=chunk, report=report, key=key)


def sample_members(
    draw_one: Callable[..., PyTree],
    coarse: Float[Array | np.ndarray, "condition channel *coarse"],
    n_members: int,
    *,
    chunk: int,
    report: ProgressReport | None,
    key: Key,
) -> PyTree:
    """`sample_ensemble` of anything: whatever arrays `draw_one(y, key=key)` returns, each (condition, member, ...)."""
    if min(len(coarse), n_members, chunk) < 1:
        raise ValueError(
            f"an ensemble needs at least one field, one member and a chunk of one, got {len(coarse)} fields, "
            f"n_members = {n_members} and chunk = {chunk}."
        )
    coarse, total = np.asarray(coarse), len(coarse) * n_members
    chunk = min(chunk, total)

    if report is not None:
        starts_at(0, total)
    ensemble = None
    for first in range(0, total, chunk):
        condition, member = np.divmod(np.arange(first, first + chunk) % total, n_members)  # the last chunk is filled up
        y, i, m = (jnp.asarray(part) for part in (coarse[condition], condition, member))
        drawn = _draw_chunk(draw_one, y, i, m, key)
        drawn = jax.tree.map(np.asarray, drawn)
        done = min(first + chunk, total)
        if ensemble is None:
            ensemble = jax.tree.map(lambda part: np.empty((total, *part.shape[1:]), part.dtype), drawn)
        for whole, part in zip(jax.tree.leaves(ensemble), jax.tree.leaves(drawn), strict=True):
            whole[first:done] = part[: done - first]
        if report is not None:
            report(done, total)
    assert ensemble is not None  # there is a chunk at least
    return jax.tree.map(lambda whole: whole.reshape(len(coarse), n_members, *whole.shape[1:]), ensemble)


@eqx.filter_jit  # at the top, so that another call with the same sampler and shapes is not compiled again
def _draw_chunk(draw_one: Callable[..., PyTree], y: Array, condition: Array, member: Array, key: Key) -> PyTree:
    keys = jax.vmap(lambda i, m: jr.fold_in(jr.fold_in(key, i), m))(condition, member)
    return jax.vmap(lambda field, k: draw_one(field, key=k))(y, keys)
