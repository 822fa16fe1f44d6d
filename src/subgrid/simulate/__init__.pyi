from . import (
    forced_vorticity as forced_vorticity,
    gaussian_mixture_fields as gaussian_mixture_fields,
    kuramoto_sivashinsky as kuramoto_sivashinsky,
    moist_turbulence as moist_turbulence,
    toy_2d as toy_2d,
)
