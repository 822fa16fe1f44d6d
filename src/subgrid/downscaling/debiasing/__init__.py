"""From the distribution of coarse fields to that of coarsened fine fields; which method and how strongly."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
