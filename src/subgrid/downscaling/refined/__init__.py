"""A Gaussian prior of anomalies, chosen by what is left out, that a network may refine."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
