from .context import (
    Context as Context,
    Groups as Groups,
    known_fields as known_fields,
    of_group as of_group,
)
from .correlation import correlation as correlation, per_axis as per_axis, shifted as shifted
from .cycle_gan import (
    CriticSettings as CriticSettings,
    InstanceNorm as InstanceNorm,
    InstanceNormBlock as InstanceNormBlock,
    PatchCritic as PatchCritic,
    Translation as Translation,
    TranslationSettings as TranslationSettings,
)
from .fno import (
    FNO as FNO,
    FNOSettings as FNOSettings,
)
from .fno_unet import (
    FNOUNet as FNOUNet,
    FNOUNetSettings as FNOUNetSettings,
)
from .glow import (
    ActNorm as ActNorm,
    AffineCoupling as AffineCoupling,
    Glow as Glow,
    GlowSettings as GlowSettings,
    GlowStep as GlowStep,
    InvertibleMatrix as InvertibleMatrix,
    fitted_to as fitted_to,
    log_density as log_density,
    log_standard_normal as log_standard_normal,
)
from .layers import (
    Convolution as Convolution,
    Linear as Linear,
    NoiseEmbedding as NoiseEmbedding,
    ResidualBlock as ResidualBlock,
    RootMeanSquareNorm as RootMeanSquareNorm,
    SelfAttention as SelfAttention,
    depth_to_space as depth_to_space,
    initial_weights as initial_weights,
    space_to_depth as space_to_depth,
)
from .mlp import (
    MLP as MLP,
)
from .unet import (
    UNet as UNet,
    UNetSettings as UNetSettings,
    UNetStage as UNetStage,
    smallest_grid as smallest_grid,
)
from .vit import (
    TransformerBlock as TransformerBlock,
    ViT as ViT,
    ViTSettings as ViTSettings,
    position_waves as position_waves,
)
