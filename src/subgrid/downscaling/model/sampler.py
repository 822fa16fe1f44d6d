"""From debiased targets to fine fields as files have them, in memory or work item by work item, by the same call."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from jaxtyping import Float, Int, PRNGKeyArray, Shaped

from subgrid.downscaling.climate.degenerate import require_finite_fields
from subgrid.downscaling.model.draws import Diagnostics, Draws
from subgrid.downscaling.model.sides import FineSide
from subgrid.downscaling.preparation.steps import expected
from subgrid.numerics.threads import one_blas_thread


@dataclass(frozen=True)
class Sampler:
    """Ensembles of fine fields.

    Args:
        fine: the way back from inner fields.
        draws: of inner fields.
    """

    fine: FineSide
    draws: Draws

    def __call__(
        self,
        targets: Float[np.ndarray, "t channel *coarse"],
        phase: Float[np.ndarray, " t"] | None,
        *,
        keys: Shaped[PRNGKeyArray, "t m"],
    ) -> Float[np.ndarray, "t m channel *space"]:
        """An ensemble for every target.

        Args:
            targets: (t, channel, *coarse), debiased inner fields.
            phase: (t,), of the year; None for fields without dates.
            keys: (t, m), one for each draw.

        Returns:
            Fine fields as files have them, NaN outside the mask.
        """
        return self.with_diagnostics(targets, phase, keys=keys)[0]

    @one_blas_thread()  # a guidance may have eigenvalues to find
    def with_diagnostics(
        self,
        targets: Float[np.ndarray, "t channel *coarse"],
        phase: Float[np.ndarray, " t"] | None,
        *,
        keys: Shaped[PRNGKeyArray, "t m"],
    ) -> tuple[Float[np.ndarray, "t m channel *space"], Diagnostics]:
        """The same, and what the sampler has to tell of each draw, (t, m) by name."""
        t, m = keys.shape
        when = None if phase is None else np.repeat(phase, m)
        shape = (targets.shape[1], *self.fine.space)
        fields, told = self.draws(
            np.repeat(targets, m, axis=0), keys.reshape(-1), expected(self.fine.chain, when, t * m, shape)
        )
        fields = self.fine.restore(fields, when)
        return fields.reshape(t, m, *fields.shape[1:]), {name: each.reshape(t, m) for name, each in told.items()}


def sample_targets(
    *, folder: str, targets: str, fine: str | None = None, sampling: dict | None = None, version: str = ""
):
    """The sampler of a folder's targets, for `execution`: loaded once in every process that samples.

    Args:
        folder: of the model or the run.
        targets: path of a store of targets, from the folder.
        fine: path of a stored `FineSide`, from the folder: with a change of climate, or a part of the grid; by default
            the model's own.
        sampling: of `SamplingSettings`.
        version: of what lies at these paths: a process that loaded another one loads anew.

    Returns:
        `sample(times, members, *, keys)`: fields (time, member, channel, *space) as files have them, and what the
        sampler has to tell of each draw.

    Examples:
        >>> loader = loader_of(sample_targets, folder="/scratch/run", targets="targets.zarr")
    """
    from subgrid.downscaling.model.draws import SamplingSettings
    from subgrid.downscaling.model.folder import load
    from subgrid.downscaling.stored.part import load_part

    root = Path(folder)
    model = load(root)
    side = model.fine if fine is None else load_part(root / fine)
    sampler = Sampler(side, model.draws(SamplingSettings(**(sampling or {}))))
    source = xr.open_zarr(root / targets, chunks=None)

    def draw(
        times: Int[np.ndarray, " t"], members: Int[np.ndarray, " m"], *, keys: Shaped[PRNGKeyArray, "t m"]
    ) -> tuple[Float[np.ndarray, "t m channel *space"], Diagnostics]:
        chosen = source.isel(sample=times)
        phase = chosen.phase.values if "phase" in chosen else None
        fields, told = sampler.with_diagnostics(chosen.target.values, phase, keys=keys)
        require_finite_fields(fields, side.given_mask, side.names, chosen.time.values, side.grid)
        return fields, told

    return draw
