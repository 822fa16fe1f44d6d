"""Is the answer right? Distances between sets of samples, spectra, ensemble scores, and their xarray face."""
