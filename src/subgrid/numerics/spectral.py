"""Periodic fields to more points and to fewer waves, exactly, by the fast Fourier transform."""

import numpy as np
from jaxtyping import Float


def refine(fields: Float[np.ndarray, "*lead m m"], n_points: int) -> Float[np.ndarray, "*lead n n"]:
    """The field of n_points a side with the same waves and no others: Fourier interpolation.

    What nearest-neighbour upsampling and a low-pass at the coarse cut-off aim at. Those two also damp the waves that
    they keep, by a factor near sinc(kx/m) sinc(ky/m), and shift the field by half a coarse cell less half a fine one; a
    field without waves at the coarse Nyquist wavenumber, as a dealiased one is, needs neither.

    **Arguments:** `fields`, periodic along the last two axes; `n_points`, at least m.

    **Returns:** float32. **Raises:** `ValueError` for fewer points.

        refine(coarse, 128)[..., ::4, ::4]  # coarse again
    """
    m = fields.shape[-1]
    if n_points < m:
        raise ValueError(f"n_points must be at least the {m} that the fields have, got {n_points}.")
    half = (m + 1) // 2  # wavenumbers below the Nyquist one, of which even sizes have a half on either side
    modes = np.fft.rfft2(fields, norm="forward")
    wide = np.zeros((*fields.shape[:-2], n_points, n_points // 2 + 1), complex)
    wide[..., :half, :half] = modes[..., :half, :half]
    wide[..., n_points - half + 1 :, :half] = modes[..., m - half + 1 :, :half]
    return np.fft.irfft2(wide, s=(n_points, n_points), norm="forward").astype(np.float32)


def low_pass(fields: Float[np.ndarray, "*lead n n"], wavenumber: float | int) -> Float[np.ndarray, "*lead n n"]:
    """The part of periodic fields with |κ| ≤ wavenumber, in float32.

    low_pass(fine, 8)
    """
    n = fields.shape[-1]
    kept = np.hypot(np.fft.fftfreq(n, 1 / n)[:, None], np.fft.rfftfreq(n, 1 / n)) <= wavenumber
    modes = np.fft.rfft2(fields, norm="forward") * kept
    return np.fft.irfft2(modes, s=(n, n), norm="forward").astype(np.float32)
