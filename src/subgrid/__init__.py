"""Subgrid: probabilistic downscaling of climate and CFD fields from unpaired archives.

    import jax, subgrid

    model = subgrid.fit("fine.nc", "coarse.nc", folder="model", key=jax.random.key(0))
    ensemble = subgrid.downscale("coarse_new.nc", model, n_members=16, key=jax.random.key(1))
    print(subgrid.verify(ensemble, "fine_new.nc"))
    subgrid.plot.members(ensemble)

The same calls take climate archives, with units, calendars, masks and members, and plain arrays.

These names are loaded when first used, so that `import subgrid` itself imports neither jax nor xarray.
"""

from typing import Any

import lazy_loader

_lazily, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    try:
        return _lazily(name)
    except AttributeError:
        raise AttributeError(f"module 'subgrid' has no attribute {name!r}; it offers {', '.join(__all__)}.") from None
