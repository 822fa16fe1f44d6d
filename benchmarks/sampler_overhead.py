"""What the sampler costs beyond its network: a 64-level sample against 64 evaluations of the same batch."""

import equinox as eqx
import jax
import jax.random as jr

from benchmarks.timing import median_seconds
from subgrid.diffusion.noise_levels import karras_grid
from subgrid.diffusion.samplers import AncestralMultistep, ExponentialMultistep, Method, initial_noise, sample
from subgrid.downscaling.prior import PriorSettings, build_denoiser

N_LEVELS = 64
BATCH = 64


def run() -> list[tuple[str, float, str]]:
    """Rows of (name, ratio, meaning)."""
    denoiser = build_denoiser(PriorSettings(1, (192,)), key=jr.key(0))
    levels = karras_grid(N_LEVELS)
    x = initial_noise((BATCH, 1, 192), levels[0], key=jr.key(1))

    @eqx.filter_jit
    def evaluate(denoiser, x):
        # The same number of dependent evaluations, with nothing between them but a scale.
        return jax.lax.scan(lambda z, s: (jax.vmap(lambda f: denoiser(f, s))(z), None), x, levels)[0]

    def sampler(method: Method):
        @eqx.filter_jit
        def draw(denoiser, x, keys):
            return jax.vmap(lambda f, k: sample(denoiser, f, levels, method=method, key=k))(x, keys)

        return draw

    floor = median_seconds(lambda: evaluate(denoiser, x))
    keys = jr.split(jr.key(2), BATCH)
    rows = []
    for name, method in [("ODE multistep", ExponentialMultistep()), ("SDE multistep", AncestralMultistep())]:
        draw = sampler(method)
        ratio = median_seconds(lambda draw=draw: draw(denoiser, x, keys)) / floor
        rows.append(
            (f"{name}, {N_LEVELS} levels", ratio, f"time over {N_LEVELS} network evaluations (wanted: at most 1.1)")
        )
    return rows
