from .normal_score import (
    fit_normal_score as fit_normal_score,
)
from .transforms import (
    CensoredRoot as CensoredRoot,
    ChannelTransforms as ChannelTransforms,
    Unchanged as Unchanged,
    default_transforms as default_transforms,
)
