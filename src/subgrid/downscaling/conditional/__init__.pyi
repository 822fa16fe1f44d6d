from .model import (
    ConditionalModel as ConditionalModel,
    ConditionalSettings as ConditionalSettings,
    is_conditional as is_conditional,
    load_conditional as load_conditional,
    train_conditional as train_conditional,
)
from .upsample import (
    ConditionalUpsampler as ConditionalUpsampler,
    FlowUpsampler as FlowUpsampler,
    conditional_upsampler as conditional_upsampler,
)
