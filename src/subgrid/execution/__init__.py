"""Sampling at any size: pure work items, the Zarr store they fill, and the runners that share them out."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
