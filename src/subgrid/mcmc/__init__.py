"""Markov chain Monte Carlo kernels that need nothing but a score."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
