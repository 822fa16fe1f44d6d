from .inspection import (
    inspect as inspect,
)
from .reports import (
    FileReport as FileReport,
    Fit as Fit,
    Inspection as Inspection,
    VariableReport as VariableReport,
)
from .together import (
    GridSummary as GridSummary,
    check_together as check_together,
)
