from .alignment import (
    check_aligned as check_aligned,
)
from .cells import (
    grid_of as grid_of,
)
from .regrid import (
    Regridding as Regridding,
    conservative_coarsening as conservative_coarsening,
)
