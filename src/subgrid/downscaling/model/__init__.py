"""A fitted model: how coarse fields are prepared and debiased, how fine ones are drawn, and the way back to files."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
