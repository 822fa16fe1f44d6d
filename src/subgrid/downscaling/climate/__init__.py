"""Climate archives: domain, anomalies, prior, the fitted model and its ensembles."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
