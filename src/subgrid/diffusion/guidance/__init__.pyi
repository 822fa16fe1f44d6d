from .gaussian import (
    Innovations as Innovations,
    gaussian_gain as gaussian_gain,
    innovations as innovations,
)
from .known_values import (
    inpainting as inpainting,
)
from .moments import (
    moment_matching as moment_matching,
    safeguarded_conjugate_gradient as safeguarded_conjugate_gradient,
    solve_residual as solve_residual,
)
from .projected import (
    projection as projection,
)
