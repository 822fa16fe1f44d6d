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
from .objective import (
    operator_loss as operator_loss,
    square_floor as square_floor,
    square_loss as square_loss,
    weighted_floor as weighted_floor,
    weighted_loss as weighted_loss,
)
from .operators import (
    DenoisedForm as DenoisedForm,
    NoiseForm as NoiseForm,
    denoised_form as denoised_form,
    gaussian_operator as gaussian_operator,
    mixture_operator as mixture_operator,
    noise_form as noise_form,
    noisy_variances as noisy_variances,
    posterior_variances as posterior_variances,
    responsibilities as responsibilities,
    shrinkage as shrinkage,
)
from .preconditioning import (
    BandNetwork as BandNetwork,
    ModewiseOperator as ModewiseOperator,
    PointwiseOperator as PointwiseOperator,
)
from .smoothing import (
    heat_factors as heat_factors,
    sharpen as sharpen,
    smooth as smooth,
)
