"""Draws of the prior alone by several samplers: what a sampler does to the spectrum where nothing guides it."""

import json
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float

from subgrid.cli import build
from subgrid.cli.config import Config
from subgrid.cli.experiment import Experiment
from subgrid.data.store import write_json
from subgrid.diffusion.samplers import draw
from subgrid.downscaling.prior import Prior, load_prior
from subgrid.types import Key
from subgrid.verification.spectra import mean_energy_log_ratio

METHODS = ("gaussian-sde", "gaussian-ode", "sde-multistep", "ode-multistep")
N_DRAWS = 1024


def unconditional_rows(experiment: Experiment, folder: Path, evaluations: tuple[int, ...]) -> list[dict[str, Any]]:
    """Energy-weighted spectral error and standard deviation of `N_DRAWS` fields, by sampler and evaluations.

    **Arguments:** `folder`, of the prior; `evaluations`, of which those from 4 on are drawn. The last row is the floor:
    as many fields of the twin against the reference.
    """
    path = experiment.path("samplers") / "unconditional.json"
    if path.exists():
        return json.loads(path.read_text(encoding="utf-8"))
    prior, (_, reference, twin) = load_prior(folder), experiment.fine
    n_space, wanted = reference.n_space, [n for n in evaluations if n >= 4]
    keys = jr.split(experiment.key("ensemble"), N_DRAWS)

    def row(sampler: str, n: int | None, fields: np.ndarray) -> dict[str, Any]:
        _, weighted = mean_energy_log_ratio(jnp.asarray(fields), jnp.asarray(reference.values), n_space)
        ratio = float(fields.std() / reference.values.std())
        return {"sampler": sampler, "evaluations": n, "MELRw": float(weighted), "standard deviation ratio": ratio}

    rows = [
        row(method, n, np.asarray(_drawn(_sampler(experiment.config, method, n), prior, keys)))
        for method in METHODS
        for n in wanted
    ]
    chosen = np.linspace(0, len(twin.values) - 1, N_DRAWS).round().astype(int)
    rows.append(row("noise floor", None, twin.values[chosen]))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, rows)
    return rows


def _sampler(config: Config, method: Any, n: int) -> Config:
    return config.model_copy(update={"sampling": config.sampling.model_copy(update={"method": method, "n_levels": n})})


def _drawn(config: Config, prior: Prior, keys: Key) -> Float[Array, "n channel *space"]:
    """Physical units."""
    levels = build.levels_for(config, prior)
    method = build.method_of(config)(prior.gaussian)
    shape = prior.gaussian.mean.shape

    @eqx.filter_jit
    def many(denoiser, method, keys):
        return jax.vmap(lambda k: draw(denoiser, shape, levels, method=method, key=k))(keys)

    parts = [many(prior.denoiser, method, part) for part in jnp.split(keys, len(keys) // 256)]
    return prior.standardiser.restore(jnp.concatenate(parts), len(shape) - 1)
