"""The prior of fine fields: settings, training, its Gaussian part, its noise levels."""
