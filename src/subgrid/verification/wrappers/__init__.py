"""The metrics on xarray: dimensions by name, coordinates kept."""
