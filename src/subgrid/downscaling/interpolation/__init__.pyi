from .cubic import (
    cubic_interpolation as cubic_interpolation,
)
from .linear import (
    Bilinear as Bilinear,
    bilinear as bilinear,
)
