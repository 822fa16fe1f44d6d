from .calendars import (
    calendar_of as calendar_of,
    day_of_year_phase as day_of_year_phase,
    season_years as season_years,
    step_days as step_days,
)
from .inspection import (
    inspect as inspect,
)
from .open import (
    check_climate as check_climate,
    open_climate as open_climate,
    valid_mask as valid_mask,
)
from .quantities import (
    Described as Described,
    Quantity as Quantity,
    describe as describe,
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
from .unit_spellings import (
    Unit as Unit,
    UnknownUnit as UnknownUnit,
    parse_unit as parse_unit,
    same_unit as same_unit,
)
from .wanted import (
    Variable as Variable,
    wanted_variables as wanted_variables,
)
