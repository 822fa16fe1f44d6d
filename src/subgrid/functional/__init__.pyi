from .admissibility import (
    NoiseCheck as NoiseCheck,
    check_noise as check_noise,
    octaves as octaves,
    partial_sums as partial_sums,
    require_right_noise as require_right_noise,
)
from .borders import (
    border_steps as border_steps,
    require_periodic as require_periodic,
)
from .gaussian_field import (
    GaussianField as GaussianField,
    as_gain as as_gain,
    field_of as field_of,
    fit_gaussian_field as fit_gaussian_field,
    white_field as white_field,
)
from .smoothing import (
    heat_factors as heat_factors,
    sharpen as sharpen,
    smooth as smooth,
)
