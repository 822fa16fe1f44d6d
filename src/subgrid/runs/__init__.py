"""What every experiment shares: configuration, stages, records, random streams, score tables, pages, publishing.

An experiment says what it makes and from what (`Experiment`, `Stage`). Order, skipping, resuming, refusing, timing,
progress, locking, reporting and publishing are written here, once.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
