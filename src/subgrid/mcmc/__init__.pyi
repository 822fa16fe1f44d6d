from .annealed import (
    AnnealedLangevin as AnnealedLangevin,
    AnnealedState as AnnealedState,
    annealed_langevin as annealed_langevin,
    proportional_step as proportional_step,
    signal_to_noise_step as signal_to_noise_step,
)
from .diagnostics import (
    acceptance_rate as acceptance_rate,
    effective_sample_size as effective_sample_size,
    split_r_hat as split_r_hat,
)
from .driver import (
    Chain as Chain,
    Kernel as Kernel,
    Position as Position,
    Transition as Transition,
    position_of as position_of,
    run_chain as run_chain,
    run_chains as run_chains,
)
from .inverse_transform import (
    InverseTransform as InverseTransform,
    open_uniform as open_uniform,
)
from .langevin import (
    UnadjustedLangevin as UnadjustedLangevin,
    ula_step as ula_step,
)
from .mala import (
    MALA as MALA,
    MALAState as MALAState,
    acceptance_probability as acceptance_probability,
)
from .quantile_table import (
    NotNormalisable as NotNormalisable,
    TabulatedQuantile as TabulatedQuantile,
    tabulate_quantile as tabulate_quantile,
)
from .rejection import (
    BoundExceeded as BoundExceeded,
    Rejection as Rejection,
    RejectionInfo as RejectionInfo,
    rejection_sample as rejection_sample,
    require_bound as require_bound,
)
from .step_size import (
    TunedMALA as TunedMALA,
    TuningState as TuningState,
    tune_step_size as tune_step_size,
)
