"""Power spectra of fields on a map: radial on a region, by spherical harmonics on the globe.

A region is not periodic, so a Fourier transform sees a jump at its edges that pollutes all small scales. The cosine
transform mirrors the field instead (Denis, Côté & Laprise 2002): no detrending, no window, Parseval kept. A mask is
filled with a zero anomaly, documented below: a masked spectrum is only fair beside another with the same mask.
"""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from scipy.fft import dctn

from subgrid.verification.dependence import EARTH_RADIUS
from subgrid.verification.masks import AnyFloat, Mask, restore_cells, select_cells


@dataclass(frozen=True)
class RadialSpectrum:
    """Variance in rings of wavenumber."""

    wavenumber: Float[np.ndarray, " ring"]
    """Waves per unit of length (the unit of the spacing)."""
    energy: Float[np.ndarray, "channel ring"]
    """E(k), mean over samples, in the unit of the fields squared."""


def radial_spectrum(
    fields: AnyFloat, spacing: tuple[float, float], *, mask: Mask | None = None, n_rings: int | None = None
) -> RadialSpectrum:
    """Energy in rings of wavenumber of fields on a regional, non-periodic grid, averaged over samples.

    With the orthonormal cosine transform F(m, n) of the anomaly from the mean over the mask,
    E(k) = ⟨ Σ_{rings} F(m, n)² ⟩ / cells, wavenumber √((m/(2 N_y Δy))² + (n/(2 N_x Δx))²). So Σ_k E(k) is the
    variance over the cells of the mask, exactly.

    Cells outside the mask are filled with a zero anomaly. The result is the spectrum of field × mask: the coast's own
    edge adds small-scale energy (as k⁻² for anomalies that do not vanish at it). It does so alike for two sets with one
    mask, hence ratios keep their meaning, while slopes do not: *mathematical*, as no spectrum of a partial map is free
    of it.

    Args:
        fields: axes "n channel y x", any unit.
        spacing: (Δy, Δx) in any unit of length; on a regular lat/lon grid `region_spacing`.
        mask: cells that count, axes (y, x); default all.
        n_rings: rings of equal width between 0 and the smaller Nyquist wavenumber, default half the shorter axis.

    Returns:
        Mean wavenumber of each ring and its energy, in the unit of the fields squared. What lies beyond the smaller
        Nyquist wavenumber goes into the last ring, so that Parseval holds.

    Raises:
        ValueError: other axes, a spacing ≤ 0, or as `masks.select_cells`.

    References:
        Denis, Côté & Laprise (2002), doi:10.1175/1520-0493(2002)130<1812:SDOTDA>2.0.CO;2.

    Examples:
        >>> fields = np.random.default_rng(0).normal(size=(100, 1, 32, 32))
        >>> radial_spectrum(fields, (50.0, 50.0)).energy.sum()  # about 1
    """
    if fields.ndim != 4 or min(fields.shape[2:]) < 4:
        raise ValueError(f'fields need axes "n channel y x" and 4 points an axis, got shape {fields.shape}.')
    if min(spacing) <= 0:
        raise ValueError(f"spacing must be positive, got {spacing}.")
    mask = np.ones(fields.shape[2:], bool) if mask is None else mask
    cells = np.asarray(select_cells(fields, mask), np.float64)
    filled = np.nan_to_num(restore_cells(cells - cells.mean(axis=-1, keepdims=True), mask))
    coefficients = np.asarray(dctn(filled.astype(np.float64), axes=(-2, -1), norm="ortho"))
    energy = (coefficients**2).mean(axis=0) / mask.sum()
    ring, wavenumber = _rings(mask.shape, spacing, n_rings or min(mask.shape) // 2)
    # The first coefficient is the mean, zero by construction.
    per_ring = [np.bincount(ring, weights=channel.ravel()[1:]) for channel in energy]
    return RadialSpectrum(wavenumber, np.stack(per_ring).astype(np.float32))


def _rings(
    shape: tuple[int, ...], spacing: tuple[float, float], n_rings: int
) -> tuple[Int[np.ndarray, " coefficient"], Float[np.ndarray, " ring"]]:
    """Ring of each coefficient but the first (the mean), and the mean wavenumber of the rings."""
    axes = [np.arange(n) / (2 * n * step) for n, step in zip(shape, spacing, strict=True)]
    k = np.hypot(*np.meshgrid(*axes, indexing="ij")).ravel()[1:]
    nyquist = 1 / (2 * max(spacing))
    ring = np.minimum((k / nyquist * n_rings).astype(int), n_rings - 1)
    occupied, ring = np.unique(ring, return_inverse=True)  # a narrow first ring may be empty
    mean = np.bincount(ring, weights=k) / np.bincount(ring)
    return ring, mean[: occupied.size].astype(np.float32)


def region_spacing(lat: Float[np.ndarray, " lat"], lon: Float[np.ndarray, " lon"]) -> tuple[float, float]:
    """(Δy, Δx) in km of a regular lat/lon region taken as a plane, Δx at its middle latitude.

    A region of 10 degrees around 40° N stretches by ±7 % in x, *merely convenient*: equal for all sets compared.

    Args:
        lat: regular latitudes, degrees.
        lon: regular longitudes, degrees.

    Returns:
        Kilometres, positive.

    Raises:
        ValueError: fewer than two points an axis, or uneven steps.

    Examples:
        >>> region_spacing(np.arange(35.25, 45, 0.5), np.arange(-9.75, 5, 0.5))  # (55.6, 42.6)
    """
    for name, axis in (("lat", lat), ("lon", lon)):
        if axis.size < 2 or not np.allclose(np.diff(axis), axis[1] - axis[0], rtol=1e-2):
            raise ValueError(f"{name} must have at least 2 points and even steps for a spectrum; regrid first.")
    degree = np.radians(1.0) * EARTH_RADIUS
    narrowing = np.cos(np.radians(lat.mean()))
    return float(degree * abs(lat[1] - lat[0])), float(degree * narrowing * abs(lon[1] - lon[0]))


def spherical_spectrum(fields: AnyFloat, lat: Float[np.ndarray, " lat"]) -> Float[np.ndarray, "channel degree"]:
    """Variance per degree ℓ of global fields, averaged over samples: E(ℓ) = ⟨ Σ_m |a_ℓm|² ⟩, ℓ = 0 … L.

    Harmonics are normalised to unit mean square over the sphere, so Σ_{ℓ≥1} E(ℓ) is the area-weighted variance of a
    field with no power beyond L. Integrals over latitude use the weights that make the grid's own quadrature exact for
    polynomials in sin φ (Gauss's, Fejér's or Clenshaw–Curtis's as the latitudes suit), so coefficients of fields
    within L = (n_lat − 1)//2 are exact.

    Args:
        fields: axes "n channel lat lon", any unit; longitudes regular and all the way round, latitudes any set of
            distinct parallels from pole to pole, with enough longitudes: n_lon > 2L.
        lat: the latitudes, degrees.

    Returns:
        Energy in the unit of the fields squared, for ℓ = 0 … L.

    Raises:
        ValueError: axes or latitudes that do not match, latitudes that do not span the globe, or NaN.

    References:
        Boer & Shepherd (1983), doi:10.1175/1520-0469(1983)040<0164:LSTDTI>2.0.CO;2; quadrature: Trefethen (2008),
        doi:10.1137/060659831; recurrence: Holmes & Featherstone (2002), doi:10.1007/s00190-002-0216-2.

    Examples:
        >>> lat = np.arange(-88.0, 90.0, 4.0)
        >>> zonal = np.broadcast_to(np.sin(np.radians(lat))[:, None], (1, 1, 45, 90))
        >>> spherical_spectrum(zonal, lat)[0, :3]  # 0, 1/3, 0: all at degree 1
    """
    if fields.ndim != 4 or fields.shape[2] != lat.size:
        raise ValueError(f'fields need axes "n channel lat lon" with {lat.size} latitudes, got shape {fields.shape}.')
    if np.diff(np.sort(np.abs(lat)))[-1] > 20 or np.abs(lat).max() < 70 or np.ptp(lat) < 140:
        raise ValueError(
            f"latitudes {lat.min()} … {lat.max()} do not span the globe; use radial_spectrum for a region."
        )
    values = np.asarray(select_cells(fields, np.ones(fields.shape[2:], bool)), np.float64).reshape(fields.shape)
    top = min((lat.size - 1) // 2, (fields.shape[3] - 1) // 2)
    sine = np.sin(np.radians(np.asarray(lat, np.float64)))
    waves = np.fft.rfft(values, axis=-1, norm="forward")[..., : top + 1]
    basis = legendre_functions(top, sine) * _quadrature_weights(sine) / 2
    coefficients = np.einsum("mlj,ncjm->nclm", basis, waves)
    multiplicity = np.where(np.arange(top + 1) == 0, 1, 2)  # m and −m of a real field
    return np.mean(np.sum(multiplicity * np.abs(coefficients) ** 2, axis=-1), axis=0).astype(np.float32)


def _quadrature_weights(nodes: Float[np.ndarray, " node"]) -> Float[np.ndarray, " node"]:
    """Weights on [−1, 1], exact for polynomials of degree below the number of nodes: Σ_j w_j P_l(x_j) = 2 δ_l0."""
    vandermonde = np.polynomial.legendre.legvander(nodes, nodes.size - 1).T
    moments = np.zeros(nodes.size)
    moments[0] = 2.0
    return np.linalg.solve(vandermonde, moments)


def legendre_functions(top: int, sine: Float[np.ndarray, " lat"]) -> Float[np.ndarray, "order degree lat"]:
    """Associated Legendre functions P̄_lm(sin φ) with ½ ∫ P̄² d(sin φ) = 1, zero for l < m.

    P̄_mm = √((2m+1)/(2m)) cos φ P̄_{m−1,m−1}, P̄_lm = √((4l²−1)/(l²−m²)) (sin φ P̄_{l−1,m} − b P̄_{l−2,m}) with
    b = √(((l−1)²−m²)/(4(l−1)²−1)); P̄₀₀ = 1. Stable in float64 up to degrees of some hundred.

    Args:
        top: largest degree.
        sine: sin φ in [−1, 1].

    Returns:
        Values indexed [m, l, latitude].

    Raises:
        ValueError: a negative degree.

    References:
        Holmes & Featherstone (2002), Eq. 11, doi:10.1007/s00190-002-0216-2 (here the mean square is 1 for every m).

    Examples:
        >>> legendre_functions(1, np.array([0.5]))[0, 1]  # √3 · 0.5
    """
    if top < 0:
        raise ValueError(f"the largest degree must not be negative, got {top}.")
    p = np.zeros((top + 1, top + 1, sine.size))
    p[0, 0] = 1.0
    cosine = np.sqrt(1 - sine**2)
    for m in range(1, top + 1):
        p[m, m] = np.sqrt((2 * m + 1) / (2 * m)) * cosine * p[m - 1, m - 1]
    for degree in range(1, top + 1):
        m = np.arange(degree)[:, None]
        a = np.sqrt((4 * degree**2 - 1) / (degree**2 - m**2))
        b = np.sqrt(np.maximum((degree - 1) ** 2 - m**2, 0) / max(4 * (degree - 1) ** 2 - 1, 1))
        earlier = p[:degree, degree - 2] if degree > 1 else 0.0
        p[:degree, degree] = a * (sine * p[:degree, degree - 1] - b * earlier)
    return p


def spectral_log_ratio(pred: RadialSpectrum, ref: RadialSpectrum) -> Float[Array, " channel"]:
    """Mean over rings of |ln(E_pred/E_ref)| of every channel: how far two spectra of one grid and mask lie apart.

    Args:
        pred: spectrum to evaluate.
        ref: reference.

    Returns:
        Dimensionless, 2 |ln a| if pred is a × ref.

    Raises:
        ValueError: spectra on different rings.

    References:
        Wan et al. (2023), arXiv:2305.15618 (MELR, unweighted).

    Examples:
        >>> spectral_log_ratio(radial_spectrum(2 * x, (1.0, 1.0)), radial_spectrum(x, (1.0, 1.0)))  # 2 ln 2
    """
    if pred.energy.shape != ref.energy.shape or not np.allclose(pred.wavenumber, ref.wavenumber):
        raise ValueError("the two spectra have different rings; compute both on one grid with one mask.")
    return jnp.mean(jnp.abs(jnp.log(pred.energy) - jnp.log(ref.energy)), axis=1)
