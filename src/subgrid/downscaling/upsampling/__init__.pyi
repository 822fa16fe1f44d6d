from .bridge import (
    BridgeUpsampler as BridgeUpsampler,
    UpsamplerSettings as UpsamplerSettings,
    fit_upsampler as fit_upsampler,
    is_fitted as is_fitted,
    load_upsampler as load_upsampler,
    steps_done as steps_done,
)
from .choices import (
    guidance as guidance,
    noise_grid as noise_grid,
    sampling_method as sampling_method,
    training_levels as training_levels,
)
from .diffusion_bridge import (
    conditioned as conditioned,
    decode as decode,
    encode as encode,
    noised as noised,
    turnaround_level as turnaround_level,
)
from .guided import (
    DiffusionUpsampler as DiffusionUpsampler,
    method_for as method_for,
    normalised_target as normalised_target,
)
from .level_checks import (
    warn_of_levels as warn_of_levels,
)
from .particles import (
    ParticleUpsampler as ParticleUpsampler,
    sample_with_diagnostics as sample_with_diagnostics,
)
