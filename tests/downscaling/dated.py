"""Tiny models of climate archives, fitted and used by the library's own two calls."""

from pathlib import Path

import jax
import xarray as xr

import subgrid
from subgrid.downscaling.model.model import Model

from .climate_pair import COARSE, FINE, TINY, temperature, with_sea

OPTIONS = {"n_components": (5, 10), "debias_options": {"n_quantiles": 20}, "n_levels": 4, **TINY}


def fit(folder: Path, fine=None, coarse=None, variables=("tas",), **options) -> Model:
    """Of the pair of `climate_pair`, unless others are given."""
    fine = with_sea(temperature(FINE, seed=1)) if fine is None else fine
    coarse = temperature(COARSE, seed=2, bias=2.0) if coarse is None else coarse
    given = {"folder": folder, "progress": False, "key": jax.random.key(0), **OPTIONS}
    return subgrid.fit(fine, coarse, list(variables), **given | options)


def downscale(coarse, model, **options) -> xr.Dataset:
    """Three members, of the climate of the fit."""
    given = {"n_members": 3, "n_levels": 4, "change": "none", "progress": False, "key": jax.random.key(1)}
    return subgrid.downscale(coarse, model, **given | options)
