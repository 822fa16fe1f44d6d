"""The reverse diffusion of one draw, frame by frame: RUN/reverse_diffusion.gif."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from subgrid.diffusion.driver import draw_path
from subgrid.downscaling.upsampling.guided import DiffusionUpsampler, normalised_target
from subgrid.experiments.navier_stokes.debiasing import read_debiased
from subgrid.experiments.navier_stokes.models import open_upsampler
from subgrid.experiments.navier_stokes.run import NavierStokesRun
from subgrid.experiments.navier_stokes.sampling import unpaired_cases
from subgrid.report import style
from subgrid.report.animation import write_gif
from subgrid.report.figures import bare
from subgrid.runs.stage import Update
from subgrid.types import Key

ANIMATED, GIF = "entropic-ot+guided", "reverse_diffusion.gif"
MILLISECONDS, MOST_FRAMES = 150, 40
Frames = Float[np.ndarray, "level y x"]


def animate(run: NavierStokesRun, update: Update) -> None:
    """The first case at the largest factor."""
    factor, debiaser = max(run.config.navier_stokes.factors), ANIMATED.partition("+")[0]
    y = read_debiased(run, factor, debiaser)[unpaired_cases(run)[0]]
    upsampler = open_upsampler(run, "guided", factor)
    assert isinstance(upsampler, DiffusionUpsampler)  # what "guided" opens
    states, denoised = path(upsampler, jnp.asarray(y), key=run.key("reverse diffusion"))
    update(1, 2)
    reached = [*np.asarray(upsampler.noise_levels).tolist()[1:], 0.0]  # by each state
    shown = np.unique(np.linspace(0, len(states) - 1, MOST_FRAMES).round().astype(int)).tolist()
    frames = [_frame(y[0], states[i], denoised[i], reached[i]) for i in shown]
    write_gif(run.path(GIF), frames, milliseconds=MILLISECONDS)
    update(2, 2)


def path(upsampler: DiffusionUpsampler, y: Float[jax.Array, "channel *coarse"], *, key: Key) -> tuple[Frames, Frames]:
    """States of the sampler, normalised to the size of a field, and E[x₀ | state], in normalised units."""
    operator = upsampler.conditional.operator
    target = normalised_target(upsampler.standardiser, operator, y)
    guided, gaussian = upsampler.guide(upsampler.denoiser, operator, target), upsampler.conditional.given(target)
    levels = upsampler.noise_levels
    states = draw_path(guided, gaussian.mean.shape, levels, method=upsampler.method(gaussian), key=key)
    after = jnp.concatenate([levels[1:], levels[-1:]])
    denoised = jax.lax.map(lambda pair: guided(*pair), (states[:-1], after[:-1]))
    scale = jnp.sqrt(1 + jnp.concatenate([after[:-1], jnp.zeros(1)]) ** 2)[:, None, None]
    return np.asarray(states[:, 0] / scale), np.concatenate([np.asarray(denoised[:, 0]), np.asarray(states[-1:, 0])])


def _frame(y: Float[np.ndarray, "y x"], state: np.ndarray, denoised: np.ndarray, sigma: float) -> Figure:
    """T(y), the state, and what the network sees in it."""
    with style.context():
        figure = Figure(figsize=(6.6, 2.5), dpi=100, layout="constrained")
        shown: Sequence[tuple[str, np.ndarray, float]] = (
            ("T(y)", y, float(np.quantile(np.abs(y), 0.99))),
            (f"state, noise level {sigma:.2g}", state, 3.0),
            ("denoised", denoised, 3.0),
        )
        for axes, (title, image, limit) in zip(figure.subplots(1, 3), shown, strict=True):
            bare(axes).imshow(
                image, cmap=style.DIVERGING, norm=style.symmetric(limit), origin="lower", interpolation="nearest"
            )
            axes.set_title(title)
    return figure
