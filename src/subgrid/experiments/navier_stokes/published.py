"""The table of Wan et al. (2023) for Kolmogorov flow on 256 x 256 points, beside which ours stands.

It has two factors, 8 and 16. At another size ours up to 4 stand beside the first, all larger ones beside the second.

    Wan et al. (2023), arXiv:2305.15618
"""

from subgrid.experiments.navier_stokes.config import NavierStokesConfig

PUBLISHED_POINTS = 256
"""A side of the published fine grid."""
LARGEST_BESIDE_8 = 4
"""At another size: the greatest of our factors that stands beside the published 8."""
RAW: dict[int, dict[str, float]] = {
    8: {"covRMSE": 0.458, "MELRu": 1.254, "MELRw": 0.196, "KLD": 29.30},
    16: {"covRMSE": 0.477, "MELRu": 0.600, "MELRw": 0.200, "KLD": 12.26},
}
"""Raw coarse fields against coarsened fine ones."""
DEBIASED: dict[int, dict[str, float]] = {
    8: {"covRMSE": 0.083, "MELRu": 0.013, "MELRw": 0.026, "KLD": 0.033},
    16: {"covRMSE": 0.079, "MELRu": 0.016, "MELRw": 0.025, "KLD": 0.017},
}
"""By entropic transport."""
METHODS: dict[str, dict[int, dict[str, float]]] = {
    "entropic-ot+guided": {
        8: {"constraint RMSE": 0.001, "variability": 0.36, "MELRu": 0.06, "MELRw": 0.02, "KLD": 1.40},
        16: {"constraint RMSE": 0.001, "variability": 1.56, "MELRu": 0.05, "MELRw": 0.02, "KLD": 0.83},
    },
    "none+guided": {
        8: {"MELRu": 0.79, "MELRw": 0.37, "KLD": 73.16},
        16: {"MELRu": 0.54, "MELRw": 0.30, "KLD": 93.87},
    },
    "entropic-ot+cubic": {
        8: {"MELRu": 0.52, "MELRw": 0.06, "KLD": 1.46},
        16: {"MELRu": 0.55, "MELRw": 0.13, "KLD": 7.30},
    },
    "entropic-ot+vision-transformer": {
        8: {"MELRu": 0.38, "MELRw": 0.18, "KLD": 1.72},
        16: {"MELRu": 1.38, "MELRw": 0.09, "KLD": 1.67},
    },
    "cycle-gan": {
        8: {"MELRu": 0.08, "MELRw": 0.05, "KLD": 1.62},
        16: {"MELRu": 1.14, "MELRw": 0.28, "KLD": 2.05},
    },
}
"""Fine fields by method."""


def published_factor(config: NavierStokesConfig, factor: int) -> int:
    """The published factor that one of ours is compared with, whatever else the run asks for."""
    if factor in RAW and config.navier_stokes.n_fine == PUBLISHED_POINTS:
        return factor
    return 8 if factor <= LARGEST_BESIDE_8 else 16
