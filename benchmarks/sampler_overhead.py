"""What the sampler costs beyond its network: a 64-level sample against 64 evaluations of the same batch."""

import equinox as eqx
import jax
import jax.random as jr

from benchmarks.timing import median_seconds
from subgrid.diffusion.driver import Method, sample
from subgrid.diffusion.gaussian_steps import GaussianODE, GaussianSDE
from subgrid.diffusion.noise_levels import exponential_grid
from subgrid.diffusion.samplers import AncestralMultistep, ExponentialMultistep
from subgrid.downscaling.prior.gaussian_part import blank_gaussian_part
from subgrid.downscaling.prior.model import PriorSettings, build_denoiser

N_LEVELS = 64
BATCH = 64


def run() -> list[tuple[str, float, str]]:
    """Rows of (name, ratio, meaning)."""
    denoiser = build_denoiser(PriorSettings(1, (192,)), key=jr.key(0))
    levels = exponential_grid(N_LEVELS)
    x = levels[0] * jr.normal(jr.key(1), (BATCH, 1, 192))
    gaussian = blank_gaussian_part((1, 192), 191)  # its values change no time

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
    methods = {
        "ODE multistep": ExponentialMultistep(),
        "SDE multistep": AncestralMultistep(),
        "Gaussian ODE": GaussianODE(gaussian),
        "Gaussian SDE": GaussianSDE(gaussian),
    }
    for name, method in methods.items():
        draw = sampler(method)
        ratio = median_seconds(lambda draw=draw: draw(denoiser, x, keys)) / floor
        rows.append(
            (f"{name}, {N_LEVELS} levels", ratio, f"time over {N_LEVELS} network evaluations (wanted: at most 1.1)")
        )
    return rows
