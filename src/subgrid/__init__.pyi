from .data.canonical import check_climate as check_climate, open_climate as open_climate
from .data.fields import open_field as open_field
from .data.inspection.inspection import inspect as inspect
from .downscaling.climate.model import (
    downscale_climate as downscale_climate,
    load_climate_model as load_climate_model,
    train_climate as train_climate,
)
from .downscaling.conditional.model import load_conditional as load_conditional
from .downscaling.pipeline import (
    downscale as downscale,
    fit_debiaser as fit_debiaser,
    train as train,
    train_conditional as train_conditional,
)
from .downscaling.prior.model import load_prior as load_prior
from .numerics.operators import BlockMean as BlockMean, SparseCoarsening as SparseCoarsening, Subsample as Subsample

__version__: str
