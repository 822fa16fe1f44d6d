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
