from . import plot as plot
from .data.canonical import check_climate as check_climate, open_climate as open_climate
from .data.fields import open_field as open_field
from .data.front import open as open
from .data.inspection.inspection import inspect as inspect
from .downscaling.model.fit import fit as fit
from .downscaling.model.folder import load as load
from .downscaling.verifying.verify import verify as verify
from .execution.ensembles import downscale as downscale
from .numerics.operators import BlockMean as BlockMean, SparseCoarsening as SparseCoarsening, Subsample as Subsample

__version__: str
