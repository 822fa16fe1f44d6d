"""Is the answer right? Distances between sets of samples, spectra, ensemble scores, and their xarray wrappers."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
