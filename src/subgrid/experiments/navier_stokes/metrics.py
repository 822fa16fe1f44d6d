"""Metrics of two-dimensional flow, each of one set of fields against the reference."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from subgrid.verification.enstrophy_flux import enstrophy_flux
from subgrid.verification.mean_profile import profile_amplitude, profile_anomalies
from subgrid.verification.tails import tail_ratio

ABOUT_FLOWS = {
    "tails": "the size that one value of ω − E[ω] in a thousand exceeds, over that of the reference",
    "flux": "root mean square error of the enstrophy flux, over the largest of the reference",
    "profile": "amplitude of the mean profile a cos(k_f y), over that of the reference",
    "nearest": "root mean square distance to the nearest training field, relative: 0 of copies",
    "source": "distance of T(y) from its own y, √(2 − 2ρ) with ρ the pattern correlation: 0 of the same pattern, 1.41 "
    "of unrelated ones",
}


def flow_scores(
    fields: Float[np.ndarray, "n 1 y x"], reference: Float[np.ndarray, "m 1 y x"], wavenumber: int
) -> dict[str, float]:
    """Tails, enstrophy flux and mean profile."""
    a, b = jnp.asarray(fields), jnp.asarray(reference)
    # Squared in double precision: fluxes are cubic in ω, and those of a flow at 1e8 pass the range of single.
    flux, wanted = (np.asarray(enstrophy_flux(each)[0], np.float64) for each in (a, b))
    amplitudes = [float(profile_amplitude(each, wavenumber)[0]) for each in (a, b)]
    return {
        "tails": tail_ratio(profile_anomalies(a), profile_anomalies(b)),
        "flux": float(np.sqrt(np.mean((flux - wanted) ** 2)) / np.max(np.abs(wanted))),
        "profile": amplitudes[0] / amplitudes[1],
    }
