"""Pictures of ensembles, a line each: axes in, axes out.

subgrid.plot.members(ensemble)
subgrid.plot.score_map(scores)
subgrid.plot.reliability(ensemble, reference)
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    "subgrid.report", submod_attrs={"plots": ["members", "reliability", "score_map"]}
)
