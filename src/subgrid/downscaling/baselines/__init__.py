"""Published methods that results stand beside: from raw coarse fields to fine ones, without the factorisation."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
