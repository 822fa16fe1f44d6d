from .normal_score import (
    fit_normal_score as fit_normal_score,
)
from .transforms import (
    CensoredRoot as CensoredRoot,
    ChannelTransforms as ChannelTransforms,
    Unchanged as Unchanged,
    is_bounded as is_bounded,
    is_censored as is_censored,
    transforms_of as transforms_of,
)
