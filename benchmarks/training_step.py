"""How near a training step comes to the machine's matrix-product rate, and how near its products alone would."""

import equinox as eqx
import jax
import jax.random as jr

from benchmarks.timing import matrix_product_rate, median_seconds
from subgrid.diffusion.objective import denoising_loss, karras_weight, log_uniform_levels
from subgrid.downscaling.prior import PriorSettings, build_denoiser

BATCH = 64
SPACE = (192,)


def products(settings: PriorSettings) -> list[tuple[int, int, int, int]]:
    """(how many, rows a sample, columns in, columns out) of one evaluation's matrix products, small layers left out."""
    points, found = SPACE[0] // settings.patch, []
    for level, width in enumerate(settings.channels):
        here = points >> level
        found.append((2 * settings.n_blocks * 2, here, 3 * width, width))
        if level + 1 < len(settings.channels):
            below = settings.channels[level + 1]
            found += [(1, here // 2, 2 * width, below), (1, here // 2, below, 2 * width), (1, here, 2 * width, width)]
    return found


def operations(settings: PriorSettings) -> int:
    """Floating-point operations of those products, two a multiply-add."""
    return sum(2 * n * rows * fan_in * fan_out for n, rows, fan_in, fan_out in products(settings))


def product_seconds(settings: PriorSettings) -> float:
    """The same products alone, forward and both backward ones, of a batch: what the rate is worth at these shapes."""
    total = 0.0
    for n, rows, fan_in, fan_out in products(settings):
        x, w = jr.normal(jr.key(0), (BATCH * rows, fan_in)), jr.normal(jr.key(1), (fan_in, fan_out))
        y = x @ w
        step = jax.jit(lambda x, w, y: (x @ w, y @ w.T, x.T @ y))
        total += n * median_seconds(lambda step=step, x=x, w=w, y=y: step(x, w, y), repeats=25)
    return total


def gradient_seconds(settings: PriorSettings) -> float:
    """One gradient of the loss over a batch; the optimiser's share is below a hundredth of it."""
    denoiser = build_denoiser(settings, key=jr.key(0))
    batch = jr.normal(jr.key(1), (BATCH, 1, *SPACE))

    @eqx.filter_jit
    @eqx.filter_grad
    def gradient(model, key):
        return denoising_loss(model, batch, noise_levels=log_uniform_levels(), weight=karras_weight(), key=key)

    return median_seconds(lambda: gradient(denoiser, jr.key(2)))


def run() -> list[tuple[str, float, str]]:
    """Rows of (name, ratio, meaning): the whole step, and its matrix products without anything else."""
    rate = matrix_product_rate()
    rows = []
    for channels in [(64, 128), (128, 256), (256, 512)]:
        settings = PriorSettings(1, SPACE, channels=channels)
        ideal = 3 * BATCH * operations(settings) / rate  # backward costs twice the forward product
        share, alone = ideal / gradient_seconds(settings), ideal / product_seconds(settings)
        rows.append((f"training step, channels {channels}", share, "share of the matrix-product rate (wanted: 0.6)"))
        rows.append((f"… its products alone, channels {channels}", alone, "the same share without all else"))
    return rows
