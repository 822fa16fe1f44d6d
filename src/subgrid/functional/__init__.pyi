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
from .couplings import (
    CameronMartinTransport as CameronMartinTransport,
    choose_transport as choose_transport,
)
from .distances import (
    gaussian_wasserstein_2 as gaussian_wasserstein_2,
)
from .flow import (
    ModewiseVelocity as ModewiseVelocity,
    PointwiseVelocity as PointwiseVelocity,
    Solved as Solved,
    denoised_of_velocity as denoised_of_velocity,
    flow_loss as flow_loss,
    gaussian_flow_velocity as gaussian_flow_velocity,
    path_variances as path_variances,
    solve_adaptively as solve_adaptively,
)
from .function_diffusion import (
    FunctionDiffusion as FunctionDiffusion,
)
from .function_flow import (
    FunctionFlow as FunctionFlow,
)
from .gaussian_field import (
    GaussianField as GaussianField,
    as_gain as as_gain,
    field_of as field_of,
    fit_gaussian_field as fit_gaussian_field,
    white_field as white_field,
)
from .guidance import (
    condition_on_cutoff as condition_on_cutoff,
    from_white as from_white,
    gaussian_conditional as gaussian_conditional,
    to_white as to_white,
    white_form as white_form,
)
from .langevin import (
    annealed_langevin as annealed_langevin,
    langevin as langevin,
    langevin_step as langevin_step,
)
from .levels import (
    level_range as level_range,
    variance_levels as variance_levels,
)
from .objective import (
    modes_loss as modes_loss,
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
    n_features as n_features,
    require_network as require_network,
    seen as seen,
)
from .preparation import (
    FunctionSettings as FunctionSettings,
    FunctionSpace as FunctionSpace,
    Prepared as Prepared,
    Standard as Standard,
    prepare as prepare,
)
from .resolution import (
    SuperResolved as SuperResolved,
    extend as extend,
    require_modes as require_modes,
    super_resolve as super_resolve,
)
from .reverse import (
    encode as encode,
    probability_flow as probability_flow,
    reverse_diffusion as reverse_diffusion,
    start as start,
)
from .smoothing import (
    heat_factors as heat_factors,
    sharpen as sharpen,
    smooth as smooth,
)
