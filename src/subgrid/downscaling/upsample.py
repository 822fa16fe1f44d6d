"""The conditional sampler: a diffusion prior, guided to one coarse field, run down the noise levels."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float

from subgrid.data.normalise import Standardiser
from subgrid.diffusion.samplers import Method, initial_noise, sample
from subgrid.types import Coarsening, Denoiser, Key

Guide = Callable[[Denoiser, Coarsening, Float[Array, "channel *coarse"]], Denoiser]


class DiffusionUpsampler(eqx.Module):
    """One draw of x ~ p(x | C′x = y) for one debiased coarse field y, in physical units.

    **Arguments:** `denoiser`, of normalised fields; `operator`, C′; `standardiser`, physical ↔ normalised;
    `guide(denoiser, operator, y)`, the guided denoiser; `noise_levels`, decreasing; `method`, of sampling.

        upsample = DiffusionUpsampler(denoiser, Subsample((192,), 8), standardiser, moment_matching, levels, method)
        x = upsample(y, key=key)
    """

    denoiser: Denoiser
    operator: Coarsening
    standardiser: Standardiser
    guide: Guide = eqx.field(static=True)
    noise_levels: Float[Array, " level"]
    method: Method

    def __call__(self, y: Float[Array, "channel *coarse"], *, key: Key) -> Float[Array, "channel *fine"]:
        n_space = len(self.operator.fine_shape)
        # The mean goes through C′ as a field, so operators whose rows do not sum to one are normalised rightly too.
        mean = self.standardiser.restore(jnp.zeros((y.shape[0], *self.operator.fine_shape)), n_space)
        std = self.standardiser.std.reshape(-1, *(1,) * n_space)
        target = (y - self.operator(mean)) / std
        start_key, sample_key = jr.split(key)
        start = initial_noise(mean.shape, self.noise_levels[0], key=start_key)
        guided = self.guide(self.denoiser, self.operator, target)
        x = sample(guided, start, self.noise_levels, method=self.method, key=sample_key)
        return self.standardiser.restore(x, n_space)


def sample_ensemble(
    upsampler: Callable,
    coarse: Float[Array | np.ndarray, "condition channel *coarse"],
    n_members: int,
    *,
    chunk: int = 256,
    report: Callable[[int, int], None] | None = None,
    key: Key,
) -> Float[np.ndarray, "condition member channel *fine"]:
    """`n_members` draws for every coarse field.

    Member m of condition i uses the key fold_in(fold_in(key, i), m) and nothing else, so an ensemble is the same
    whatever else is sampled with it, and a larger one begins with the smaller.

    **Arguments:** `coarse`, kept on the host; `n_members`, 1 or more; `chunk`, fields sampled at a time, on which the
    memory of the device depends (256 fields of 192 points keep two cores busy); `report(done, total)`, called after
    each chunk; `key`.

    **Returns:** the ensemble, on the host. **Raises:** `ValueError` for no fields, no members or no chunk.

        ensemble = sample_ensemble(upsampler, coarse, 16, key=key)
        ensemble.shape  # (condition, 16, channel, *fine)
    """
    if min(len(coarse), n_members, chunk) < 1:
        raise ValueError(
            f"an ensemble needs at least one field, one member and a chunk of one, got {len(coarse)} fields, "
            f"n_members = {n_members} and chunk = {chunk}."
        )
    coarse, total = np.asarray(coarse), len(coarse) * n_members
    chunk = min(chunk, total)

    @eqx.filter_jit
    def draw(upsampler, y, condition, member):
        keys = jax.vmap(lambda i, m: jr.fold_in(jr.fold_in(key, i), m))(condition, member)
        return jax.vmap(lambda field, k: upsampler(field, key=k))(y, keys)

    ensemble = None
    for first in range(0, total, chunk):
        condition, member = np.divmod(np.arange(first, first + chunk) % total, n_members)  # the last chunk is filled up
        drawn = np.asarray(draw(upsampler, coarse[condition], jnp.asarray(condition), jnp.asarray(member)))
        done = min(first + chunk, total)
        if ensemble is None:
            ensemble = np.empty((total, *drawn.shape[1:]), drawn.dtype)
        ensemble[first:done] = drawn[: done - first]
        if report is not None:
            report(done, total)
    assert ensemble is not None  # there is a chunk at least
    return ensemble.reshape(len(coarse), n_members, *ensemble.shape[1:])
