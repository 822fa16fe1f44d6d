"""What is in files, whether two archives fit together, and what to change if not."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
