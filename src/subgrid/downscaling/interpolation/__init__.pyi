from .cubic import (
    cubic_interpolation as cubic_interpolation,
    fine_positions as fine_positions,
    keys_weights as keys_weights,
    linear_weights as linear_weights,
)
from .linear import (
    Bilinear as Bilinear,
    bilinear as bilinear,
)
