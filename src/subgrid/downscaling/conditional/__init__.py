"""Models of p(x | C′x = y) trained for one C′ on free pairs (C′x, x): refinements of the Gaussian conditional."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
