"""Draws of the prior alone by several samplers: what a sampler does to the spectrum where nothing guides it."""

from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, Shaped

from subgrid.diffusion.driver import draw
from subgrid.downscaling.prior.model import Prior, load_prior
from subgrid.experiments.downscale import build
from subgrid.experiments.downscale.config import DownscaleConfig
from subgrid.experiments.downscale.run import DownscaleRun
from subgrid.runs.comparison import kept
from subgrid.verification.spectra import mean_energy_log_ratio

METHODS = ("gaussian-sde", "gaussian-ode", "sde-multistep", "ode-multistep")
N_DRAWS = 1024


def unconditional_rows(
    run: DownscaleRun, model: Path, evaluations: tuple[int, ...], folder: Path
) -> list[dict[str, Any]]:
    """Energy-weighted spectral error and standard deviation of `N_DRAWS` fields, by sampler and evaluations.

    **Arguments:** `model`, of the prior; `evaluations`, of which those from 4 on are drawn; `folder`, of one file a
    row: what is there is done. The last row is the floor: as many fields of the independent reference.
    """
    wanted = [(method, n) for method in METHODS for n in evaluations if n >= 4]
    row = lambda method, n: lambda: _row(run, model, method, n)  # noqa: E731
    return [kept(folder / f"{method}-{n}.json", row(method, n)) for method, n in wanted] + [_floor(run)]


def _row(run: DownscaleRun, model: Path, method: str, n: int) -> dict[str, Any]:
    keys = jr.split(run.key("ensemble"), N_DRAWS)
    fields = np.asarray(_drawn(_sampler(run.config, method, n), load_prior(model), keys))
    return _scores(run, method, n, fields)


def _floor(run: DownscaleRun) -> dict[str, Any]:
    independent = run.fine[2].values
    chosen = np.linspace(0, len(independent) - 1, N_DRAWS).round().astype(int)
    return _scores(run, "noise floor", None, independent[chosen])


def _scores(run: DownscaleRun, sampler: str, n: int | None, fields: np.ndarray) -> dict[str, Any]:
    reference = run.fine[1]
    found = mean_energy_log_ratio(jnp.asarray(fields), jnp.asarray(reference.values), reference.n_space)
    ratio = float(fields.std() / reference.values.std())
    return {"sampler": sampler, "evaluations": n, "MELRw": float(found[1]), "standard deviation ratio": ratio}


def _sampler(config: DownscaleConfig, method: Any, n: int) -> DownscaleConfig:
    return config.model_copy(update={"sampling": config.sampling.model_copy(update={"method": method, "n_levels": n})})


def _drawn(config: DownscaleConfig, prior: Prior, keys: Shaped[PRNGKeyArray, " n"]) -> Float[Array, "n channel *space"]:
    """Physical units."""
    levels = build.levels_for(config, prior)
    method = build.method_of(config)(prior.gaussian)
    shape = prior.gaussian.mean.shape

    @eqx.filter_jit
    def many(denoiser, method, keys):
        return jax.vmap(lambda k: draw(denoiser, shape, levels, method=method, key=k))(keys)

    parts = [many(prior.denoiser, method, part) for part in jnp.split(keys, len(keys) // 256)]
    return prior.standardiser.restore(jnp.concatenate(parts), len(shape) - 1)
