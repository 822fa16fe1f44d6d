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

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from subgrid.data.cf.inspect import inspect
    from subgrid.data.cf.open import check_climate, open_climate
    from subgrid.data.fields import open_field
    from subgrid.downscaling.climate.model import downscale_climate, load_climate_model, train_climate
    from subgrid.downscaling.conditional.model import load_conditional
    from subgrid.downscaling.pipeline import downscale, fit_debiaser, train, train_conditional
    from subgrid.downscaling.prior.model import load_prior
    from subgrid.numerics.operators import BlockMean, SparseCoarsening, Subsample

__version__ = "0.1.0"

__all__ = [
    "BlockMean",
    "SparseCoarsening",
    "Subsample",
    "check_climate",
    "downscale",
    "downscale_climate",
    "fit_debiaser",
    "inspect",
    "load_climate_model",
    "load_conditional",
    "load_prior",
    "open_climate",
    "open_field",
    "train",
    "train_climate",
    "train_conditional",
]

_HOMES = {
    "BlockMean": "numerics.operators",
    "SparseCoarsening": "numerics.operators",
    "Subsample": "numerics.operators",
    "check_climate": "data.climate",
    "downscale": "downscaling.pipeline",
    "downscale_climate": "downscaling.climate_run",
    "fit_debiaser": "downscaling.pipeline",
    "inspect": "data.inspect",
    "load_climate_model": "downscaling.climate_run",
    "load_conditional": "downscaling.conditional.model",
    "load_prior": "downscaling.prior",
    "open_climate": "data.climate",
    "open_field": "data.fields",
    "train": "downscaling.pipeline",
    "train_climate": "downscaling.climate_run",
    "train_conditional": "downscaling.pipeline",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'subgrid' has no attribute {name!r}; it offers {', '.join(__all__)}.")
    value = globals()[name] = getattr(import_module(f"subgrid.{_HOMES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
