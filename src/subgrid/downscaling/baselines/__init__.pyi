from .bcsd import (
    BCSD as BCSD,
    Interpolated as Interpolated,
    anomaly as anomaly,
    cubic_upsampler as cubic_upsampler,
    fit_bcsd as fit_bcsd,
    upon as upon,
    whole_factors as whole_factors,
)
from .partial_noising import (
    CoarsePriors as CoarsePriors,
    DiffusionBridgeDebiaser as DiffusionBridgeDebiaser,
    NoisingDebiaser as NoisingDebiaser,
    diffusion_bridge_debiaser as diffusion_bridge_debiaser,
    field_key as field_key,
    halfway_level as halfway_level,
    load_coarse_priors as load_coarse_priors,
    noising_debiaser as noising_debiaser,
    train_coarse_priors as train_coarse_priors,
)
from .vision_transformer import (
    VisionTransformerSettings as VisionTransformerSettings,
    VisionTransformerUpsampler as VisionTransformerUpsampler,
    is_vision_transformer as is_vision_transformer,
    load_vision_transformer as load_vision_transformer,
    train_vision_transformer as train_vision_transformer,
)
