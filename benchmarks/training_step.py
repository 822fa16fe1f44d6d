"""How near a training step comes to the machine's matrix-product rate, and where the rest goes."""

from unittest.mock import patch

import equinox as eqx
import jax
import jax.random as jr

from benchmarks.timing import matrix_product_rate, median_seconds
from subgrid.diffusion.objective import denoising_loss, karras_weight, log_uniform_levels
from subgrid.downscaling.prior import PriorSettings, build_denoiser
from subgrid.networks.layers import Convolution, RootMeanSquareNorm

BATCH = 64
SPACE = (192,)


def multiply_adds(settings: PriorSettings) -> int:
    """Floating-point operations of one evaluation's matrix products, two a multiply-add (small layers left out)."""
    points, total = SPACE[0] // settings.patch, 0
    for level, width in enumerate(settings.channels):
        here = points >> level
        total += 2 * settings.n_blocks * 2 * 2 * 3 * width**2 * here
        if level + 1 < len(settings.channels):
            below = settings.channels[level + 1]
            total += 2 * 2 * (2 * width * below) * (here // 2) + 2 * 2 * width**2 * here
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
    """Rows of (name, ratio, meaning): the whole step, and what it would be without each part."""
    rate = matrix_product_rate()
    rows = []
    for channels in [(64, 128), (128, 256), (256, 512)]:
        settings = PriorSettings(1, SPACE, channels=channels)
        ideal = 3 * BATCH * multiply_adds(settings) / rate  # backward costs twice the forward product
        share = ideal / gradient_seconds(settings)
        rows.append((f"training step, channels {channels}", share, "share of the matrix-product rate (wanted: 0.6)"))
    settings = PriorSettings(1, SPACE)
    whole = gradient_seconds(settings)
    without = {
        "normalisation": patch.object(RootMeanSquareNorm, "__call__", lambda self, x: x),
        "activation": patch("jax.nn.silu", lambda x: x),
        "gathering of neighbours": patch.object(Convolution, "__call__", _pointwise),
    }
    for part, replaced in without.items():
        jax.clear_caches()
        with replaced:
            rows.append(
                (f"… of which {part}", 1 - gradient_seconds(settings) / whole, "share of the step's time, default size")
            )
    jax.clear_caches()
    return rows


def _pointwise(self: Convolution, x: jax.Array) -> jax.Array:
    """The same number of operations without shifting: one product with an input three times as wide."""
    wide = jax.numpy.tile(x[..., :1], (1, 3 * x.shape[-1])) if x.ndim == 2 else x
    return wide @ self.weight.reshape(-1, self.weight.shape[-1]) + self.bias
