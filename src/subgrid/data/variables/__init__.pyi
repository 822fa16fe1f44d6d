from .quantities import (
    Described as Described,
    Quantity as Quantity,
    describe as describe,
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
