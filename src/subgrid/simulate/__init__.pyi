from . import kuramoto_sivashinsky as kuramoto_sivashinsky, moist_turbulence as moist_turbulence, toy_2d as toy_2d
