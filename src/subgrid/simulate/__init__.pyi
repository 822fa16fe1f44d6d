from . import (
    forced_vorticity as forced_vorticity,
    gaussian_mixture_fields as gaussian_mixture_fields,
    kolmogorov_flow as kolmogorov_flow,
    kuramoto_sivashinsky as kuramoto_sivashinsky,
    moist_turbulence as moist_turbulence,
    snapshots as snapshots,
    staggered as staggered,
    toy_2d as toy_2d,
)
