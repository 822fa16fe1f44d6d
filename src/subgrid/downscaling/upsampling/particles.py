"""Draws that are right for any prior as particles grow, and what their weights say of guidance.

Each draw is one particle of a run of its own (`diffusion/particles.py`): draws stay independent, and one costs as much
as K guided ones.
"""

import warnings

import equinox as eqx
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float

from subgrid.data.normalise import Standardiser
from subgrid.diffusion.gaussian_conditional import ConditionalGaussian
from subgrid.diffusion.particles import ParticleDiagnostics, sample_particles
from subgrid.downscaling.upsampling.guided import Guide, normalised_target, sample_ensemble, sample_members
from subgrid.types import Denoiser, Key, ProgressReport, Upsampler

COLLAPSED = 2.0
"""An effective size below which a run of particles has drawn as one guided particle would have."""


class ParticleUpsampler(eqx.Module):
    """One draw of x ~ p(x | C′x = y) for one debiased coarse field y, in physical units, from K weighted particles.

    Args:
        denoiser: of normalised fields.
        conditional: the prior's Gaussian part under C′, made by `condition`; of normalised fields.
        standardiser: physical ↔ normalised.
        guide: `guide(denoiser, operator, y)`, the guided denoiser: of the proposals.
        noise_levels: (level,), decreasing, in normalised units.
        n_particles: K.

    Examples:
        >>> upsample = ParticleUpsampler(denoiser, conditional, standardiser, moment_matching, levels, 64)
        >>> x, diagnostics = upsample.draw(y, key=key)
    """

    denoiser: Denoiser
    conditional: ConditionalGaussian
    standardiser: Standardiser
    guide: Guide = eqx.field(static=True)
    noise_levels: Float[Array, " level"]
    n_particles: int = eqx.field(static=True)

    def __call__(self, y: Float[Array, "channel *coarse"], *, key: Key) -> Float[Array, "channel *fine"]:
        return self.draw(y, key=key)[0]

    def draw(
        self, y: Float[Array, "channel *coarse"], *, key: Key
    ) -> tuple[Float[Array, "channel *fine"], ParticleDiagnostics]:
        """The draw, and the effective size of its particles at each noise level."""
        run_key, pick_key = jr.split(key)
        operator = self.conditional.operator
        target = normalised_target(self.standardiser, operator, y)
        guided = self.guide(self.denoiser, operator, target)
        particles = sample_particles(
            self.denoiser,
            guided,
            self.conditional,
            target,
            self.noise_levels,
            n_particles=self.n_particles,
            key=run_key,
        )
        x = self.standardiser.restore(particles.pick(key=pick_key), len(operator.fine_shape))
        return x, particles.diagnostics


def sample_with_diagnostics(
    upsampler: Upsampler,
    coarse: Float[Array | np.ndarray, "condition channel *coarse"],
    n_members: int,
    *,
    chunk: int = 256,
    report: ProgressReport | None = None,
    key: Key,
) -> tuple[Float[np.ndarray, "condition member channel *fine"], dict[str, Float[np.ndarray, "condition member"]]]:
    """`sample_ensemble`, and what there is to report of each member.

    Args:
        upsampler: any; of a `ParticleUpsampler` there is something to report.
        coarse: (condition, channel, *coarse), kept on the host.
        n_members: draws for each, 1 or more.
        chunk: fields at a time, default 256; each particle counts as one.
        report: `report(done, total)`, called after each chunk.
        key: of all draws.

    Returns:
        The ensemble (condition, member, channel, *fine), on the host, and diagnostics (condition, member) by name. Of
            particles they are `effective_size`, the smallest of all noise levels (1 to K, before resampling), and
            `effective_fraction` (0 to 1: `particles.effective_fraction`); else there are none.

    Raises:
        ValueError: for no fields, no members or no chunk.

    Warns:
        UserWarning: if particles collapsed, naming the noise level and the condition of the worst.

    Examples:
        >>> ensemble, diagnostics = sample_with_diagnostics(upsample, coarse, 16, key=key)
    """
    if not isinstance(upsampler, ParticleUpsampler):
        return sample_ensemble(upsampler, coarse, n_members, chunk=chunk, report=report, key=key), {}
    n = upsampler.n_particles
    at_once = chunk // n or min(chunk, 1)
    ensemble, diagnostics = sample_members(upsampler.draw, coarse, n_members, chunk=at_once, report=report, key=key)
    collapse(diagnostics.effective_sizes, n, np.asarray(upsampler.noise_levels))
    sizes, fractions = diagnostics.effective_sizes.min(-1), diagnostics.effective_fraction
    return ensemble, {"effective_size": sizes, "effective_fraction": fractions}


def collapse(
    sizes: Float[np.ndarray, "condition member level"], n_particles: int, levels: Float[np.ndarray, " level"]
) -> None:
    """Warns of effective sizes near one; not of two particles and fewer.

    Args:
        sizes: (condition, member, level), effective sizes of the particles of each draw.
        n_particles: of a draw.
        levels: (level,), of noise.

    Warns:
        UserWarning: naming the noise level, the condition and the member of the worst.
    """
    known = np.where(np.isnan(sizes), 0.0, sizes)
    collapsed = (known.min(-1) < min(COLLAPSED, n_particles / 2)).sum()
    if not collapsed:
        return
    condition, member, level = np.unravel_index(known.argmin(), known.shape)
    warnings.warn(
        f"particles collapsed in {collapsed} of {sizes[..., 0].size} draws: effective size "
        f"{sizes[condition, member, level]:.2f} of {n_particles} at sigma = {levels[level]:.2g}, for condition "
        f"{condition}, member {member}. Such a draw is no better than a guided one; take more particles, more noise "
        "levels or a guidance closer to the posterior.",
        stacklevel=2,
    )
