"""The kinds of experiments, each a folder of its own; none knows another.

A new kind is a folder with an `EXPERIMENT` and one line here. Another package adds one by the same line:

    subgrid.experiments.KINDS["rain"] = Kind("my_package.rain", "Rain gauges to radar.")
"""

from subgrid.runs.kinds import Kind

DEFAULT = "data"
"""The kind of the demo, and of files that leave its own table out."""
KINDS: dict[str, Kind] = {
    "data": Kind("subgrid.experiments.downscale", "Downscale fields from two archives, or simulated ones."),
    "climate": Kind("subgrid.experiments.climate", "Downscale CF archives: units, calendars, masks, change, maps."),
    "turbulence": Kind("subgrid.experiments.moist_turbulence", "Bridges and flows between two turbulence models."),
    "toy": Kind("subgrid.experiments.toy_2d", "Transports between sets of points in the plane, as published."),
    "gaussian_bridge": Kind("subgrid.experiments.gaussian_bridge", "A bridge between Gaussians and its closed form."),
    "gallery": Kind("subgrid.experiments.gallery", "From noise to a set of points, four ways, animated."),
    "navier_stokes": Kind(
        "subgrid.experiments.navier_stokes", "Kolmogorov flow: all methods and baselines, one table."
    ),
    "functions": Kind(
        "subgrid.experiments.function_space", "Models of functions, sampled on finer grids than trained."
    ),
    "sampler_errors": Kind("subgrid.experiments.sampler_errors", "What samplers cost in accuracy; no network."),
}
"""By the table that names each in a configuration file."""
