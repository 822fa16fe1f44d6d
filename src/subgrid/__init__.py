"""Subgrid: probabilistic downscaling of climate and CFD fields from unpaired archives.

    import jax, subgrid

    fine, coarse = subgrid.open_field("fine.nc"), subgrid.open_field("coarse.nc")
    operator = subgrid.Subsample((192,), 8)
    prior = subgrid.train(fine, folder="model", key=jax.random.key(0))
    debiaser = subgrid.fit_debiaser(coarse, fine, operator, key=jax.random.key(1))
    ensemble = subgrid.downscale(coarse, prior, debiaser, operator, n_members=16, key=jax.random.key(2))

Climate archives, with CF metadata, units, calendars and masks:

    model = subgrid.train_climate("fine.nc", "coarse.nc", ["tas"], folder="model", key=jax.random.key(0))
    ensemble = subgrid.downscale_climate("coarse_new.nc", model, n_members=16, key=jax.random.key(1))

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
