"""Pure mathematics, nothing learned: coarsening operators, modes and spectra of boxes, Fourier tools."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
