"""Is this noise right for these data? The sums that decide it, and a sentence.

    Cameron–Martin:    Σ λ₁/λ₂ < ∞       samples of the data lie in H_C, the space along which N(0, C) may be shifted;
    Feldman–Hájek:     Σ (λ₁/λ₂)² < ∞    Gaussian data with this noise, and the noise alone, are equivalent measures,

λ₁ of the data, λ₂ of the noise. For powers of the Laplacian the first means α₁ − α₂ > d/2, data smoother than noise by
more than d/2, the second α₁ − α₂ > d/4. Where the first fails, the score of the noisy data is no function on samples of
another resolution. Of measured spectra a sum is taken to settle where its last octave of waves adds clearly less than
the octave before.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from subgrid.functional.gaussian_field import GaussianField
from subgrid.functional.smoothing import heat_factors
from subgrid.numerics.modes import Box
from subgrid.numerics.spectra import MeasuredSpectrum, PowerLaw
from subgrid.types import Spatial

SETTLED = 0.95
"""The ratio of the last two octaves below which a sum settles; that of a sum that diverges like the logarithm is 1."""
MIN_OCTAVES = 3
Verdict = Literal["right", "too smooth", "no variance"]


@dataclass(frozen=True)
class NoiseCheck:
    """Whether a noise is right for data, and why.

    Args:
        verdict: "right", "too smooth", or "no variance" where the data vary in a mode that the noise leaves out.
        waves: of the longest side, up to which the sums go: octaves, the last being all that the grid holds.
        cameron_martin: Σ λ₁/λ₂ over modes up to each, without the mean.
        feldman_hajek: Σ (λ₁/λ₂)² likewise.
        sentence: the answer in words, with the sums.
    """

    verdict: Verdict
    waves: Float[np.ndarray, " band"]
    cameron_martin: Float[np.ndarray, " band"]
    feldman_hajek: Float[np.ndarray, " band"]
    sentence: str

    @property
    def right(self) -> bool:
        """Whether the Cameron–Martin sum settles."""
        return self.verdict == "right"


def check_noise(data: GaussianField, noise: GaussianField, shape: Spatial, *, smoothing: float = 0.0) -> NoiseCheck:
    """Whether noise suits data, by the sums of Cameron–Martin and Feldman–Hájek.

    Args:
        data: of given or measured spectrum (`fit_gaussian_field`).
        noise: on the same box.
        shape: of the grid whose modes are summed.
        smoothing: σ of a smoothing of the data by the heat equation, in length², default none.

    Returns:
        The sums and a sentence.

    Raises:
        ValueError: for two boxes, or a grid too small for three octaves of waves.

    Examples:
        >>> check_noise(GaussianField(2.0, 5.0), GaussianField(1.6, 5.0), (4000,)).sentence
        >>> check_noise(fit_gaussian_field(fields), noise, (64,)).right
    """
    if data.box != noise.box:
        raise ValueError(f"data and noise must live on one box, got {data.box} and {noise.box}.")
    shape = data.box.require_shape(shape)
    ratios, waves = _ratios(data, noise, shape, smoothing), octaves(data.box, shape)
    sums, squares = (partial_sums(values, data.box, shape, waves) for values in (ratios, ratios**2))
    if len(waves) < MIN_OCTAVES:
        raise ValueError(
            f"a grid of {shape} points holds less than {MIN_OCTAVES} octaves of waves; sum over a finer one."
        )
    settles = _settles(data, noise, sums, smoothing, order=2)
    verdict: Verdict = "no variance" if not np.isfinite(sums[-1]) else "right" if settles else "too smooth"
    equivalent = _settles(data, noise, squares, smoothing, order=4)
    sentence = _sentence(verdict, equivalent, waves, sums, squares, _remedy(data, noise))
    return NoiseCheck(verdict, waves, sums, squares, sentence)


def require_right_noise(data: GaussianField, noise: GaussianField, shape: Spatial, *, smoothing: float = 0.0) -> None:
    """Passes if the noise is right for the data, or the grid holds too few octaves of waves to tell.

    Args:
        data: of given or measured spectrum.
        noise: on the same box.
        shape: of the grid whose modes are summed.
        smoothing: σ of a smoothing of the data by the heat equation, default none.

    Raises:
        ValueError: with the sentence of `check_noise`, which shows the sums.
    """
    if len(octaves(data.box, shape)) < MIN_OCTAVES:
        return
    check = check_noise(data, noise, shape, smoothing=smoothing)
    if not check.right:
        raise ValueError(check.sentence)


def partial_sums(
    values: Float[np.ndarray, "..."], box: Box, shape: Spatial, waves: Float[np.ndarray, " band"]
) -> Float[np.ndarray, " band"]:
    """Σ r_k over the modes up to each number of waves, both signs of a wave, without the mean.

    Args:
        values: r of the stored modes.
        box: of the modes.
        shape: of their grid.
        waves: of the longest side.

    Returns:
        The sums.

    Examples:
        >>> partial_sums(ratios, box, shape, octaves(box, shape))
    """
    kappa, weights = np.sqrt(box.squared_wavenumbers(shape)) / _first_wave(box), box.weights(shape)
    within = [(kappa > 0) & (kappa <= edge * (1 + 1e-9)) & (weights > 0) for edge in waves]
    return np.array([np.sum(weights * np.where(each, values, 0.0)) for each in within])


def octaves(box: Box, shape: Spatial) -> Float[np.ndarray, " band"]:
    """The last wave that a grid holds along every axis, its half, its quarter, … down to the first octave.

    Args:
        box: of the modes.
        shape: of the grid.

    Returns:
        Numbers of waves of the longest side, ascending.
    """
    last = np.sqrt(box.largest_wavenumber(shape)) / _first_wave(box)
    return last / 2.0 ** np.arange(int(np.log2(max(last, 1))), -1, -1)


def _first_wave(box: Box) -> float:
    return (2 if box.boundary == "periodic" else 1) * np.pi / max(box.length)


def _ratios(data: GaussianField, noise: GaussianField, shape: Spatial, smoothing: float) -> np.ndarray:
    first = data.mode_variances(shape) * heat_factors(data.box, shape, smoothing) ** 2
    second = np.broadcast_to(noise.mode_variances(shape), first.shape)
    return np.where(first > 0, np.where(second > 0, first / np.where(second > 0, second, 1.0), np.inf), 0.0)


def _settles(data: GaussianField, noise: GaussianField, sums: np.ndarray, smoothing: float, *, order: int) -> bool:
    """By exponents where both are power laws (α₁ − α₂ > d/order), else by the last two octaves."""
    laws = data.spectrum, noise.spectrum
    if smoothing == 0 and isinstance(laws[0], PowerLaw) and isinstance(laws[1], PowerLaw):
        return laws[0].alpha - laws[1].alpha > data.box.n_space / order
    return bool(np.isfinite(sums[-1]) and sums[-1] - sums[-2] <= SETTLED * (sums[-2] - sums[-3]))


def _remedy(data: GaussianField, noise: GaussianField) -> str:
    """Which exponent of the noise would do, or that none does."""
    d, spectrum = data.box.n_space, data.spectrum
    if isinstance(spectrum, PowerLaw):
        alpha = spectrum.alpha
    elif isinstance(spectrum, MeasuredSpectrum):
        alpha = float(np.min(spectrum.exponents)) / 2
    else:
        alpha = 0.0
    most = alpha - d / 2
    if most > d / 2:
        return f"choose alpha between {d / 2:g} and {most:.3g} for the noise"
    return (
        "no noise that is a function is rough enough for them; smooth the data (smoothing), or match flows, not scores"
    )


def _sentence(
    verdict: Verdict, equivalent: bool, waves: np.ndarray, sums: np.ndarray, squares: np.ndarray, remedy: str
) -> str:
    shown = lambda values: ", ".join(f"{value:.4g}" for value in values[-3:])  # noqa: E731
    numbers = f"the sum of λ₁/λ₂ up to {shown(waves)} waves is {shown(sums)}"
    if verdict == "no variance":
        return f"The noise has no variance in modes where the data vary: {numbers}; draw noise in every mode."
    if verdict == "right":
        return f"The noise is right for these data: {numbers}, and settles (Cameron–Martin)."
    also = (
        f"though the squares, {shown(squares)}, settle and Gaussians of these spectra are equivalent (Feldman–Hájek)"
        if equivalent
        else f"and so do the squares, {shown(squares)} (Feldman–Hájek)"
    )
    return f"The noise is too smooth for these data: {numbers}, and grows (Cameron–Martin), {also}; {remedy}."
