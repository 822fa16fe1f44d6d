from .bcsd import (
    BCSD as BCSD,
    Interpolated as Interpolated,
    anomaly as anomaly,
    cubic_upsampler as cubic_upsampler,
    fit_bcsd as fit_bcsd,
    upon as upon,
    whole_factors as whole_factors,
)
from .cycle_gan import (
    CycleGANSettings as CycleGANSettings,
    CycleGANUpsampler as CycleGANUpsampler,
    load_cycle_gan as load_cycle_gan,
    train_cycle_gan as train_cycle_gan,
)
from .flow_alignment import (
    FlowAlignmentSettings as FlowAlignmentSettings,
    FlowAlignmentUpsampler as FlowAlignmentUpsampler,
    align as align,
    load_flow_alignment as load_flow_alignment,
    train_flow_alignment as train_flow_alignment,
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
