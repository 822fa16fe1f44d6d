from .alignment import (
    check_aligned as check_aligned,
)
from .cells import (
    grid_of as grid_of,
)
from .pooling import (
    ClimateField as ClimateField,
    file_of as file_of,
    member_label as member_label,
    member_labels as member_labels,
    pool as pool,
)
from .regrid import (
    Regridding as Regridding,
    conservative_coarsening as conservative_coarsening,
)
