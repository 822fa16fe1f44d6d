from .bcsd import (
    BCSD as BCSD,
    Interpolated as Interpolated,
    anomaly as anomaly,
    cubic_upsampler as cubic_upsampler,
    fit_bcsd as fit_bcsd,
    upon as upon,
    whole_factors as whole_factors,
)
from .vision_transformer import (
    VisionTransformerSettings as VisionTransformerSettings,
    VisionTransformerUpsampler as VisionTransformerUpsampler,
    is_vision_transformer as is_vision_transformer,
    load_vision_transformer as load_vision_transformer,
    train_vision_transformer as train_vision_transformer,
)
