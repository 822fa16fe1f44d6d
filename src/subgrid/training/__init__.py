"""Training: one plain `fit`, an unbiased average of the weights, checkpoints that resume to the same bits."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

from subgrid.training.progress import progress as progress  # noqa: E402  at once: else the file takes the name
